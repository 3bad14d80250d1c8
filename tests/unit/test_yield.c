/* Does who yields go on after all that were ready before, also where the worker is
 * asked to let go first those that were woken? On one worker, asked by hand, as the
 * monitor does it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdint.h>

#include <thrum/run.h>
#include <thrum/task.h>
#include <thrum/time.h>

#include "sched/worker.h"

enum { OTHERS = 4 };

static int ran;

static thrum_err *run_and_ask(void *arg)
{
    store_relaxed(&worker_current()->worker->asked, 1);
    ran++;
    return arg;
}

static thrum_err *spawn_and_yield(void *ran_before)
{
    for (int i = 0; i < OTHERS; i++)
        THRUM_TRY(thrum_spawn(NULL, run_and_ask, NULL, 0));
    thrum_yield();
    *(int *)ran_before = ran;
    return NULL;
}

static thrum_err *fork_and_yield(void *ran_before)
{
    thrum_task t[OTHERS];
    thrum_err *e = NULL;

    for (int i = 0; i < OTHERS; i++)
        thrum_fork(&t[i], run_and_ask, NULL);
    thrum_yield();
    *(int *)ran_before = ran;
    for (int i = OTHERS - 1; i >= 0; i--)
        e = thrum_err_add(e, thrum_join(&t[i]));
    return e;
}

static int ran_when_it_went_on(thrum_fn *fn)
{
    thrum_opts one = {.workers = 1};
    int ran_before = -1;

    ran = 0;
    assert_null(thrum_run(&one, fn, &ran_before));
    return ran_before;
}

static void who_yields_lets_children_run(void **state)
{
    (void)state;
    assert_int_equal(ran_when_it_went_on(spawn_and_yield), OTHERS);
}

static void who_yields_lets_forks_run(void **state)
{
    (void)state;
    assert_int_equal(ran_when_it_went_on(fork_and_yield), OTHERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_yields_lets_children_run),
        cmocka_unit_test(who_yields_lets_forks_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
