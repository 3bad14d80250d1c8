/* call.h - a call on a descriptor: tried, waited for, tried again. */
#ifndef IO_CALL_H
#define IO_CALL_H

#include <errno.h>

#include <thrum/time.h>

#include "io/attempt.h"

/* Is the task that calls canceled? */
bool call_canceled(void);

/* Try until it says something else, waiting for `what` in between. -EPERM: such a
 * file is not waited for; or the call itself says so. */
ssize_t call_until_done(struct call *c, attempt *try, unsigned what);

/* Try, and say -EAGAIN where that waits. */
ssize_t call_once(struct call *c, attempt *try, unsigned what);

/* Of what nobody tells: it is to be tried again soon. 0, -ECANCELED, or -EBADF:
 * closed since fd_closes said `closes`. */
static inline int call_nap(int fd, uint32_t closes)
{
    if (thrum_sleep(THRUM_MS(1)) < 0)
        return -ECANCELED;
    return fd_closes(fd) == closes ? 0 : -EBADF;
}

#endif
