/* Does exactly one claim win, and does the sleeper learn which? Every order of
 * the few steps there are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "parts/waiter.h"

static struct waiter armed(void)
{
    struct waiter w;

    waiter_arm(&w);
    return w;
}

static void a_claim_before_sleep_is_early(void **state)
{
    struct waiter w = armed();

    (void)state;
    assert_int_equal(waiter_claim(&w, WAKE_EVENT), CLAIM_EARLY);
    assert_int_equal(waiter_cause(&w), WAKE_EVENT);
}

static void who_was_claimed_does_not_fall_asleep(void **state)
{
    struct waiter w = armed();

    (void)state;
    assert_int_equal(waiter_claim(&w, WAKE_DEADLINE), CLAIM_EARLY);
    assert_false(waiter_fall_asleep(&w));
    assert_int_equal(waiter_cause(&w), WAKE_DEADLINE); /* not lost by trying */
}

static void a_claim_of_a_sleeper_must_wake_it(void **state)
{
    struct waiter w = armed();

    (void)state;
    assert_true(waiter_fall_asleep(&w));
    assert_int_equal(waiter_claim(&w, WAKE_DEADLINE), CLAIM_WAKE);
    assert_int_equal(waiter_cause(&w), WAKE_DEADLINE);
}

/* I1, I2: for each first and second cause, asleep or not. */
static void the_second_claim_is_lost_and_changes_nothing(void **state)
{
    static const enum wake causes[] = {WAKE_EVENT, WAKE_DEADLINE};

    (void)state;
    for (int i = 0; i < 8; i++) {
        enum wake first = causes[i & 1], second = causes[i >> 1 & 1];
        struct waiter w = armed();
        bool asleep = i >> 2 && waiter_fall_asleep(&w);

        assert_int_equal(waiter_claim(&w, first),
                         asleep ? CLAIM_WAKE : CLAIM_EARLY);
        assert_int_equal(waiter_claim(&w, second), CLAIM_LOST);
        assert_int_equal(waiter_claim(&w, first), CLAIM_LOST);
        assert_int_equal(waiter_cause(&w), first);
    }
}

static void a_waiter_can_be_armed_anew(void **state)
{
    struct waiter w = armed();

    (void)state;
    assert_int_equal(waiter_claim(&w, WAKE_EVENT), CLAIM_EARLY);
    waiter_arm(&w);
    assert_true(waiter_fall_asleep(&w));
    assert_int_equal(waiter_claim(&w, WAKE_DEADLINE), CLAIM_WAKE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claim_before_sleep_is_early),
        cmocka_unit_test(who_was_claimed_does_not_fall_asleep),
        cmocka_unit_test(a_claim_of_a_sleeper_must_wake_it),
        cmocka_unit_test(the_second_claim_is_lost_and_changes_nothing),
        cmocka_unit_test(a_waiter_can_be_armed_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
