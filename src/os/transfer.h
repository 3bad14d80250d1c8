/* transfer.h - to and from descriptors, without waiting.
 *
 * Whatever the mode of the descriptor: a call that would have to wait says
 * -EAGAIN, and the mode stays as it is, since others may have the same file
 * (a terminal, a pipe that was inherited). An interrupt by a signal is no result,
 * and a write that nobody will read brings no SIGPIPE.
 *
 * Each returns 0 or more, or -errno. -EOPNOTSUPP of a vector: the kernel cannot
 * say for such a file whether it would wait.
 */
#ifndef OS_TRANSFER_H
#define OS_TRANSFER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Sockets. */
ssize_t transfer_recv(int fd, void *bytes, size_t n);
ssize_t transfer_send(int fd, const void *bytes, size_t n);
ssize_t transfer_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t transfer_sendmsg(int fd, const struct msghdr *m, int flags);

/* All others. `quiet`: this thread has SIGPIPE blocked. */
ssize_t transfer_readv(int fd, const struct iovec *v, int count);
ssize_t transfer_writev(int fd, const struct iovec *v, int count, bool quiet);

/* The same where the kernel cannot say: it is made if poll(2) says that there is
 * something to read, or room for some bytes, of which PIPE_BUF are written at
 * most. Who shares the file with other readers might still wait. */
ssize_t transfer_readv_ready(int fd, const struct iovec *v, int count);
ssize_t transfer_writev_ready(int fd, const struct iovec *v, int count,
                              bool quiet);

/* These wait: for files whose waiting is the disk's. */
ssize_t transfer_readv_blocking(int fd, const struct iovec *v, int count);
ssize_t transfer_writev_blocking(int fd, const struct iovec *v, int count);

/* Waits for the disk that the file is on, but not for room in `to`, which is made
 * non-blocking. */
ssize_t transfer_sendfile(int to, int from, off_t *at, size_t n, bool quiet);

bool transfer_is_open(int fd);

/* poll(2), without waiting: the events that are there. */
int transfer_poll(int fd, int events);

/* A connection, close-on-exec and non-blocking. These two make `fd` itself
 * non-blocking: nothing else would keep the call from waiting. */
int transfer_accept(int fd, struct sockaddr *addr, socklen_t *size);
int transfer_connect(int fd, const struct sockaddr *addr, socklen_t size);

/* A stream of bytes whose reads stop short only where nothing more is there. */
bool transfer_is_tcp(int fd);

/* What becomes of its bytes: a stream's may be transferred in any pieces. */
enum transfer_kind {
    TRANSFER_STREAM,
    TRANSFER_PIPE,
    TRANSFER_MESSAGES,
    TRANSFER_OTHER
};
enum transfer_kind transfer_kind_of(int fd);

/* Nothing comes from a socket any more, and nobody reads what goes there. */
void transfer_break(int fd);

/* It is closed in any case but -EBADF. That somebody tries to use it at this
 * moment is no race for ThreadSanitizer to tell of: he is told. */
int transfer_close(int fd);

/* How a connect that said -EINPROGRESS has ended. */
int transfer_connected(int fd);

#endif
