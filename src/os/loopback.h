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

/* Unix sockets know an end only. So who ends a connection by a reset says so before,
 * and who finds it ended asks, once: was it by one? */
void loopback_reset(int fd);
bool loopback_was_reset(int fd);

/* To close it resets the connection (SO_LINGER of nothing). */
bool loopback_closes_by_reset(int fd);

#endif
