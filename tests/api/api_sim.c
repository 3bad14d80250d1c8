/* Does the simulation do what its manual says: exact times, every order, the
 * same one again from its seed, and no bug of few steps that it does not find? */
#include "lib/api.h"

#include <sys/wait.h>

#include <thrum/test.h>

enum { ROUNDS = 400, DAY_S = 24 * 3600 };

static thrum_sim_opts rounds(unsigned n)
{
    return (thrum_sim_opts){.rounds = n, .twice = true};
}

/* It fails within n rounds, by either strategy, with that kind. The seed of the
 * last one is kept for whoever wants to have it again. */
static uint64_t found_seed;

static unsigned ran; /* rounds, by bodies that count them */

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
        found_seed = strtoull(strstr(thrum_err_msg(e), "0x"), NULL, 16);
        thrum_err_drop(e);
    }
}

/* --- time ------------------------------------------------------------------ */

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

static bool woken;

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

/* --- orders ------------------------------------------------------------------ */

enum { TASKS = 5 };

static unsigned order, orders[ROUNDS];

static thrum_err *write_down(void *i)
{
    order = order * 10 + *(unsigned *)i;
    return NULL;
}

static thrum_err *some_order(void *unused)
{
    thrum_scope s;
    thrum_err *e;

    (void)unused;
    order = 0;
    thrum_scope_open(&s, .name = "writers");
    for (unsigned i = 1; i <= TASKS; i++)
        THRUM_TRY(thrum_spawn(&s, write_down, &i, sizeof i));
    e = thrum_scope_close(&s, NULL);
    orders[ran++] = order;
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
        expect_ok(thrum_sim(&o, some_order, NULL));
        assert_int_equal(ran, ROUNDS);
        assert_true(distinct() > 60); /* of 120 */
        memcpy(before, orders, sizeof before);
        ran = 0;
        expect_ok(thrum_sim(&o, some_order, NULL));
        assert_memory_equal(before, orders, sizeof before);
        o.seed = 4711;
        ran = 0;
        expect_ok(thrum_sim(&o, some_order, NULL));
        assert_memory_not_equal(before, orders, sizeof before);
    }
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

/* --- planted bugs ---------------------------------------------------------------- */

static int account;

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
    thrum_job jobs[] = {{deposit, NULL, NULL}, {deposit, NULL, NULL}};

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

static thrum_err *the_third_goes_first(void *unused)
{
    thrum_err *e = some_order(unused);

    ran = 0;
    THRUM_CHECK(order / 1000 != 35);
    return e;
}

/* Two scopes of one child each: their permits are locks. */
static thrum_scope locks[2], holders;
static int open_locks, had_both;

static thrum_err *nothing(void *unused)
{
    return unused;
}

static thrum_err *take_other(void *mine)
{
    THRUM_TRY(thrum_spawn(&locks[1 - *(int *)mine], nothing, NULL, 0));
    if (++had_both == 2)
        thrum_scope_cancel(&holders, "all is done");
    return NULL;
}

static thrum_err *hold(void *arg)
{
    int mine = *(int *)arg;
    thrum_err *e;

    thrum_scope_open(&locks[mine], .name = "a lock", .limit = 1);
    open_locks++;
    while (open_locks < 2)
        thrum_yield();
    e = thrum_rc(thrum_spawn(&locks[mine], take_other, arg, sizeof mine));
    if (e == NULL)
        (void)!thrum_sleep(INT64_MAX);
    return thrum_scope_close(&locks[mine], e);
}

static thrum_err *abba(void *unused)
{
    (void)unused;
    open_locks = had_both = 0;
    thrum_scope_open(&holders, .name = "holders");
    for (int i = 0; i < 2; i++)
        THRUM_TRY(thrum_spawn(&holders, hold, &i, sizeof i));
    return thrum_scope_close(&holders, NULL);
}

static bool sleeps;

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

/* --- what is said ------------------------------------------------------------------ */

static void run_again(void)
{
    char text[32];
    thrum_err *e;

    snprintf(text, sizeof text, "0x%llx", (unsigned long long)found_seed);
    setenv("THRUM_SEED", text, 1);
    ran = 0;
    e = thrum_sim(&(thrum_sim_opts){.explore = THRUM_EXPLORE_RANKS},
                  the_third_goes_first, NULL);
    fprintf(stderr, "order %u\n", order);
    _exit(e == NULL);
}

static void a_seed_repeats_its_round_in_another_process(void **state)
{
    char line[32];
    struct end end;

    (void)state;
    is_found(the_third_goes_first, ROUNDS, &THRUM_ERROR);
    snprintf(line, sizeof line, "order %u\n", order);
    end = end_of(run_again);
    assert_int_equal(end.status, 0);
    assert_non_null(strstr(end.said, line));
    assert_non_null(strstr(end.said, "write_down (tests/api/api_sim.c:"));
    assert_non_null(strstr(end.said, "this round has failed"));
}

static thrum_err *give_up(void *unused)
{
    THRUM_TRY(thrum_sleep(THRUM_US(1)));
    abort();
    return unused;
}

static void run_crash(void)
{
    thrum_report(thrum_sim(NULL, give_up, NULL));
}

static void a_crash_says_its_seed(void **state)
{
    struct end end = end_of(run_crash);

    (void)state;
    assert_true(WIFSIGNALED(end.status));
    assert_non_null(strstr(end.said, "dies in this round; THRUM_SEED=0x"));
}

static void who_waits_is_told(void **state)
{
    thrum_sim_opts o = {.rounds = ROUNDS, .quiet = true};
    thrum_err *e = thrum_sim(&o, abba, NULL);
    const char *text = thrum_err_msg(thrum_err_cause(e));

    (void)state;
    assert_int_equal(thrum_err_errno(e), EDEADLK);
    assert_non_null(strstr(text, "deadlock"));
    assert_non_null(strstr(text, "take_other (tests/api/api_sim.c:"));
    assert_non_null(
        strstr(text, "waits for a permit of a limited scope since"));
    assert_non_null(strstr(text, "waits for its children"));
    thrum_err_drop(e);
}

static thrum_err *leave_one(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_spawn(thrum_root(), never, NULL, 0));
}

static void tasks_left_in_the_background_are_a_failure(void **state)
{
    thrum_sim_opts o = {.rounds = 50, .quiet = true};
    thrum_err *e = thrum_sim(&o, leave_one, NULL);

    (void)state;
    assert_non_null(e);
    assert_non_null(
        strstr(thrum_err_msg(thrum_err_cause(e)), "1 tasks are left"));
    thrum_err_drop(e);
    o.background = true;
    expect_ok(thrum_sim(&o, leave_one, NULL));
}

static thrum_err *ping_pong(void *unused)
{
    for (;;)
        thrum_yield();
    return unused;
}

static thrum_err *oversleep(void *unused)
{
    while (thrum_sleep(THRUM_SEC(3600)) == 0)
        ;
    return unused;
}

static void who_never_ends_is_ended(void **state)
{
    thrum_sim_opts o = {.rounds = 4, .steps = 10000, .quiet = true};
    thrum_err *e = thrum_sim(&o, ping_pong, NULL); /* and is abandoned */

    (void)state;
    assert_true(thrum_err_is(e, &THRUM_TIMEOUT));
    assert_non_null(strstr(thrum_err_msg(thrum_err_cause(e)), "too many"));
    thrum_err_drop(e);
    o.limit = THRUM_SEC(DAY_S);
    e = thrum_sim(&o, oversleep, NULL);
    assert_true(thrum_err_is(e, &THRUM_TIMEOUT));
    assert_non_null(strstr(thrum_err_msg(thrum_err_cause(e)), "too late"));
    thrum_err_drop(e);
}

static thrum_err *simulate_here(void *unused)
{
    thrum_err *e = thrum_sim(NULL, nothing, unused);

    THRUM_CHECK(e != NULL);
    thrum_err_drop(e);
    return NULL;
}

static void there_is_none_in_a_task(void **state)
{
    (void)state;
    expect_ok(thrum_sim(&(thrum_sim_opts){.rounds = 2}, simulate_here, NULL));
    expect_ok(thrum_run(NULL, simulate_here, NULL));
}

/* --- faults -------------------------------------------------------------------------- */

static unsigned hit, missed;

static thrum_err *meet_chaos(void *unused)
{
    for (int i = 0; i < 100; i++) {
        if (thrum_chaos("a disk that is full"))
            hit++;
        else
            missed++;
    }
    return unused;
}

static void chaos_is_for_the_simulation_only(void **state)
{
    (void)state;
    hit = missed = 0;
    expect_ok(thrum_sim(&(thrum_sim_opts){.rounds = 20}, meet_chaos, NULL));
    assert_true(hit > 20 && missed > 20);
    hit = 0;
    expect_ok(thrum_run(NULL, meet_chaos, NULL));
    assert_false(thrum_chaos("nowhere"));
    assert_int_equal(hit, 0);
}

static unsigned without_memory;

static thrum_err *bear_it(void *unused)
{
    int began = 0;
    thrum_scope s;

    (void)unused;
    account = 0;
    thrum_scope_open(&s, .name = "with faults");
    for (int i = 0; i < 100; i++) {
        int rc = thrum_spawn(&s, write_down, &i, sizeof i);

        THRUM_CHECK(rc == 0 || rc == -ENOMEM);
        began += rc == 0;
        without_memory += rc != 0;
    }
    THRUM_TRY(thrum_scope_close(&s, NULL));
    THRUM_CHECK(began > 0);
    return NULL;
}

static void allocations_may_fail(void **state)
{
    thrum_sim_opts o = {.rounds = 50, .fault = 0.1, .twice = true};

    (void)state;
    without_memory = 0;
    expect_ok(thrum_sim(&o, bear_it, NULL));
    assert_true(without_memory > 50);
    without_memory = 0;
    o.fault = 0;
    expect_ok(thrum_sim(&o, bear_it, NULL));
    assert_int_equal(without_memory, 0);
}

/* --- blocking calls ---------------------------------------------------------------------- */

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

/* --- many -------------------------------------------------------------------------------- */

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
    if (!SANITIZED)
        assert_int_equal(after.mappings, before.mappings);
}

/* --- test cases ---------------------------------------------------------------------------- */

struct shop {
    int open, served;
};

static int shops_closed;

static thrum_err *open_shop(void *arg)
{
    struct shop *s = arg;

    THRUM_CHECK(s->open == 0 && s->served == 0);
    s->open = 1;
    return thrum_rc(thrum_sleep(THRUM_US(5)));
}

static thrum_err *close_shop(void *arg)
{
    struct shop *s = arg;

    THRUM_CHECK(s->open == 1);
    shops_closed++;
    return thrum_rc(thrum_sleep(THRUM_US(5)));
}

THRUM_TEST(a_case_has_a_fixture, .sim.rounds = 50,
           .fixture = sizeof(struct shop), .setup = open_shop,
           .teardown = close_shop)
{
    struct shop *s = arg;

    THRUM_CHECK(s->open == 1);
    return thrum_rc(thrum_sleep(THRUM_MS(++s->served)));
}

THRUM_TEST(or_runs_on_threads, .workers = 2, .times = 3,
           .fixture = sizeof(struct shop), .setup = open_shop,
           .teardown = close_shop)
{
    THRUM_CHECK(((struct shop *)arg)->open == 1);
    return NULL;
}

THRUM_TEST(or_has_no_options)
{
    return thrum_rc(thrum_sleep(THRUM_SEC(DAY_S)));
}

static thrum_err *fails(void *unused)
{
    (void)unused;
    return thrum_fail(&THRUM_ERROR, "as planned");
}

static void what_fails_is_told(void **state)
{
    thrum_test c = {.sim = {.quiet = true, .rounds = 3},
                    .fixture = sizeof(struct shop),
                    .setup = open_shop,
                    .teardown = close_shop};

    (void)state;
    for (c.workers = 0; c.workers <= 1; c.workers++) {
        thrum_err *e;

        shops_closed = 0;
        e = thrum_test_run(&c, fails, NULL);
        assert_non_null(e);
        assert_int_equal(shops_closed, 1);
        thrum_err_drop(e);
        e = thrum_test_run(&c, leave_one, NULL);
        assert_non_null(e);
        thrum_err_drop(e);
    }
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
        cmocka_unit_test(what_depends_on_more_than_the_seed_is_told),
        cmocka_unit_test(planted_bugs_are_found),
        cmocka_unit_test(a_seed_repeats_its_round_in_another_process),
        cmocka_unit_test(a_crash_says_its_seed),
        cmocka_unit_test(who_waits_is_told),
        cmocka_unit_test(tasks_left_in_the_background_are_a_failure),
        cmocka_unit_test(who_never_ends_is_ended),
        cmocka_unit_test(there_is_none_in_a_task),
        cmocka_unit_test(chaos_is_for_the_simulation_only),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(blocking_calls_take_some_time),
        cmocka_unit_test(a_hundred_thousand_tasks_sleep),
        cmocka_unit_test(nothing_is_left_behind),
        cmocka_unit_test(a_case_has_a_fixture),
        cmocka_unit_test(or_runs_on_threads),
        cmocka_unit_test(or_has_no_options),
        cmocka_unit_test(what_fails_is_told),
    };

    unsetenv("THRUM_SEED");
    unsetenv("THRUM_ROUNDS");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
