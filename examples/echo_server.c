/* asyncio.start_server(handle), and its graceful stop
 *
 * A task for each connection, at most ten at once: then accept waits, and so do
 * the clients, in the kernel's queue. Each request has its time; a client that says
 * nothing is hung up on. To stop: close the listening socket, which ends accept;
 * connections at work go on until their clients are done.
 *
 * Pitfall: a deferred function that talks to a peer after a cancel needs a shield,
 * and a shield a timeout.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <thrum.h>

enum { CLIENTS = 25 };

/* --- the server */

static thrum_err *polite_close(void *arg)
{
    int fd = *(int *)arg;
    thrum_scope s;

    thrum_scope_open(&s, .timeout = THRUM_MS(500), .shield = true);
    int rc = thrum_write_full(fd, "bye\n", 4, NULL);
    thrum_err_drop(thrum_scope_close(&s, thrum_rc(rc))); /* gone already? */
    thrum_close(fd);
    return NULL;
}

static thrum_err *request(void *arg)
{
    int fd = *(int *)arg;
    char text[64];
    ssize_t length = thrum_read(fd, text, sizeof text);

    if (length == 0)
        return thrum_rc(-ECONNRESET); /* the client is done */
    THRUM_TRY(length);
    return thrum_rc(thrum_write_full(fd, text, (size_t)length, NULL));
}

static thrum_err *connection(void *arg)
{
    thrum_err *e = NULL;

    thrum_defer(NULL, polite_close, arg);
    while (e == NULL)
        e = thrum_with(request, arg, .name = "request",
                       .timeout = THRUM_MS(500));
    if (thrum_err_is(e, &THRUM_TIMEOUT))
        puts("hung up on a silent client");
    thrum_err_drop(e);
    return NULL;
}

static thrum_err *serve(void *arg)
{
    thrum_scope s;
    int fd;

    thrum_scope_open(&s, .name = "server", .policy = THRUM_SETTLE, .limit = 10);
    while ((fd = thrum_accept(*(int *)arg, NULL, NULL)) >= 0) {
        int rc = thrum_spawn(&s, connection, &fd, sizeof fd);

        if (rc < 0) {
            thrum_close(fd);
            return thrum_scope_close(&s, thrum_rc(rc));
        }
    }
    return thrum_scope_close(&s, fd == -EBADF ? NULL : thrum_rc(fd));
}

/* --- the clients */

static thrum_err *talk(size_t i, void *port)
{
    char question[16], answer[16] = "";
    int fd = thrum_dial("127.0.0.1", port);

    THRUM_TRY(fd);
    int length = snprintf(question, sizeof question, "hello %zu", i);
    int rc = thrum_write_full(fd, question, (size_t)length, NULL);
    if (rc == 0)
        rc = thrum_read_full(fd, answer, (size_t)length, NULL);
    thrum_close(fd);
    THRUM_TRY(rc);
    if (strcmp(question, answer) != 0)
        return thrum_fail(&THRUM_ERROR, "%s came back as %s", question, answer);
    return NULL;
}

static thrum_err *say_nothing(const char *port)
{
    char answer[8] = "";
    int fd = thrum_dial("127.0.0.1", port);

    THRUM_TRY(fd);
    int rc = thrum_read_full(fd, answer, 4, NULL);
    thrum_close(fd);
    THRUM_TRY(rc);
    printf("the server said: %s", answer);
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct sockaddr_in in;
    socklen_t size = sizeof in;
    char port[8];
    thrum_scope s;
    int listener = thrum_listen("127.0.0.1", "0");

    (void)arg;
    THRUM_TRY(listener);
    getsockname(listener, (struct sockaddr *)&in, &size);
    snprintf(port, sizeof port, "%u", ntohs(in.sin_port));

    thrum_scope_open(&s, .name = "example");
    thrum_err *e = thrum_rc(thrum_spawn(&s, serve, &listener, sizeof listener));
    if (e == NULL)
        e = thrum_each(CLIENTS, talk, port);
    if (e == NULL)
        printf("%d clients were answered\n", CLIENTS);
    if (e == NULL)
        e = say_nothing(port);
    thrum_close(listener);
    e = thrum_scope_close(&s, e);
    if (e == NULL)
        puts("stopped");
    return e;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
