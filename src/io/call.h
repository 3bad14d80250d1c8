/* call.h - a call on a descriptor: tried, waited for, tried again. */
#ifndef IO_CALL_H
#define IO_CALL_H

#include "io/attempt.h"

/* Is the task that calls canceled? */
bool call_canceled(void);

/* Try until it says something else, waiting for `what` in between. -EPERM: such a
 * file is not waited for; or the call itself says so. */
ssize_t call_until_done(struct call *c, attempt *try, unsigned what);

/* Try, and say -EAGAIN where that waits. */
ssize_t call_once(struct call *c, attempt *try, unsigned what);

#endif
