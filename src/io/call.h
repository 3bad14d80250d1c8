/* call.h - a call on a descriptor: tried, waited for, tried again. */
#ifndef IO_CALL_H
#define IO_CALL_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "io/fd.h"

/* What is in `u`. */
enum call_kind { CALL_WAIT, CALL_SOME, CALL_VECTOR, CALL_MESSAGE, CALL_ACCEPT };

struct call {
    int fd;
    enum call_kind kind;
    struct fd *f;
    struct fd_seen seen; /* when the try began */
    union {
        struct {
            void *bytes;
            size_t n;
        } some;
        struct {
            const struct iovec *v;
            int count;
        } vector;
        struct {
            struct msghdr *m;
            int flags;
        } message;
        struct {
            struct sockaddr *addr;
            socklen_t *size;
        } accept;
    } u;
};

/* Never waits: -EAGAIN if it would have to. */
typedef ssize_t attempt(struct call *c);

/* Is the task that calls canceled? */
bool call_canceled(void);

/* Try until it says something else, waiting for `what` in between. -EPERM: such a
 * file is not waited for. */
ssize_t call_until_done(struct call *c, attempt *try, unsigned what);

#endif
