/* Are choices in range, repeatable, and spread over what can be chosen? Counts
 * over fixed seeds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/rng.h"

enum { DRAWS = 40000 };

static void one_seed_gives_one_sequence(void **state)
{
    struct rng a, b;

    (void)state;
    rng_init(&a, 42);
    rng_init(&b, 42);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(rng_below(&a, UINT32_MAX), rng_below(&b, UINT32_MAX));
}

/* Workers are seeded with neighbours: they must not choose alike. */
static void neighbouring_seeds_differ(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct rng a, b;
        int same = 0;

        rng_init(&a, seed * 2);
        rng_init(&b, seed * 2 + 1);
        for (int i = 0; i < 100; i++)
            same += rng_below(&a, 1000) == rng_below(&b, 1000);
        assert_true(same < 10);
    }
}

static void every_choice_is_below_n_and_is_made(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 64; n++) {
        uint32_t seen[64] = {0};
        struct rng r;

        rng_init(&r, n);
        for (int i = 0; i < DRAWS / 10; i++) {
            uint32_t x = rng_below(&r, n);

            assert_true(x < n);
            seen[x]++;
        }
        for (uint32_t i = 0; i < n; i++)
            assert_true(seen[i] > 0);
    }
}

static void choices_are_about_even(void **state)
{
    enum { N = 10 };
    int seen[N] = {0};
    struct rng r;

    (void)state;
    rng_init(&r, 7);
    for (int i = 0; i < DRAWS; i++)
        seen[rng_below(&r, N)]++;
    for (int i = 0; i < N; i++) {
        assert_true(seen[i] > DRAWS / N * 9 / 10);
        assert_true(seen[i] < DRAWS / N * 11 / 10);
    }
}

static void no_seed_gets_stuck(void **state)
{
    static const uint64_t seeds[] = {0, 1, UINT64_MAX, UINT64_C(1) << 63};

    (void)state;
    for (int s = 0; s < 4; s++) {
        struct rng r;
        int changes = 0;

        rng_init(&r, seeds[s]);
        for (int i = 0; i < 100; i++) {
            uint64_t before = r.state;

            (void)rng_below(&r, 10);
            assert_int_not_equal(r.state, 0);
            changes += r.state != before;
        }
        assert_int_equal(changes, 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_gives_one_sequence),
        cmocka_unit_test(neighbouring_seeds_differ),
        cmocka_unit_test(every_choice_is_below_n_and_is_made),
        cmocka_unit_test(choices_are_about_even),
        cmocka_unit_test(no_seed_gets_stuck),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
