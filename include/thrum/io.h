/* thrum/io.h - sockets, pipes, files.
 *
 * They look like the calls of POSIX, and wait as tasks do: only the task waits,
 * not its worker. What holds for all:
 *
 *   - A result is 0 or more, or -errno. The variable errno says nothing.
 *   - A call is tried first, and waits only if it must.
 *   - -ECANCELED means that nothing was transferred, so nothing is lost; a task
 *     that is already canceled gets it before anything is tried. If something was
 *     transferred that is the result, and the next call tells of the cancel. Time
 *     limits are those of the scope: thrum_scope_open(&s, .timeout = ...).
 *   - Any number of tasks and threads may use one descriptor at a time, to read
 *     and to write.
 *   - No SIGPIPE, ever: -EPIPE.
 *   - Descriptors that the library makes are close-on-exec and non-blocking.
 *   - The mode of a descriptor of yours is not changed, blocking or not: others
 *     may share the file. (But thrum_accept and thrum_connect do make theirs
 *     non-blocking.) Sockets, pipes, terminals, eventfds and all else that
 *     epoll(7) knows are fine; for regular files the call is made on a thread of
 *     the blocking pool, as by thrum_offload, and then not canceled. One pitfall:
 *     a file for which the kernel cannot say whether a call would wait (a
 *     terminal; pipes before Linux 6.4) must not be shared with other readers.
 *   - Close with thrum_close: it tells those who wait. close(2) tells nobody, and
 *     they wait on.
 *
 * The first wait for a descriptor costs two system calls more (it is given to
 * epoll, once); every later one costs none of its own.
 */
#ifndef THRUM_IO_H
#define THRUM_IO_H

#include <sys/types.h>

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Not <sys/socket.h> and its like, which take names such as listen and accept
 * from who does not need them. */
struct iovec;
struct msghdr;
struct sockaddr;
typedef unsigned int thrum_socklen_; /* socklen_t */

/* -------------------------------------------------------------------- waiting */

/* Wait until one of `events` (POLLIN, POLLOUT, POLLPRI, as for poll(2)) is there,
 * or an error, or the end: for libraries that do their own reading.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until then.
 * Returns:    the events that are there, more than 0. For a file that is always
 *             ready, such as a regular one: what was asked for.
 *             -EINVAL     no events, or others
 *             -EBADF      it is not open, or was closed meanwhile
 *             -ECANCELED
 *             -EMFILE, -ENFILE, -ENOMEM, -ENOSPC, -EAGAIN  what waiting needs is
 *                         not to be had
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_wait_fd(int fd, int events);

/* -------------------------------------------------------- reading and writing */

/* Read what there is, at most n bytes, as read(2).
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until there is something.
 * Returns:    how many bytes; 0 at the end.
 *             -EBADF      it is not open, or was closed meanwhile
 *             -ECANCELED  nothing was read
 *             or what read(2) says, or thrum_wait_fd
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD ssize_t thrum_read(int fd, void *bytes,
                                                            size_t n);

/* Write as much as there is room for, at most n bytes, as write(2).
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until there is room.
 * Returns:    how many bytes; it may be fewer than n: thrum_write_full.
 *             -EPIPE      nobody will read it
 *             -EBADF      it is not open, or was closed meanwhile
 *             -ECANCELED  nothing was written
 *             or what write(2) says, or thrum_wait_fd
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD ssize_t thrum_write(int fd,
                                                             const void *bytes,
                                                             size_t n);

/* thrum_read into several places, as readv(2).
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until there is something.
 * Returns:    as thrum_read.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD ssize_t
thrum_readv(int fd, const struct iovec *v, int count);

/* thrum_write from several places, as writev(2).
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until there is room.
 * Returns:    as thrum_write.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD ssize_t
thrum_writev(int fd, const struct iovec *v, int count);

/* Read n bytes.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until they are there.
 * Returns:    0
 *             -ENODATA    the end came first
 *             -ECANCELED, or as thrum_read
 *             *done, unless done is NULL, is how many bytes were read, whatever
 *             the result.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_read_full(int fd, void *bytes, size_t n, size_t *done);

/* Write n bytes.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until they are written.
 * Returns:    0
 *             -ECANCELED, or as thrum_write
 *             *done, unless done is NULL, is how many bytes were written, whatever
 *             the result.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_write_full(int fd, const void *bytes, size_t n, size_t *done);

/* Receive a message, as recvmsg(2): for datagrams, their senders, and descriptors.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until there is one.
 * Returns:    how many bytes; 0 at the end of a stream.
 *             -EAGAIN     with MSG_DONTWAIT in flags: there is none
 *             as thrum_read, or what recvmsg(2) says
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD ssize_t
thrum_recvmsg(int fd, struct msghdr *message, int flags);

/* Send a message, as sendmsg(2).
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until there is room.
 * Returns:    how many bytes.
 *             -EAGAIN     with MSG_DONTWAIT in flags: there is no room
 *             as thrum_write, or what sendmsg(2) says
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD ssize_t
thrum_sendmsg(int fd, const struct msghdr *message, int flags);

/* ---------------------------------------------------------------- connections */

/* Accept a connection, as accept(2). The listening socket becomes non-blocking.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until there is one.
 * Ownership:  the connection is the caller's, to be given to thrum_close. addr and
 *             size as for accept(2); both may be NULL.
 * Returns:    its descriptor.
 *             -EMFILE, -ENFILE, -ENOMEM  the connection stays in the queue; call
 *                         again when there is room
 *             -EBADF      the socket is not open, or was closed meanwhile
 *             -ECANCELED  none was accepted
 *             or what accept(2) says; not what a connection died of meanwhile
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_accept(int fd, struct sockaddr *addr, thrum_socklen_ *size);

/* Connect a socket, as connect(2). It becomes non-blocking.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until it is connected.
 * Returns:    0
 *             -ECANCELED  it may still become connected: close it
 *             -ECONNREFUSED, -ETIMEDOUT, ... what connect(2) says
 *             -EBADF      it is not open, or was closed meanwhile
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_connect(int fd, const struct sockaddr *addr, thrum_socklen_ size);

/* Close a descriptor: those who wait for it are woken, with -EBADF.
 *
 * Call from:  anywhere. Not a cancellation point: it always closes.
 * Suspends:   never.
 * Returns:    0, or what close(2) says; it is closed in any case, but for -EBADF.
 *
 * As with close(2), the number may be another file's at once: who still has it
 * must not use it.
 */
THRUM_API int thrum_close(int fd);

#ifdef __cplusplus
}
#endif
#endif
