/* net.h - names and addresses; sockets made of them. Results are 0 or more, or
 * -errno. */
#ifndef OS_NET_H
#define OS_NET_H

#include <netdb.h>
#include <stdbool.h>

/* The addresses of a TCP port; may take seconds, unless only numbers are taken for
 * names. -ENOENT: there is no such name, -EINVAL: no such port, -EAGAIN: nobody
 * answers, -ENOMEM, -EIO or what else the system says. To be given to
 * net_lookup_free. */
int net_lookup(const char *host, const char *port, bool numbers, bool passive,
               struct addrinfo **list);
void net_lookup_free(struct addrinfo *list);

/* Close-on-exec and non-blocking. */
int net_socket(int family);
int net_listen(int family, const struct sockaddr *addr, socklen_t size);

/* Of a path; one that begins with '@' is a name in the kernel only. */
int net_unix_address(const char *path, struct sockaddr_storage *addr,
                     socklen_t *size);

#endif
