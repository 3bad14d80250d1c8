/* Do timers fire when they are due, in order, once? Time is a number here. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/base.h"
#include "base/rng.h"
#include "parts/timers.h"

enum { TIMERS = 300 };

struct alarm {
    struct timer timer;
    int64_t deadline;
    bool fired;
};

static struct timers ts;
static struct timer_heap heap, other;
static int64_t now, last; /* the time, and the deadline fired last */
static int fired;

static int start(void **state)
{
    (void)state;
    timers_init(&ts);
    timers_join(&ts, &heap);
    timers_join(&ts, &other);
    now = 0;
    last = INT64_MIN;
    fired = 0;
    return 0;
}

static void ring(struct timer *t)
{
    struct alarm *a = container_of(t, struct alarm, timer);

    assert_false(a->fired);
    assert_true(a->deadline <= now);
    assert_true(a->deadline >= last);
    last = a->deadline;
    a->fired = true;
    fired++;
}

static bool add_to(struct timer_heap *h, struct alarm *a, int64_t deadline)
{
    a->deadline = deadline;
    a->fired = false;
    return timers_add(h, &a->timer, deadline, ring);
}

static bool add(struct alarm *a, int64_t deadline)
{
    return add_to(&heap, a, deadline);
}

static void fire_at(int64_t time)
{
    now = time;
    timers_fire(&ts, time);
}

static void without_timers_the_earliest_is_never(void **state)
{
    (void)state;
    assert_true(timers_earliest(&ts) == TIMERS_NEVER);
    fire_at(INT64_MAX - 1);
    assert_int_equal(fired, 0);
}

static void a_timer_fires_when_it_is_due_not_before(void **state)
{
    struct alarm a;

    (void)state;
    add(&a, 100);
    fire_at(99);
    assert_false(a.fired);
    fire_at(100);
    assert_true(a.fired);
    fire_at(200); /* and once */
    assert_int_equal(fired, 1);
}

static void who_adds_the_earliest_is_told(void **state)
{
    struct alarm a, b, c;

    (void)state;
    assert_true(add(&a, 100));
    assert_false(add(&b, 200));
    assert_true(add(&c, 50));
}

/* I1 */
static void the_earliest_is_the_least_deadline(void **state)
{
    struct alarm a, b, c;

    (void)state;
    add(&a, 100);
    assert_true(timers_earliest(&ts) == 100);
    add(&b, 200);
    assert_true(timers_earliest(&ts) == 100);
    add(&c, 50);
    assert_true(timers_earliest(&ts) == 50);
    fire_at(60);
    assert_true(timers_earliest(&ts) == 100);
    fire_at(300);
    assert_true(timers_earliest(&ts) == TIMERS_NEVER);
}

static void all_that_are_due_fire_in_order(void **state)
{
    struct alarm a[4];

    (void)state;
    add(&a[0], 30);
    add(&a[1], 10);
    add(&a[2], 20);
    add(&a[3], 40);
    fire_at(30);
    assert_int_equal(fired, 3);
    assert_false(a[3].fired);
}

static void ends_its_own_life(struct timer *t)
{
    fired++;
    free(container_of(t, struct alarm, timer));
}

/* I2 */
static void one_that_is_due_can_be_taken_instead(void **state)
{
    struct alarm a, b;

    (void)state;
    add(&a, 10);
    add(&b, 20);
    assert_null(timers_take_due(&ts, 9));
    assert_ptr_equal(timers_take_due(&ts, 19), &a.timer);
    assert_int_equal(timers_earliest(&ts), 20);
    assert_null(timers_take_due(&ts, 19));
    assert_true(timers_remove(&b.timer));
    assert_int_equal(timers_earliest(&ts), 20); /* not looked at yet */
    assert_null(timers_take_due(&ts, 19));
    assert_int_equal(timers_earliest(&ts), TIMERS_NEVER);
    assert_int_equal(fired, 0);
}

/* I2 */
static void the_earliest_is_that_of_all_heaps(void **state)
{
    struct alarm a, b, c;

    (void)state;
    assert_true(add_to(&other, &a, 100));
    assert_false(add_to(&heap, &b, 200)); /* the first one there */
    assert_true(add_to(&heap, &c, 50));
    fire_at(60);
    assert_true(c.fired && !a.fired);
    assert_int_equal(timers_earliest(&ts), 100);
    last = 0;
    fire_at(300);
    assert_true(a.fired && b.fired);
    assert_true(timers_earliest(&ts) == TIMERS_NEVER);
}

static void what_was_fired_or_removed_is_gone(void **state)
{
    struct alarm a, b;

    (void)state;
    add(&a, 10);
    add_to(&other, &b, 20);
    fire_at(10);
    assert_false(timers_remove(&a.timer));
    assert_true(timers_remove(&b.timer));
    assert_false(timers_remove(&b.timer));
    fire_at(20);
    assert_int_equal(fired, 1);
}

static void fire_may_end_the_timers_life(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct alarm *a = malloc(sizeof *a);

        assert_non_null(a);
        timers_add(&heap, &a->timer, i, ends_its_own_life);
    }
    fire_at(5);
    assert_int_equal(fired, 3);
}

static void comes_again(struct timer *t)
{
    fired++;
    if (fired < 5)
        timers_add(&heap, t, now + 10, comes_again);
}

/* With the lock released, so it can. */
static void fire_may_add_timers(void **state)
{
    struct timer t;

    (void)state;
    timers_add(&heap, &t, 10, comes_again);
    for (int64_t time = 10; time < 100; time += 10) {
        fire_at(time);
        assert_int_equal(fired, time / 10 < 5 ? time / 10 : 5);
    }
    assert_true(timers_earliest(&ts) == TIMERS_NEVER);
}

static void many_timers_fire_in_the_order_of_their_deadlines(void **state)
{
    struct alarm *a = calloc(TIMERS, sizeof *a);
    struct rng r;

    (void)state;
    assert_non_null(a);
    rng_init(&r, 3);
    for (int i = 0; i < TIMERS; i++)
        add(&a[i], rng_below(&r, 1000));
    for (int64_t time = 0; time <= 1000; time += 1 + rng_below(&r, 20)) {
        fire_at(time);
        for (int i = 0; i < TIMERS; i++)
            assert_true(a[i].fired == (a[i].deadline <= time));
    }
    fire_at(1000);
    assert_int_equal(fired, TIMERS);
    free(a);
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_timers_the_earliest_is_never),
        TEST(a_timer_fires_when_it_is_due_not_before),
        TEST(who_adds_the_earliest_is_told),
        TEST(the_earliest_is_the_least_deadline),
        TEST(all_that_are_due_fire_in_order),
        TEST(one_that_is_due_can_be_taken_instead),
        TEST(the_earliest_is_that_of_all_heaps),
        TEST(what_was_fired_or_removed_is_gone),
        TEST(fire_may_end_the_timers_life),
        TEST(fire_may_add_timers),
        TEST(many_timers_fire_in_the_order_of_their_deadlines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
