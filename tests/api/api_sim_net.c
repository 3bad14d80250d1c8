/* Are connections simulated as the manual says, made by servers and clients that are
 * written for real ones; and do their calls fail as they do? */
#include "lib/fds.h"
#include "lib/sims.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

/* --- a server and its clients --------------------------------------------- */

enum { CLIENTS = 8 };

struct net {
    int listener;
    char port[8];
};

static thrum_err *echo(void *arg)
{
    int fd = *(int *)arg;
    char some[16];
    ssize_t got;

    while ((got = thrum_read(fd, some, sizeof some)) > 0) {
        int rc = thrum_write_full(fd, some, (size_t)got, NULL);

        got = rc < 0 ? rc : got;
        if (got < 0)
            break;
    }
    thrum_close(fd);
    return thrum_rc((int)got);
}

static thrum_err *serve(void *arg)
{
    struct net *net = arg;
    thrum_scope s;
    int fd;

    thrum_scope_open(&s, .name = "connections");
    while ((fd = thrum_accept(net->listener, NULL, NULL)) >= 0)
        CHECK(thrum_spawn(&s, echo, &fd, sizeof fd) == 0);
    return thrum_scope_close(&s, fd == -EBADF ? NULL : thrum_rc(fd));
}

static thrum_err *talk(size_t i, void *arg)
{
    struct net *net = arg;
    int fd = thrum_dial(i % 2 == 0 ? "127.0.0.1" : "localhost", net->port);
    unsigned char out[100], in[100];

    THRUM_TRY(fd);
    fill(out, i, sizeof out);
    THRUM_CHECK(thrum_write_full(fd, out, sizeof out, NULL) == 0);
    THRUM_CHECK(thrum_read_full(fd, in, sizeof in, NULL) == 0);
    check_bytes(in, i, sizeof in);
    THRUM_CHECK(shutdown(fd, SHUT_WR) == 0);
    THRUM_CHECK(thrum_read(fd, in, 1) == 0);
    return thrum_rc(thrum_close(fd));
}

static thrum_err *serve_clients(void *unused)
{
    struct net net = {.listener = thrum_listen("127.0.0.1", "0")};
    thrum_scope s;
    thrum_err *e;

    (void)unused;
    CHECK(net.listener >= 0);
    (void)port_of(net.listener, net.port);
    thrum_scope_open(&s, .name = "server");
    CHECK(thrum_spawn(&s, serve, &net, 0) == 0);
    e = thrum_each(CLIENTS, talk, &net);
    thrum_close(net.listener);
    return thrum_scope_close(&s, e);
}

static void a_server_and_its_clients_run_in_it(void **state)
{
    struct footprint before = footprint();

    (void)state;
    sim_passes(serve_clients, NULL, 200);
    assert_int_equal(footprint().fds, before.fds);
}

/* Sockets that the program makes itself, and who is told to have connected. */
static thrum_err *knock(void *arg)
{
    struct sockaddr_in *to = arg;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte;

    CHECK(fd >= 0 && thrum_connect(fd, (void *)to, sizeof *to) == 0);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) &&
          (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    CHECK(thrum_read(fd, &byte, 1) == 1 && byte == 'a');
    CHECK(thrum_close(fd) == 0);
    return NULL;
}

static thrum_err *by_hand(void *unused)
{
    struct sockaddr_storage addr;
    struct sockaddr_in from = {0};
    socklen_t size, got = sizeof from;
    int listener = listen_tcp(&addr, &size), fd;
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, knock, &addr, sizeof(struct sockaddr_in)) == 0);
    CHECK(thrum_wait_fd(listener, POLLIN) == POLLIN);
    fd = thrum_accept(listener, (void *)&from, &got);
    CHECK(fd >= 0 && got == sizeof from && from.sin_family == AF_INET);
    CHECK(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && from.sin_port != 0);
    CHECK(thrum_write(fd, "a", 1) == 1);
    CHECK(thrum_close(fd) == 0 && thrum_close(listener) == 0);
    return thrum_scope_close(&s, NULL);
}

static void sockets_of_the_programs_own_are_connected(void **state)
{
    (void)state;
    sim_passes(by_hand, NULL, 100);
}

static thrum_err *hosts(void *unused)
{
    int one = thrum_listen("one.example", "0");
    int all = thrum_listen(NULL, "0"), fd, got;
    char port[8];

    (void)unused;
    CHECK(one >= 0 && all >= 0);
    fd = thrum_dial("one.example", port_of(one, port));
    got = thrum_accept(one, NULL, NULL);
    CHECK(fd >= 0 && got >= 0);
    CHECK(thrum_close(fd) == 0 && thrum_close(got) == 0);
    CHECK(thrum_dial("two.example", port) == -ECONNREFUSED);
    CHECK(thrum_dial("192.0.2.1", port) == -ECONNREFUSED);
    fd = thrum_dial("two.example", port_of(all, port));
    got = thrum_accept(all, NULL, NULL);
    CHECK(fd >= 0 && got >= 0);
    CHECK(thrum_close(fd) == 0 && thrum_close(got) == 0);
    CHECK(thrum_close(one) == 0 && thrum_close(all) == 0);
    CHECK(thrum_dial("two.example", port) == -ECONNREFUSED);
    return NULL;
}

static void hosts_are_found_by_names_that_nobody_knows(void **state)
{
    (void)state;
    sim_passes(hosts, NULL, 100);
}

/* Ports that others have, or that are for the superuser; addresses of nobody. */
static thrum_err *any_address(void *unused)
{
    int one = thrum_listen("192.0.2.1", "80"), two, fd, got;

    (void)unused;
    two = thrum_listen("192.0.2.2", "80");
    CHECK(one >= 0 && two >= 0);
    CHECK(thrum_listen("192.0.2.1", "80") == -EADDRINUSE);
    fd = thrum_dial("192.0.2.2", "80");
    got = thrum_accept(two, NULL, NULL);
    CHECK(fd >= 0 && got >= 0);
    CHECK(thrum_close(fd) == 0 && thrum_close(got) == 0);
    CHECK(thrum_listen("192.0.2.2", "80") == -EADDRINUSE);
    CHECK(thrum_close(two) == 0);
    CHECK(thrum_dial("192.0.2.2", "80") == -ECONNREFUSED);
    two = thrum_listen("192.0.2.2", "80");
    CHECK(two >= 0);
    CHECK(thrum_close(one) == 0 && thrum_close(two) == 0);
    return NULL;
}

static thrum_err *a_taken_one(void *listener)
{
    char port[8];
    int fd = thrum_listen("127.0.0.1", port_of(*(int *)listener, port));

    CHECK(fd == -EADDRINUSE); /* it is of this process */
    return NULL;
}

static void one_may_listen_at_any_address(void **state)
{
    struct sockaddr_storage addr;
    socklen_t size;
    int listener = listen_tcp(&addr, &size);

    (void)state;
    sim_passes(any_address, NULL, 50);
    sim_passes(a_taken_one, &listener, 2);
    close(listener);
}

/* It listens at all addresses, of both kinds. */
static thrum_err *both_families(void *unused)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6};
    int listener = socket(AF_INET6, SOCK_STREAM, 0), fd, got;
    char port[8];

    (void)unused;
    if (listener < 0 || bind(listener, (void *)&in, sizeof in) != 0)
        return thrum_rc(close(listener)); /* there is one kind only */
    CHECK(listen(listener, 1) == 0);
    fd = thrum_dial("127.0.0.1", port_of(listener, port));
    got = thrum_accept(listener, NULL, NULL);
    CHECK(fd >= 0 && got >= 0);
    CHECK(thrum_close(fd) == 0 && thrum_close(got) == 0);
    CHECK(thrum_close(listener) == 0);
    return NULL;
}

static void one_address_may_stand_for_all(void **state)
{
    (void)state;
    sim_passes(both_families, NULL, 20);
}

/* --- time --- */

static thrum_err *time_all(void *unused)
{
    thrum_time start = thrum_now();
    thrum_err *e = by_hand(unused);

    CHECK(thrum_now() == start);
    return e;
}

static void it_may_take_no_time(void **state)
{
    thrum_sim_opts o = {.rounds = sim_rounds(100), .io_delay = -1};

    (void)state;
    expect_ok(thrum_sim(&o, time_all, NULL));
}

/* --- faults --------------------------------------------------------------- */

static unsigned seen[200], resets;

static thrum_err *ask_for_errors(void *unused)
{
    struct net net = {.listener = thrum_listen("127.0.0.1", "0")};
    int fd, got = -1;
    char byte;

    (void)unused;
    if (net.listener < 0) {
        seen[-net.listener]++;
        return NULL;
    }
    fd = thrum_dial("127.0.0.1", port_of(net.listener, net.port));
    if (fd >= 0)
        while ((got = thrum_accept(net.listener, NULL, NULL)) < 0)
            seen[-got]++;
    if (fd < 0)
        seen[-fd]++;
    for (ssize_t rc = 1; fd >= 0 && rc > 0;) {
        rc = thrum_write(fd, "a", 1);
        if (rc > 0)
            rc = thrum_read(got, &byte, 1);
        seen[rc < 0 ? -rc : 0]++;
    }
    if (fd >= 0) { /* it is broken off, both ways */
        ssize_t rc;

        rc = thrum_write(fd, "a", 1);
        CHECK(rc == -EPIPE || rc == -ECONNRESET); /* as it was told, or not */
        seen[-rc]++;
        while ((rc = thrum_read(got, &byte, 1)) > 0)
            ;
        resets += rc == -ECONNRESET;
        CHECK(thrum_write(got, "a", 1) < 0);
    }
    if (fd >= 0) {
        thrum_close(fd);
        thrum_close(got);
    }
    thrum_close(net.listener);
    return NULL;
}

static void calls_fail_as_they_do(void **state)
{
    static const int all[] = {ECONNRESET, EPIPE,  ETIMEDOUT, ECONNREFUSED,
                              EMFILE,     ENFILE, ENOMEM,    EHOSTUNREACH};
    thrum_sim_opts o = {.rounds = 400, .io_fault = 0.05, .twice = true};
    struct footprint before = footprint();

    (void)state;
    memset(seen, 0, sizeof seen);
    expect_ok(thrum_sim(&o, ask_for_errors, NULL));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (seen[all[i]] == 0)
            print_error("never: %s\n", strerror(all[i]));
        assert_true(seen[all[i]] > 0);
    }
    assert_true(resets > 0);
    assert_int_equal(footprint().fds, before.fds);
}

/* That a task is canceled comes before all that could go wrong. */
static thrum_err *canceled_first(void *unused)
{
    char byte;
    thrum_scope s;
    int fds[2];

    (void)unused;
    fds_open(STREAM, fds);
    thrum_scope_open(&s);
    thrum_scope_cancel(&s, NULL);
    CHECK(thrum_read(fds[0], &byte, 1) == -ECANCELED);
    CHECK(thrum_pread(fds[0], &byte, 1, 0) == -ECANCELED);
    CHECK(thrum_open("/dev/null", O_RDONLY, 0) == -ECANCELED);
    CHECK(thrum_dial("127.0.0.1", "1") == -ECANCELED);
    thrum_err_drop(thrum_scope_close(&s, NULL));
    CHECK(thrum_pread(fds[0], &byte, 1, 0) == -EIO);
    CHECK(thrum_read(fds[0], &byte, 1) < 0);
    fds_close(fds);
    return NULL;
}

static void a_cancel_comes_first(void **state)
{
    thrum_sim_opts o = {.rounds = 20, .io_fault = 1};

    (void)state;
    expect_ok(thrum_sim(&o, canceled_first, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_and_its_clients_run_in_it),
        cmocka_unit_test(sockets_of_the_programs_own_are_connected),
        cmocka_unit_test(hosts_are_found_by_names_that_nobody_knows),
        cmocka_unit_test(one_may_listen_at_any_address),
        cmocka_unit_test(one_address_may_stand_for_all),
        cmocka_unit_test(it_may_take_no_time),
        cmocka_unit_test(calls_fail_as_they_do),
        cmocka_unit_test(a_cancel_comes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
