/* tcp_proxy: hand what comes to one port on to another, and back.
 *
 * A connection is two tasks, one a direction. The end of one direction is handed on
 * as such, so that a peer that is half closed still gets its answer; an error ends
 * both. When it is to stop it accepts no more, and the connections get a while.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <thrum.h>

static const char help[] =
    "Usage: tcp_proxy [-n NUMBER] [-g SECONDS] PORT HOST PORT\n"
    "Accept connections at a port of this machine (0: any that is free), and\n"
    "connect each to a port of a host.\n"
    "\n"
    "  -n NUMBER   have at most so many; others wait (1000)\n"
    "  -g SECONDS  they get to end, after SIGTERM or SIGINT (10)\n";

enum { BUFFER = 16 * 1024 };

struct proxy {
    const char *port, *host, *to_port;
    size_t connections;
    thrum_time grace;
    int listener;
};

struct connection {
    const struct proxy *proxy;
    int client, server;
};

struct direction {
    int from, to;
};

static sigset_t signals;

static thrum_err *copy(void *arg)
{
    struct direction *d = arg;
    char bytes[BUFFER];
    ssize_t n;

    while ((n = thrum_read(d->from, bytes, sizeof bytes)) > 0)
        THRUM_TRY(thrum_write_full(d->to, bytes, (size_t)n, NULL));
    THRUM_TRY(n);
    (void)shutdown(d->to, SHUT_WR);
    return NULL;
}

static thrum_err *dial(void *arg)
{
    struct connection *c = arg;

    c->server = thrum_dial(c->proxy->host, c->proxy->to_port);
    return thrum_rc(c->server);
}

static void do_not_gather_small_packets(int fd)
{
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static thrum_err *connection(void *arg)
{
    struct connection *c = arg;
    thrum_err *e = thrum_with(dial, c, .name = "dial",
                              .timeout = THRUM_SEC(10));

    if (e == NULL) {
        struct direction there = {c->client, c->server};
        struct direction back = {c->server, c->client};
        thrum_job both[] = {{.fn = copy, .arg = &there},
                            {.fn = copy, .arg = &back}};

        do_not_gather_small_packets(c->client);
        do_not_gather_small_packets(c->server);
        e = thrum_gather(both, 2, THRUM_ALL);
        thrum_close(c->server);
    }
    thrum_close(c->client);
    if (!thrum_err_is(e, &THRUM_CANCELED))
        thrum_report(e); /* one connection's, and no reason to end */
    else
        thrum_err_drop(e);
    return NULL;
}

static thrum_err *accept_all(void *arg)
{
    struct proxy *p = arg;
    struct connection c = {.proxy = p};
    thrum_scope s;
    int rc = 0;

    thrum_scope_open(&s, .name = "connections", .limit = p->connections);
    while (rc >= 0) {
        c.client = rc = thrum_accept(p->listener, NULL, NULL);
        if (rc >= 0 && (rc = thrum_spawn(&s, connection, &c, sizeof c)) < 0)
            thrum_close(c.client);
    }
    return thrum_scope_close(&s, rc == -EBADF ? NULL : thrum_rc(rc));
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

static thrum_err *app(void *arg)
{
    struct proxy *p = arg;
    thrum_err *e;
    thrum_scope s;
    int rc = thrum_listen(NULL, p->port);

    THRUM_TRY(rc);
    p->listener = rc;
    printf("listening on port %u\n", port_of(p->listener));
    fflush(stdout);

    thrum_scope_open(&s, .name = "tcp_proxy");
    rc = thrum_spawn(&s, accept_all, p, 0);
    if (rc == 0)
        rc = thrum_signal_wait(&signals, NULL);
    thrum_close(p->listener); /* which ends accept */
    thrum_scope_set_deadline(&s, thrum_now() + p->grace);
    e = thrum_scope_close(&s, thrum_rc(rc));
    if (!thrum_err_is(e, &THRUM_TIMEOUT))
        return e;
    thrum_err_drop(e);
    fputs("tcp_proxy: connections were cut\n", stderr);
    return NULL;
}

int main(int argc, char **argv)
{
    struct proxy p = {.connections = 1000, .grace = THRUM_SEC(10)};
    int option;

    while ((option = getopt(argc, argv, "n:g:")) != -1) {
        double number = option == '?' ? 0 : strtod(optarg, NULL);

        if (number <= 0 || number > 1e6)
            return fputs(help, stderr), 2;
        if (option == 'n')
            p.connections = (size_t)number;
        else
            p.grace = (thrum_time)(number * 1e9);
    }
    if (optind + 3 != argc)
        return fputs(help, stderr), 2;
    p.port = argv[optind];
    p.host = argv[optind + 1];
    p.to_port = argv[optind + 2];
    signals = thrum_signals_block(SIGINT, SIGTERM);
    return thrum_report(thrum_run(NULL, app, &p));
}
