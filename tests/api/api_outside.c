/* Do the scopes of threads that are no workers hold what is said of scopes, whether
 * a runtime runs or not? How: a runtime starts and ends while they are open;
 * deadlines that are moved while their thread waits. */
#include "lib/api.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define SOON THRUM_MS(1)
#define HOUR THRUM_SEC(3600)

static thrum_rt *runtime;

static void expect_timeout(thrum_err *e, const char *name)
{
    CHECK(thrum_err_is(e, &THRUM_TIMEOUT));
    CHECK(strstr(thrum_err_msg(e), name) != NULL);
    thrum_err_drop(e);
}

static thrum_err *wait_an_hour(void *arg)
{
    (void)arg;
    return thrum_rc(thrum_sleep(HOUR));
}

static thrum_err *wait_in_a_child(void *arg)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "child");
    CHECK(thrum_spawn(&s, wait_an_hour, arg, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

/* --- around a runtime ----------------------------------------------------- */

static void a_deadline_around_a_run_ends_its_tasks(void **state)
{
    thrum_scope outer, s;

    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        thrum_opts opts = {.workers = workers};

        thrum_scope_open(&s, .name = "run", .timeout = SOON);
        expect_timeout(
            thrum_scope_close(&s, thrum_run(&opts, wait_in_a_child, NULL)),
            "run");
        thrum_scope_open(&outer, .name = "outer", .timeout = SOON);
        thrum_scope_open(&s, .name = "inner");
        expect_kind(
            thrum_scope_close(&s, thrum_run(&opts, wait_in_a_child, NULL)),
            &THRUM_CANCELED);
        expect_timeout(thrum_scope_close(&outer, thrum_rc(-ECANCELED)),
                       "outer");
    }
}

static void a_deadline_around_a_call_ends_it(void **state)
{
    thrum_scope s;

    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        assert_int_equal(
            thrum_start(&runtime, &(thrum_opts){.workers = workers}), 0);
        thrum_scope_open(&s, .name = "call", .timeout = SOON);
        expect_timeout(
            thrum_scope_close(&s, thrum_call(runtime, wait_in_a_child, NULL)),
            "call");
        expect_ok(thrum_stop(runtime));
    }
}

/* --- beside one that ends ------------------------------------------------- */

struct keeper {
    pthread_t thread;
    thrum_event up, over;
};

static thrum_err *keep(void *arg)
{
    struct keeper *k = arg;

    thrum_event_set(&k->up);
    return thrum_rc(thrum_event_wait(&k->over));
}

static void *run_keeper(void *arg)
{
    expect_ok(thrum_run(&(thrum_opts){.workers = workers}, keep, arg));
    return NULL;
}

static void keeper_begin(struct keeper *k)
{
    *k = (struct keeper){0};
    assert_int_equal(pthread_create(&k->thread, NULL, run_keeper, k), 0);
    assert_int_equal(thrum_event_wait(&k->up), 0);
}

static void keeper_end(struct keeper *k)
{
    thrum_event_set(&k->over);
    assert_int_equal(pthread_join(k->thread, NULL), 0);
}

static void
a_scope_in_which_nothing_was_spawned_outlives_the_runtime(void **state)
{
    struct keeper k;
    thrum_scope outer, s;
    thrum_sem none = {0};

    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        keeper_begin(&k);
        thrum_scope_open(&outer, .name = "outer", .timeout = HOUR);
        thrum_scope_open(&s, .name = "inner", .deadline = thrum_now() + SOON);
        keeper_end(&k);
        CHECK(thrum_sem_acquire(&none) == -ECANCELED);
        CHECK(thrum_spawn(&s, wait_an_hour, NULL, 0) == -ENOTRECOVERABLE);
        CHECK(thrum_spawn_blocking(&s, wait_an_hour, NULL, 0) ==
              -ENOTRECOVERABLE);
        expect_timeout(thrum_scope_close(&s, thrum_rc(-ECANCELED)), "inner");
        CHECK(thrum_sleep(SOON) == 0 && !thrum_canceled());
        expect_ok(thrum_scope_close(&outer, NULL));
    }
}

static thrum_scope early;

static void spawn_into_early(void)
{
    CHECK(thrum_spawn(&early, wait_an_hour, NULL, 0) == 0);
}

static void spawn_blocking_into_early(void)
{
    CHECK(thrum_spawn_blocking(&early, wait_an_hour, NULL, 0) == 0);
}

static void with_runtime_too_late(void (*act)(void))
{
    struct keeper k;

    thrum_scope_open(&early, .name = "early");
    keeper_begin(&k);
    act();
}

static void spawn_too_early(void)
{
    with_runtime_too_late(spawn_into_early);
}

static void spawn_blocking_too_early(void)
{
    with_runtime_too_late(spawn_blocking_into_early);
}

/* In a scope of its own it may. */
static void spawn_deeper(void)
{
    static thrum_scope inner;

    thrum_scope_open(&inner, .name = "inner");
    CHECK(thrum_spawn(&inner, wait_in_a_child, NULL, 0) == 0);
    thrum_scope_cancel(&inner, NULL);
    thrum_err_drop(thrum_scope_close(&inner, NULL));
    _exit(0);
}

static void spawn_in_time(void)
{
    with_runtime_too_late(spawn_deeper);
}

static void a_scope_is_of_the_runtime_that_ran_when_it_was_opened(void **state)
{
    static const char late[] = "no runtime ran when the scope was opened";

    (void)state;
    workers = 2;
    assert_stops(spawn_too_early, "thrum: thrum_spawn:", late);
    assert_stops(spawn_blocking_too_early,
                 "thrum: thrum_spawn_blocking:", late);
    assert_lives(spawn_in_time);
}

/* --- one that has spawned ------------------------------------------------- */

/* Who closes it waits for the children, not for the clock. */
static void what_was_spawned_hears_of_deadlines_around_it(void **state)
{
    struct keeper k;
    thrum_scope outer, s;

    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        keeper_begin(&k);
        thrum_scope_open(&outer, .name = "outer", .timeout = SOON);
        thrum_scope_open(&s, .name = "inner", .timeout = HOUR);
        CHECK(thrum_spawn(&s, wait_an_hour, NULL, 0) == 0);
        expect_kind(thrum_scope_close(&s, NULL), &THRUM_CANCELED);
        expect_timeout(thrum_scope_close(&outer, thrum_rc(-ECANCELED)),
                       "outer");

        thrum_scope_open(&s, .name = "over", .timeout = -1);
        CHECK(thrum_spawn(&s, wait_an_hour, NULL, 0) == 0);
        expect_timeout(thrum_scope_close(&s, NULL), "over");
        keeper_end(&k);
    }
}

/* --- moved while its thread waits ----------------------------------------- */

struct lease {
    pthread_t thread;
    thrum_scope scope;
    thrum_event open, freed;
    thrum_time at;
    int rc;
};

static void *hold(void *arg)
{
    struct lease *l = arg;

    thrum_scope_open(&l->scope, .name = "lease", .deadline = l->at);
    thrum_event_set(&l->open);
    l->rc = thrum_event_wait(&l->freed);
    thrum_err_drop(thrum_scope_close(&l->scope, thrum_rc(l->rc)));
    return NULL;
}

static void lease_begin(struct lease *l, thrum_time at)
{
    *l = (struct lease){.at = at};
    assert_int_equal(pthread_create(&l->thread, NULL, hold, l), 0);
    assert_int_equal(thrum_event_wait(&l->open), 0);
}

static void a_deadline_that_another_moves_ends_the_wait(void **state)
{
    struct keeper k;
    struct lease l;

    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        keeper_begin(&k);
        lease_begin(&l, thrum_now() + HOUR);
        thrum_scope_set_deadline(&l.scope, thrum_now() + SOON);
        assert_int_equal(pthread_join(l.thread, NULL), 0);
        assert_int_equal(l.rc, -ECANCELED);

        lease_begin(&l, thrum_now() + THRUM_SEC(100));
        thrum_scope_set_deadline(&l.scope, INT64_MAX);
        thrum_event_set(&l.freed);
        assert_int_equal(pthread_join(l.thread, NULL), 0);
        assert_int_equal(l.rc, 0);
        keeper_end(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_around_a_run_ends_its_tasks),
        cmocka_unit_test(a_deadline_around_a_call_ends_it),
        cmocka_unit_test(
            a_scope_in_which_nothing_was_spawned_outlives_the_runtime),
        cmocka_unit_test(a_scope_is_of_the_runtime_that_ran_when_it_was_opened),
        cmocka_unit_test(what_was_spawned_hears_of_deadlines_around_it),
        cmocka_unit_test(a_deadline_that_another_moves_ends_the_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
