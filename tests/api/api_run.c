/* Do runtimes start, take work from anywhere, finish it and leave nothing? How:
 * run, call and post from threads and tasks at once; many starts; the process
 * looked at before and after. */
#include "lib/api.h"

#include <pthread.h>
#include <unistd.h>

THRUM_KIND(Bad, THRUM_ERROR);

static thrum_err *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

static thrum_err *fail_with(void *arg)
{
    return thrum_fail(&Bad, "%s", (const char *)arg);
}

static thrum_err *count(void *arg)
{
    atomic_fetch_add(*(_Atomic unsigned **)arg, 1);
    return NULL;
}

/* --- run ------------------------------------------------------------------ */

static thrum_err *check_arg(void *arg)
{
    CHECK(strcmp(arg, "hello") == 0);
    return NULL;
}

static thrum_err *spawn_some(void *arg)
{
    for (int i = 0; i < 10; i++)
        CHECK(thrum_spawn(NULL, count, &arg, sizeof arg) == 0);
    return thrum_fail(&Bad, "and fail");
}

static void run_waits_for_all_and_returns_all_errors(void **state)
{
    _Atomic unsigned n = 0;
    thrum_err *e;

    (void)state;
    for (unsigned w = 0; w <= 4; w++) {
        thrum_opts opts = {.workers = w};

        expect_ok(thrum_run(&opts, check_arg, (void *)(uintptr_t) "hello"));
        atomic_store(&n, 0);
        e = thrum_run(&opts, spawn_some, &n);
        assert_int_equal(atomic_load(&n), 10);
        assert_true(thrum_err_is(e, &Bad));
        assert_int_equal(thrum_err_count(e), 1);
        thrum_err_drop(e);
    }
}

static thrum_err *run_inside(void *arg)
{
    int home = thread_id();
    _Atomic unsigned n = 0;
    thrum_err *e;

    (void)arg;
    if (workers == 1)
        CHECK(thread_id() == home);
    expect_ok(thrum_run(&(thrum_opts){.workers = 99999}, check_arg,
                        (void *)(uintptr_t) "hello"));
    e = thrum_run(NULL, spawn_some, &n);
    CHECK(atomic_load(&n) == 10 && thrum_err_is(e, &Bad));
    thrum_err_drop(e);
    return NULL;
}

static void run_inside_a_task_is_a_call_in_a_scope(void **state)
{
    (void)state;
    on_runtimes(run_inside, NULL);
    expect_ok(thrum_run(NULL, run_inside, NULL));
}

enum { THREADS = 8 };

static void *run_many_times(void *arg)
{
    size_t turns = scaled(200) + 4;

    for (size_t i = 0; i < turns; i++) {
        _Atomic unsigned n = 0, *at = arg;
        thrum_err *e = thrum_run(&(thrum_opts){.workers = 2}, spawn_some, &n);

        CHECK(atomic_load(&n) == 10 && thrum_err_count(e) == 1);
        thrum_err_drop(e);
        atomic_fetch_add(at, 1);
    }
    return NULL;
}

static void in_threads(void *(*body)(void *), void *arg)
{
    pthread_t thread[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, body, arg), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
}

static void threads_share_the_default_runtime(void **state)
{
    _Atomic unsigned n = 0;

    (void)state;
    in_threads(run_many_times, &n);
    assert_int_equal(atomic_load(&n), THREADS * (scaled(200) + 4));
}

/* --- options -------------------------------------------------------------- */

static void bad_options_are_refused(void **state)
{
    thrum_rt *rt = NULL;
    thrum_err *e;

    (void)state;
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = 1025}), -EINVAL);
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.stack_size = 16383}),
                     -EINVAL);
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.stack_size = 1}), -EINVAL);
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.stack_size = SIZE_MAX}),
                     -EINVAL);
    assert_null(rt);
    e = thrum_run(&(thrum_opts){.stack_size = 1}, nothing, NULL);
    assert_true(thrum_err_is(e, &THRUM_OS));
    assert_int_equal(thrum_err_errno(e), EINVAL);
    thrum_err_drop(e);
}

static thrum_err *use_some_stack(void *arg)
{
    volatile char bytes[6000];

    (void)arg;
    memset((char *)(uintptr_t)bytes, 1, sizeof bytes);
    thrum_yield();
    CHECK(bytes[17] == 1 && bytes[5999] == 1);
    return NULL;
}

static void options_are_taken(void **state)
{
    static const size_t stacks[] = {16384,  16385,   65536,
                                    100000, 1 << 20, 64 << 20};
    thrum_rt *rt;

    (void)state;
    for (size_t i = SANITIZED ? 2 : 0; i < sizeof stacks / sizeof *stacks;
         i++) {
        thrum_opts opts = {.workers = 2, .stack_size = stacks[i], .pin = i % 2};

        assert_int_equal(thrum_start(&rt, &opts), 0);
        memset(&opts, 0xFF, sizeof opts); /* they were copied */
        for (int k = 0; k < 4; k++)
            assert_int_equal(thrum_post(rt, use_some_stack, NULL, 0), 0);
        expect_ok(thrum_call(rt, use_some_stack, NULL));
        expect_ok(thrum_stop(rt));
    }
}

/* How many workers there are, as threads of this process. */
static size_t workers_started(const thrum_opts *opts)
{
    size_t before = footprint_at_rest().threads, now;
    thrum_rt *rt;

    CHECK(thrum_start(&rt, opts) == 0);
    now = footprint().threads;
    expect_ok(thrum_stop(rt));
    for (int i = 0; i < 1000000 && footprint().threads > before; i++)
        sched_yield(); /* they have been joined, and may still be listed */
    return now - before;
}

static void set_workers(const char *text)
{
    CHECK(setenv("THRUM_WORKERS", text, 1) == 0);
}

/* In a child process, whose environment is its own. */
static void read_workers(void)
{
    size_t by_machine;
    thrum_opts three = {.workers = 3};

    unsetenv("THRUM_WORKERS");
    by_machine = workers_started(NULL);
    CHECK(by_machine >= 1 &&
          by_machine <= (size_t)sysconf(_SC_NPROCESSORS_CONF));
    set_workers("5");
    CHECK(workers_started(NULL) == 5);
    CHECK(workers_started(&three) == 3);
    set_workers("0");
    CHECK(workers_started(NULL) == by_machine);
    set_workers("-3");
    CHECK(workers_started(NULL) == by_machine);
    set_workers("two");
    CHECK(workers_started(NULL) == by_machine);
    set_workers("");
    CHECK(workers_started(NULL) == by_machine);
}

static void read_stack(void)
{
    thrum_opts own = {.workers = 1, .stack_size = 65536};
    thrum_opts by_env = {.workers = 1};
    thrum_rt *rt;

    setenv("THRUM_STACK", "8192", 1);
    CHECK(thrum_start(&rt, &by_env) == -EINVAL);
    CHECK(thrum_start(&rt, &own) == 0);
    expect_ok(thrum_stop(rt));
    setenv("THRUM_STACK", "1048576", 1);
    CHECK(thrum_start(&rt, &by_env) == 0);
    expect_ok(thrum_stop(rt));
    setenv("THRUM_STACK", "1M", 1); /* no number: the default */
    CHECK(thrum_start(&rt, &by_env) == 0);
    expect_ok(thrum_stop(rt));
}

static void expect_said(void (*act)(void), const char *const *lines)
{
    struct end end = end_of(act);

    assert_int_equal(end.status, 0);
    for (; *lines != NULL; lines++)
        assert_non_null(strstr(end.said, *lines));
}

static void the_environment_says_what_the_options_do_not(void **state)
{
    static const char *const of_workers[] = {"THRUM_WORKERS=-3 is no number",
                                             "THRUM_WORKERS=two is no number",
                                             NULL};
    static const char *const of_stack[] = {
        "THRUM_STACK=8192 is no size of a stack", "THRUM_STACK=1M is no number",
        NULL};

    (void)state;
    expect_said(read_workers, of_workers);
    expect_said(read_stack, of_stack);
}

/* --- call and post -------------------------------------------------------- */

static thrum_rt *runtime;

static thrum_err *call_again(void *arg)
{
    thrum_err *e = thrum_call(runtime, fail_with, arg);

    CHECK(thrum_err_is(e, &Bad));
    return e;
}

static void call_returns_the_error_of_its_function(void **state)
{
    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        thrum_err *e;

        assert_int_equal(
            thrum_start(&runtime, &(thrum_opts){.workers = workers}), 0);
        e = thrum_call(runtime, fail_with, (void *)(uintptr_t) "x");
        assert_string_equal(thrum_err_msg(e), "x");
        thrum_err_drop(e);
        e = thrum_call(runtime, call_again, (void *)(uintptr_t) "y");
        assert_string_equal(thrum_err_msg(e), "y");
        thrum_err_drop(e);
        expect_ok(thrum_stop(runtime));
    }
}

static thrum_err *post_more(void *arg)
{
    _Atomic unsigned *n = *(_Atomic unsigned **)arg;

    thrum_yield();
    if (atomic_fetch_add(n, 1) < 500)
        CHECK(thrum_post(runtime, post_more, arg, sizeof n) == 0);
    return NULL;
}

static void stop_waits_for_what_was_posted(void **state)
{
    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        _Atomic unsigned n = 0, *at = &n;

        assert_int_equal(
            thrum_start(&runtime, &(thrum_opts){.workers = workers}), 0);
        assert_int_equal(thrum_post(runtime, post_more, &at, sizeof at), 0);
        for (int i = 0; i < 100; i++)
            assert_int_equal(thrum_post(runtime, count, &at, sizeof at), 0);
        expect_ok(thrum_stop(runtime));
        assert_true(atomic_load(&n) >= 501);
    }
}

static void stop_returns_the_errors_of_what_was_posted(void **state)
{
    static const char *const texts[] = {"a", "b", "c"};

    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        thrum_err *e;

        assert_int_equal(
            thrum_start(&runtime, &(thrum_opts){.workers = workers}), 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(thrum_post(runtime, fail_with, texts[i], 2), 0);
        e = thrum_stop(runtime);
        assert_int_equal(thrum_err_count(e), 3);
        for (size_t i = 1; i < 3; i++)
            assert_string_equal(thrum_err_msg(thrum_err_at(e, i)),
                                texts[thrum_err_index(thrum_err_at(e, i))]);
        thrum_err_drop(e);
    }
}

static thrum_err *post_from_task(void *arg)
{
    _Atomic unsigned n = 0, *at = &n;

    (void)arg;
    for (unsigned i = 0; i < 2000; i++)
        CHECK(thrum_post(runtime, count, &at, sizeof at) == 0);
    CHECK(workers > 1 || atomic_load(&n) == 0); /* it went on at once */
    await_count(&n, 2000);
    return NULL;
}

static void a_task_that_posts_goes_on_at_once(void **state)
{
    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        assert_int_equal(
            thrum_start(&runtime, &(thrum_opts){.workers = workers}), 0);
        expect_ok(thrum_call(runtime, post_from_task, NULL));
        expect_ok(thrum_stop(runtime));
    }
}

/* --- threads at once ------------------------------------------------------ */

static thrum_err *sleep_a_bit(void *arg)
{
    CHECK(thrum_sleep(THRUM_US(10)) == 0);
    return count(arg);
}

static void *use_runtime(void *arg)
{
    _Atomic unsigned *posted = arg;

    for (size_t i = 0; i < scaled(300) + 4; i++) {
        _Atomic unsigned n = 0, *at = &n;
        thrum_scope s;
        thrum_err *e;

        CHECK(thrum_post(runtime, count, &posted, sizeof posted) == 0);
        thrum_scope_open(&s, .name = "of a thread", .limit = i % 3 * 2);
        for (int k = 0; k < 5; k++)
            CHECK(thrum_spawn(&s, k % 2 ? sleep_a_bit : count, &at,
                              sizeof at) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(atomic_load(&n) == 5);
        e = thrum_call(runtime, spawn_some, &n);
        CHECK(atomic_load(&n) == 15);
        thrum_err_drop(e);
    }
    return NULL;
}

/* Keeps the default runtime running while threads open scopes in it. */
struct keeper {
    _Atomic unsigned up, done;
};

static thrum_err *keep(void *arg)
{
    struct keeper *k = arg;

    atomic_store(&k->up, 1);
    await_count(&k->done, 1);
    return NULL;
}

static void *run_keeper(void *arg)
{
    expect_ok(thrum_run(&(thrum_opts){.workers = workers}, keep, arg));
    return NULL;
}

static void threads_use_runtimes_at_once(void **state)
{
    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        struct keeper k = {0};
        _Atomic unsigned posted = 0;
        pthread_t keeper;

        assert_int_equal(
            thrum_start(&runtime, &(thrum_opts){.workers = workers}), 0);
        assert_int_equal(pthread_create(&keeper, NULL, run_keeper, &k), 0);
        block_count(&k.up, 1);
        in_threads(use_runtime, &posted);
        atomic_store(&k.done, 1);
        assert_int_equal(pthread_join(keeper, NULL), 0);
        expect_ok(thrum_stop(runtime));
        assert_int_equal(atomic_load(&posted), THREADS * (scaled(300) + 4));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_waits_for_all_and_returns_all_errors),
        cmocka_unit_test(run_inside_a_task_is_a_call_in_a_scope),
        cmocka_unit_test(threads_share_the_default_runtime),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(options_are_taken),
        cmocka_unit_test(the_environment_says_what_the_options_do_not),
        cmocka_unit_test(call_returns_the_error_of_its_function),
        cmocka_unit_test(stop_waits_for_what_was_posted),
        cmocka_unit_test(stop_returns_the_errors_of_what_was_posted),
        cmocka_unit_test(threads_use_runtimes_at_once),
        cmocka_unit_test(a_task_that_posts_goes_on_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
