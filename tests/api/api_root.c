/* Is nothing lost that nobody waits for: background tasks and their errors, what
 * hangs, a scope that a return left open? How: hooks that keep what they are
 * told, and child processes for what cannot be undone. */
#include "lib/api.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

THRUM_KIND(Real, THRUM_ERROR);
THRUM_KIND(Late, THRUM_ERROR);

/* ThreadSanitizer lets a process that is to end wait a second for its threads. */
const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
    return "atexit_sleep_ms=0";
}

/* --- the hook ------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    unsigned times, real, late, canceled;
    char last[2048];
} heard; /* lock */

static void hear(const thrum_err *e, void *user)
{
    CHECK(user == &heard);
    pthread_mutex_lock(&lock);
    heard.times++;
    heard.real += thrum_err_has(e, &Real);
    heard.late += thrum_err_has(e, &Late);
    heard.canceled += thrum_err_has(e, &THRUM_CANCELED);
    (void)thrum_err_format(e, heard.last, sizeof heard.last);
    pthread_mutex_unlock(&lock);
}

static _Atomic unsigned began, ended;

/* A runtime of 1, 2 and 4 workers each, that fn is the main function of. */
static thrum_err *run_with_hook(thrum_fn *fn)
{
    thrum_opts opts = {.workers = workers, .on_error = hear, .user = &heard};

    memset(&heard, 0, sizeof heard);
    atomic_store(&began, 0);
    atomic_store(&ended, 0);
    return thrum_run(&opts, fn, NULL);
}

#define FOR_WORKERS for (workers = 1; workers <= 4; workers *= 2)

/* --- background tasks ----------------------------------------------------- */

static thrum_err *end_when_told(void *go)
{
    await_count(go, 1);
    atomic_fetch_add(&ended, 1);
    return NULL;
}

static _Atomic unsigned go;

static thrum_err *spawn_into_root(void *unused)
{
    CHECK(thrum_spawn(thrum_root(), end_when_told, &go, 0) == 0);
    return unused;
}

static thrum_err *outlive(void *arg)
{
    thrum_task t;
    thrum_scope s;

    (void)arg;
    atomic_store(&go, 0);
    thrum_scope_open(&s, .name = "request", .timeout = HOUR);
    CHECK(thrum_spawn(&s, spawn_into_root, NULL, 0) == 0);
    thrum_fork(&t, spawn_into_root, NULL);
    expect_ok(thrum_join(&t));
    thrum_scope_cancel(&s, NULL); /* none of their business */
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&ended) == 0);
    atomic_store(&go, 1);
    await_count(&ended, 2);
    return NULL;
}

static void a_background_task_outlives_who_spawned_it(void **state)
{
    (void)state;
    FOR_WORKERS
    {
        expect_ok(run_with_hook(outlive));
        assert_int_equal(heard.times, 0);
    }
}

static thrum_err *fail_real(void *unused)
{
    (void)unused;
    atomic_fetch_add(&began, 1);
    return thrum_fail(&Real, "in the background");
}

static thrum_err *fail_with_child(void *unused)
{
    CHECK(thrum_spawn(NULL, fail_real, NULL, 0) == 0);
    await_cancel();
    (void)unused;
    return thrum_fail(&Late, "beside its child");
}

static thrum_err *cancel_itself(void *unused)
{
    (void)unused;
    thrum_scope_cancel(NULL, "of its own");
    return wait_for_cancel(&began);
}

static thrum_err *fail_in_background(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        CHECK(thrum_spawn(thrum_root(), fail_real, NULL, 0) == 0);
    CHECK(thrum_spawn(thrum_root(), fail_with_child, NULL, 0) == 0);
    CHECK(thrum_spawn(thrum_root(), cancel_itself, NULL, 0) == 0);
    await_count(&began, 7);
    for (bool all = false; !all;) {
        pthread_mutex_lock(&lock);
        all = heard.times == 7;
        pthread_mutex_unlock(&lock);
        thrum_yield();
    }
    return NULL;
}

static void its_error_is_reported_when_it_ends(void **state)
{
    (void)state;
    FOR_WORKERS
    {
        expect_ok(run_with_hook(fail_in_background));
        assert_int_equal(heard.times, 7);
        assert_int_equal(heard.real, 6); /* nobody's failure canceled another */
        assert_int_equal(heard.late, 1);
        assert_int_equal(heard.canceled, 1);
    }
}

static thrum_err *clean_up(void *unused)
{
    CHECK(thrum_sleep(1) == 0);
    atomic_fetch_add(&ended, 1);
    return unused;
}

static thrum_err *serve(void *unused)
{
    (void)unused;
    thrum_defer(NULL, clean_up, NULL);
    return wait_for_cancel(&began);
}

static thrum_err *serve_deep(void *unused)
{
    thrum_task t;
    thrum_err *e;

    thrum_fork(&t, serve, NULL);
    e = serve(unused);
    return thrum_err_add(e, thrum_join(&t));
}

static thrum_err *fail_late(void *unused)
{
    thrum_err_drop(wait_for_cancel(&began));
    (void)unused;
    return thrum_fail(&Late, "while it stopped");
}

static thrum_err *succeed_late(void *unused)
{
    await_cancel();
    /* Who stops may still spawn: it begins, and meets the cancel. */
    CHECK(thrum_spawn(thrum_root(), serve, NULL, 0) == 0);
    for (int i = 0; i < 5; i++)
        thrum_yield();
    atomic_fetch_add(&ended, 1);
    return unused;
}

static thrum_err *leave_servers(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        CHECK(thrum_spawn(thrum_root(), serve, NULL, 0) == 0);
    CHECK(thrum_spawn(thrum_root(), serve_deep, NULL, 0) == 0);
    CHECK(thrum_spawn(thrum_root(), succeed_late, NULL, 0) == 0);
    await_count(&began, 5); /* others have not begun, or just now */
    return NULL;
}

static thrum_err *leave_a_failure(void *arg)
{
    CHECK(thrum_spawn(thrum_root(), fail_late, NULL, 0) == 0);
    return leave_servers(arg);
}

static void
when_the_runtime_stops_they_are_canceled_and_waited_for(void **state)
{
    (void)state;
    FOR_WORKERS
    {
        expect_ok(run_with_hook(leave_servers));
        assert_int_equal(heard.times, 0); /* that was to be */
        assert_true(atomic_load(&ended) >= 10 + 1 + 1 + 1);
        expect_ok(run_with_hook(leave_a_failure));
        assert_int_equal(heard.times, 1); /* that was not */
        assert_int_equal(heard.late, 1);
    }
}

static thrum_err *cancel_root(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        CHECK(thrum_spawn(thrum_root(), serve, NULL, 0) == 0);
    thrum_scope_cancel(thrum_root(), "enough of it");
    await_count(&ended, 10);
    CHECK(!thrum_canceled() && thrum_sleep(1) == 0);
    return NULL;
}

static void the_root_can_be_canceled_before(void **state)
{
    (void)state;
    assert_null(thrum_root());
    FOR_WORKERS
    {
        expect_ok(run_with_hook(cancel_root));
        assert_int_equal(heard.times, 0);
    }
}

/* --- what never ends ------------------------------------------------------ */

static thrum_err *yield_for_ever(void *unused)
{
    atomic_fetch_add(&began, 1);
    for (;;)
        thrum_yield();
    return unused;
}

static thrum_err *ignore_the_cancel(void *unused)
{
    atomic_fetch_add(&began, 1);
    for (;;)
        (void)!thrum_sleep(HOUR);
    return unused;
}

static thrum_err *hide_behind_a_shield(void *unused)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "shield", .shield = true);
    atomic_fetch_add(&began, 1);
    for (;;)
        CHECK(thrum_sleep(HOUR) == 0);
    return unused;
}

static thrum_err *keep_the_worker(void *unused)
{
    atomic_fetch_add(&began, 1);
    for (;;)
        (void)thread_id();
    return unused;
}

static thrum_err *leave_one_that_ignores(void *unused)
{
    CHECK(thrum_spawn(thrum_root(), ignore_the_cancel, NULL, 0) == 0);
    await_count(&began, 1);
    return unused;
}

static thrum_err *leave_one_that_yields(void *unused)
{
    CHECK(thrum_spawn(thrum_root(), yield_for_ever, NULL, 0) == 0);
    await_count(&began, 1);
    return unused;
}

static thrum_err *leave_one_that_hides(void *unused)
{
    CHECK(thrum_spawn(thrum_root(), hide_behind_a_shield, NULL, 0) == 0);
    await_count(&began, 1);
    return unused;
}

static thrum_err *leave_one_that_keeps_its_worker(void *unused)
{
    CHECK(thrum_spawn(thrum_root(), keep_the_worker, NULL, 0) == 0);
    await_count(&began, 1);
    return unused;
}

static void expect_named(thrum_err *e, const char *name)
{
    char text[4096];

    (void)thrum_err_format(e, text, sizeof text);
    if (!thrum_err_is(e, &THRUM_TIMEOUT) ||
        (name != NULL && strstr(text, name) == NULL))
        fprintf(stderr, "expected %s in: %s\n", name, text);
    CHECK(thrum_err_is(e, &THRUM_TIMEOUT));
    CHECK(name == NULL || strstr(text, name) != NULL);
    thrum_err_drop(e);
}

static void run_with_grace(thrum_fn *fn, const char *name)
{
    thrum_opts opts = {.workers = workers, .grace = THRUM_MS(20)};

    expect_named(thrum_run(&opts, fn, NULL), name);
}

static void leave_ignoring(void)
{
    run_with_grace(leave_one_that_ignores, "ignore_the_cancel");
}

/* Ready, most of the time, which no list is kept of. */
static void leave_yielding(void)
{
    run_with_grace(leave_one_that_yields, NULL);
}

static void leave_hiding(void)
{
    run_with_grace(leave_one_that_hides, "hide_behind_a_shield");
}

static void leave_keeping(void)
{
    run_with_grace(leave_one_that_keeps_its_worker, "keep_the_worker");
}

static void stop_hiding(void)
{
    thrum_opts opts = {.workers = workers, .grace = THRUM_MS(20)};
    thrum_rt *rt;

    CHECK(thrum_start(&rt, &opts) == 0);
    expect_ok(thrum_call(rt, leave_one_that_hides, NULL));
    expect_named(thrum_stop(rt), "hide_behind_a_shield");
}

static void what_does_not_end_is_named_and_left_behind(void **state)
{
    (void)state;
    FOR_WORKERS
    {
        assert_lives(leave_ignoring);
        assert_lives(leave_yielding);
        assert_lives(leave_hiding);
        assert_lives(stop_hiding);
        if (workers > 1)
            assert_lives(leave_keeping);
    }
}

/* --- without a hook ------------------------------------------------------- */

static thrum_err *leave_failure(void *unused)
{
    CHECK(thrum_spawn(thrum_root(), fail_real, NULL, 0) == 0);
    await_count(&began, 1);
    return unused;
}

static void fail_unhandled(void)
{
    expect_ok(thrum_run(&(thrum_opts){.workers = 2}, leave_failure, NULL));
}

static void fail_fatally(void)
{
    setenv("THRUM_FATAL_UNHANDLED", "1", 1);
    fail_unhandled();
}

static void fail_fatally_with_hook(void)
{
    setenv("THRUM_FATAL_UNHANDLED", "1", 1);
    workers = 2;
    (void)run_with_hook(leave_failure);
}

static void fail_all_the_same(void)
{
    setenv("THRUM_FATAL_UNHANDLED", "0", 1);
    fail_unhandled();
}

static void an_error_that_nobody_handles_can_be_made_fatal(void **state)
{
    struct end end;

    (void)state;
    end = end_of(fail_unhandled);
    assert_int_equal(end.status, 0);
    assert_non_null(strstr(end.said, "Real: in the background"));
    assert_int_equal(end_of(fail_all_the_same).status, 0);
    end = end_of(fail_fatally);
    assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT);
    assert_non_null(strstr(end.said, "Real: in the background"));
    assert_non_null(strstr(end.said, "THRUM_FATAL_UNHANDLED"));
    end = end_of(fail_fatally_with_hook);
    assert_true(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT);
    assert_non_null(strstr(end.said, "Real: in the background"));
}

/* --- a scope left open ---------------------------------------------------- */

static int leave_early(int i)
{
    THRUM_AUTO thrum_scope s;
    THRUM_AUTO thrum_scope inner;

    if (i == 0)
        return 10;
    thrum_scope_open(&s, .name = "careless");
    CHECK(thrum_spawn(&s, serve, NULL, 0) == 0);
    if (i == 1)
        return 11;
    CHECK(thrum_spawn(&s, fail_real, NULL, 0) == 0);
    thrum_scope_open(&inner, .name = "inner");
    CHECK(thrum_spawn(&inner, serve, NULL, 0) == 0);
    if (i == 2)
        return 12;
    thrum_scope_cancel(&s, NULL);
    expect_kind(thrum_scope_close(&inner, NULL), &THRUM_CANCELED);
    expect_kind(thrum_scope_close(&s, NULL), &Real);
    return 13;
}

static thrum_err *auto_story(void *arg)
{
    (void)arg;
    CHECK(leave_early(0) == 10 && heard.times == 0);
    CHECK(leave_early(1) == 11 && heard.times == 1);
    CHECK(atomic_load(&ended) == 1 && !thrum_canceled());
    CHECK(strstr(heard.last, "careless") != NULL);
    CHECK(strstr(heard.last, "api_root.c") != NULL && heard.real == 0);
    CHECK(leave_early(2) == 12 && heard.times == 3 && heard.real == 1);
    CHECK(atomic_load(&ended) == 3 && !thrum_canceled());
    return NULL;
}

static thrum_err *no_auto_story(void *arg)
{
    (void)arg;
    CHECK(leave_early(3) == 13 && heard.times == 0);
    return NULL;
}

static void a_scope_that_a_return_leaves_open_is_closed_and_told(void **state)
{
    (void)state;
    FOR_WORKERS
    {
        expect_ok(run_with_hook(auto_story));
        expect_ok(run_with_hook(no_auto_story));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_background_task_outlives_who_spawned_it),
        cmocka_unit_test(its_error_is_reported_when_it_ends),
        cmocka_unit_test(
            when_the_runtime_stops_they_are_canceled_and_waited_for),
        cmocka_unit_test(the_root_can_be_canceled_before),
        cmocka_unit_test(what_does_not_end_is_named_and_left_behind),
        cmocka_unit_test(an_error_that_nobody_handles_can_be_made_fatal),
        cmocka_unit_test(a_scope_that_a_return_leaves_open_is_closed_and_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
