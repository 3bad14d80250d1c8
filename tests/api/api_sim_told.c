/* What a failing simulation says, what it takes for a failure, faults, and test
 * cases. */
#include "lib/api.h"
#include "lib/planted.h"

#include <sys/wait.h>

enum { ROUNDS = 400, DAY_S = 24 * 3600 };

static thrum_err *nothing(void *unused)
{
    (void)unused;
    return NULL;
}

static thrum_err *never(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(INT64_MAX));
}

static uint64_t seed;

/* --- again ---------------------------------------------------------------- */

static void run_again(void)
{
    char text[32];
    thrum_err *e;

    snprintf(text, sizeof text, "0x%llx", (unsigned long long)seed);
    setenv("THRUM_SEED", text, 1);
    e = thrum_sim(NULL, the_third_goes_first, NULL);
    fprintf(stderr, "order %u\n", planted_order);
    _exit(e == NULL);
}

static void a_seed_repeats_its_round_in_another_process(void **state)
{
    char line[32];
    struct end end;
    thrum_err *e;

    (void)state;
    e = thrum_sim(&(thrum_sim_opts){.rounds = ROUNDS, .quiet = true},
                  the_third_goes_first, NULL);
    assert_non_null(e);
    seed = strtoull(strstr(thrum_err_msg(e), "0x"), NULL, 16);
    thrum_err_drop(e);
    snprintf(line, sizeof line, "order %u\n", planted_order);
    end = end_of(run_again);
    assert_int_equal(end.status, 0);
    assert_non_null(strstr(end.said, line));
    assert_non_null(strstr(end.said, "write_down (tests/api/lib/planted.c:"));
    assert_non_null(strstr(end.said, "this round has failed"));
}

/* --- what the environment says -------------------------------------------- */

static unsigned rounds_run;

static thrum_err *count_a_round(void *seed_of_first)
{
    if (rounds_run++ == 0)
        *(uint64_t *)seed_of_first = thrum_sim_seed();
    return NULL;
}

/* Their first seed. */
static uint64_t sim_with(const char *wished_seed, const char *wished_rounds,
                         unsigned rounds)
{
    thrum_sim_opts o = {.seed = 77, .rounds = 3};
    uint64_t first = 0;

    CHECK(setenv("THRUM_SEED", wished_seed, 1) == 0);
    CHECK(setenv("THRUM_ROUNDS", wished_rounds, 1) == 0);
    rounds_run = 0;
    expect_ok(thrum_sim(&o, count_a_round, &first));
    CHECK(rounds_run == rounds);
    return first;
}

static void obey(void)
{
    CHECK(sim_with("", "", 3) == 77);
    CHECK(sim_with("010", "", 1) == 10); /* as elsewhere: not octal */
    CHECK(sim_with("0x1F", "7", 1) == 31);
    CHECK(sim_with("", "7", 7) == 77);
    CHECK(sim_with("-1", "5", 5) == 77);
    CHECK(sim_with("18446744073709551616", "0", 3) == 77);
}

static void run_ill_seeded(void)
{
    thrum_opts four = {.workers = 4};

    CHECK(setenv("THRUM_SEED", "77x", 1) == 0);
    expect_ok(thrum_run(&four, nothing, NULL));
}

/* Once, not by each round or worker. */
static void expect_once(const struct end *end, const char *line)
{
    const char *at = strstr(end->said, line);

    assert_int_equal(end->status, 0);
    assert_non_null(at);
    assert_null(strstr(at + 1, line));
}

static void what_is_not_followed_is_told_once(void **state)
{
    struct end end = end_of(obey);

    (void)state;
    expect_once(&end, "THRUM_SEED=-1 is no number");
    expect_once(&end, "THRUM_SEED=18446744073709551616 is no number");
    expect_once(&end, "THRUM_ROUNDS=0 is no number of rounds");
    assert_null(strstr(end.said, "THRUM_SEED= "));
    end = end_of(run_ill_seeded);
    expect_once(&end, "THRUM_SEED=77x is no number");
}

/* --- what a failure says -------------------------------------------------- */

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
    assert_non_null(strstr(text, "take_other (tests/api/lib/planted.c:"));
    assert_non_null(
        strstr(text, "waits for a permit of a limited scope at 0x"));
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

static thrum_err *sleep_a_day(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(THRUM_SEC(DAY_S)));
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

static void a_round_may_take_for_ever(void **state)
{
    thrum_sim_opts o = {.rounds = 2, .limit = INT64_MAX};

    (void)state;
    expect_ok(thrum_sim(&o, sleep_a_day, NULL));
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

/* --- faults --------------------------------------------------------------- */

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
    thrum_scope_open(&s, .name = "with faults");
    for (int i = 0; i < 100; i++) {
        int rc = thrum_spawn(&s, nothing, &i, sizeof i);

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

/* --- test cases ----------------------------------------------------------- */

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
        cmocka_unit_test(a_seed_repeats_its_round_in_another_process),
        cmocka_unit_test(what_is_not_followed_is_told_once),
        cmocka_unit_test(a_crash_says_its_seed),
        cmocka_unit_test(who_waits_is_told),
        cmocka_unit_test(tasks_left_in_the_background_are_a_failure),
        cmocka_unit_test(who_never_ends_is_ended),
        cmocka_unit_test(a_round_may_take_for_ever),
        cmocka_unit_test(there_is_none_in_a_task),
        cmocka_unit_test(chaos_is_for_the_simulation_only),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(a_case_has_a_fixture),
        cmocka_unit_test(or_runs_on_threads),
        cmocka_unit_test(or_has_no_options),
        cmocka_unit_test(what_fails_is_told),
    };

    unsetenv("THRUM_SEED");
    unsetenv("THRUM_ROUNDS");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
