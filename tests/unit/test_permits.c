/* Are there never more inside than there are permits, is none lost, and do those
 * who wait go in order? Tasks on one worker, where the order is certain; then on
 * several, and a thread that is no worker. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include <thrum/run.h>
#include <thrum/task.h>

#include "base/atomic.h"
#include "os/thread.h"
#include "task/scope.h"

enum { TASKS = 40, ROUNDS = 50, PERMITS = 3 };

/* In a task: cmocka's asserts jump to the stack of the test. */
#define must(cond)                                                             \
    do {                                                                       \
        if (!(cond)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                           \
        }                                                                      \
    } while (0)

static struct permits permits;
static int order[TASKS], count;

static void in_a_task(unsigned workers, thrum_fn *fn)
{
    thrum_opts opts = {.workers = workers};

    assert_null(thrum_run(&opts, fn, NULL));
}

static void there_are_as_many_as_there_are(void **state)
{
    (void)state;
    permits_init(&permits, 2);
    assert_true(permits_try_take(&permits));
    assert_true(permits_try_take(&permits));
    assert_false(permits_try_take(&permits));
    permits_give(&permits);
    assert_true(permits_try_take(&permits));
    assert_false(permits_try_take(&permits));
}

static void one_that_is_left_is_taken_without_waiting(void **state)
{
    (void)state;
    permits_init(&permits, 2);
    assert_true(permits_take(&permits, NULL, AWAITED("a permit")));
    assert_true(permits_take(&permits, NULL, AWAITED("a permit")));
    assert_false(permits_try_take(&permits));
}

static thrum_err *nothing(void *arg)
{
    return arg;
}

/* A worker that rested asked for a job, and would be given the first one that
 * there is. Answer it, so that what follows is certain. */
static void still_the_hunger(void)
{
    thrum_task t;

    thrum_fork(&t, nothing, NULL);
    must(thrum_join(&t) == NULL);
}

static thrum_err *take_and_note(void *arg)
{
    assert_true(permits_take(&permits, NULL, AWAITED("a permit")));
    order[count++] = (int)(intptr_t)arg;
    return NULL;
}

static thrum_err *give_one_by_one(void *unused)
{
    thrum_scope s;

    (void)unused;
    still_the_hunger();
    permits_init(&permits, 0);
    count = 0;
    thrum_scope_open(&s, .name = "waiters");
    for (intptr_t i = 0; i < TASKS; i++)
        must(thrum_spawn(&s, take_and_note, (void *)i, 0) == 0);
    while (!line_any(&permits.line))
        thrum_yield();
    thrum_yield();
    for (int i = 0; i < TASKS; i++) {
        must(count == i);
        permits_give(&permits);
        /* It was handed over: nobody else can come between. */
        must(!permits_try_take(&permits));
        thrum_yield();
    }
    THRUM_TRY(thrum_scope_close(&s, NULL));
    must(!permits_try_take(&permits));
    permits_give(&permits);
    must(permits_try_take(&permits));
    return NULL;
}

static void who_waited_longest_is_next(void **state)
{
    (void)state;
    in_a_task(1, give_one_by_one);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(order[i], i);
}

static _Atomic int inside, most, turns;

static thrum_err *go_in_and_out(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        int now, seen;

        assert_true(permits_take(&permits, NULL, AWAITED("a permit")));
        now = add_relaxed(&inside, 1) + 1;
        for (seen = load_relaxed(&most); now > seen;)
            if (cas_relaxed(&most, &seen, now))
                break;
        thrum_yield();
        add_relaxed(&turns, 1);
        add_relaxed(&inside, -1);
        permits_give(&permits);
    }
    return NULL;
}

static thrum_err *crowd(void *unused)
{
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s, .name = "crowd");
    for (int i = 0; i < TASKS; i++)
        must(thrum_spawn(&s, go_in_and_out, NULL, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static void no_permit_is_lost_or_made(void **state)
{
    (void)state;
    permits_init(&permits, PERMITS);
    store_relaxed(&most, 0);
    in_a_task(3, crowd);
    assert_int_equal(load_relaxed(&turns), TASKS * ROUNDS);
    assert_true(load_relaxed(&most) <= PERMITS);
    for (int i = 0; i < PERMITS; i++)
        assert_true(permits_try_take(&permits));
    assert_false(permits_try_take(&permits));
}

static void hand_back_and_forth(void *arg)
{
    struct permits *both = arg;

    for (int i = 0; i < ROUNDS; i++) {
        assert_true(permits_take(&both[0], NULL, AWAITED("a permit")));
        count++; /* whose turn it is goes with the permit */
        permits_give(&both[1]);
    }
}

static void threads_wait_for_a_permit_too(void **state)
{
    struct permits both[2];
    struct thread t;

    (void)state;
    permits_init(&both[0], 0);
    permits_init(&both[1], 0);
    count = 0;
    assert_int_equal(thread_start(&t, "other", 0, hand_back_and_forth, both),
                     0);
    for (int i = 0; i < ROUNDS; i++) {
        count++;
        permits_give(&both[0]);
        assert_true(permits_take(&both[1], NULL, AWAITED("a permit")));
        assert_int_equal(count, 2 * i + 2);
    }
    thread_join(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_as_many_as_there_are),
        cmocka_unit_test(one_that_is_left_is_taken_without_waiting),
        cmocka_unit_test(who_waited_longest_is_next),
        cmocka_unit_test(no_permit_is_lost_or_made),
        cmocka_unit_test(threads_wait_for_a_permit_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
