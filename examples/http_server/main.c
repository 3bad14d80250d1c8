/* main.c - http_server: the files below a directory, by HTTP/1.1.
 *
 * A task for each connection, which reads as a program for a single one would. A
 * request that has begun is shielded, and has its time; waiting for the next one is
 * neither. So a stop is a cancel of the scope that owns the connections: the idle
 * ones end at once, the others when they have been answered, or their time is over.
 */
/* link: -lhttp_parser */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char help[] =
    "Usage: http_server [OPTION]... DIR\n"
    "Serve the files below DIR by HTTP/1.1: GET and HEAD.\n"
    "\n"
    "  -a ADDRESS  listen there (127.0.0.1)\n"
    "  -p PORT     and at that port; 0 for any one that is free (8080)\n"
    "  -n NUMBER   have at most so many connections; others wait (1000)\n"
    "  -t SECONDS  for a request and its answer (30)\n"
    "  -k SECONDS  to wait for the next one on a connection (15)\n"
    "\n"
    "SIGTERM and SIGINT stop it, when the requests at work have been "
    "answered.\n";

static sigset_t signals;

struct accepted {
    const struct options *options;
    int fd;
};

/* --- a connection */

/* As a task's result: an error ends the connection. */
static thrum_err *await(void *connection)
{
    return thrum_rc(request_await(connection));
}

static thrum_err *request(void *connection)
{
    struct connection *c = connection;

    THRUM_TRY(request_read(c));
    return thrum_rc(respond(c));
}

static thrum_err *too_late(void *connection)
{
    return thrum_rc(respond_error(connection, HTTP_STATUS_REQUEST_TIMEOUT));
}

/* Who has been told that something is wrong with what he sends may be sending
 * still. To close now would be a reset, which may overtake the answer. */
static thrum_err *drain(void *connection)
{
    struct connection *c = connection;

    (void)shutdown(c->fd, SHUT_WR);
    while (thrum_read(c->fd, c->bytes, sizeof c->bytes) > 0)
        ;
    return NULL;
}

static thrum_err *next(struct connection *c)
{
    thrum_err *e;

    c->request.stays = false;
    THRUM_TRY(
        thrum_with(await, c, .name = "idle", .timeout = c->options->idle));
    e = thrum_with(request, c, .name = "request", .shield = true,
                   .timeout = c->options->request);
    if (!thrum_err_is(e, &THRUM_TIMEOUT) || c->request.done)
        return e;
    thrum_err_drop(e);
    return thrum_with(too_late, c, .timeout = THRUM_SEC(5));
}

/* What goes wrong with a client is no failure of the server. */
static thrum_err *connection(void *arg)
{
    struct accepted *a = arg;
    struct connection c = {.options = a->options, .fd = a->fd};
    thrum_err *e;

    (void)setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    request_init(&c);
    do
        e = next(&c);
    while (e == NULL && c.request.stays);
    if (e == NULL)
        e = thrum_with(drain, &c, .timeout = THRUM_SEC(1));
    thrum_err_drop(e);
    thrum_close(c.fd);
    return NULL;
}

/* --- the server */

struct server {
    struct options options;
    int listener;
};

static bool is_shortage(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS;
}

static thrum_err *accept_all(void *arg)
{
    struct server *server = arg;
    struct accepted a = {.options = &server->options};
    thrum_scope s;
    int rc = 0;

    thrum_scope_open(&s, .name = "connections", .policy = THRUM_SETTLE,
                     .limit = server->options.connections);
    while (rc >= 0) {
        a.fd = rc = thrum_accept(server->listener, NULL, NULL);
        if (rc >= 0 && (rc = thrum_spawn(&s, connection, &a, sizeof a)) < 0)
            thrum_close(a.fd);
        if (is_shortage(rc)) /* it stays in the queue until others have gone */
            rc = thrum_sleep(THRUM_MS(10));
    }
    return thrum_scope_close(&s, thrum_rc(rc));
}

static unsigned port_of(int listener)
{
    struct sockaddr_storage addr;
    socklen_t size = sizeof addr;

    getsockname(listener, (struct sockaddr *)&addr, &size);
    return ntohs(addr.ss_family == AF_INET6
                     ? ((struct sockaddr_in6 *)&addr)->sin6_port
                     : ((struct sockaddr_in *)&addr)->sin_port);
}

/* The connections may have all descriptors: a signal is kept meanwhile. */
static int await_signal(void)
{
    int rc = thrum_signal_wait(&signals, NULL);

    while (is_shortage(rc) && (rc = thrum_sleep(THRUM_MS(10))) == 0)
        rc = thrum_signal_wait(&signals, NULL);
    return rc;
}

static thrum_err *app(void *arg)
{
    struct server *server = arg;
    thrum_scope s;
    int rc = thrum_listen(server->options.host, server->options.port);

    THRUM_TRY(rc);
    server->listener = rc;
    printf("listening on port %u\n", port_of(server->listener));
    fflush(stdout);

    thrum_scope_open(&s, .name = "http_server");
    rc = thrum_spawn(&s, accept_all, server, 0);
    if (rc == 0)
        rc = await_signal();
    thrum_scope_cancel(&s, "a signal");
    thrum_err *e = thrum_scope_close(&s, thrum_rc(rc));
    thrum_close(server->listener);
    return e;
}

/* --- the command line */

static bool read_number(const char *text, double most, double *number)
{
    char *end;

    *number = strtod(text, &end);
    return end != text && *end == '\0' && *number > 0 && *number <= most;
}

static bool read_seconds(const char *text, thrum_time *time)
{
    double seconds;

    if (!read_number(text, 1e6, &seconds))
        return false;
    *time = (thrum_time)(seconds * 1e9);
    return true;
}

static bool read_option(struct options *o, int option)
{
    double number;

    switch (option) {
    case 'a':
        o->host = optarg;
        return true;
    case 'p':
        o->port = optarg;
        return true;
    case 'n':
        if (!read_number(optarg, 1e6, &number))
            return false;
        o->connections = (size_t)number;
        return true;
    case 't':
        return read_seconds(optarg, &o->request);
    case 'k':
        return read_seconds(optarg, &o->idle);
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    struct server server = {.options = {.host = "127.0.0.1",
                                        .port = "8080",
                                        .connections = 1000,
                                        .request = THRUM_SEC(30),
                                        .idle = THRUM_SEC(15)}};
    bool right = true;
    int option;

    while ((option = getopt(argc, argv, "a:p:n:t:k:")) != -1)
        right = right && read_option(&server.options, option);
    if (!right || optind + 1 != argc)
        return fputs(help, stderr), 2;
    server.options.root = open(argv[optind], O_DIRECTORY | O_CLOEXEC);
    if (server.options.root < 0)
        return perror(argv[optind]), 1;
    http_parser_set_max_header_size(HEAD_MOST); /* of all parsers */
    signals = thrum_signals_block(SIGINT, SIGTERM);
    return thrum_report(thrum_run(NULL, app, &server));
}
