/* Are pipes and sockets simulated as the manual says: in every piece, with every
 * delay, the same again from the seed; and is a wait for nobody a deadlock? */
#include "lib/fds.h"
#include "lib/sims.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* --- bugs that only it brings about --------------------------------------- */

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
        thrum_sim_opts whole = {.rounds = sim_rounds(100), .io_whole = true};

        sim_fails(read_at_once, &kinds[i], &THRUM_ERROR, "got == sizeof n");
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
        sim_fails(write_at_once, &kinds[i], &THRUM_ERROR, "put == sizeof some");
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
    sim_fails(in_order, NULL, &THRUM_ERROR, "r.first == 1");
}

/* --- time ----------------------------------------------------------------- */

static thrum_time slowest;

static void note_time(thrum_time start)
{
    if (thrum_now() - start > slowest)
        slowest = thrum_now() - start;
}

/* Who waits hears of it late, and what he then does takes time again. */
static thrum_err *hear_late(void *fds)
{
    thrum_time start = 0;
    char byte;

    CHECK(thrum_read(*(int *)fds, &start, sizeof start) == sizeof start);
    note_time(start);
    CHECK(thrum_read(*(int *)fds, &byte, 1) == 0);
    return NULL;
}

static thrum_err *write_later(void *unused)
{
    thrum_time now;
    thrum_scope s;
    int fds[2];

    (void)unused;
    fds_open(PIPE, fds);
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, hear_late, &fds[0], 0) == 0);
    CHECK(thrum_sleep(THRUM_SEC(1)) == 0);
    now = thrum_now();
    CHECK(write(fds[1], &now, sizeof now) == sizeof now);
    CHECK(thrum_close(fds[1]) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    return thrum_rc(thrum_close(fds[0]));
}

static void both_calls_and_news_take_as_long_as_they_are_given(void **state)
{
    thrum_sim_opts o = {
        .rounds = 200, .io_delay = THRUM_MS(1), .io_whole = true};

    (void)state;
    slowest = 0;
    expect_ok(thrum_sim(&o, write_later, NULL));
    assert_true(slowest > THRUM_MS(1));
    assert_true(slowest <= THRUM_MS(2));
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
    sim_passes(with_deadlines, NULL, 100);
    assert_true(missed > 0);
}

/* --- nobody there --------------------------------------------------------- */

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
    sim_fails(read_nothing, NULL, &THRUM_DEADLOCK, "waits for a descriptor");
    sim_fails(accept_nobody, NULL, &THRUM_DEADLOCK, "waits for a descriptor");
    sim_fails(write_into_nothing, NULL, &THRUM_DEADLOCK,
              "waits for a descriptor");
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
    sim_passes(used_again, NULL, 100);
}

/* Closed, and another file's, while a call on it takes its time. */
struct closed {
    int fd;
    _Atomic unsigned began;
};

static thrum_err *read_old(void *arg)
{
    struct closed *e = arg;
    char byte;

    atomic_store(&e->began, 1);
    CHECK(thrum_read(e->fd, &byte, 1) == -EBADF);
    return NULL;
}

static thrum_err *closed_meanwhile(void *unused)
{
    struct closed e = {.began = 0};
    int fds[2], other[2];
    thrum_scope s;

    (void)unused;
    fds_open(PIPE, fds);
    e.fd = fds[0];
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, read_old, &e, 0) == 0);
    await_count(&e.began, 1);
    CHECK(thrum_close(fds[0]) == 0);
    fds_open(PIPE, other);
    CHECK(write(other[1], "a", 1) == 1);
    expect_ok(thrum_scope_close(&s, NULL));
    fds_close(other);
    return thrum_rc(thrum_close(fds[1]));
}

static void a_close_is_heard_of_while_a_call_takes_its_time(void **state)
{
    (void)state;
    sim_passes(closed_meanwhile, NULL, 100);
}

/* --- whole things --------------------------------------------------------- */

static thrum_err *whole(void *unused)
{
    static const char some[PIPE_BUF];
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
    fds_open(PIPE, fds);
    CHECK(thrum_write(fds[1], some, PIPE_BUF) == PIPE_BUF);
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
    sim_passes(whole, NULL, 100);
}

/* --- what nobody tells of ------------------------------------------------- */

static thrum_err *read_late(void *fd)
{
    char byte;

    CHECK(thrum_sleep(THRUM_SEC(1)) == 0);
    CHECK(thrum_read(*(int *)fd, &byte, 1) == 1);
    return NULL;
}

/* The kernel says of its own queue that there is room, again and again. */
static thrum_err *send_to_full_queue(void *arg)
{
    int from = socket(AF_UNIX, SOCK_DGRAM, 0);
    int to = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct iovec one = {"x", 1};
    struct msghdr m = {.msg_name = &un, .msg_iov = &one, .msg_iovlen = 1};
    socklen_t size = sizeof un;
    thrum_scope s;

    (void)arg;
    CHECK(bind(to, (struct sockaddr *)&un, sizeof un.sun_family) == 0);
    CHECK(getsockname(to, (struct sockaddr *)&un, &size) == 0);
    m.msg_namelen = size;
    while (sendmsg(from, &m, MSG_DONTWAIT) == 1)
        ;
    CHECK(thrum_sendmsg(from, &m, MSG_DONTWAIT) == -EAGAIN);
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, read_late, &to, 0) == 0);
    CHECK(thrum_sendmsg(from, &m, 0) == 1);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(thrum_close(from) == 0 && thrum_close(to) == 0);
    return NULL;
}

static void who_waits_for_anothers_queue_does_not_spin(void **state)
{
    thrum_sim_opts o = {.rounds = 5, .steps = 100000, .io_delay = -1};

    (void)state;
    expect_ok(thrum_sim(&o, send_to_full_queue, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_that_gets_a_part_only_is_found),
        cmocka_unit_test(so_is_a_write),
        cmocka_unit_test(news_overtake_each_other),
        cmocka_unit_test(both_calls_and_news_take_as_long_as_they_are_given),
        cmocka_unit_test(a_deadline_comes_first_and_nothing_is_lost),
        cmocka_unit_test(who_waits_for_nobody_is_in_a_deadlock),
        cmocka_unit_test(a_number_that_is_used_again_is_waited_for),
        cmocka_unit_test(a_close_is_heard_of_while_a_call_takes_its_time),
        cmocka_unit_test(what_is_one_thing_stays_so),
        cmocka_unit_test(who_waits_for_anothers_queue_does_not_spin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
