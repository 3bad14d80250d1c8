/* Do tasks run on a thread that has a loop of its own, and does that loop hear of
 * all there is to do: a time, a descriptor, another thread, a blocking call? */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fds.h"

enum { TASKS = 100, POSTS = 1000 };

#define SLICE THRUM_MS(5)

static thrum_rt *guest;

static void start(void)
{
    assert_int_equal(thrum_start(&guest, &(thrum_opts){.guest = true}), 0);
}

static void stop(void)
{
    expect_ok(thrum_stop(guest));
}

static bool is_ready(int timeout)
{
    struct pollfd p = {.fd = thrum_poll_fd(guest), .events = POLLIN};

    return poll(&p, 1, timeout) == 1;
}

/* The host's loop, until the count is there. How often the guest was let in. */
static unsigned loop_until(_Atomic unsigned *count, unsigned wanted)
{
    unsigned turns = 0;

    while (atomic_load(count) < wanted) {
        assert_true(is_ready(60000));
        assert_true(thrum_poll(guest, SLICE) >= 0);
        turns++;
    }
    return turns;
}

static _Atomic unsigned done;

/* --- what it runs --------------------------------------------------------- */

static thrum_err *note_thread(void *arg)
{
    CHECK(thread_id() == *(int *)arg);
    thrum_yield();
    CHECK(thread_id() == *(int *)arg);
    atomic_fetch_add(&done, 1);
    return NULL;
}

static void tasks_run_on_the_host_when_it_lets_them(void **state)
{
    int me = thread_id();

    (void)state;
    atomic_store(&done, 0);
    start();
    (void)thrum_poll(guest, SLICE);
    assert_false(is_ready(0));
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(thrum_post(guest, note_thread, &me, sizeof me), 0);
    assert_int_equal(atomic_load(&done), 0);
    assert_true(is_ready(0));
    assert_int_equal(thrum_poll(guest, INT64_MAX), 0);
    assert_int_equal(atomic_load(&done), TASKS);
    assert_false(is_ready(0));
    stop();
}

static thrum_err *fib(void *arg);

struct fib {
    unsigned n, result;
};

static thrum_err *fib(void *arg)
{
    struct fib *f = arg, a = {f->n - 1, 0}, b = {f->n - 2, 0};
    thrum_task t;

    if (f->n < 2) {
        f->result = f->n;
        return NULL;
    }
    thrum_fork(&t, fib, &a);
    THRUM_TRY(fib(&b));
    THRUM_TRY(thrum_join(&t));
    f->result = a.result + b.result;
    return NULL;
}

static void a_call_lets_them_in_until_it_is_done(void **state)
{
    struct fib f = {15, 0};

    (void)state;
    start();
    expect_ok(thrum_call(guest, fib, &f));
    assert_int_equal(f.result, 610);
    stop();
}

/* --- what its loop hears of ----------------------------------------------- */

static thrum_err *sleep_some(void *arg)
{
    thrum_time until = thrum_now() + THRUM_MS(*(int *)arg);

    expect_ok(thrum_rc(thrum_sleep(THRUM_MS(*(int *)arg))));
    CHECK(thrum_now() >= until);
    atomic_fetch_add(&done, 1);
    return NULL;
}

static void times(void **state)
{
    (void)state;
    atomic_store(&done, 0);
    start();
    for (int i = 0; i < TASKS; i++) {
        int ms = 1 + i * 7 % 10;

        assert_int_equal(thrum_post(guest, sleep_some, &ms, sizeof ms), 0);
    }
    /* Ten times at least ten turns; one that is not waited for is some more. */
    assert_in_range(loop_until(&done, TASKS), 1, 5 * TASKS);
    stop();
}

static thrum_err *count(void *arg)
{
    (void)arg;
    atomic_fetch_add(&done, 1);
    return NULL;
}

static void *post(void *arg)
{
    for (int i = 0; i < POSTS; i++)
        CHECK(thrum_post(guest, count, NULL, 0) == 0);
    return arg;
}

static void other_threads(void **state)
{
    pthread_t t[2];

    (void)state;
    atomic_store(&done, 0);
    start();
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, post, NULL), 0);
    (void)loop_until(&done, 2 * POSTS);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    stop();
}

static thrum_err *offload(void *arg)
{
    thrum_err *e = thrum_offload(count, arg);

    atomic_fetch_add(&done, 1);
    return e;
}

static void blocking_calls(void **state)
{
    (void)state;
    atomic_store(&done, 0);
    start();
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(thrum_post(guest, offload, NULL, 0), 0);
    (void)loop_until(&done, 2 * TASKS);
    stop();
}

static thrum_err *echo(void *arg)
{
    int fd = *(int *)arg;
    char byte;

    while (thrum_read(fd, &byte, 1) == 1)
        CHECK(thrum_write(fd, &byte, 1) == 1);
    CHECK(thrum_close(fd) == 0);
    atomic_fetch_add(&done, 1);
    return NULL;
}

/* The host talks to its guest by a socket, and reads from it in the same loop. */
static void descriptors(void **state)
{
    int fds[2];

    (void)state;
    atomic_store(&done, 0);
    start();
    fds_open(STREAM, fds);
    assert_int_equal(thrum_post(guest, echo, &fds[1], sizeof fds[1]), 0);
    for (int i = 0; i < TASKS; i++) {
        struct pollfd p[2] = {{.fd = fds[0], .events = POLLIN},
                              {.fd = thrum_poll_fd(guest), .events = POLLIN}};
        char byte = (char)i;

        assert_int_equal(write(fds[0], &byte, 1), 1);
        while (assert_true(poll(p, 2, 60000) > 0), p[0].revents == 0)
            (void)thrum_poll(guest, SLICE);
        assert_int_equal(read(fds[0], &byte, 1), 1);
        assert_int_equal(byte, (char)i);
    }
    close(fds[0]);
    (void)loop_until(&done, 1);
    stop();
}

/* The kernel tells the host's loop when it is done, or a thread of the pool does. */
static thrum_err *write_and_stat(void *arg)
{
    char path[] = "/tmp/thrum-guest-XXXXXX";
    int fd = mkstemp(path);
    struct stat st;

    CHECK(thrum_pwrite(fd, "x", 1, 0) == 1);
    CHECK(thrum_stat(path, &st) == 0 && st.st_size == 1);
    CHECK(thrum_close(fd) == 0 && unlink(path) == 0);
    atomic_fetch_add(&done, 1);
    return arg;
}

static void files(void **state)
{
    (void)state;
    atomic_store(&done, 0);
    start();
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(thrum_post(guest, write_and_stat, NULL, 0), 0);
    (void)loop_until(&done, TASKS);
    stop();
}

static thrum_err *write_to_nobody(void *arg)
{
    int fds[2];

    CHECK(pipe(fds) == 0);
    close(fds[0]);
    CHECK(thrum_write(fds[1], "x", 1) == -EPIPE);
    close(fds[1]);
    return count(arg);
}

static void no_signal_of_a_pipe_comes_to_the_host(void **state)
{
    (void)state;
    start();
    expect_ok(thrum_call(guest, write_to_nobody, NULL));
    stop();
}

/* --- how long it stays ---------------------------------------------------- */

static _Atomic unsigned enough, steps;

static thrum_err *yield_on(void *arg)
{
    (void)arg;
    while (atomic_load(&enough) == 0) {
        atomic_fetch_add(&steps, 1);
        thrum_yield();
    }
    atomic_fetch_add(&done, 1);
    return NULL;
}

static void no_longer_than_it_may(void **state)
{
    (void)state;
    atomic_store(&done, 0);
    atomic_store(&enough, 0);
    atomic_store(&steps, 0);
    start();
    for (int i = 0; i < 3; i++)
        assert_int_equal(thrum_post(guest, yield_on, NULL, 0), 0);
    for (unsigned i = 0; i < TASKS; i++) {
        unsigned before = atomic_load(&steps);

        assert_int_equal(thrum_poll(guest, i % 2 == 0 ? 0 : THRUM_US(50)), 1);
        assert_true(is_ready(0));
        assert_true(i < 2 || atomic_load(&steps) > before);
    }
    atomic_store(&enough, 1);
    while (thrum_poll(guest, 0) == 1)
        ;
    assert_int_equal(atomic_load(&done), 3);
    assert_false(is_ready(0));
    stop();
}

static thrum_err *compute(void *arg)
{
    (void)arg;
    while (!thrum_canceled())
        ;
    return thrum_rc(-ECANCELED);
}

static thrum_err *compute_in_time(void *arg)
{
    expect_kind(thrum_with(compute, arg, .timeout = THRUM_MS(2)),
                &THRUM_TIMEOUT);
    return NULL;
}

static void a_deadline_comes_though_a_task_computes(void **state)
{
    (void)state;
    start();
    expect_ok(thrum_call(guest, compute_in_time, NULL));
    stop();
}

/* --- a host that waits ---------------------------------------------------- */

static thrum_err *send_ten(void *arg)
{
    for (int i = 0; i < 10; i++) {
        THRUM_TRY(thrum_sleep(THRUM_US(100)));
        THRUM_TRY(thrum_chan_send(*(thrum_chan **)arg, &i));
    }
    return NULL;
}

static void a_host_that_waits_lets_it_in(void **state)
{
    thrum_chan chan, *c = &chan;

    (void)state;
    start();
    assert_int_equal(thrum_chan_init(c, sizeof(int), 0), 0);
    assert_int_equal(thrum_post(guest, send_ten, &c, sizeof c), 0);
    for (int i = 0; i < 10; i++) {
        int got = -1;

        assert_int_equal(thrum_chan_recv(c, &got), 0);
        assert_int_equal(got, i);
    }
    stop();
    thrum_chan_fini(c);
}

static thrum_event event;

static void *set_event(void *arg)
{
    while (atomic_load(&steps) < TASKS) /* the host is in its guest */
        sched_yield();
    thrum_event_set(&event);
    return arg;
}

/* There is always more to do than to see what the host waits for. */
static void it_comes_back_when_another_thread_wakes_it(void **state)
{
    pthread_t t;

    (void)state;
    for (int busy = 0; busy < 2; busy++) {
        atomic_store(&done, 0);
        atomic_store(&enough, 0);
        atomic_store(&steps, busy ? 0 : TASKS);
        start();
        thrum_event_reset(&event);
        if (busy)
            assert_int_equal(thrum_post(guest, yield_on, NULL, 0), 0);
        assert_int_equal(pthread_create(&t, NULL, set_event, NULL), 0);
        assert_int_equal(thrum_event_wait(&event), 0);
        atomic_store(&enough, 1);
        assert_int_equal(pthread_join(t, NULL), 0);
        stop();
    }
}

static thrum_err *call_guest(void *arg)
{
    struct fib f = {10, 0};

    expect_ok(thrum_call(guest, fib, &f));
    CHECK(f.result == 55);
    return thrum_call(guest, count, arg);
}

static void *call_twice(void *arg)
{
    expect_ok(call_guest(arg));
    expect_ok(thrum_run(NULL, call_guest, arg)); /* a task of another runtime */
    return arg;
}

static void others_call_it(void **state)
{
    pthread_t t;

    (void)state;
    atomic_store(&done, 0);
    start();
    assert_int_equal(pthread_create(&t, NULL, call_twice, NULL), 0);
    (void)loop_until(&done, 2);
    assert_int_equal(pthread_join(t, NULL), 0);
    stop();
}

/* --- the end -------------------------------------------------------------- */

static thrum_err *fails(void *arg)
{
    THRUM_TRY(thrum_spawn(thrum_root(), wait_for_cancel, &done, 0));
    await_count(&done, 1);
    (void)arg;
    return thrum_fail(&THRUM_ERROR, "on purpose");
}

static void a_stop_waits_for_what_was_posted(void **state)
{
    int ms = 2;

    (void)state;
    atomic_store(&done, 0);
    start();
    stop(); /* it was never let in */
    start();
    assert_int_equal(thrum_post(guest, sleep_some, &ms, sizeof ms), 0);
    stop();
    assert_int_equal(atomic_load(&done), 1);

    atomic_store(&done, 0);
    start();
    assert_int_equal(thrum_post(guest, fails, NULL, 0), 0);
    expect_kind(thrum_stop(guest), &THRUM_ERROR);
}

static void a_thread_has_one_guest(void **state)
{
    struct footprint before = footprint_at_rest();
    thrum_rt *other;

    (void)state;
    for (int i = 0; i < 3; i++) {
        start();
        assert_int_equal(thrum_start(&other, &(thrum_opts){.guest = true}),
                         -EBUSY);
        stop();
    }
    assert_int_equal(footprint_at_rest().fds, before.fds);
    assert_int_equal(footprint_at_rest().threads, before.threads);
}

static void *poll_it(void *arg)
{
    (void)thrum_poll(guest, SLICE);
    return arg;
}

static void poll_elsewhere(void)
{
    pthread_t t;

    start();
    pthread_create(&t, NULL, poll_it, NULL);
    pthread_join(t, NULL);
}

static void run_as_guest(void)
{
    thrum_report(thrum_run(&(thrum_opts){.guest = true}, count, NULL));
}

static void it_says_what_is_wrong(void **state)
{
    (void)state;
    assert_stops(poll_elsewhere, "thrum_poll", "another thread than the host");
    assert_stops(run_as_guest, "thrum_run", "no guest");
}

static void in_the_child_of_a_fork_it_is_gone(void **state)
{
    int status;
    pid_t child;

    (void)state;
    start();
    expect_ok(thrum_call(guest, count, NULL));
    child = fork();
    if (child == 0) {
        CHECK(thrum_poll_fd(guest) == -ENOTRECOVERABLE);
        CHECK(thrum_poll(guest, SLICE) == -ENOTRECOVERABLE);
        expect_ok(thrum_rc(thrum_sleep(THRUM_US(100))));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_on_the_host_when_it_lets_them),
        cmocka_unit_test(a_call_lets_them_in_until_it_is_done),
        cmocka_unit_test(times),
        cmocka_unit_test(other_threads),
        cmocka_unit_test(blocking_calls),
        cmocka_unit_test(descriptors),
        cmocka_unit_test(files),
        cmocka_unit_test(no_signal_of_a_pipe_comes_to_the_host),
        cmocka_unit_test(no_longer_than_it_may),
        cmocka_unit_test(a_deadline_comes_though_a_task_computes),
        cmocka_unit_test(a_host_that_waits_lets_it_in),
        cmocka_unit_test(it_comes_back_when_another_thread_wakes_it),
        cmocka_unit_test(others_call_it),
        cmocka_unit_test(a_stop_waits_for_what_was_posted),
        cmocka_unit_test(a_thread_has_one_guest),
        cmocka_unit_test(it_says_what_is_wrong),
        cmocka_unit_test(in_the_child_of_a_fork_it_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
