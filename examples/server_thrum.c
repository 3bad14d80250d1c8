/* A task per connection, with thrum: server_pthreads.c
 *
 * It reads as before, one line after the other, but a connection costs a stack of a
 * few pages, not a thread. A request has one deadline for all of it, in however small
 * pieces it comes. The limit is a word, and so is the end: canceling the scope ends
 * accept, and every wait of every connection, and closing it waits for all. There is
 * nothing to detach and nothing to count.
 *
 * Pitfall: a spawn that was refused has taken nothing: the descriptor is still yours
 * to be closed.
 */
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <thrum.h>

enum { CLIENTS = 4, LIMIT = 3, LINE = 64 };

struct connection {
    int fd;
    bool ended;
};

static thrum_err *answer(void *arg)
{
    struct connection *c = arg;
    char line[LINE];
    size_t length = 0;
    ssize_t n;

    do {
        THRUM_TRY(n = thrum_read(c->fd, line + length, LINE - length));
        length += (size_t)n;
        c->ended = n == 0;
    } while (n > 0 && length < LINE && memchr(line, '\n', length) == NULL);
    for (size_t i = 0; i < length; i++)
        line[i] = (char)toupper((unsigned char)line[i]);
    return thrum_rc(thrum_write_full(c->fd, line, length, NULL));
}

static thrum_err *serve(void *arg)
{
    struct connection *c = arg;
    thrum_time patience = THRUM_SEC(60);
    thrum_err *e = NULL;

    for (; e == NULL && !c->ended; patience = THRUM_MS(10))
        e = thrum_with(answer, c, .name = "request", .timeout = patience);
    thrum_close(c->fd);
    if (thrum_err_is(e, &THRUM_CANCELED))
        return e; /* the server is being stopped */
    if (!thrum_err_is(e, &THRUM_TIMEOUT))
        thrum_report(e); /* the others do not suffer from it */
    else
        thrum_err_drop(e);
    return NULL;
}

static thrum_err *accept_all(void *arg)
{
    int *listener = arg, rc = 0;
    thrum_scope s;

    thrum_scope_open(&s, .name = "connections", .limit = LIMIT);
    while (rc >= 0 && (rc = thrum_accept(*listener, NULL, NULL)) >= 0) {
        struct connection c = {.fd = rc};

        if ((rc = thrum_spawn(&s, serve, &c, sizeof c)) < 0)
            thrum_close(c.fd);
    }
    return thrum_scope_close(&s, thrum_rc(rc));
}

/* ------------------------------------------------------------------ clients */

struct loopback {
    int listener;
    struct sockaddr_in address;
    char heard[CLIENTS][LINE];
};

static thrum_err *talk(int fd, int number, struct loopback *net)
{
    char text[LINE], *heard = net->heard[number];
    int length = snprintf(text, sizeof text, "hello %d\n", number);

    THRUM_TRY(thrum_connect(fd, (void *)&net->address, sizeof net->address));
    THRUM_TRY(thrum_write_full(fd, text, (size_t)length, NULL));
    int rc = thrum_read_full(fd, heard, LINE - 1, NULL);
    return rc == -ENODATA ? NULL : thrum_rc(rc); /* they hang up */
}

static thrum_err *client(size_t number, void *net)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    thrum_err *e;

    THRUM_TRY(fd < 0 ? -errno : 0);
    e = talk(fd, (int)number, net);
    thrum_close(fd);
    return e;
}

static thrum_err *app(void *arg)
{
    struct loopback *net = arg;
    thrum_err *e;
    thrum_scope s;

    thrum_scope_open(&s, .name = "server");
    e = thrum_rc(thrum_spawn(&s, accept_all, &net->listener, 0));
    if (e == NULL)
        e = thrum_each(CLIENTS, client, net);
    thrum_scope_cancel(&s, "all have been served");
    THRUM_TRY(thrum_scope_close(&s, e));
    for (int i = 0; i < CLIENTS; i++)
        printf("client %d hears %s", i, net->heard[i]);
    puts("nobody is left");
    return NULL;
}

int main(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct loopback net = {
        .listener = fd,
        .address = {.sin_family = AF_INET,
                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof net.address;
    bool failed;

    if (fd < 0 || bind(fd, (void *)&net.address, size) != 0 ||
        listen(fd, CLIENTS) != 0 ||
        getsockname(fd, (void *)&net.address, &size) != 0) {
        perror("listen");
        return 1;
    }
    failed = thrum_report(thrum_run(NULL, app, &net));
    thrum_close(fd);
    return failed;
}
