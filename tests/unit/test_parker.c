/* Is a token left taken exactly once, before or after the park, and does a park
 * without one end at its deadline? Deadlines lie in the past, so none is waited
 * for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "os/clock.h"
#include "os/thread.h"
#include "parts/parker.h"

enum { ROUNDS = 2000 };

static int64_t passed(void)
{
    return clock_now() - 1;
}

static void a_token_left_before_is_taken_at_once(void **state)
{
    struct parker p;

    (void)state;
    parker_init(&p);
    parker_unpark(&p);
    assert_true(parker_park(&p, CLOCK_NEVER));
}

static void two_unparks_leave_one_token(void **state)
{
    struct parker p;

    (void)state;
    parker_init(&p);
    parker_unpark(&p);
    parker_unpark(&p);
    assert_true(parker_park(&p, passed()));
    assert_false(parker_park(&p, passed()));
}

static void without_a_token_the_deadline_ends_it(void **state)
{
    struct parker p;

    (void)state;
    parker_init(&p);
    assert_false(parker_park(&p, passed()));
    assert_false(parker_park(&p, 0));
}

static void a_token_goes_before_a_deadline_that_has_passed(void **state)
{
    struct parker p;

    (void)state;
    parker_init(&p);
    parker_unpark(&p);
    assert_true(parker_park(&p, 0));
}

/* I2: what a park that was too late leaves behind does not swallow a token. */
static void a_park_that_timed_out_leaves_nothing_behind(void **state)
{
    struct parker p;

    (void)state;
    parker_init(&p);
    assert_false(parker_park(&p, passed()));
    parker_unpark(&p);
    assert_true(parker_park(&p, CLOCK_NEVER));
    assert_false(parker_park(&p, passed()));
}

struct pair {
    struct parker here, there;
    int rounds; /* whose turn it is: handed over by the token */
};

static void answer(void *arg)
{
    struct pair *p = arg;

    for (int i = 0; i < ROUNDS; i++) {
        (void)parker_park(&p->there, CLOCK_NEVER);
        p->rounds++;
        parker_unpark(&p->here);
    }
}

/* [P1] -> [P2]: the plain counter goes back and forth. */
static void what_the_waker_did_is_seen(void **state)
{
    struct pair p = {.rounds = 0};
    struct thread t;

    (void)state;
    parker_init(&p.here);
    parker_init(&p.there);
    assert_int_equal(thread_start(&t, "answer", 0, answer, &p), 0);
    for (int i = 0; i < ROUNDS; i++) {
        p.rounds++;
        parker_unpark(&p.there);
        assert_true(parker_park(&p.here, CLOCK_NEVER));
        assert_int_equal(p.rounds, 2 * i + 2);
    }
    thread_join(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_left_before_is_taken_at_once),
        cmocka_unit_test(two_unparks_leave_one_token),
        cmocka_unit_test(without_a_token_the_deadline_ends_it),
        cmocka_unit_test(a_token_goes_before_a_deadline_that_has_passed),
        cmocka_unit_test(a_park_that_timed_out_leaves_nothing_behind),
        cmocka_unit_test(what_the_waker_did_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
