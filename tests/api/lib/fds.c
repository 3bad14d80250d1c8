#include "fds.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

int fd_aside(int fd)
{
    int aside = fcntl(fd, F_DUPFD_CLOEXEC, 512);

    CHECK(aside >= 0 && close(fd) == 0);
    return aside;
}

int listen_tcp(struct sockaddr_storage *addr, socklen_t *size)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    int fd = fd_aside(socket(AF_INET, SOCK_STREAM, 0));

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)&in, sizeof in) == 0);
    CHECK(listen(fd, 1024) == 0);
    *size = sizeof *addr;
    CHECK(getsockname(fd, (struct sockaddr *)addr, size) == 0);
    return fd;
}

static void open_tcp(int fds[2])
{
    struct sockaddr_storage addr;
    socklen_t size;
    int listener = listen_tcp(&addr, &size);

    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fds[1] >= 0);
    if (thrum_sim_seed() == 0) { /* there connect(2) reaches nobody */
        CHECK(connect(fds[1], (struct sockaddr *)&addr, size) == 0);
    } else {
        CHECK(thrum_connect(fds[1], (struct sockaddr *)&addr, size) == 0);
        CHECK(fcntl(fds[1], F_SETFL, O_RDWR) == 0);
    }
    fds[0] = accept(listener, NULL, NULL);
    CHECK(fds[0] >= 0);
    close(listener);
}

void fds_open(enum kind kind, int fds[2])
{
    if (kind == PIPE)
        CHECK(pipe(fds) == 0);
    else if (kind == STREAM)
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    else
        open_tcp(fds);
    fds[0] = fd_aside(fds[0]);
    fds[1] = fd_aside(fds[1]);
}

void fds_close(int fds[2])
{
    CHECK(thrum_close(fds[0]) == 0);
    CHECK(thrum_close(fds[1]) == 0);
}

unsigned char byte_at(size_t i)
{
    return (unsigned char)(i * 2654435761u >> 13);
}

void fill(unsigned char *bytes, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = byte_at(from + i);
}

void check_bytes(const unsigned char *bytes, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK(bytes[i] == byte_at(from + i));
}

size_t fill_up(int fd)
{
    int flags = fcntl(fd, F_GETFL), least = 1;
    unsigned char bytes[512];
    size_t total = 0;
    ssize_t put;

    (void)fcntl(fd, F_SETPIPE_SZ, least);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    CHECK(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    do {
        fill(bytes, total, sizeof bytes);
        put = write(fd, bytes, sizeof bytes);
        total += put > 0 ? (size_t)put : 0;
    } while (put > 0);
    CHECK(errno == EAGAIN && fcntl(fd, F_SETFL, flags) == 0);
    return total;
}

const char *port_of(int fd, char text[8])
{
    struct sockaddr_storage addr;
    socklen_t size = sizeof addr;
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&addr;

    CHECK(getsockname(fd, (struct sockaddr *)&addr, &size) == 0);
    snprintf(text, 8, "%u", ntohs(in->sin_port)); /* at one place in both */
    return text;
}
