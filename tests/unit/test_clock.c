/* Is an instant on the counter never told too early, nor out of order? The
 * counter and the clock are numbers here, but in the last test. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>

#include "base/rng.h"
#include "os/clock.h"

enum { ROUNDS = 2000, LATE_NS = 60, SHOTS = 100 };

/* A machine: a counter that began at `began`, and makes `ticks` in `ns`. */
struct machine {
    uint64_t began;
    int64_t booted;
    uint64_t ticks, ns;
};

static const struct machine machines[] = {
    {0, 0, 3, 1},                                 /* 3 GHz */
    {0, 5, 1, 40},                                /* 25 MHz */
    {1000000007, 1000000000000, 2893, 1000},      /* long up */
    {UINT64_MAX / 4, 4000000000000000, 24, 1000}, /* for 46 days */
};

/* Not before the counter was there: the first whole nanosecond. */
static int64_t truth(const struct machine *m, uint64_t ticks)
{
    uint64_t since = ticks - m->began;

    return m->booted + (int64_t)((since * m->ns + m->ticks - 1) / m->ticks);
}

/* The clock is read some time after the counter. */
static struct clock_pair pair_at(const struct machine *m, uint64_t ticks,
                                 struct rng *rng)
{
    return (struct clock_pair){ticks,
                               truth(m, ticks) + rng_below(rng, LATE_NS)};
}

static void try_machine(const struct machine *m, struct rng *rng)
{
    uint64_t first = m->began + rng_below(rng, 1000000000);
    uint64_t last = first + 1 + rng_below(rng, 1000000000);
    struct clock_pair before = pair_at(m, first, rng);
    struct clock_pair after = pair_at(m, last, rng);
    uint64_t ticks = first + rng_below(rng, (uint32_t)(last - first));
    int64_t told = clock_of_ticks(before, after, ticks);

    /* Of nanoseconds that are rounded up, one may be missing. */
    assert_true(told >= truth(m, ticks) - 1);
    assert_true(told <= truth(m, ticks) + LATE_NS + 1);
}

static void an_instant_is_not_told_too_early_nor_late(void **state)
{
    struct rng rng;

    (void)state;
    rng_init(&rng, 7);
    for (int i = 0; i < ROUNDS; i++)
        for (size_t m = 0; m < sizeof machines / sizeof *machines; m++)
            try_machine(&machines[m], &rng);
}

static void later_ticks_are_told_no_earlier(void **state)
{
    const struct clock_pair before = {1000, 500}, after = {4000, 1501};
    int64_t last = before.now;

    (void)state;
    for (uint64_t ticks = before.ticks; ticks <= after.ticks; ticks++) {
        int64_t told = clock_of_ticks(before, after, ticks);

        assert_true(told >= last && told <= after.now);
        last = told;
    }
    assert_int_equal(last, after.now);
}

static void the_ends_are_told_as_they_were_read(void **state)
{
    const struct clock_pair before = {1000, 500}, after = {4000, 1501};

    (void)state;
    assert_int_equal(clock_of_ticks(before, after, 1000), 500);
    assert_int_equal(clock_of_ticks(before, after, 4000), 1501);
}

/* The counter is not to be trusted, or has not moved: the later instant. */
static void
where_the_counter_tells_nothing_it_is_the_later_instant(void **state)
{
    const struct clock_pair pair = {1000, 500}, same = {1000, 700};
    const struct clock_pair back = {900, 800}, on = {2000, 900};

    (void)state;
    assert_int_equal(clock_of_ticks(pair, pair, 1000), 500);
    assert_int_equal(clock_of_ticks(pair, same, 1000), 700);
    assert_int_equal(clock_of_ticks(pair, same, 999), 700);
    assert_int_equal(clock_of_ticks(pair, back, 950), 800);
    assert_int_equal(clock_of_ticks(pair, on, 2001), 900);
    assert_int_equal(clock_of_ticks(pair, on, UINT64_MAX), 900);
}

static void a_clock_that_stood_still_tells_that(void **state)
{
    const struct clock_pair before = {1000, 500}, after = {4000, 500};

    (void)state;
    assert_int_equal(clock_of_ticks(before, after, 2000), 500);
}

static void the_real_ones_stay_between_the_two_instants(void **state)
{
    struct clock_pair before = clock_pair();

    (void)state;
    if (!clock_ticks_even())
        skip();
    for (int i = 0; i < SHOTS; i++) {
        uint64_t ticks = clock_ticks();
        struct clock_pair after = clock_pair();
        int64_t told = clock_of_ticks(before, after, ticks);

        assert_true(told >= before.now - 1 && told <= after.now);
        assert_true(after.now <= clock_now());
    }
}

static void *read_clock(void *now)
{
    *(int64_t *)now = clock_now();
    return NULL;
}

static void a_thread_may_have_a_time_of_its_own(void **state)
{
    int64_t now = 42, others = 0, before = clock_now();
    pthread_t thread;

    (void)state;
    clock_simulate(&now);
    assert_int_equal(clock_now(), 42);
    assert_int_equal(clock_pair().now, 42);
    now++;
    assert_int_equal(clock_now(), 43);
    assert_int_equal(pthread_create(&thread, NULL, read_clock, &others), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    clock_simulate(NULL);
    assert_true(others >= before);
    assert_true(clock_now() >= others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instant_is_not_told_too_early_nor_late),
        cmocka_unit_test(later_ticks_are_told_no_earlier),
        cmocka_unit_test(the_ends_are_told_as_they_were_read),
        cmocka_unit_test(
            where_the_counter_tells_nothing_it_is_the_later_instant),
        cmocka_unit_test(a_clock_that_stood_still_tells_that),
        cmocka_unit_test(the_real_ones_stay_between_the_two_instants),
        cmocka_unit_test(a_thread_may_have_a_time_of_its_own),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
