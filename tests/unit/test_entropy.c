/* Is a run repeatable when it is asked to be, and different when not?
 * THRUM_SEED is set to what a user may type, right and wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/base.h"
#include "os/entropy.h"

static uint64_t drawn_with(const char *wish)
{
    setenv("THRUM_SEED", wish, 1);
    return entropy();
}

static void the_seed_is_the_one_asked_for(void **state)
{
    (void)state;
    assert_int_equal(drawn_with("0"), 0);
    assert_int_equal(drawn_with("1234567890123456789"), 1234567890123456789);
    assert_int_equal(drawn_with("18446744073709551615"), UINT64_MAX);
    assert_int_equal(drawn_with("0xfeedF00D"), 0xfeedf00d);
    assert_int_equal(drawn_with("0XffffFFFFffffFFFF"), UINT64_MAX);
    assert_int_equal(drawn_with("010"), 10);
}

static void what_is_no_number_is_not_taken(void **state)
{
    static const char *const wrong[] = {
        "",
        " 5",
        "-1",
        "+1",
        "12x",
        "1 ",
        "0x",
        "x1",
        "ff",
        "0xg",
        "18446744073709551616",
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_not_equal(drawn_with(wrong[i]), drawn_with(wrong[i]));
}

static void two_draws_differ(void **state)
{
    (void)state;
    unsetenv("THRUM_SEED");
    assert_int_not_equal(entropy(), entropy());
}

static void errno_is_left_alone(void **state)
{
    (void)state;
    errno = 77;
    drawn_with("18446744073709551616");
    assert_int_equal(errno, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seed_is_the_one_asked_for),
        cmocka_unit_test(what_is_no_number_is_not_taken),
        cmocka_unit_test(two_draws_differ),
        cmocka_unit_test(errno_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
