/* attempt.h - a call on a descriptor, to be made once or more. */
#ifndef IO_ATTEMPT_H
#define IO_ATTEMPT_H

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

#endif
