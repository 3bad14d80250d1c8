/* What ends a wait for a descriptor: what it waits for, a cancel, a deadline, a
 * close; and who is told. How: waits that nothing else could end, on tasks and on
 * other threads. */
#include "lib/fds.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/uio.h>
#include <unistd.h>

/* --- every kind of wait --------------------------------------------------- */

/* A call that cannot be done: fd has nothing to read, and no room. */
struct stuck {
    int fd, other;
    ssize_t (*call)(struct stuck *s);
    _Atomic unsigned began;
    ssize_t rc;
    size_t done;
};

static char bytes[8];
static const struct iovec place = {bytes, sizeof bytes};

static ssize_t read_it(struct stuck *s)
{
    return thrum_read(s->fd, bytes, sizeof bytes);
}

static ssize_t write_it(struct stuck *s)
{
    return thrum_write(s->fd, bytes, sizeof bytes);
}

static ssize_t readv_it(struct stuck *s)
{
    return thrum_readv(s->fd, &place, 1);
}

static ssize_t writev_it(struct stuck *s)
{
    return thrum_writev(s->fd, &place, 1);
}

static ssize_t recvmsg_it(struct stuck *s)
{
    struct iovec v = place;
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

    return thrum_recvmsg(s->fd, &m, 0);
}

static ssize_t sendmsg_it(struct stuck *s)
{
    struct iovec v = place;
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

    return thrum_sendmsg(s->fd, &m, 0);
}

static ssize_t read_full_it(struct stuck *s)
{
    return thrum_read_full(s->fd, bytes, sizeof bytes, &s->done);
}

static ssize_t write_full_it(struct stuck *s)
{
    return thrum_write_full(s->fd, bytes, sizeof bytes, &s->done);
}

static ssize_t wait_to_read(struct stuck *s)
{
    return thrum_wait_fd(s->fd, POLLIN);
}

static ssize_t wait_to_write(struct stuck *s)
{
    return thrum_wait_fd(s->fd, POLLOUT);
}

static ssize_t wait_for_either(struct stuck *s)
{
    return thrum_wait_fd(s->fd, POLLIN | POLLOUT);
}

static ssize_t accept_it(struct stuck *s)
{
    return thrum_accept(s->fd, NULL, NULL);
}

static ssize_t (*const calls[])(struct stuck *) = {
    read_it,      write_it,      readv_it,        writev_it,
    recvmsg_it,   sendmsg_it,    read_full_it,    write_full_it,
    wait_to_read, wait_to_write, wait_for_either, accept_it};

enum { CALLS = sizeof calls / sizeof *calls };

static void stick(struct stuck *s, size_t call)
{
    struct sockaddr_storage addr;
    socklen_t size;
    int fds[2];

    *s = (struct stuck){.call = calls[call], .done = 99};
    if (calls[call] == accept_it) {
        s->fd = listen_tcp(&addr, &size);
        s->other = dup(s->fd);
        return;
    }
    fds_open(STREAM, fds);
    s->fd = fds[1];
    s->other = fds[0];
    (void)fill_up(s->fd);
}

static void unstick(struct stuck *s)
{
    CHECK(thrum_close(s->fd) == 0);
    CHECK(thrum_close(s->other) == 0);
}

static thrum_err *call_it(void *arg)
{
    struct stuck *s = arg;

    atomic_fetch_add(&s->began, 1);
    s->rc = s->call(s);
    return NULL;
}

static void expect_nothing_done(const struct stuck *s, int rc)
{
    CHECK(s->rc == rc);
    CHECK(s->done == 0 || s->done == 99);
}

/* --- canceled ------------------------------------------------------------- */

static thrum_err *cancel_each(void *arg)
{
    struct stuck s;
    thrum_scope scope;

    (void)arg;
    for (size_t i = 0; i < CALLS; i++) {
        stick(&s, i);
        thrum_scope_open(&scope);
        CHECK(thrum_spawn(&scope, call_it, &s, 0) == 0);
        await_count(&s.began, 1);
        thrum_yield();
        thrum_scope_cancel(&scope, NULL);
        expect_ok(thrum_scope_close(&scope, NULL));
        expect_nothing_done(&s, -ECANCELED);
        unstick(&s);
    }
    return NULL;
}

static void a_cancel_ends_every_wait(void **state)
{
    (void)state;
    on_runtimes(cancel_each, NULL);
}

static thrum_err *call_canceled(void *arg)
{
    struct stuck s;
    thrum_scope scope;

    (void)arg;
    for (size_t i = 0; i < CALLS; i++) {
        stick(&s, i);
        thrum_scope_open(&scope);
        thrum_scope_cancel(&scope, NULL);
        s.rc = s.call(&s);
        expect_nothing_done(&s, -ECANCELED);
        thrum_err_drop(thrum_scope_close(&scope, NULL));
        unstick(&s);
    }
    return NULL;
}

static thrum_err *ready_but_canceled(void *arg)
{
    thrum_scope scope;
    char byte = 'x';
    int fds[2];

    (void)arg;
    fds_open(STREAM, fds);
    CHECK(thrum_write(fds[1], "a", 1) == 1);
    thrum_scope_open(&scope);
    thrum_scope_cancel(&scope, NULL);
    CHECK(thrum_read(fds[0], &byte, 1) == -ECANCELED && byte == 'x');
    CHECK(thrum_write(fds[0], "b", 1) == -ECANCELED);
    CHECK(thrum_wait_fd(fds[0], POLLIN) == -ECANCELED);
    thrum_err_drop(thrum_scope_close(&scope, NULL));
    CHECK(thrum_read(fds[0], &byte, 1) == 1 && byte == 'a');
    fds_close(fds);
    return NULL;
}

static void one_that_was_canceled_before_tries_nothing(void **state)
{
    (void)state;
    on_runtimes(call_canceled, NULL);
    on_runtimes(ready_but_canceled, NULL);
    expect_ok(call_canceled(NULL));
    expect_ok(ready_but_canceled(NULL));
}

static thrum_err *time_out_each(void *arg)
{
    struct stuck s;
    thrum_scope scope;

    (void)arg;
    for (size_t i = 0; i < CALLS; i++) {
        stick(&s, i);
        thrum_scope_open(&scope, .timeout = THRUM_US(300));
        s.rc = s.call(&s);
        expect_nothing_done(&s, -ECANCELED);
        expect_kind(thrum_scope_close(&scope, thrum_rc(s.rc)), &THRUM_TIMEOUT);
        unstick(&s);
    }
    return NULL;
}

static void a_deadline_ends_every_wait(void **state)
{
    (void)state;
    on_runtimes(time_out_each, NULL);
}

static void so_it_does_on_a_thread_that_is_no_worker(void **state)
{
    thrum_rt *rt;

    (void)state;
    expect_ok(time_out_each(NULL));
    assert_int_equal(thrum_start(&rt, NULL), 0);
    expect_ok(time_out_each(NULL));
    expect_ok(thrum_stop(rt));
}

/* What was transferred is told, and the cancel after it. */
static thrum_err *write_too_much(void *arg)
{
    struct stuck *s = arg;
    static unsigned char much[1 << 20];

    atomic_fetch_add(&s->began, 1);
    s->rc = thrum_write_full(s->fd, much, sizeof much, &s->done);
    CHECK(s->done > 0 && s->done < sizeof much);
    return NULL;
}

static thrum_err *cancel_half_done(void *arg)
{
    struct stuck s = {0};
    thrum_scope scope;
    char in[4096];
    size_t came = 0;
    ssize_t got;
    int fds[2];

    (void)arg;
    fds_open(STREAM, fds);
    s.fd = fds[1];
    thrum_scope_open(&scope);
    CHECK(thrum_spawn(&scope, write_too_much, &s, 0) == 0);
    CHECK(thrum_read(fds[0], in, 1) == 1);
    thrum_scope_cancel(&scope, NULL);
    expect_ok(thrum_scope_close(&scope, NULL));
    CHECK(s.rc == -ECANCELED);
    CHECK(thrum_close(fds[1]) == 0);
    while ((got = thrum_read(fds[0], in, sizeof in)) > 0)
        came += (size_t)got;
    CHECK(got == 0 && came + 1 == s.done);
    CHECK(thrum_close(fds[0]) == 0);
    return NULL;
}

static void a_loop_that_is_canceled_says_how_far_it_came(void **state)
{
    (void)state;
    on_runtimes(cancel_half_done, NULL);
}

/* --- closed --------------------------------------------------------------- */

/* One who begins to wait only after a close has a number that may be another
 * file's: the first wait of a runtime opens some. Here that has been. */
static void wait_once(void)
{
    thrum_scope scope;
    struct stuck s;

    stick(&s, 0);
    thrum_scope_open(&scope, .timeout = THRUM_US(100));
    CHECK(read_it(&s) == -ECANCELED);
    thrum_err_drop(thrum_scope_close(&scope, NULL));
    unstick(&s);
}

static thrum_err *close_each(void *arg)
{
    struct stuck s;
    thrum_scope scope;

    (void)arg;
    wait_once();
    for (size_t i = 0; i < CALLS; i++) {
        stick(&s, i);
        thrum_scope_open(&scope);
        CHECK(thrum_spawn(&scope, call_it, &s, 0) == 0);
        await_count(&s.began, 1);
        thrum_yield();
        CHECK(thrum_close(s.fd) == 0);
        expect_ok(thrum_scope_close(&scope, NULL));
        expect_nothing_done(&s, -EBADF);
        CHECK(thrum_close(s.other) == 0);
    }
    return NULL;
}

static void a_close_wakes_every_wait(void **state)
{
    (void)state;
    on_runtimes(close_each, NULL);
}

enum { MANY = 20 };

static thrum_err *close_for_many(void *arg)
{
    struct stuck s[MANY];
    thrum_scope scope;

    (void)arg;
    wait_once();
    stick(&s[0], 0);
    thrum_scope_open(&scope);
    for (size_t i = 0; i < MANY; i++) {
        s[i] = (struct stuck){.fd = s[0].fd,
                              .other = s[0].other,
                              .call = calls[i % (CALLS - 1)],
                              .done = 99};
        CHECK(thrum_spawn(&scope, call_it, &s[i], 0) == 0);
    }
    for (size_t i = 0; i < MANY; i++)
        await_count(&s[i].began, 1);
    CHECK(thrum_close(s[0].fd) == 0);
    expect_ok(thrum_scope_close(&scope, NULL));
    for (size_t i = 0; i < MANY; i++)
        expect_nothing_done(&s[i], -EBADF);
    CHECK(thrum_close(s[0].other) == 0);
    return NULL;
}

static void all_of_them_at_once(void **state)
{
    (void)state;
    on_runtimes(close_for_many, NULL);
}

/* --- threads that are no workers ------------------------------------------ */

struct thread {
    struct stuck s;
    thrum_scope scope;
    _Atomic unsigned open;
};

static void *call_in_scope(void *arg)
{
    struct thread *t = arg;

    thrum_scope_open(&t->scope);
    atomic_store(&t->open, 1);
    (void)call_it(&t->s);
    thrum_err_drop(thrum_scope_close(&t->scope, NULL));
    return NULL;
}

static void a_thread_hears_of_a_cancel_and_a_close(void **state)
{
    (void)state;
    for (size_t i = 0; i < CALLS; i++)
        for (int by_close = 0; by_close < 2; by_close++) {
            struct thread t = {.open = 0};
            pthread_t id;

            stick(&t.s, i);
            assert_int_equal(pthread_create(&id, NULL, call_in_scope, &t), 0);
            block_count(&t.open, 1);
            block_count(&t.s.began, 1);
            if (by_close)
                CHECK(thrum_close(t.s.fd) == 0);
            else
                thrum_scope_cancel(&t.scope, NULL);
            pthread_join(id, NULL);
            expect_nothing_done(&t.s, by_close ? -EBADF : -ECANCELED);
            if (!by_close)
                CHECK(thrum_close(t.s.fd) == 0);
            CHECK(thrum_close(t.s.other) == 0);
        }
}

static void *write_a_byte(void *arg)
{
    CHECK(thrum_write(*(int *)arg, "a", 1) == 1);
    return NULL;
}

/* A descriptor that a runtime polls is waited for by others, too, and when that
 * runtime has gone. */
static thrum_err *poll_it(void *arg)
{
    thrum_scope scope;
    char byte;

    thrum_scope_open(&scope, .timeout = THRUM_US(300));
    CHECK(thrum_read(*(int *)arg, &byte, 1) == -ECANCELED);
    thrum_err_drop(thrum_scope_close(&scope, NULL));
    return NULL;
}

static void a_descriptor_outlives_the_runtime_that_polled_it(void **state)
{
    char byte;
    int fds[2];

    (void)state;
    fds_open(STREAM, fds);
    for (int i = 0; i < 3; i++) {
        pthread_t id;

        expect_ok(thrum_run(NULL, poll_it, &fds[0]));
        assert_int_equal(pthread_create(&id, NULL, write_a_byte, &fds[1]), 0);
        assert_int_equal(thrum_read(fds[0], &byte, 1), 1);
        pthread_join(id, NULL);
    }
    fds_close(fds);
}

struct other {
    thrum_rt *rt;
    int *fds;
    _Atomic unsigned began;
};

static thrum_err *read_byte(void *arg)
{
    struct other *o = arg;
    char byte;

    atomic_fetch_add(&o->began, 1);
    CHECK(thrum_read(o->fds[0], &byte, 1) == 1);
    return NULL;
}

static void a_task_goes_on_waiting_when_another_runtime_polled_it(void **state)
{
    int fds[2];
    struct other o = {.fds = fds};
    thrum_rt *first;

    (void)state;
    fds_open(STREAM, fds);
    assert_int_equal(thrum_start(&first, NULL), 0);
    assert_int_equal(thrum_start(&o.rt, NULL), 0);
    expect_ok(thrum_call(first, poll_it, &fds[0]));
    CHECK(thrum_post(o.rt, read_byte, &o, 0) == 0);
    block_count(&o.began, 1);
    expect_ok(thrum_stop(first));
    CHECK(thrum_write(fds[1], "a", 1) == 1);
    expect_ok(thrum_stop(o.rt));
    fds_close(fds);
}

/* --- several on one ------------------------------------------------------- */

struct echo {
    int fd;
    _Atomic size_t read;
};

enum { READERS = 5 };
#define BYTES (thrum_sim_seed() == 0 ? (size_t)200000 : 10000)
static thrum_err *send_bytes(void *arg)
{
    struct echo *e = arg;
    static const char some[1000];

    for (size_t i = 0; i < BYTES; i += sizeof some)
        CHECK(thrum_write_full(e->fd, some, sizeof some, NULL) == 0);
    CHECK(shutdown(e->fd, SHUT_WR) == 0);
    return NULL;
}

static thrum_err *count_bytes(void *arg)
{
    struct echo *e = arg;
    char some[700];
    ssize_t got;

    while ((got = thrum_read(e->fd, some, sizeof some)) > 0)
        atomic_fetch_add(&e->read, (size_t)got);
    CHECK(got == 0);
    return NULL;
}

/* A writer and several readers at each end. */
static thrum_err *both_ways(void *arg)
{
    (void)arg;
    for (int kind = STREAM; kind < KINDS; kind++) {
        struct echo ends[2] = {{.fd = 0}, {.fd = 0}};
        thrum_scope scope;
        int fds[2];

        fds_open((enum kind)kind, fds);
        thrum_scope_open(&scope);
        for (int i = 0; i < 2; i++) {
            ends[i].fd = fds[i];
            CHECK(thrum_spawn(&scope, send_bytes, &ends[i], 0) == 0);
            for (int j = 0; j < READERS; j++)
                CHECK(thrum_spawn(&scope, count_bytes, &ends[i], 0) == 0);
        }
        expect_ok(thrum_scope_close(&scope, NULL));
        CHECK(ends[0].read == BYTES && ends[1].read == BYTES);
        fds_close(fds);
    }
    return NULL;
}

static void readers_and_writers_share_a_descriptor(void **state)
{
    (void)state;
    on_runtimes(both_ways, NULL);
}

/* --- numbers that are used again ------------------------------------------ */

static thrum_err *write_later(void *arg)
{
    thrum_yield();
    CHECK(thrum_write(*(int *)arg, "a", 1) == 1);
    return NULL;
}

/* The same number, time and again another file, closed by whom it does not know
 * of: thrum_close was not called. */
static thrum_err *use_again(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++) {
        thrum_scope scope;
        char byte;
        int fds[2];

        fds_open((enum kind)(i % KINDS), fds);
        thrum_scope_open(&scope);
        CHECK(thrum_spawn(&scope, write_later, &fds[1], 0) == 0);
        CHECK(thrum_read(fds[0], &byte, 1) == 1);
        expect_ok(thrum_scope_close(&scope, NULL));
        close(fds[1]);
        close(fds[0]);
    }
    return NULL;
}

static void a_number_that_was_closed_behind_its_back_is_waited_for(void **state)
{
    (void)state;
    on_runtimes(use_again, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancel_ends_every_wait),
        cmocka_unit_test(one_that_was_canceled_before_tries_nothing),
        cmocka_unit_test(a_deadline_ends_every_wait),
        cmocka_unit_test(so_it_does_on_a_thread_that_is_no_worker),
        cmocka_unit_test(a_loop_that_is_canceled_says_how_far_it_came),
        cmocka_unit_test(a_close_wakes_every_wait),
        cmocka_unit_test(all_of_them_at_once),
        cmocka_unit_test(a_thread_hears_of_a_cancel_and_a_close),
        cmocka_unit_test(a_descriptor_outlives_the_runtime_that_polled_it),
        cmocka_unit_test(a_task_goes_on_waiting_when_another_runtime_polled_it),
        cmocka_unit_test(readers_and_writers_share_a_descriptor),
        cmocka_unit_test(
            a_number_that_was_closed_behind_its_back_is_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
