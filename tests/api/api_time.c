/* Is a sleep never short, does a yield let others go first, and do other tasks
 * run meanwhile? How: sleeps of some milliseconds, of which only the lower bound
 * is asked for; turns counted. */
#include "lib/api.h"

#include <time.h>

static int64_t monotonic(void)
{
    struct timespec t;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void now_is_the_monotonic_clock(void **state)
{
    int64_t before = monotonic();
    thrum_time now = thrum_now();
    int64_t after = monotonic();

    (void)state;
    assert_true(before <= now && now <= after);
}

static thrum_err *sleep_at_least(void *arg)
{
    static const thrum_time durations[] = {
        1, 1000, THRUM_US(50), THRUM_MS(1), THRUM_US(2345), THRUM_MS(3)};

    (void)arg;
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        thrum_time start = thrum_now();

        CHECK(thrum_sleep(durations[i]) == 0);
        CHECK(thrum_now() - start >= durations[i]);
    }
    return NULL;
}

static void a_sleep_is_never_short(void **state)
{
    (void)state;
    on_runtimes(sleep_at_least, NULL);
    expect_ok(sleep_at_least(NULL)); /* a thread that is no worker */
}

static thrum_err *add(void *arg)
{
    atomic_fetch_add(*(_Atomic unsigned **)arg, 1);
    return NULL;
}

static thrum_err *no_sleep(void *arg)
{
    _Atomic unsigned n = 0, *at = &n;
    thrum_scope s;

    (void)arg;
    CHECK(thrum_sleep(0) == 0);
    CHECK(thrum_sleep(-1) == 0);
    CHECK(thrum_sleep(INT64_MIN) == 0);
    thrum_scope_open(&s, .name = "s");
    CHECK(thrum_spawn(&s, add, &at, sizeof at) == 0);
    CHECK(thrum_sleep(0) == 0 && thrum_sleep(-5) == 0);
    CHECK(workers > 1 || atomic_load(&n) == 0); /* it did not suspend */
    return thrum_scope_close(&s, NULL);
}

static void no_time_is_no_wait(void **state)
{
    (void)state;
    on_runtimes(no_sleep, NULL);
}

/* As long as there are numbers for. */
static thrum_err *sleep_for_ages(void *before)
{
    return thrum_rc(thrum_sleep(INT64_MAX - *(thrum_time *)before));
}

static thrum_err *ages(void *arg)
{
    (void)arg;
    for (thrum_time before = 0; before < 3; before++)
        expect_kind(thrum_with(sleep_for_ages, &before, .timeout = 1),
                    &THRUM_TIMEOUT);
    return NULL;
}

static void a_sleep_may_be_for_ages(void **state)
{
    (void)state;
    on_runtimes(ages, NULL);
}

/* Sleepers with deadlines in any order all wake, each once. */
enum { SLEEPERS = 6 };

#define STEP THRUM_MS(2)

struct sleeper {
    unsigned rank;
    _Atomic unsigned *woken;
    unsigned *order;
};

static thrum_err *sleep_by_rank(void *arg)
{
    struct sleeper *s = arg;

    CHECK(thrum_sleep((s->rank + 1) * STEP) == 0);
    s->order[atomic_fetch_add(s->woken, 1)] = s->rank;
    return NULL;
}

static thrum_err *sleep_out_of_order(void *arg)
{
    static const unsigned ranks[SLEEPERS] = {3, 0, 5, 2, 1, 4};
    _Atomic unsigned woken = 0;
    unsigned order[SLEEPERS];
    unsigned seen = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "sleepers");
    for (unsigned i = 0; i < SLEEPERS; i++) {
        struct sleeper sleeper = {ranks[i], &woken, order};

        CHECK(thrum_spawn(&s, sleep_by_rank, &sleeper, sizeof sleeper) == 0);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&woken) == SLEEPERS);
    for (unsigned i = 0; i < SLEEPERS; i++)
        seen |= 1u << order[i];
    CHECK(seen == (1u << SLEEPERS) - 1);
    return NULL;
}

static void sleepers_all_wake_whatever_their_order(void **state)
{
    (void)state;
    on_runtimes(sleep_out_of_order, NULL);
}

static thrum_err *sleep_some(void *arg)
{
    unsigned *seed = arg;

    for (size_t i = 0; i < scaled(200) + 4; i++) {
        thrum_time length = THRUM_US(
            (*seed = *seed * 1103515245 + 12345) >> 16 & 127);
        thrum_time start = thrum_now();

        CHECK(thrum_sleep(length) == 0);
        CHECK(thrum_now() - start >= length);
    }
    return NULL;
}

static thrum_err *many_sleep(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "sleepers");
    for (unsigned i = 0; i < 64; i++)
        CHECK(thrum_spawn(&s, sleep_some, &i, sizeof i) == 0);
    return thrum_scope_close(&s, NULL);
}

static void many_sleep_at_once_and_none_oversleeps_for_ever(void **state)
{
    (void)state;
    on_runtimes(many_sleep, NULL);
}

/* A task that never waits must not keep a due timer from firing, if another
 * worker is there to do it; on one worker its yields do. */
static thrum_err *wake_flag(void *arg)
{
    CHECK(thrum_sleep(THRUM_US(100)) == 0);
    return add(arg);
}

static thrum_err *sleeper_beside_a_busy_task(void *arg)
{
    _Atomic unsigned n = 0, *at = &n;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "s");
    CHECK(thrum_spawn(&s, wake_flag, &at, sizeof at) == 0);
    if (workers == 1)
        await_count(&n, 1);
    else
        block_count(&n, 1);
    CHECK(thrum_spawn(&s, wake_flag, &at, sizeof at) == 0);
    await_count(&n, 2);
    return thrum_scope_close(&s, NULL);
}

static void a_sleeper_wakes_beside_a_busy_task(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        on_threads(sleeper_beside_a_busy_task, NULL);
}

/* --- yield ---------------------------------------------------------------- */

struct turns {
    _Atomic unsigned total;
    unsigned tasks;
};

/* On one worker all go round: nobody is more than a few turns ahead. */
static thrum_err *take_turns(void *arg)
{
    struct turns *t = *(struct turns **)arg;

    for (unsigned mine = 0; mine < 50; mine++) {
        unsigned total = atomic_fetch_add(&t->total, 1);

        CHECK(workers > 1 || total <= (mine + 3) * t->tasks);
        thrum_yield();
    }
    return NULL;
}

static thrum_err *yield_in_turns(void *arg)
{
    struct turns t = {.tasks = 20}, *at = &t;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "turns");
    for (unsigned i = 0; i < t.tasks; i++)
        CHECK(thrum_spawn(&s, take_turns, &at, sizeof at) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&t.total) == 50 * t.tasks);
    return NULL;
}

static void tasks_that_yield_take_turns(void **state)
{
    (void)state;
    on_runtimes(yield_in_turns, NULL);
}

static thrum_err *yield_to_one(void *arg)
{
    _Atomic unsigned n = 0, *at = &n;
    thrum_scope s;

    (void)arg;
    for (int i = 0; i < 100; i++)
        thrum_yield(); /* alone */
    thrum_scope_open(&s, .name = "s");
    CHECK(thrum_spawn(&s, add, &at, sizeof at) == 0);
    thrum_yield();
    CHECK(workers > 1 || atomic_load(&n) == 1);
    return thrum_scope_close(&s, NULL);
}

static void a_yield_lets_what_is_ready_go_first(void **state)
{
    (void)state;
    on_runtimes(yield_to_one, NULL);
    thrum_yield(); /* a thread that is no worker: nothing */
}

/* What comes from outside is not kept out by tasks that yield. */
static thrum_err *yield_for_ever(void *arg)
{
    await_count(arg, 1);
    return NULL;
}

static thrum_err *raise_flag(void *arg)
{
    atomic_store((_Atomic unsigned *)arg, 1);
    return NULL;
}

static void tasks_that_yield_let_in_what_comes_from_outside(void **state)
{
    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        _Atomic unsigned flag = 0;
        thrum_rt *rt;

        assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = workers}),
                         0);
        for (int i = 0; i < 10; i++)
            assert_int_equal(thrum_post(rt, yield_for_ever, &flag, 0), 0);
        expect_ok(thrum_call(rt, raise_flag, &flag));
        expect_ok(thrum_stop(rt));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(now_is_the_monotonic_clock),
        cmocka_unit_test(a_sleep_is_never_short),
        cmocka_unit_test(no_time_is_no_wait),
        cmocka_unit_test(a_sleep_may_be_for_ages),
        cmocka_unit_test(sleepers_all_wake_whatever_their_order),
        cmocka_unit_test(many_sleep_at_once_and_none_oversleeps_for_ever),
        cmocka_unit_test(a_sleeper_wakes_beside_a_busy_task),
        cmocka_unit_test(tasks_that_yield_take_turns),
        cmocka_unit_test(a_yield_lets_what_is_ready_go_first),
        cmocka_unit_test(tasks_that_yield_let_in_what_comes_from_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
