/* Who is woken, who is counted, and who answers when somebody is hungry? The
 * states of many workers, played by one thread; the races are in tests/model. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "os/barrier.h"
#include "parts/idle.h"

enum { WORKERS = 130 }; /* in three words of bits */

static struct idle idle_of(unsigned workers)
{
    struct idle idle;

    idle_init(&idle, workers, !barrier_start());
    return idle;
}

static uint32_t searching(struct idle *idle)
{
    return load_relaxed(&idle->searching);
}

static bool asleep(struct idle *idle, unsigned worker)
{
    return load_relaxed(&idle->asleep[worker / 64]) >> worker % 64 & 1;
}

static void put_to_sleep(struct idle *idle, unsigned worker)
{
    idle_search(idle);
    idle_sleep(idle, worker);
}

static void nobody_is_woken_while_all_are_busy(void **state)
{
    struct idle idle = idle_of(4);

    (void)state;
    assert_int_equal(idle_notify(&idle), IDLE_NOBODY);
    assert_int_equal(searching(&idle), 0);
    assert_false(idle_any_asleep(&idle));
    assert_false(idle_published(&idle));
}

static void a_searcher_makes_waking_needless(void **state)
{
    struct idle idle = idle_of(4);

    (void)state;
    put_to_sleep(&idle, 2);
    idle_search(&idle);
    assert_int_equal(idle_notify(&idle), IDLE_NOBODY);
    assert_true(asleep(&idle, 2));
}

static void a_sleeper_is_named_and_searches_from_then_on(void **state)
{
    struct idle idle = idle_of(4);

    (void)state;
    put_to_sleep(&idle, 2);
    assert_true(idle_any_asleep(&idle));
    assert_int_equal(searching(&idle), 0);

    assert_int_equal(idle_notify(&idle), 2);
    assert_false(asleep(&idle, 2));
    assert_false(idle_any_asleep(&idle));
    assert_int_equal(searching(&idle), 1);
    assert_int_equal(idle_notify(&idle), IDLE_NOBODY); /* it searches now */
}

static void each_of_many_can_be_woken(void **state)
{
    struct idle idle = idle_of(WORKERS);
    bool woken[WORKERS] = {false};

    (void)state;
    for (unsigned i = 0; i < WORKERS; i++)
        put_to_sleep(&idle, i);
    for (unsigned i = 0; i < WORKERS; i++) {
        int n = idle_notify(&idle);

        assert_true(n >= 0 && n < WORKERS);
        assert_false(woken[n]);
        woken[n] = true;
        assert_int_equal(searching(&idle), 1);
        assert_true(idle_found(&idle) == (i < WORKERS - 1));
    }
    assert_false(idle_any_asleep(&idle));
}

static void only_the_last_searcher_looks_for_more(void **state)
{
    struct idle idle = idle_of(4);

    (void)state;
    idle_search(&idle);
    idle_search(&idle);
    put_to_sleep(&idle, 3);
    assert_false(idle_found(&idle)); /* another one still searches */
    assert_true(idle_found(&idle));
}

static void a_last_searcher_looks_for_more_only_if_others_sleep(void **state)
{
    struct idle idle = idle_of(4);

    (void)state;
    idle_search(&idle);
    assert_false(idle_found(&idle));
    assert_int_equal(searching(&idle), 0);
}

static void who_wakes_by_himself_is_a_searcher(void **state)
{
    struct idle idle = idle_of(4);

    (void)state;
    put_to_sleep(&idle, 1);
    assert_true(idle_rouse(&idle, 1));
    assert_false(asleep(&idle, 1));
    assert_int_equal(searching(&idle), 1);
}

static void who_was_woken_cannot_rouse_himself_too(void **state)
{
    struct idle idle = idle_of(4);

    (void)state;
    put_to_sleep(&idle, 1);
    assert_int_equal(idle_notify(&idle), 1);
    assert_false(idle_rouse(&idle, 1)); /* a token is on its way */
    assert_int_equal(searching(&idle), 1);
}

static void a_given_worker_is_woken_once(void **state)
{
    struct idle idle = idle_of(WORKERS);

    (void)state;
    put_to_sleep(&idle, 64);
    put_to_sleep(&idle, 129);
    assert_false(idle_wake(&idle, 65));
    assert_true(idle_wake(&idle, 129));
    assert_false(idle_wake(&idle, 129));
    assert_true(asleep(&idle, 64));
    assert_int_equal(searching(&idle), 1);
}

static void who_goes_to_sleep_is_hungry(void **state)
{
    struct idle idle = idle_of(4);

    (void)state;
    put_to_sleep(&idle, 0);
    assert_true(idle_published(&idle));
}

/* [I7] */
static void one_answer_stills_the_hunger(void **state)
{
    struct idle idle = idle_of(4);

    (void)state;
    idle_ask(&idle);
    assert_true(idle_published(&idle));
    assert_true(idle_answer(&idle));
    assert_false(idle_published(&idle));
    assert_false(idle_answer(&idle));
    idle_ask(&idle);
    assert_true(idle_answer(&idle));
}

static void without_membarrier_it_is_the_same(void **state)
{
    struct idle idle;

    (void)state;
    idle_init(&idle, 2, true);
    assert_false(idle_published(&idle));
    put_to_sleep(&idle, 1);
    assert_true(idle_published(&idle));
    assert_true(idle_answer(&idle));
    assert_int_equal(idle_notify(&idle), 1);
    assert_false(idle_found(&idle));
}

static void who_is_alone_asks_nobody_until_another_comes(void **state)
{
    struct idle idle = idle_of(1);

    (void)state;
    put_to_sleep(&idle, 0);
    assert_false(idle_published(&idle));
    assert_int_equal(idle_notify(&idle), 0);
    idle_grow(&idle, WORKERS);
    idle_sleep(&idle, 0);
    assert_true(idle_published(&idle));
    put_to_sleep(&idle, WORKERS - 1);
    assert_int_equal(idle_asleep_count(&idle), 2);
    assert_true(idle_is_asleep(&idle, WORKERS - 1));
    assert_false(idle_is_asleep(&idle, 1));
    assert_int_equal(idle_notify(&idle), 0);
    assert_false(idle_found(&idle) && !idle_any_asleep(&idle));
    assert_int_equal(idle_notify(&idle), WORKERS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_woken_while_all_are_busy),
        cmocka_unit_test(a_searcher_makes_waking_needless),
        cmocka_unit_test(a_sleeper_is_named_and_searches_from_then_on),
        cmocka_unit_test(each_of_many_can_be_woken),
        cmocka_unit_test(only_the_last_searcher_looks_for_more),
        cmocka_unit_test(a_last_searcher_looks_for_more_only_if_others_sleep),
        cmocka_unit_test(who_wakes_by_himself_is_a_searcher),
        cmocka_unit_test(who_was_woken_cannot_rouse_himself_too),
        cmocka_unit_test(a_given_worker_is_woken_once),
        cmocka_unit_test(who_goes_to_sleep_is_hungry),
        cmocka_unit_test(one_answer_stills_the_hunger),
        cmocka_unit_test(without_membarrier_it_is_the_same),
        cmocka_unit_test(who_is_alone_asks_nobody_until_another_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
