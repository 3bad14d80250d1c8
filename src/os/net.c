#include "os/net.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int code_of(int eai)
{
    switch (eai) {
    case 0:
        return 0;
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return -ENOENT;
    case EAI_SERVICE:
        return -EINVAL;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno == 0 ? -EIO : -errno;
    default:
        return -EIO;
    }
}

/* A resolver takes a number modulo 65536, and nothing for 0. */
static bool is_no_port(const char *port)
{
    char *end;
    unsigned long number = strtoul(port, &end, 10);

    return port[0] == '\0' || (*end == '\0' && number > UINT16_MAX);
}

int net_lookup(const char *host, const char *port, bool numbers, bool passive,
               struct addrinfo **list)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

    if (is_no_port(port))
        return -EINVAL;
    hints.ai_flags = (numbers ? AI_NUMERICHOST | AI_NUMERICSERV : 0) |
                     (passive ? AI_PASSIVE : 0);
    return code_of(getaddrinfo(host, port, &hints, list));
}

void net_lookup_free(struct addrinfo *list)
{
    freeaddrinfo(list);
}

int net_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

int net_listen(int family, const struct sockaddr *addr, socklen_t size)
{
    int fd = net_socket(family), on = 1, rc = 0;

    if (fd < 0)
        return fd;
    if (family != AF_UNIX)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, addr, size) < 0 || listen(fd, SOMAXCONN) < 0)
        rc = -errno;
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

int net_unix_address(const char *path, struct sockaddr_storage *addr,
                     socklen_t *size)
{
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)addr;
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof un->sun_path)
        return length == 0 ? -EINVAL : -ENAMETOOLONG;
    memset(un, 0, sizeof *un);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, length);
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    if (path[0] == '@') {
        un->sun_path[0] = '\0';
        (*size)--; /* the end is no part of such a name */
    }
    return 0;
}
