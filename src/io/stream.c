/* Reading and writing. */

#include <thrum/io.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "io/call.h"
#include "io/file.h"
#include "io/simulate.h"
#include "os/loopback.h"
#include "os/transfer.h"

/* ------------------------------------------- what is no socket, and what is */

static ssize_t try_readv(struct call *c)
{
    ssize_t rc;
    int watched;

    if (file_waits(c->fd, c->f))
        return -EPERM;
    rc = transfer_readv(c->fd, c->u.vector.v, c->u.vector.count);
    if (likely(rc != -EOPNOTSUPP))
        return rc;
    watched = fd_watch(c->fd, c->f); /* is it one that may be waited for? */
    return watched < 0
               ? watched
               : transfer_readv_ready(c->fd, c->u.vector.v, c->u.vector.count);
}

/* Workers have SIGPIPE blocked, as all threads of the library. */
static bool is_quiet(void)
{
    struct stack *here = worker_current();

    return here != NULL && sched_has_threads(here->worker->sched);
}

static ssize_t try_writev(struct call *c)
{
    bool quiet = is_quiet();
    ssize_t rc;
    int watched;

    if (file_waits(c->fd, c->f))
        return -EPERM;
    rc = transfer_writev(c->fd, c->u.vector.v, c->u.vector.count, quiet);
    if (likely(rc != -EOPNOTSUPP))
        return rc;
    watched = fd_watch(c->fd, c->f);
    return watched < 0 ? watched
                       : transfer_writev_ready(c->fd, c->u.vector.v,
                                               c->u.vector.count, quiet);
}

static bool is_no_socket(struct call *c)
{
    return load_relaxed(&c->f->no_socket) != 0; /* a hint */
}

static void note_no_socket(struct call *c)
{
    store_relaxed(&c->f->no_socket, 1); /* a hint */
}

static ssize_t read_no_socket(struct call *c)
{
    struct iovec one = {c->u.some.bytes, c->u.some.n};
    struct call as_vector = {.fd = c->fd, .f = c->f, .u.vector = {&one, 1}};

    return try_readv(&as_vector);
}

static ssize_t try_read(struct call *c)
{
    ssize_t rc;

    if (fd_is_dry(c->f, &c->seen))
        return -EAGAIN;
    if (is_no_socket(c))
        return read_no_socket(c);
    rc = transfer_recv(c->fd, c->u.some.bytes, c->u.some.n);
    if (unlikely(rc == -ENOTSOCK)) {
        note_no_socket(c);
        return read_no_socket(c);
    }
    if (rc > 0 && (size_t)rc < c->u.some.n)
        fd_note_dry(c->f, &c->seen);
    return rc;
}

static ssize_t try_write(struct call *c)
{
    struct iovec one = {c->u.some.bytes, c->u.some.n};
    struct call as_vector = {.fd = c->fd, .f = c->f, .u.vector = {&one, 1}};

    if (!is_no_socket(c)) {
        ssize_t rc = transfer_send(c->fd, c->u.some.bytes, c->u.some.n);

        if (likely(rc != -ENOTSOCK))
            return rc;
        note_no_socket(c);
    }
    return try_writev(&as_vector);
}

static ssize_t try_socket_or_readv(struct call *c)
{
    struct msghdr m = {.msg_iov = (struct iovec *)c->u.vector.v,
                       .msg_iovlen = (size_t)c->u.vector.count};
    ssize_t rc = is_no_socket(c) ? -ENOTSOCK : transfer_recvmsg(c->fd, &m, 0);

    return rc == -ENOTSOCK ? (note_no_socket(c), try_readv(c)) : rc;
}

static ssize_t try_socket_or_writev(struct call *c)
{
    struct msghdr m = {.msg_iov = (struct iovec *)c->u.vector.v,
                       .msg_iovlen = (size_t)c->u.vector.count};
    ssize_t rc = is_no_socket(c) ? -ENOTSOCK : transfer_sendmsg(c->fd, &m, 0);

    return rc == -ENOTSOCK ? (note_no_socket(c), try_writev(c)) : rc;
}

/* Of nothing read(2) never waits; recv(2) of a socket does, and takes a message. */
static ssize_t try_read_nothing(struct call *c)
{
    return transfer_readv_blocking(c->fd, &(struct iovec){NULL, 0}, 1);
}

/* ------------------------------------------- a file that is not waited for */

struct blocking {
    int fd;
    const struct iovec *v;
    int count;
    bool write;
    ssize_t result;
};

static thrum_err *block(void *arg)
{
    struct blocking *b = arg;

    b->result = b->write ? transfer_writev_blocking(b->fd, b->v, b->count)
                         : transfer_readv_blocking(b->fd, b->v, b->count);
    return NULL;
}

static ssize_t elsewhere(const struct call *c, const struct iovec *v, int count,
                         bool write)
{
    struct blocking b = {c->fd, v, count, write, 0};

    return file_elsewhere(c->fd, c->seen.closes, block, &b, &b.result);
}

/* A socket says so, too: where a firewall drops what it sends. */
static bool is_not_waited_for(struct call *c, ssize_t rc)
{
    return rc == -EPERM && is_no_socket(c);
}

/* ------------------------------------------------------------ the functions */

ssize_t thrum_read(int fd, void *bytes, size_t n)
{
    struct call c = {.fd = fd, .kind = CALL_SOME, .u.some = {bytes, n}};
    ssize_t rc = call_until_done(&c, n > 0 ? try_read : try_read_nothing,
                                 POLL_READ);

    return is_not_waited_for(&c, rc)
               ? elsewhere(&c, &(struct iovec){bytes, n}, 1, false)
               : rc;
}

ssize_t thrum_write(int fd, const void *bytes, size_t n)
{
    struct call c = {
        .fd = fd, .kind = CALL_SOME, .u.some = {(void *)(uintptr_t)bytes, n}};
    ssize_t rc = call_until_done(&c, try_write, POLL_WRITE);

    return is_not_waited_for(&c, rc)
               ? elsewhere(&c, &(struct iovec){c.u.some.bytes, n}, 1, true)
               : rc;
}

/* What readv(2) refuses, and a socket's calls do not know. */
static bool is_no_count(int count)
{
    return count < 0 || count > IOV_MAX;
}

static bool is_nothing(const struct iovec *v, int count)
{
    int i = 0;

    while (i < count && v != NULL && v[i].iov_len == 0)
        i++;
    return i == count;
}

ssize_t thrum_readv(int fd, const struct iovec *v, int count)
{
    struct call c = {.fd = fd, .kind = CALL_VECTOR, .u.vector = {v, count}};
    ssize_t rc;

    if (is_no_count(count))
        return -EINVAL;
    rc = call_until_done(
        &c, is_nothing(v, count) ? try_read_nothing : try_socket_or_readv,
        POLL_READ);
    return is_not_waited_for(&c, rc) ? elsewhere(&c, v, count, false) : rc;
}

ssize_t thrum_writev(int fd, const struct iovec *v, int count)
{
    struct call c = {.fd = fd, .kind = CALL_VECTOR, .u.vector = {v, count}};
    ssize_t rc;

    if (is_no_count(count))
        return -EINVAL;
    rc = call_until_done(&c, try_socket_or_writev, POLL_WRITE);
    return is_not_waited_for(&c, rc) ? elsewhere(&c, v, count, true) : rc;
}

int thrum_read_full(int fd, void *bytes, size_t n, size_t *done)
{
    uint32_t closes = fd_closes(fd);
    size_t at = 0;
    ssize_t got = 1;

    while (at < n && got > 0) {
        got = fd_closes(fd) == closes
                  ? thrum_read(fd, (char *)bytes + at, n - at)
                  : -EBADF;
        at += got > 0 ? (size_t)got : 0;
    }
    if (done != NULL)
        *done = at;
    return got < 0 ? (int)got : at < n ? -ENODATA : 0;
}

int thrum_write_full(int fd, const void *bytes, size_t n, size_t *done)
{
    uint32_t closes = fd_closes(fd);
    size_t at = 0;
    ssize_t put = 0;

    while (at < n && put >= 0) {
        put = fd_closes(fd) == closes
                  ? thrum_write(fd, (const char *)bytes + at, n - at)
                  : -EBADF;
        at += put > 0 ? (size_t)put : 0;
    }
    if (done != NULL)
        *done = at;
    return put < 0 ? (int)put : 0;
}

/* ----------------------------------------------------------------- messages */

static ssize_t try_recvmsg(struct call *c)
{
    return transfer_recvmsg(c->fd, c->u.message.m, c->u.message.flags);
}

static ssize_t try_sendmsg(struct call *c)
{
    return transfer_sendmsg(c->fd, c->u.message.m, c->u.message.flags);
}

/* To a Unix socket by its address: when its queue is full poll(2) says of ours that
 * there is room, and nobody tells when there is. */
static bool is_nothing_told(struct call *c)
{
    const struct msghdr *m = c->u.message.m;
    const struct sockaddr *to = m->msg_name;

    return to != NULL && m->msg_namelen >= sizeof to->sa_family &&
           to->sa_family == AF_UNIX && transfer_poll(c->fd, POLLOUT) > 0;
}

static ssize_t try_sendmsg_or_nap(struct call *c)
{
    ssize_t rc = try_sendmsg(c);

    return rc == -EAGAIN && is_nothing_told(c) ? -EXFULL : rc;
}

ssize_t thrum_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct call c = {
        .fd = fd, .kind = CALL_MESSAGE, .u.message = {message, flags}};

    if (flags & MSG_DONTWAIT)
        return call_once(&c, try_recvmsg, POLL_READ);
    return call_until_done(&c, try_recvmsg, POLL_READ);
}

ssize_t thrum_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct call c = {.fd = fd,
                     .kind = CALL_MESSAGE,
                     .u.message = {(struct msghdr *)(uintptr_t)message, flags}};
    uint32_t closes = fd_closes(fd);
    ssize_t rc;

    if (flags & MSG_DONTWAIT)
        return call_once(&c, try_sendmsg, POLL_WRITE);
    while ((rc = call_until_done(&c, try_sendmsg_or_nap, POLL_WRITE)) ==
           -EXFULL) {
        rc = call_nap(fd, closes);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* ------------------------------------------------------------------ waiting */

struct waiting {
    struct call call;
    int events;
};

static ssize_t try_poll(struct call *c)
{
    int events = ((struct waiting *)(void *)c)->events;
    int rc = transfer_poll(c->fd, events);

    return rc == 0 ? -EAGAIN : rc;
}

int thrum_wait_fd(int fd, int events)
{
    struct waiting w = {.call.fd = fd, .events = events};
    unsigned what = (events & (POLLIN | POLLPRI) ? POLL_READ : 0u) |
                    (events & POLLOUT ? POLL_WRITE : 0u);

    if (events == 0 || (events & ~(POLLIN | POLLPRI | POLLOUT)))
        return -EINVAL;
    return (int)call_until_done(&w.call, try_poll, what);
}

int thrum_close(int fd)
{
    if (simulated())
        loopback_close(fd);
    return fd_close(fd);
}
