/* loopback.h - TCP inside one process, without the machine's network: for a
 * simulation, where nothing may depend on when a packet comes.
 *
 * Unix sockets take the place of those of the Internet, under the same numbers
 * (dup2): what one end has sent the other has at once. Their names are the kernel's
 * (abstract), and hold the address that they stand for and whose they are; so who
 * listens where is known to the kernel alone, and ends with the sockets.
 *
 * A socket that listens at an address of the Internet is replaced when the first
 * connection to it is made; until then it is what it was. `net` is whose network it
 * is: others have other names.
 *
 * All return 0 or more, or -errno.
 */
#ifndef OS_LOOPBACK_H
#define OS_LOOPBACK_H

#include <stdbool.h>
#include <sys/socket.h>

/* Listen there, for streams: at a port of the machine, so that getsockname(2) tells
 * which; or, if somebody else has it, or it is no address of the machine's, as if it
 * were. -EADDRINUSE: somebody of this process listens there. */
int loopback_listen(const void *net, const struct sockaddr *addr,
                    socklen_t size);

/* Is fd a socket for streams of the Internet, and this an address for it? */
bool loopback_is_for(int fd, const struct sockaddr *addr, socklen_t size);

/* Connect it, which is then non-blocking.
 * *listener: who was replaced just now, or -1.
 * -ECONNREFUSED: nobody listens there. -EAGAIN: there is no room in the queue. */
int loopback_connect(const void *net, int fd, const struct sockaddr *addr,
                     int *listener);

/* As transfer_accept; the address of who has connected is the one it stands for. */
int loopback_accept(int fd, struct sockaddr *addr, socklen_t *size);

/* The end of a connection: Unix sockets know one kind, TCP several. So who closes
 * says so before, and who finds it ended asks.
 *
 *   closed   the other end has heard of it when it has read all; what it writes next
 *            is lost, and after that it is told -EPIPE
 *   reset    (SO_LINGER of nothing, or there is something that was not read)
 *            its next call is told -ECONNRESET, a read when it has read all; those
 *            after find the end, or -EPIPE. But if it was told before that no more
 *            comes it hears nothing of the reset.
 *
 * Of who is closed by close(2) nothing is noted. */
bool loopback_is_end(int fd);
void loopback_close(int fd);

/* It ends for both, and is reset for the other one. */
void loopback_break(int fd);

/* A read has said 0 or -ECONNRESET, or a write of n bytes -EPIPE: what it is to
 * say. */
ssize_t loopback_ended(int fd, ssize_t rc, size_t n);

/* What poll(2) says. */
int loopback_polled(int fd, int events);

#endif
