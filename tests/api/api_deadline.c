/* Does a deadline cancel what is inside its scope, then and not before, and is it
 * told from a cancel? How: waits of an hour under short timeouts, and timeouts of
 * an hour around what ends by itself. */
#include "lib/api.h"

#include <pthread.h>

THRUM_KIND(Real, THRUM_ERROR);

#define SOON THRUM_MS(1)

/* --- it passes ------------------------------------------------------------ */

static thrum_err *wait_an_hour(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(HOUR));
}

static void expect_timeout(thrum_err *e, const char *name)
{
    CHECK(thrum_err_is(e, &THRUM_TIMEOUT) && thrum_err_count(e) == 1);
    CHECK(!thrum_err_has(e, &THRUM_CANCELED));
    CHECK(thrum_err_errno(e) == ETIMEDOUT);
    CHECK(name == NULL || strstr(thrum_err_msg(e), name) != NULL);
    thrum_err_drop(e);
}

static thrum_err *time_out(void *arg)
{
    thrum_time start = thrum_now();
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "body", .timeout = SOON);
    expect_timeout(thrum_scope_close(&s, wait_an_hour(NULL)), "body");
    CHECK(thrum_now() - start >= SOON && thrum_scope_expired(&s));

    thrum_scope_open(&s, .deadline = thrum_now() + SOON);
    expect_timeout(thrum_scope_close(&s, wait_an_hour(NULL)), NULL);
    expect_timeout(
        thrum_with(wait_an_hour, NULL, .name = "with", .timeout = SOON),
        "with");
    expect_timeout(thrum_with(wait_an_hour, NULL, .timeout = SOON), NULL);
    CHECK(!thrum_canceled() && thrum_deadline() == INT64_MAX);
    return NULL;
}

static thrum_err *time_out_children(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "children", .timeout = SOON);
    for (int i = 0; i < 10; i++)
        CHECK(thrum_spawn(&s, wait_for_cancel, NULL, 0) == 0);
    expect_timeout(thrum_scope_close(&s, NULL), "children");
    return NULL;
}

static void
what_waits_when_it_passes_is_canceled_and_that_is_a_timeout(void **state)
{
    (void)state;
    on_runtimes(time_out, NULL);
    on_runtimes(time_out_children, NULL);
    expect_ok(time_out(NULL)); /* a thread that is no worker */
}

static thrum_err *wait_in_call(size_t i, void *unused)
{
    (void)i;
    return wait_an_hour(unused);
}

static thrum_err *time_out_loops(void *arg)
{
    (void)arg;
    expect_timeout(
        thrum_each(10, wait_in_call, NULL, .name = "each", .timeout = SOON),
        "each");
    expect_timeout(
        thrum_each(10, wait_in_call, NULL, .limit = 2, .timeout = SOON), NULL);
    for (thrum_policy p = THRUM_ALL; p <= THRUM_FIRST; p++)
        expect_timeout(
            thrum_each(10, wait_in_call, NULL, .timeout = SOON, .policy = p),
            NULL);
    return NULL;
}

static void each_has_one_too(void **state)
{
    (void)state;
    on_runtimes(time_out_loops, NULL);
}

static thrum_err *over_at_once(void *arg)
{
    static const struct {
        thrum_time timeout, deadline;
    } over[] = {{-1, 0}, {0, 1}, {0, -5}, {INT64_MIN, 0}, {HOUR, 1}};

    (void)arg;
    for (size_t i = 0; i < sizeof over / sizeof *over; i++) {
        thrum_scope s;

        thrum_scope_open(&s, .timeout = over[i].timeout,
                         .deadline = over[i].deadline);
        CHECK(thrum_canceled() && thrum_scope_expired(&s));
        CHECK(thrum_sleep(0) == -ECANCELED);
        CHECK(thrum_deadline() <= thrum_now());
        expect_timeout(thrum_scope_close(&s, wait_for_cancel(NULL)), NULL);
    }
    return NULL;
}

static void one_that_is_over_when_it_is_opened_is_over_at_once(void **state)
{
    (void)state;
    on_runtimes(over_at_once, NULL);
}

/* --- it does not ---------------------------------------------------------- */

static thrum_err *fail_real(void *unused)
{
    (void)unused;
    return thrum_fail(&Real, "real");
}

static thrum_err *in_time(void *arg)
{
    thrum_scope s;

    (void)arg;
    for (int i = 0; i < 100; i++) {
        thrum_scope_open(&s, .timeout = HOUR);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(!thrum_scope_expired(&s));
        expect_kind(thrum_with(fail_real, NULL, .timeout = HOUR), &Real);
        thrum_scope_open(&s, .timeout = INT64_MAX, .deadline = INT64_MAX);
        CHECK(thrum_sleep(1) == 0);
        CHECK(thrum_deadline() == INT64_MAX);
        expect_ok(thrum_scope_close(&s, NULL));
        thrum_scope_open(&s, .timeout = INT64_MAX);
        CHECK(thrum_deadline() == INT64_MAX);
        expect_ok(thrum_scope_close(&s, NULL));
    }
    return NULL;
}

static void one_that_does_not_pass_changes_nothing(void **state)
{
    (void)state;
    on_runtimes(in_time, NULL);
}

static thrum_err *late(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "late", .timeout = SOON);
    await_cancel();
    CHECK(thrum_scope_expired(&s));
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(thrum_scope_expired(&s));

    thrum_scope_open(&s, .name = "late failure", .timeout = SOON);
    CHECK(thrum_spawn(&s, wait_for_cancel, NULL, 0) == 0);
    await_cancel();
    expect_kind(thrum_scope_close(&s, fail_real(NULL)), &Real);
    return NULL;
}

static void a_late_success_is_kept_and_a_late_failure_too(void **state)
{
    (void)state;
    on_runtimes(late, NULL);
}

/* --- which holds ---------------------------------------------------------- */

static thrum_err *minimum(void *arg)
{
    thrum_time at = thrum_now() + HOUR;
    thrum_scope a, b, c, d;

    (void)arg;
    CHECK(thrum_deadline() == INT64_MAX);
    thrum_scope_open(&a, .name = "a", .deadline = at);
    CHECK(thrum_deadline() == at);
    thrum_scope_open(&b, .name = "b", .timeout = 2 * HOUR, .deadline = at + 7);
    CHECK(thrum_deadline() == at);
    thrum_scope_open(&c, .deadline = at - 5);
    CHECK(thrum_deadline() == at - 5);
    thrum_scope_open(&d, .shield = true);
    CHECK(thrum_deadline() == INT64_MAX);
    thrum_scope_set_deadline(NULL, at + 100);
    CHECK(thrum_deadline() == at + 100);
    expect_ok(thrum_scope_close(&d, NULL));
    expect_ok(thrum_scope_close(&c, NULL));
    CHECK(thrum_deadline() == at);
    expect_ok(thrum_scope_close(&b, NULL));
    expect_ok(thrum_scope_close(&a, NULL));
    return NULL;
}

static thrum_err *deadline_of_child(void *arg)
{
    CHECK(thrum_deadline() == *(thrum_time *)arg);
    return NULL;
}

static thrum_err *minimum_in_children(void *arg)
{
    thrum_time at = thrum_now() + HOUR;
    thrum_task t;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .deadline = at);
    CHECK(thrum_spawn(&s, deadline_of_child, &at, 0) == 0);
    thrum_fork(&t, deadline_of_child, &at);
    expect_ok(thrum_join(&t));
    expect_ok(thrum_offload(deadline_of_child, &at));
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static void the_earliest_up_to_a_shield_is_told(void **state)
{
    (void)state;
    on_runtimes(minimum, NULL);
    on_runtimes(minimum_in_children, NULL);
    expect_ok(minimum(NULL)); /* a thread that is no worker */
}

static thrum_err *nested(void *arg)
{
    thrum_scope outer, inner;

    (void)arg;
    thrum_scope_open(&outer, .name = "outer", .timeout = SOON);
    thrum_scope_open(&inner, .name = "inner", .timeout = HOUR);
    expect_kind(thrum_scope_close(&inner, wait_an_hour(NULL)), &THRUM_CANCELED);
    CHECK(!thrum_scope_expired(&inner) && thrum_canceled());
    expect_timeout(thrum_scope_close(&outer, thrum_rc(-ECANCELED)), "outer");

    thrum_scope_open(&outer, .name = "outer", .timeout = HOUR);
    thrum_scope_open(&inner, .name = "inner", .timeout = SOON);
    expect_timeout(thrum_scope_close(&inner, wait_an_hour(NULL)), "inner");
    CHECK(!thrum_canceled() && !thrum_scope_expired(&outer));
    expect_ok(thrum_scope_close(&outer, NULL));

    thrum_scope_open(&outer, .name = "outer", .timeout = SOON);
    await_cancel();
    thrum_scope_open(&inner, .name = "shield", .shield = true, .timeout = SOON);
    expect_timeout(thrum_scope_close(&inner, wait_an_hour(NULL)), "shield");
    expect_timeout(thrum_scope_close(&outer, wait_an_hour(NULL)), "outer");
    return NULL;
}

static void one_outside_is_a_cancel_inside(void **state)
{
    (void)state;
    on_runtimes(nested, NULL);
}

static thrum_err *both_ways(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .timeout = HOUR, .deadline = thrum_now() + SOON);
    expect_timeout(thrum_scope_close(&s, wait_an_hour(NULL)), NULL);
    thrum_scope_open(&s, .timeout = SOON, .deadline = thrum_now() + HOUR);
    expect_timeout(thrum_scope_close(&s, wait_an_hour(NULL)), NULL);
    return NULL;
}

static void of_a_timeout_and_a_deadline_the_earlier_counts(void **state)
{
    (void)state;
    on_runtimes(both_ways, NULL);
}

static void timeouts_and_cancels_are_of_different_kinds(void **state)
{
    thrum_err *timeout = thrum_rc(-ETIMEDOUT), *canceled = thrum_rc(-ECANCELED);

    (void)state;
    assert_true(thrum_err_is(timeout, &THRUM_TIMEOUT));
    assert_false(thrum_err_is(timeout, &THRUM_CANCELED));
    assert_true(thrum_err_is(canceled, &THRUM_CANCELED));
    assert_false(thrum_err_is(canceled, &THRUM_TIMEOUT));
}

/* --- it is moved ---------------------------------------------------------- */

/* Sets it to come before what was, after, and into the past. */
static thrum_err *move(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "sooner", .timeout = HOUR);
    thrum_scope_set_deadline(&s, thrum_now() + SOON);
    expect_timeout(thrum_scope_close(&s, wait_an_hour(NULL)), "sooner");

    thrum_scope_open(&s, .name = "had none");
    thrum_scope_set_deadline(NULL, thrum_now() + SOON);
    expect_timeout(thrum_scope_close(&s, wait_an_hour(NULL)), "had none");

    thrum_scope_open(&s);
    thrum_scope_set_deadline(&s, thrum_now() + SOON);
    expect_timeout(thrum_scope_close(&s, wait_an_hour(NULL)), NULL);

    thrum_scope_open(&s, .name = "now", .timeout = HOUR);
    thrum_scope_set_deadline(&s, thrum_now());
    CHECK(thrum_canceled() && thrum_scope_expired(&s));
    thrum_scope_set_deadline(&s, thrum_now() + HOUR); /* it stays passed */
    CHECK(thrum_canceled() && thrum_scope_expired(&s));
    expect_timeout(thrum_scope_close(&s, wait_an_hour(NULL)), "now");

    thrum_scope_open(&s, .name = "never", .timeout = HOUR);
    thrum_scope_set_deadline(&s, INT64_MAX);
    CHECK(thrum_deadline() == INT64_MAX);
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static void it_can_be_moved(void **state)
{
    (void)state;
    on_runtimes(move, NULL);
    expect_ok(move(NULL)); /* a thread that is no worker */
}

/* A lease. The turn is void if it passed before it was extended. */
static thrum_err *extend(void *arg)
{
    (void)arg;
    for (int done = 0; done < 3;) {
        thrum_time old = thrum_now() + THRUM_MS(2);
        thrum_scope s;
        bool timely;

        thrum_scope_open(&s, .name = "lease", .deadline = old);
        thrum_scope_set_deadline(&s, old + HOUR);
        timely = thrum_now() < old;
        if (timely) {
            while (thrum_now() <= old)
                CHECK(thrum_sleep(THRUM_MS(1)) == 0);
            for (int i = 0; i < 10; i++)
                thrum_yield();
            CHECK(!thrum_canceled() && !thrum_scope_expired(&s));
            done++;
        }
        expect_ok(thrum_scope_close(&s, NULL));
    }
    return NULL;
}

/* Whether or not anybody has noticed by then. */
static thrum_err *extend_too_late(void *arg)
{
    for (int i = 0; i < 20; i++) {
        thrum_scope s;

        thrum_scope_open(&s, .timeout = THRUM_US(20));
        while (thrum_now() < thrum_deadline())
            ;
        thrum_scope_set_deadline(&s, i % 2 ? INT64_MAX : thrum_now() + HOUR);
        CHECK(thrum_canceled() && thrum_scope_expired(&s));
        expect_ok(thrum_scope_close(&s, NULL)); /* a late success */
    }
    return arg;
}

static void one_that_has_passed_stays_passed(void **state)
{
    (void)state;
    on_threads(extend_too_late, NULL);
    expect_ok(extend_too_late(NULL)); /* a thread that is no worker */
}

static void one_that_is_extended_in_time_does_not_pass(void **state)
{
    (void)state;
    on_runtimes(extend, NULL);
    expect_ok(extend(NULL));
}

static thrum_err *end_the_lease(void *arg)
{
    thrum_scope_set_deadline(arg, thrum_now() - 1);
    return NULL;
}

static thrum_err *moved_by_child(void *arg)
{
    thrum_scope s;

    (void)arg;
    for (int i = 0; i < 20; i++) {
        thrum_scope_open(&s, .name = "by a child", .timeout = HOUR);
        CHECK(thrum_spawn(&s, wait_for_cancel, NULL, 0) == 0);
        CHECK(thrum_spawn(&s, end_the_lease, &s, 0) == 0);
        expect_timeout(thrum_scope_close(&s, NULL), "by a child");
    }
    return NULL;
}

static void a_child_may_move_it(void **state)
{
    (void)state;
    on_runtimes(moved_by_child, NULL);
}

/* --- computing ------------------------------------------------------------ */

static thrum_err *compute(size_t lo, size_t hi, void *unused)
{
    (void)lo, (void)hi, (void)unused;
    return NULL;
}

static thrum_err *compute_politely(size_t lo, size_t hi, void *unused)
{
    (void)hi, (void)unused;
    while (lo == 0) /* for ever */
        THRUM_TRY(thrum_checkpoint());
    return NULL;
}

static thrum_err *for_an_age(void *fn)
{
    return thrum_for(0, SIZE_MAX / 4, 1,
                     fn == NULL ? compute : compute_politely, NULL);
}

static thrum_err *computing(void *arg)
{
    (void)arg;
    expect_timeout(
        thrum_with(for_an_age, NULL, .name = "parts", .timeout = SOON),
        "parts");
    expect_timeout(
        thrum_with(for_an_age, &workers, .name = "asks", .timeout = SOON),
        "asks");
    return NULL;
}

static void
loops_that_compute_see_it_between_parts_or_when_they_ask(void **state)
{
    (void)state;
    on_runtimes(computing, NULL);
}

/* --- threads -------------------------------------------------------------- */

static void on_thread_alone(void)
{
    thrum_scope outer, s;

    expect_ok(time_out(NULL));
    thrum_scope_open(&outer, .name = "outer", .timeout = SOON);
    thrum_scope_open(&s, .name = "inner", .timeout = HOUR);
    CHECK(thrum_sleep(HOUR) == -ECANCELED);
    expect_kind(thrum_scope_close(&s, thrum_rc(-ECANCELED)), &THRUM_CANCELED);
    thrum_scope_open(&s, .name = "shield", .shield = true);
    CHECK(thrum_sleep(THRUM_US(10)) == 0 && !thrum_canceled());
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(thrum_checkpoint() == -ECANCELED);
    expect_timeout(thrum_scope_close(&outer, thrum_rc(-ECANCELED)), "outer");

    thrum_scope_open(&s, .name = "late", .timeout = SOON);
    while (!thrum_canceled())
        ;
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(thrum_scope_expired(&s));
}

/* Set when an inner scope has asked already. */
static void on_thread_around_an_open_one(void)
{
    thrum_scope outer, inner;

    thrum_scope_open(&outer, .name = "outer");
    thrum_scope_open(&inner, .name = "inner");
    CHECK(!thrum_canceled());
    thrum_scope_set_deadline(&outer, thrum_now() + SOON);
    while (!thrum_canceled())
        ;
    CHECK(thrum_sleep(HOUR) == -ECANCELED);
    expect_ok(thrum_scope_close(&inner, NULL));
    CHECK(thrum_canceled());
    expect_ok(thrum_scope_close(&outer, NULL));
}

static void a_thread_without_a_runtime_has_deadlines(void **state)
{
    (void)state;
    on_thread_alone();
    on_thread_around_an_open_one();
    expect_ok(over_at_once(NULL));
}

static void *spawn_from_thread(void *unused)
{
    thrum_scope s;

    on_thread_alone();
    thrum_scope_open(&s, .name = "in the runtime", .timeout = SOON);
    for (int i = 0; i < 4; i++)
        CHECK(thrum_spawn(&s, wait_for_cancel, NULL, 0) == 0);
    expect_timeout(thrum_scope_close(&s, NULL), "in the runtime");
    return unused;
}

static thrum_err *beside_a_thread(void *arg)
{
    pthread_t thread;

    (void)arg;
    CHECK(pthread_create(&thread, NULL, spawn_from_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return NULL;
}

static thrum_err *offload_thread(void *unused)
{
    return thrum_offload(beside_a_thread, unused);
}

static void a_thread_beside_a_runtime_has_them_too(void **state)
{
    (void)state;
    for (workers = 1; workers <= 4; workers *= 2)
        expect_ok(
            thrum_run(&(thrum_opts){.workers = workers}, offload_thread, NULL));
}

/* --- how long ------------------------------------------------------------- */

static thrum_err *elapsed(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "untimed");
    CHECK(thrum_scope_elapsed(&s) == 0);
    expect_ok(thrum_scope_close(&s, NULL));

    thrum_scope_open(&s, .timeout = HOUR);
    CHECK(thrum_sleep(SOON) == 0);
    CHECK(thrum_scope_elapsed(&s) >= SOON);
    expect_ok(thrum_scope_close(&s, NULL));
    thrum_scope_open(&s, .slow = HOUR);
    CHECK(thrum_sleep(SOON) == 0);
    CHECK(thrum_scope_elapsed(&s) >= SOON);
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static void a_scope_that_takes_the_time_tells_it(void **state)
{
    (void)state;
    on_runtimes(elapsed, NULL);
    expect_ok(elapsed(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            what_waits_when_it_passes_is_canceled_and_that_is_a_timeout),
        cmocka_unit_test(each_has_one_too),
        cmocka_unit_test(one_that_is_over_when_it_is_opened_is_over_at_once),
        cmocka_unit_test(one_that_does_not_pass_changes_nothing),
        cmocka_unit_test(a_late_success_is_kept_and_a_late_failure_too),
        cmocka_unit_test(the_earliest_up_to_a_shield_is_told),
        cmocka_unit_test(one_outside_is_a_cancel_inside),
        cmocka_unit_test(of_a_timeout_and_a_deadline_the_earlier_counts),
        cmocka_unit_test(timeouts_and_cancels_are_of_different_kinds),
        cmocka_unit_test(it_can_be_moved),
        cmocka_unit_test(one_that_is_extended_in_time_does_not_pass),
        cmocka_unit_test(one_that_has_passed_stays_passed),
        cmocka_unit_test(a_child_may_move_it),
        cmocka_unit_test(
            loops_that_compute_see_it_between_parts_or_when_they_ask),
        cmocka_unit_test(a_thread_without_a_runtime_has_deadlines),
        cmocka_unit_test(a_thread_beside_a_runtime_has_them_too),
        cmocka_unit_test(a_scope_that_takes_the_time_tells_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
