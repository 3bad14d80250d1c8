/* What is made once: those who ask against who makes it, fails to, or is canceled
 * while he waits. It is made once, all see it, and nobody waits for nobody. */
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"
#include "sync/once.c"

#include <string.h>

#include "model_tasks.h"

#include "model_scopes.h"

enum { THREADS = 6 };

static thrum_once once;
static int value, failures; /* plain: what is made */
static _Atomic int denied, had;
static char an_error; /* its address is one */

/* ----------------------------------------------------- what is not explored */

thrum_err *thrum_rc(int64_t rc)
{
    (void)rc;
    return (thrum_err *)(void *)&an_error;
}

/* ------------------------------------------------------------------ threads */

static thrum_err *make(void *arg)
{
    int before = value;

    (void)arg;
    model_yield();
    if (failures > 0) {
        failures--;
        return thrum_rc(-1);
    }
    value = before + 1;
    return NULL;
}

static void asker(void)
{
    thrum_err *e = thrum_once_call(&once, make, NULL);

    scribble();
    add_relaxed(e == NULL ? &had : &denied, 1);
    if (e == NULL)
        MODEL_ASSERT(value == 1);
}

static void asks_again(void)
{
    asker();
    asker();
}

/* --------------------------------------------------------- setup and checks */

static void prepare_scopes(unsigned outsiders)
{
    model_tasks_setup(outsiders);
    store_relaxed(&model_sched.crew.running, 1);
    store_relaxed(&thrum_cancels_, 0);
    for (int i = 0; i < THREADS; i++) {
        memset((void *)&scopes[i], 0, sizeof scopes[i]);
        scopes[i].sched = &model_sched;
    }
    model_name(scopes, "scopes");
    model_name(&thrum_cancels_, "number");
    model_watch(scopes, sizeof scopes);
}

static void prepare(int fails, unsigned outsiders)
{
    prepare_scopes(outsiders);
    memset((void *)&once, 0, sizeof once);
    value = 0;
    failures = fails;
    store_relaxed(&denied, 0);
    store_relaxed(&had, 0);
    model_name(&once, "once");
    model_watch(&once, sizeof once);
    model_watch(&value, sizeof value);
    model_watch(&failures, sizeof failures);
}

static void succeeds(void)
{
    prepare(0, 0);
}

static void fails_once(void)
{
    prepare(1, 0);
}

static void fails_once_of_threads(void)
{
    prepare(1, 7);
}

static void nobody_waits(void)
{
    MODEL_ASSERT(!line_any(line_of(&once)));
    MODEL_ASSERT(load_relaxed(&once.state_) == (value ? MADE : NEW));
    for (int i = 0; i < THREADS; i++)
        MODEL_ASSERT(scopes[i].waits == NULL);
}

static void all_had_it(void)
{
    nobody_waits();
    MODEL_ASSERT(load_relaxed(&denied) == 0 && value == 1);
}

static void all_but_one_had_it(void)
{
    nobody_waits();
    MODEL_ASSERT(load_relaxed(&denied) == 1 && value == 1);
}

static const struct model_scenario scenarios[] = {
    {.name = "it_is_made_once",
     .setup = succeeds,
     .threads = {{"a", asker}, {"b", asks_again}, {"c", asker}},
     .check = all_had_it,
     .executions = 20000,
     .preemptions = 2},
    {.name = "the_next_one_makes_it",
     .setup = fails_once,
     .threads = {{"a", asker}, {"b", asker}, {"c", asker}},
     .check = all_but_one_had_it,
     .executions = 20000},
    {.name = "of_threads",
     .setup = fails_once_of_threads,
     .threads = {{"a", asker}, {"b", asker}, {"c", asker}},
     .check = all_but_one_had_it,
     .executions = 20000},
    {.name = "failure_against_cancel",
     .setup = fails_once,
     .threads = {{"canceled", asker},
                 {"b", asker},
                 {"c", asker},
                 {"cancel", cancel_first}},
     .check = nobody_waits,
     .executions = 20000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_once", scenarios});
}
