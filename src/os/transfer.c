#include "os/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/sanitize.h"

/* The call, again if a signal came. */
#define CALL(result, call)                                                     \
    do {                                                                       \
        do                                                                     \
            (result) = (call);                                                 \
        while ((result) < 0 && errno == EINTR);                                \
        if ((result) < 0)                                                      \
            (result) = -errno;                                                 \
    } while (0)

/* libc's are cancellation points of threads, which costs two atomic accesses each
 * and is no use here. But sanitizers know them. */
#if SANITIZE_THREAD || SANITIZE_ADDRESS
#define RECV(fd, bytes, n, flags) recv(fd, bytes, n, flags)
#define SEND(fd, bytes, n, flags) send(fd, bytes, n, flags)
#define CLOSE(fd)                 close(fd)
#else
#define RECV(fd, bytes, n, flags)                                              \
    syscall(SYS_recvfrom, fd, bytes, n, flags, NULL, NULL)
#define SEND(fd, bytes, n, flags)                                              \
    syscall(SYS_sendto, fd, bytes, n, flags, NULL, 0)
#define CLOSE(fd) syscall(SYS_close, fd)
#endif

ssize_t transfer_recv(int fd, void *bytes, size_t n)
{
    ssize_t rc;

    CALL(rc, RECV(fd, bytes, n, MSG_DONTWAIT));
    return rc;
}

ssize_t transfer_send(int fd, const void *bytes, size_t n)
{
    ssize_t rc;

    CALL(rc, SEND(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL));
    return rc;
}

ssize_t transfer_recvmsg(int fd, struct msghdr *m, int flags)
{
    ssize_t rc;

    CALL(rc, recvmsg(fd, m, flags | MSG_DONTWAIT));
    return rc;
}

ssize_t transfer_sendmsg(int fd, const struct msghdr *m, int flags)
{
    ssize_t rc;

    CALL(rc, sendmsg(fd, m, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
    return rc;
}

/* preadv2 or pwritev2, which not every musl has, at no place of a file (-1). A
 * kernel without them supports no flag. */
static ssize_t vector_at_once(long number, int fd, const struct iovec *v,
                              int count)
{
    ssize_t rc;

    CALL(rc, syscall(number, fd, v, count, -1L, -1L, RWF_NOWAIT));
    return rc == -ENOSYS ? -EOPNOTSUPP : rc;
}

ssize_t transfer_readv(int fd, const struct iovec *v, int count)
{
    return vector_at_once(SYS_preadv2, fd, v, count);
}

/* --------------------------------------------------------------- SIGPIPE */

/* Only send(2) has MSG_NOSIGNAL: the signal is kept from this thread, and taken
 * away if it is ours. */
struct quiet {
    bool was_pending;
    sigset_t before;
};

static void be_quiet(struct quiet *q)
{
    sigset_t pipe, pending;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    q->was_pending = sigismember(&pending, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &q->before);
}

static void be_loud(const struct quiet *q, ssize_t rc)
{
    static const struct timespec at_once = {0, 0};
    sigset_t pipe;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (rc == -EPIPE && !q->was_pending)
        (void)sigtimedwait(&pipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &q->before, NULL);
}

static ssize_t write_with(int fd, const struct iovec *v, int count,
                          bool at_once, bool quiet)
{
    struct quiet q;
    ssize_t rc;

    if (!quiet)
        be_quiet(&q);
    if (at_once)
        rc = vector_at_once(SYS_pwritev2, fd, v, count);
    else
        CALL(rc, writev(fd, v, count));
    if (!quiet)
        be_loud(&q, rc);
    return rc;
}

ssize_t transfer_writev(int fd, const struct iovec *v, int count, bool quiet)
{
    return write_with(fd, v, count, true, quiet);
}

/* ---------------------------------------------- where the kernel cannot say */

int transfer_poll(int fd, int events)
{
    struct pollfd p = {.fd = fd, .events = (short)events};
    int rc;

    CALL(rc, poll(&p, 1, 0));
    if (rc < 0)
        return rc;
    return p.revents & POLLNVAL ? -EBADF : p.revents;
}

ssize_t transfer_readv_ready(int fd, const struct iovec *v, int count)
{
    ssize_t rc = transfer_poll(fd, POLLIN);

    if (rc <= 0)
        return rc < 0 ? rc : -EAGAIN;
    CALL(rc, readv(fd, v, count));
    return rc;
}

ssize_t transfer_writev_ready(int fd, const struct iovec *v, int count,
                              bool quiet)
{
    struct iovec some = {0};
    ssize_t rc = transfer_poll(fd, POLLOUT);

    if (rc <= 0)
        return rc < 0 ? rc : -EAGAIN;
    for (int i = 0; i < count && some.iov_len == 0; i++)
        some = v[i];
    if (some.iov_len > PIPE_BUF)
        some.iov_len = PIPE_BUF;
    return write_with(fd, &some, 1, false, quiet);
}

ssize_t transfer_readv_blocking(int fd, const struct iovec *v, int count)
{
    ssize_t rc;

    CALL(rc, readv(fd, v, count));
    return rc;
}

ssize_t transfer_writev_blocking(int fd, const struct iovec *v, int count)
{
    ssize_t rc;

    CALL(rc, writev(fd, v, count));
    return rc;
}

/* ----------------------------------------------- what is made non-blocking */

static int make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 ||
        (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return -errno;
    return 0;
}

ssize_t transfer_sendfile(int to, int from, off_t *at, size_t n, bool quiet)
{
    struct quiet q;
    ssize_t rc = make_nonblocking(to);

    if (rc < 0)
        return rc;
    if (!quiet)
        be_quiet(&q);
    CALL(rc, sendfile(to, from, at, n));
    if (!quiet)
        be_loud(&q, rc);
    return rc;
}

/* What is wrong with a connection that is gone is not the listener's. */
int transfer_accept(int fd, struct sockaddr *addr, socklen_t *size)
{
    int rc = make_nonblocking(fd);

    if (rc < 0)
        return rc;
    do
        CALL(rc, accept4(fd, addr, size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    while (rc == -ECONNABORTED || rc == -EPROTO);
    return rc;
}

int transfer_connect(int fd, const struct sockaddr *addr, socklen_t size)
{
    int rc = make_nonblocking(fd);

    if (rc < 0)
        return rc;
    return connect(fd, addr, size) < 0
               ? (errno == EINTR ? -EINPROGRESS : -errno)
               : 0;
}

/* Unix sockets have borders (descriptors that are sent along), pipes may have. */
bool transfer_is_tcp(int fd)
{
    int protocol = 0;
    socklen_t size = sizeof protocol;

    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 &&
           protocol == IPPROTO_TCP;
}

enum transfer_kind transfer_kind_of(int fd)
{
    socklen_t size = sizeof(int);
    struct stat st;
    int type = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0)
        return type == SOCK_STREAM ? TRANSFER_STREAM : TRANSFER_MESSAGES;
    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) ? TRANSFER_PIPE
                                                       : TRANSFER_OTHER;
}

void transfer_break(int fd)
{
    (void)shutdown(fd, SHUT_RDWR);
}

bool transfer_is_open(int fd)
{
    int saved = errno;
    bool is = fcntl(fd, F_GETFD) >= 0;

    errno = saved;
    return is;
}

int transfer_connected(int fd)
{
    socklen_t size = sizeof(int);
    int error = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

/* Interrupted it is closed as well. ThreadSanitizer hears of it, since somebody
 * unrelated may get the number next, but is not to call it a race with the calls
 * that use the descriptor: they are told. */
int transfer_close(int fd)
{
    int rc;

    tsan_ignore_begin();
    rc = CLOSE(fd) < 0 && errno != EINTR ? -errno : 0;
    tsan_ignore_end();
    return rc;
}
