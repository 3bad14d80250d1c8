/* simulate.h - calls on descriptors by tasks of a simulation (src/sim).
 *
 * Pipes, Unix sockets, eventfds are the kernel's own there, too: what one task has
 * written another one can read at once, so what a call does depends on nothing but
 * the order of the calls, and that the seed decides. What would be a network's is
 * put before and behind:
 *
 *   - A call takes time before it is tried, and may fail as such a call does; a
 *     stream is then broken off. A cancel, a close meanwhile end it: nothing was
 *     transferred.
 *   - It transfers some of the bytes. (Never of what is read and written whole: a
 *     message, a number, little that goes into a pipe.)
 *   - What the kernel says of a descriptor is told late, out of order, joined with
 *     other news, or twice (sim/news.c).
 *
 * TCP would lead out of it, through the machine's network and in its time. So it is
 * replaced when a connection is made (os/loopback.h), within this process only; a
 * host's name is not asked for, but is an address of the loopback, 127.x.y.z; and one
 * may listen at any address.
 *
 * So accept, close, shutdown, the ends and the queues are what they always are, of
 * descriptors that the program has made itself, too.
 */
#ifndef IO_SIMULATE_H
#define IO_SIMULATE_H

#include <netdb.h>

#include "io/attempt.h"

/* Is it a task of a simulation that calls? */
bool simulate_is_on(void);

static inline bool simulated(void)
{
    return unlikely(load_relaxed(&thrum_simulations_) !=
                    0) && /* own tasks ask */
           simulate_is_on();
}

/* As try(c), which waits for `what` if it must; or -ECANCELED, -EBADF, or how it has
 * failed. */
ssize_t simulate_try(struct call *c, attempt *try, unsigned what);

/* The same of connect(2), and of net_listen. */
int simulate_connect(int fd, const struct sockaddr *addr, socklen_t size);
int simulate_listen(const struct sockaddr *addr, socklen_t size);

/* Before a call that has no descriptor yet, one of a file, or a start: 0,
 * -ECANCELED or how it has failed. */
enum simulated_call {
    SIMULATE_OPEN,
    SIMULATE_FILE,
    SIMULATE_FILE_WRITE,
    SIMULATE_PROCESS
};
int simulate_call(enum simulated_call call);

/* As net_lookup. */
int simulate_lookup(const char *host, const char *port, bool passive,
                    struct addrinfo **list);

#endif
