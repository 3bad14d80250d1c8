/* Does the simulation do what its manual says: exact times, every order, the
 * same one again from its seed, and no bug of few steps that it does not find? */
#include "lib/api.h"
#include "lib/planted.h"

#include <pthread.h>

enum { ROUNDS = 400, DAY_S = 24 * 3600 };

static thrum_sim_opts rounds(unsigned n)
{
    return (thrum_sim_opts){.rounds = n, .twice = true};
}

static unsigned ran; /* rounds, by bodies that count them */

/* It fails within n rounds, by either strategy, with that kind. */
static void is_found(thrum_fn *fn, unsigned n, const thrum_kind *kind)
{
    for (int explore = THRUM_EXPLORE; explore <= THRUM_EXPLORE_RANKS;
         explore++) {
        thrum_sim_opts o = {
            .rounds = n, .explore = (thrum_explore)explore, .quiet = true};
        thrum_err *e = thrum_sim(&o, fn, NULL);

        if (e == NULL)
            print_error("not found by strategy %d in %u rounds\n", explore, n);
        assert_non_null(e);
        assert_true(thrum_err_is(e, kind));
        assert_non_null(strstr(thrum_err_msg(e), "THRUM_SEED=0x"));
        thrum_err_drop(e);
    }
}

/* --- time ----------------------------------------------------------------- */

static thrum_err *nap(void *ms)
{
    return thrum_rc(thrum_sleep(THRUM_MS(*(int *)ms)));
}

static thrum_err *never(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(INT64_MAX));
}

static thrum_err *in_time(void *unused)
{
    thrum_time start = thrum_now();
    thrum_err *e = thrum_with(never, NULL, .timeout = THRUM_MS(10));

    (void)unused;
    THRUM_CHECK(thrum_err_is(e, &THRUM_TIMEOUT));
    THRUM_CHECK(thrum_now() - start == THRUM_MS(10));
    thrum_err_drop(e);
    return NULL;
}

static void a_timeout_takes_exactly_as_long(void **state)
{
    thrum_sim_opts o = rounds(1000);

    (void)state;
    expect_ok(thrum_sim(&o, in_time, NULL));
}

static thrum_err *at_once(void *unused)
{
    thrum_time start = thrum_now();
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s, .name = "sleepers");
    for (int i = 1; i <= 10; i++)
        THRUM_TRY(thrum_spawn(&s, nap, &i, sizeof i));
    THRUM_TRY(thrum_scope_close(&s, NULL));
    THRUM_CHECK(thrum_now() - start == THRUM_MS(10));
    for (int day = 0; day < 1000; day++)
        THRUM_TRY(thrum_sleep(THRUM_SEC(DAY_S)));
    THRUM_CHECK(thrum_now() - start == THRUM_MS(10) + 1000 * THRUM_SEC(DAY_S));
    return NULL;
}

static void days_take_no_time(void **state)
{
    thrum_time start = thrum_now();
    thrum_sim_opts o = rounds(10);

    (void)state;
    expect_ok(thrum_sim(&o, at_once, NULL));
    assert_true(thrum_now() > start); /* it is the real one again */
    assert_true(thrum_now() - start < THRUM_SEC(DAY_S));
}

static unsigned timed_out, finished;

static thrum_err *crunch(size_t lo, size_t hi, void *unused)
{
    (void)unused;
    for (size_t i = lo; i < hi; i++)
        THRUM_TRY(thrum_checkpoint());
    return NULL;
}

static thrum_err *crunch_all(void *unused)
{
    thrum_scope s;
    thrum_err *e;

    (void)unused;
    thrum_scope_open(&s, .timeout = THRUM_MS(20));
    e = thrum_scope_close(&s, thrum_for(0, 1000, 64, crunch, NULL));
    if (e == NULL)
        finished++;
    else if (thrum_err_is(e, &THRUM_TIMEOUT))
        timed_out++;
    else
        return e;
    thrum_err_drop(e);
    return NULL;
}

static void a_deadline_meets_some_computations(void **state)
{
    thrum_sim_opts o = {.rounds = 100};

    (void)state;
    timed_out = finished = 0;
    expect_ok(thrum_sim(&o, crunch_all, NULL));
    assert_true(timed_out >= 10);
    assert_true(finished >= 10);
}

static _Atomic bool woken;

static thrum_err *wake_later(void *unused)
{
    (void)unused;
    THRUM_TRY(thrum_sleep(THRUM_SEC(DAY_S)));
    woken = true;
    return NULL;
}

static thrum_err *ask_until(void *how)
{
    thrum_scope s;

    woken = false;
    thrum_scope_open(&s, .name = "asks");
    THRUM_TRY(thrum_spawn(&s, wake_later, NULL, 0));
    while (!woken) {
        if (how == NULL)
            thrum_yield();
        else
            THRUM_CHECK(!thrum_canceled());
    }
    return thrum_scope_close(&s, NULL);
}

static void who_only_asks_does_not_keep_others_from_running(void **state)
{
    thrum_sim_opts o = rounds(100);

    (void)state;
    expect_ok(thrum_sim(&o, ask_until, NULL));
    expect_ok(thrum_sim(&o, ask_until, &o));
}

static thrum_err *look_at_the_clock(void *unused)
{
    thrum_time until = thrum_now() + THRUM_US(200);

    (void)unused;
    while (thrum_now() < until)
        ;
    return NULL;
}

static void who_only_looks_at_the_clock_sees_it_go(void **state)
{
    thrum_sim_opts o = rounds(50);

    (void)state;
    expect_ok(thrum_sim(&o, look_at_the_clock, NULL));
}

/* --- orders --------------------------------------------------------------- */

static unsigned orders[ROUNDS];

static thrum_err *note_order(void *unused)
{
    thrum_err *e = some_order(unused);

    orders[ran++ % ROUNDS] = planted_order;
    return e;
}

static unsigned distinct(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < ran; i++) {
        unsigned j = 0;

        while (orders[j] != orders[i])
            j++;
        n += i == j;
    }
    return n;
}

static void each_round_may_take_another_order(void **state)
{
    unsigned before[ROUNDS];

    (void)state;
    for (int explore = THRUM_EXPLORE; explore <= THRUM_EXPLORE_RANKS;
         explore++) {
        thrum_sim_opts o = {.rounds = ROUNDS,
                            .explore = (thrum_explore)explore};

        ran = 0;
        expect_ok(thrum_sim(&o, note_order, NULL));
        assert_int_equal(ran, ROUNDS);
        assert_true(distinct() > 60); /* of 120 */
        memcpy(before, orders, sizeof before);
        ran = 0;
        expect_ok(thrum_sim(&o, note_order, NULL));
        assert_memory_equal(before, orders, sizeof before);
        o.seed = 4711;
        ran = 0;
        expect_ok(thrum_sim(&o, note_order, NULL));
        assert_memory_not_equal(before, orders, sizeof before);
    }
}

struct turn {
    _Atomic unsigned *order; /* how many have run, then who did */
    unsigned i;
};

static thrum_err *note_turn(void *arg)
{
    struct turn *t = arg;

    t->order[atomic_fetch_add(t->order, 1) + 1] = t->i;
    return NULL;
}

/* An order of its own for each thread: arg. */
static thrum_err *own_order(void *arg)
{
    _Atomic unsigned(*at)[TASKS + 1] = arg;
    thrum_scope s;

    atomic_store(*at, 0);
    thrum_scope_open(&s, .name = "writers");
    for (unsigned i = 1; i <= TASKS; i++) {
        struct turn turn = {*at, i};

        THRUM_TRY(thrum_spawn(&s, note_turn, &turn, sizeof turn));
    }
    return thrum_scope_close(&s, NULL);
}

static void *simulate_order(void *at)
{
    for (int i = 0; i < 20; i++)
        expect_ok(thrum_sim(&(thrum_sim_opts){.seed = 77, .rounds = 30},
                            own_order, at));
    return NULL;
}

static void threads_may_simulate_at_once(void **state)
{
    _Atomic unsigned alone[TASKS + 1], at_once[2][TASKS + 1];
    pthread_t threads[2];

    (void)state;
    (void)simulate_order(&alone);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, simulate_order, &at_once[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_memory_equal(alone, at_once[i], sizeof alone);
}

static thrum_err *depends_on_more(void *unused)
{
    static unsigned times;

    (void)unused;
    for (unsigned n = times++; n > 0; n--)
        thrum_yield();
    return NULL;
}

static void what_depends_on_more_than_the_seed_is_told(void **state)
{
    thrum_sim_opts o = {.rounds = 3, .twice = true, .quiet = true};
    thrum_err *e = thrum_sim(&o, depends_on_more, NULL);

    (void)state;
    assert_non_null(e);
    assert_non_null(
        strstr(thrum_err_msg(thrum_err_cause(e)), "another course"));
    thrum_err_drop(e);
}

/* --- planted bugs --------------------------------------------------------- */

static _Atomic int account;

static thrum_err *deposit(void *unused)
{
    int before = account;

    (void)unused;
    THRUM_TRY(thrum_sleep(THRUM_US(1)));
    account = before + 1;
    return NULL;
}

static thrum_err *lost_update(void *unused)
{
    thrum_job jobs[] = {{.fn = deposit}, {.fn = deposit}};

    (void)unused;
    account = 0;
    THRUM_TRY(thrum_gather(jobs, 2, THRUM_ALL));
    THRUM_CHECK(account == 2);
    return NULL;
}

/* Only if it is interrupted between the two: no wait in it. */
static thrum_err *deposit_at_once(void *unused)
{
    int before = account;

    (void)unused;
    (void)thrum_canceled();
    account = before + 1;
    return NULL;
}

static thrum_err *torn_update(void *unused)
{
    thrum_task a, b;

    (void)unused;
    account = 0;
    thrum_fork(&a, deposit_at_once, NULL);
    thrum_fork(&b, deposit_at_once, NULL);
    THRUM_TRY(thrum_join(&b));
    THRUM_TRY(thrum_join(&a));
    THRUM_CHECK(account == 2);
    return NULL;
}

static _Atomic bool sleeps;

static thrum_err *sleep_until_told(void *unused)
{
    (void)unused;
    (void)thrum_canceled();
    sleeps = true; /* too late */
    THRUM_CHECK(thrum_sleep(INT64_MAX) == -ECANCELED);
    return NULL;
}

static thrum_err *missing_cancel(void *unused)
{
    thrum_scope s;

    (void)unused;
    sleeps = false;
    thrum_scope_open(&s, .name = "told");
    THRUM_TRY(thrum_spawn(&s, sleep_until_told, NULL, 0));
    thrum_yield();
    if (sleeps)
        thrum_scope_cancel(&s, NULL);
    return thrum_scope_close(&s, NULL);
}

static void planted_bugs_are_found(void **state)
{
    (void)state;
    is_found(lost_update, 20, &THRUM_ERROR);
    is_found(torn_update, 200, &THRUM_ERROR);
    is_found(the_third_goes_first, 400, &THRUM_ERROR);
    is_found(abba, 100, &THRUM_DEADLOCK);
    is_found(missing_cancel, 100, &THRUM_DEADLOCK);
}

/* --- blocking calls ------------------------------------------------------- */

static thrum_err *count(void *n)
{
    ++*(int *)n;
    return thrum_canceled() ? thrum_rc(-ECANCELED) : NULL;
}

static thrum_time least, most;

static thrum_err *block(void *unused)
{
    thrum_time start = thrum_now(), took;
    int n = 0;

    (void)unused;
    for (int i = 0; i < 10; i++)
        THRUM_TRY(thrum_offload(count, &n));
    THRUM_CHECK(n == 10);
    took = thrum_now() - start;
    least = took < least ? took : least;
    most = took > most ? took : most;
    return NULL;
}

static void blocking_calls_take_some_time(void **state)
{
    thrum_sim_opts o = rounds(100);

    (void)state;
    least = INT64_MAX;
    most = 0;
    expect_ok(thrum_sim(&o, block, NULL));
    assert_true(least < THRUM_MS(2));
    assert_true(most > THRUM_MS(2));
}

/* --- many ----------------------------------------------------------------- */

static thrum_err *many(void *unused)
{
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s, .name = "many");
    for (int i = 0; i < (int)scaled(100000); i++)
        THRUM_TRY(thrum_spawn(&s, nap, &i, sizeof i));
    return thrum_scope_close(&s, NULL);
}

static void a_hundred_thousand_tasks_sleep(void **state)
{
    (void)state;
    expect_ok(thrum_sim(&(thrum_sim_opts){.rounds = 1}, many, NULL));
}

static void nothing_is_left_behind(void **state)
{
    struct footprint before, after;
    thrum_sim_opts o = {.rounds = 20};

    (void)state;
    expect_ok(thrum_sim(&o, at_once, NULL));
    before = footprint();
    expect_ok(thrum_sim(&o, at_once, NULL));
    after = footprint();
    assert_int_equal(after.fds, before.fds);
    assert_int_equal(after.threads, before.threads);
    if (!SANITIZED && !is_emulated())
        assert_int_equal(after.mappings, before.mappings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeout_takes_exactly_as_long),
        cmocka_unit_test(days_take_no_time),
        cmocka_unit_test(a_deadline_meets_some_computations),
        cmocka_unit_test(who_only_asks_does_not_keep_others_from_running),
        cmocka_unit_test(who_only_looks_at_the_clock_sees_it_go),
        cmocka_unit_test(each_round_may_take_another_order),
        cmocka_unit_test(threads_may_simulate_at_once),
        cmocka_unit_test(what_depends_on_more_than_the_seed_is_told),
        cmocka_unit_test(planted_bugs_are_found),
        cmocka_unit_test(blocking_calls_take_some_time),
        cmocka_unit_test(a_hundred_thousand_tasks_sleep),
        cmocka_unit_test(nothing_is_left_behind),
    };

    unsetenv("THRUM_SEED");
    unsetenv("THRUM_ROUNDS");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
