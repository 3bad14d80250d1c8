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
 *   - Descriptors that the library makes are close-on-exec, connections and
 *     listening sockets non-blocking, too.
 *   - The mode of a descriptor of yours is not changed, blocking or not: others
 *     may share the file. (But thrum_accept and thrum_connect do make theirs
 *     non-blocking.) Sockets, pipes, terminals, eventfds and all else that
 *     epoll(7) knows are fine; of regular files, what is not in memory is read and
 *     written on a thread of the blocking pool, as by thrum_offload, and then not
 *     canceled: each call at a place of its own, as read(2) says. One pitfall:
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

/* Include what says more of them: <sys/socket.h>, <sys/uio.h>, <sys/stat.h>. Here
 * a socklen_t is an unsigned int, as it is on Linux. */
struct sockaddr;
struct msghdr;
struct iovec;
struct stat;

/* ------------------------------------------------------------------ waiting */

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

/* ------------------------------------------------------ reading and writing */

/* Read what there is, at most n bytes, as read(2).
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until there is something.
 * Returns:    how many bytes; 0 at the end, and at once if n is 0.
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
 * Returns:    as thrum_read, or
 *             -EINVAL     count is less than 0, or more than IOV_MAX
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD ssize_t
thrum_readv(int fd, const struct iovec *v, int count);

/* thrum_write from several places, as writev(2).
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until there is room.
 * Returns:    as thrum_write, or
 *             -EINVAL     as thrum_readv
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD ssize_t
thrum_writev(int fd, const struct iovec *v, int count);

/* Read n bytes.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until they are there.
 * Returns:    0; if n is 0 nothing is tried, nor asked
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
 * Returns:    0; if n is 0 nothing is tried, nor asked
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

/* -------------------------------------------------------------- connections */

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
thrum_accept(int fd, struct sockaddr *addr, unsigned *size);

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
thrum_connect(int fd, const struct sockaddr *addr, unsigned size);

/* Connect by TCP to a host, by name or number, at a port, by number or by name of a
 * service. All its addresses are tried, not one after the other but a quarter of
 * a second apart, and the first that answers is taken (RFC 8305). The name is
 * looked up on a thread of the blocking pool, at most 32 at a time. A resolver that
 * does not answer is left when the caller is canceled; it counts as a task of the
 * background until it does, as any call that is left (thrum_offload_ex).
 *
 * Call from:  a task; any other thread, which blocks and tries them in turn.
 * Suspends:   until it is connected.
 * Ownership:  the connection is the caller's, to be given to thrum_close.
 * Returns:    its descriptor.
 *             -ENOENT     there is no such name
 *             -EINVAL     there is no such port
 *             -EAGAIN     nobody knows now; or as thrum_offload
 *             -ENOMEM, -EIO  the lookup failed
 *             -ECANCELED
 *             -EMFILE, -ENFILE, or what the first address that failed says, as
 *                         thrum_connect
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_dial(const char *host,
                                                        const char *port);

/* Listen for TCP at a host's address and a port, as for thrum_dial. host NULL: all
 * addresses of this machine. port "0": any one that is free.
 *
 * Call from:  a task; any other thread.
 * Suspends:   if the name is to be looked up.
 * Ownership:  the socket is the caller's, to be given to thrum_close.
 * Returns:    its descriptor.
 *             -ENOENT, -EINVAL, -EAGAIN, -ENOMEM, -EIO, -ECANCELED  as thrum_dial
 *             -EADDRINUSE, ... what bind(2) and listen(2) say
 *             -EMFILE, -ENFILE  no descriptor is left for it; or, in a task, for
 *                         what the runtime waits with: later that needs none
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_listen(const char *host,
                                                          const char *port);

/* Connect to a Unix socket. A path that begins with '@' is a name that the kernel
 * keeps, and no file.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until it is connected.
 * Ownership:  as thrum_dial.
 * Returns:    its descriptor.
 *             -ENAMETOOLONG, -EINVAL (an empty one)
 *             or as thrum_connect
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_dial_unix(const char *path);

/* Listen at a Unix socket, which must not exist. The file is the caller's to
 * unlink.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  as thrum_listen.
 * Returns:    its descriptor.
 *             -ENAMETOOLONG, -EINVAL (an empty one)
 *             -EADDRINUSE, ..., -EMFILE, -ENFILE  as thrum_listen
 */
THRUM_API THRUM_NODISCARD int thrum_listen_unix(const char *path);

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

/* ---------------------------------------------------------------------- files
 *
 * In a task, each of these calls but thrum_sendfile is made by the kernel in its own
 * time where it has io_uring(7), and else on a thread of the blocking pool, as by
 * thrum_offload. Both say the same. What is to be read and lies in memory is read at
 * once.
 *
 * A call is waited for to its end, so that what was given to it may be gone after.
 * With io_uring a cancel ends one that waits, such as the open of a pipe that nobody
 * writes to. What was done all the same is the result.
 *
 * On a thread that is no worker they are the calls of POSIX. */

/* Open a file, as open(2), close-on-exec. mode: of a file that is created, or 0.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   the task always.
 * Ownership:  the descriptor is the caller's, to be given to thrum_close.
 * Returns:    the descriptor.
 *             -ECANCELED  it was not opened
 *             -EAGAIN, -ENOMEM  as thrum_offload, or what open(2) says
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_open(const char *path, int flags, unsigned mode);

/* Read from a place in a file, as pread(2).
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until they are read, if they are not in memory.
 * Returns:    how many bytes; 0 at the end.
 *             -ECANCELED  nothing was read
 *             -EAGAIN, -ENOMEM  as thrum_offload, or what pread(2) says
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD ssize_t thrum_pread(int fd,
                                                             void *bytes,
                                                             size_t n,
                                                             off_t at);

/* Write to a place in a file, as pwrite(2).
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   the task always.
 * Returns:    how many bytes.
 *             -ECANCELED  nothing was written
 *             -EAGAIN, -ENOMEM  as thrum_offload, or what pwrite(2) says
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD ssize_t thrum_pwrite(int fd,
                                                              const void *bytes,
                                                              size_t n,
                                                              off_t at);

/* Have all that was written to a file on the disk, as fsync(2).
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   the task always.
 * Returns:    0
 *             -ECANCELED  perhaps it is not, or not all of it
 *             -EAGAIN, -ENOMEM  as thrum_offload, or what fsync(2) says
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_fsync(int fd);

/* What is known of a file, as stat(2).
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   the task always.
 * Returns:    0, and *out is filled in.
 *             -ECANCELED  it was not asked
 *             -EAGAIN, -ENOMEM  as thrum_offload, or what stat(2) says
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_stat(const char *path,
                                                        struct stat *out);

/* Copy from a file to a socket or pipe, as sendfile(2): at most n bytes, from *at
 * on, which is moved; at NULL: from where the file is. `to` becomes non-blocking.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   the task always.
 * Returns:    how many bytes; 0 at the end of the file.
 *             -ECANCELED  nothing was copied
 *             -EBADF      one is not open, or `to` was closed meanwhile
 *             -EAGAIN, -ENOMEM  as thrum_offload, or what sendfile(2) says
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD ssize_t thrum_sendfile(int to,
                                                                int from,
                                                                off_t *at,
                                                                size_t n);

#ifdef __cplusplus
}
#endif
#endif
