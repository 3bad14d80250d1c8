/* Are pipes and sockets simulated as the manual says: every piece, every delay and
 * every fault, the same again from the seed; and is a wait for nobody a deadlock?
 * How: servers and clients that are written for the real ones. */
#include "lib/fds.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static unsigned rounds(unsigned n)
{
    return n / SCALE < 10 ? 10 : n / SCALE;
}

/* It passes in so many rounds, and takes the same course twice. */
static void passes(thrum_fn *fn, void *arg, unsigned n)
{
    thrum_sim_opts o = {.rounds = rounds(n), .twice = true};

    expect_ok(thrum_sim(&o, fn, arg));
}

static void fails(thrum_fn *fn, void *arg, const thrum_kind *kind,
                  const char *text)
{
    thrum_sim_opts o = {.rounds = 1000, .quiet = true};
    thrum_err *e = thrum_sim(&o, fn, arg);
    char told[4096];

    assert_non_null(e);
    assert_true(thrum_err_is(e, kind));
    (void)thrum_err_format(e, told, sizeof told);
    if (strstr(told, text) == NULL)
        print_error("said: %s\n", told);
    assert_non_null(strstr(told, text));
    thrum_err_drop(e);
}

static const char *port_of(int fd, char text[8])
{
    struct sockaddr_storage addr;
    socklen_t size = sizeof addr;

    CHECK(getsockname(fd, (struct sockaddr *)&addr, &size) == 0);
    snprintf(text, 8, "%u",
             ntohs(((struct sockaddr_in *)(void *)&addr)->sin_port));
    return text;
}

/* --- a server and its clients --------------------------------------------------- */

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
    passes(serve_clients, NULL, 200);
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
    passes(by_hand, NULL, 100);
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
    passes(hosts, NULL, 100);
}

/* --- bugs that only it brings about ------------------------------------------------- */

static thrum_err *send_number(void *arg)
{
    uint64_t n = UINT64_C(0x0123456789abcdef);

    THRUM_TRY(thrum_write_full(*(int *)arg, &n, sizeof n, NULL));
    return thrum_rc(thrum_close(*(int *)arg));
}

/* Real ones never do so to eight bytes. */
static thrum_err *read_at_once(void *kind)
{
    thrum_scope s;
    uint64_t n = 0;
    int fds[2];

    fds_open(*(enum kind *)kind, fds);
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, send_number, &fds[1], 0) == 0);
    ssize_t got = thrum_read(fds[0], &n, sizeof n);
    thrum_scope_cancel(&s, NULL);
    thrum_err_drop(thrum_scope_close(&s, NULL));
    thrum_close(fds[0]);
    THRUM_CHECK(got == sizeof n);
    return NULL;
}

static void a_read_that_gets_a_part_only_is_found(void **state)
{
    enum kind kinds[] = {PIPE, STREAM};

    (void)state;
    for (int i = 0; i < 2; i++) {
        thrum_sim_opts whole = {.rounds = rounds(100), .io_whole = true};

        fails(read_at_once, &kinds[i], &THRUM_ERROR, "got == sizeof n");
        expect_ok(thrum_sim(&whole, read_at_once, &kinds[i]));
    }
}

static thrum_err *write_at_once(void *kind)
{
    static const char some[10000];
    int fds[2];
    ssize_t put;

    fds_open(*(enum kind *)kind, fds);
    CHECK(thrum_write(fds[1], some, PIPE_BUF) == PIPE_BUF ||
          *(enum kind *)kind != PIPE);
    put = thrum_write(fds[1], some, sizeof some);
    fds_close(fds);
    THRUM_CHECK(put == sizeof some);
    return NULL;
}

static void so_is_a_write(void **state)
{
    enum kind kinds[] = {PIPE, STREAM};

    (void)state;
    for (int i = 0; i < 2; i++)
        fails(write_at_once, &kinds[i], &THRUM_ERROR, "put == sizeof some");
}

/* What was written first is not heard of first. */
struct race {
    int fds[2][2];
    _Atomic unsigned first;
};

static thrum_err *hear(size_t i, void *arg)
{
    struct race *r = arg;
    unsigned none = 0;
    char byte;

    THRUM_CHECK(thrum_read(r->fds[i][0], &byte, 1) == 1);
    (void)atomic_compare_exchange_strong(&r->first, &none, 1 + (unsigned)i);
    return NULL;
}

static thrum_err *hear_both(void *arg)
{
    return thrum_each(2, hear, arg);
}

static thrum_err *in_order(void *unused)
{
    struct race r = {.first = 0};
    thrum_scope s;

    (void)unused;
    for (int i = 0; i < 2; i++)
        fds_open(PIPE, r.fds[i]);
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, hear_both, &r, 0) == 0);
    THRUM_TRY(thrum_sleep(THRUM_SEC(1))); /* both wait */
    for (int i = 0; i < 2; i++)
        CHECK(write(r.fds[i][1], "a", 1) == 1);
    THRUM_TRY(thrum_scope_close(&s, NULL));
    for (int i = 0; i < 2; i++)
        fds_close(r.fds[i]);
    THRUM_CHECK(r.first == 1);
    return NULL;
}

static void news_overtake_each_other(void **state)
{
    (void)state;
    fails(in_order, NULL, &THRUM_ERROR, "r.first == 1");
}

/* --- time ---------------------------------------------------------------------------- */

static thrum_time slowest;

static thrum_err *there_and_back(void *unused)
{
    thrum_time start = thrum_now(), took;
    thrum_scope s;
    char byte;
    int fds[2];

    (void)unused;
    fds_open(STREAM, fds);
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, echo, &fds[1], 0) == 0);
    CHECK(thrum_write(fds[0], "a", 1) == 1);
    CHECK(thrum_read(fds[0], &byte, 1) == 1);
    took = thrum_now() - start;
    if (took > slowest)
        slowest = took;
    CHECK(thrum_close(fds[0]) == 0);
    return thrum_scope_close(&s, NULL);
}

static void it_takes_as_long_as_it_is_given(void **state)
{
    thrum_time most[] = {-1, THRUM_US(10), THRUM_SEC(1)};

    (void)state;
    for (int i = 0; i < 3; i++) {
        thrum_sim_opts o = {.rounds = 100, .io_delay = most[i]};

        slowest = 0;
        expect_ok(thrum_sim(&o, there_and_back, NULL));
        if (i == 0)
            assert_int_equal(slowest, 0);
        else
            assert_true(slowest > most[i - 1]);
        assert_true(i == 0 || slowest < 20 * most[i]);
    }
}

/* A reader with a deadline misses some, and loses nothing. */
static unsigned missed;

static thrum_err *send_slowly(void *arg)
{
    for (int i = 0; i < 20; i++) {
        THRUM_TRY(thrum_sleep(THRUM_MS(1)));
        THRUM_TRY(thrum_write(*(int *)arg, "a", 1));
    }
    return thrum_rc(thrum_close(*(int *)arg));
}

static thrum_err *with_deadlines(void *unused)
{
    unsigned all = 0;
    ssize_t got = 1;
    thrum_scope s;
    int fds[2];

    (void)unused;
    fds_open(PIPE, fds);
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, send_slowly, &fds[1], 0) == 0);
    while (got != 0) {
        thrum_scope in;
        char bytes[4];

        thrum_scope_open(&in, .timeout = THRUM_US(1500));
        got = thrum_read(fds[0], bytes, sizeof bytes);
        thrum_err_drop(thrum_scope_close(&in, NULL));
        CHECK(got >= 0 || got == -ECANCELED);
        missed += got < 0;
        all += got > 0 ? (unsigned)got : 0;
    }
    CHECK(all == 20 && thrum_close(fds[0]) == 0);
    return thrum_scope_close(&s, NULL);
}

static void a_deadline_comes_first_and_nothing_is_lost(void **state)
{
    (void)state;
    missed = 0;
    passes(with_deadlines, NULL, 100);
    assert_true(missed > 0);
}

/* --- nobody there -------------------------------------------------------------------- */

static thrum_err *read_nothing(void *unused)
{
    int fds[2];
    char byte;
    ssize_t rc;

    (void)unused;
    fds_open(PIPE, fds);
    rc = thrum_read(fds[0], &byte, 1);
    fds_close(fds);
    return thrum_rc((int)rc);
}

static thrum_err *accept_nobody(void *unused)
{
    int listener = thrum_listen("127.0.0.1", "0");
    int rc = thrum_accept(listener, NULL, NULL);

    (void)unused;
    thrum_close(listener);
    return thrum_rc(rc);
}

static thrum_err *write_into_nothing(void *unused)
{
    int fds[2], rc;

    (void)unused;
    fds_open(STREAM, fds);
    (void)fill_up(fds[1]);
    rc = thrum_wait_fd(fds[1], POLLOUT);
    fds_close(fds);
    return thrum_rc(rc);
}

static void who_waits_for_nobody_is_in_a_deadlock(void **state)
{
    (void)state;
    fails(read_nothing, NULL, &THRUM_DEADLOCK, "waits for a descriptor");
    fails(accept_nobody, NULL, &THRUM_DEADLOCK, "waits for a descriptor");
    fails(write_into_nothing, NULL, &THRUM_DEADLOCK, "waits for a descriptor");
}

/* A number that was closed behind its back is none. */
static thrum_err *used_again(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++) {
        thrum_scope s;
        char byte;
        int fds[2];

        fds_open(i % 2 == 0 ? PIPE : STREAM, fds);
        thrum_scope_open(&s);
        CHECK(thrum_spawn(&s, send_slowly, &fds[1], 0) == 0);
        for (int j = 0; j < 20; j++)
            CHECK(thrum_read(fds[0], &byte, 1) == 1);
        expect_ok(thrum_scope_close(&s, NULL));
        close(fds[0]);
    }
    return NULL;
}

static void a_number_that_is_used_again_is_waited_for(void **state)
{
    (void)state;
    passes(used_again, NULL, 100);
}

/* --- whole things ------------------------------------------------------------------- */

static thrum_err *whole(void *unused)
{
    struct iovec to[2], from = {"hello", 5};
    struct msghdr put = {.msg_iov = &from, .msg_iovlen = 1};
    char in[8];
    uint64_t n = 3;
    int fds[2], fd = eventfd(0, EFD_CLOEXEC);

    (void)unused;
    CHECK(thrum_write(fd, &n, sizeof n) == sizeof n);
    CHECK(thrum_read(fd, &n, sizeof n) == sizeof n && n == 3);
    CHECK(thrum_close(fd) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
    CHECK(thrum_sendmsg(fds[1], &put, 0) == 5);
    CHECK(thrum_read(fds[0], in, sizeof in) == 5);
    fds_close(fds);
    fds_open(STREAM, fds);
    to[0] = (struct iovec){in, 2};
    to[1] = (struct iovec){in + 2, 3};
    CHECK(thrum_write_full(fds[1], "hello", 5, NULL) == 0);
    for (size_t at = 0; at < 5; at += (size_t)thrum_readv(fds[0], to, 2)) {
        to[0] = (struct iovec){in + at, at < 4};
        to[1] = (struct iovec){in + at + (at < 4), 4 - at + (at == 4)};
    }
    CHECK(memcmp(in, "hello", 5) == 0);
    fds_close(fds);
    return NULL;
}

static void what_is_one_thing_stays_so(void **state)
{
    (void)state;
    passes(whole, NULL, 100);
}

/* --- faults -------------------------------------------------------------------------- */

static unsigned seen[200];

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
        CHECK(thrum_write(fd, "a", 1) < 0);
        while (thrum_read(got, &byte, 1) > 0)
            ;
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
    assert_int_equal(footprint().fds, before.fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_and_its_clients_run_in_it),
        cmocka_unit_test(sockets_of_the_programs_own_are_connected),
        cmocka_unit_test(hosts_are_found_by_names_that_nobody_knows),
        cmocka_unit_test(a_read_that_gets_a_part_only_is_found),
        cmocka_unit_test(so_is_a_write),
        cmocka_unit_test(news_overtake_each_other),
        cmocka_unit_test(it_takes_as_long_as_it_is_given),
        cmocka_unit_test(a_deadline_comes_first_and_nothing_is_lost),
        cmocka_unit_test(who_waits_for_nobody_is_in_a_deadlock),
        cmocka_unit_test(a_number_that_is_used_again_is_waited_for),
        cmocka_unit_test(what_is_one_thing_stays_so),
        cmocka_unit_test(calls_fail_as_they_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
