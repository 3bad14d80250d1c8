/* An event: who waits against who sets it, who resets it and who cancels a waiter,
 * who then takes the others' places into his hands. Who waits when it is set is
 * woken, what came before is seen, and nobody touches a waiter that has gone on. */
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"
#include "sync/event.c"

#include <string.h>

#include "model_tasks.h"

#include "model_scopes.h"

enum { THREADS = 6 };

static struct place places[THREADS];
static thrum_event event;
static _Atomic int pulsed; /* it was set and reset */
static _Atomic int added[2];
static int before; /* plain: what is done before it is set */

/* ------------------------------------------------------------------ threads */

/* As thrum_event_wait, at a place that is watched. */
static int wait_for_event(void)
{
    struct place *p = &places[model_thread()];
    int rc = wait_at(&event, p);

    p->next = NULL; /* what a stack is used for next */
    scribble();
    return rc;
}

static void waiter(void)
{
    MODEL_ASSERT(wait_for_event() == 0);
    MODEL_ASSERT(before == 1);
}

static void canceled_waiter(void)
{
    if (wait_for_event() == 0)
        MODEL_ASSERT(before == 1);
}

static void setter(void)
{
    before = 1;
    thrum_event_set(&event);
}

static void asker(void)
{
    if (thrum_event_is_set(&event))
        MODEL_ASSERT(before == 1);
}

/* Two who add something and set it, and one who looks after each reset: nothing
 * is overlooked. */
static void add_first(void)
{
    store_relaxed(&added[0], 1);
    thrum_event_set(&event);
}

static void add_second(void)
{
    store_relaxed(&added[1], 1);
    thrum_event_set(&event);
}

static void collector(void)
{
    int seen = 0;

    while (seen < 2) {
        MODEL_ASSERT(wait_for_event() == 0);
        thrum_event_reset(&event);
        seen = load_relaxed(&added[0]) + load_relaxed(&added[1]);
    }
}

static void await_place(void)
{
    while (load_relaxed(&event.word_) == UNSET && load_relaxed(&pulsed) == 0)
        model_yield();
}

/* Somebody waits, or is in the hands of one who leaves: he is woken. */
static void pulser(void)
{
    await_place();
    before = 1;
    thrum_event_set(&event);
    thrum_event_reset(&event);
    store_relaxed(&pulsed, 1);
}

/* The first to be canceled comes second. */
static void late_canceled_waiter(void)
{
    await_place();
    (void)wait_for_event();
}

static void cancel_first_two(void)
{
    cancel_first();
    thrum_scope_cancel(scope_public(&scopes[1]), NULL);
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

static void prepare(unsigned outsiders)
{
    prepare_scopes(outsiders);
    memset((void *)&event, 0, sizeof event);
    store_relaxed(&pulsed, 0);
    store_relaxed(&added[0], 0);
    store_relaxed(&added[1], 0);
    before = 0;
    model_name(&event, "event");
    model_watch(&event, sizeof event);
    for (int i = 0; i < THREADS; i++)
        model_watch(&places[i].next, sizeof places[i].next);
    model_watch(&before, sizeof before);
}

static void not_set(void)
{
    prepare(0);
}

static void not_set_and_threads(void)
{
    prepare(7);
}

static void nobody_waits(void)
{
    MODEL_ASSERT(load_relaxed(&event.word_) <= SET);
    for (int i = 0; i < THREADS; i++)
        MODEL_ASSERT(scopes[i].waits == NULL);
}

static const struct model_scenario scenarios[] = {
    {.name = "set_against_wait",
     .setup = not_set,
     .threads =
         {{"a", waiter}, {"b", waiter}, {"setter", setter}, {"asker", asker}},
     .check = nobody_waits,
     .executions = 20000,
     .preemptions = 2},
    {.name = "set_against_cancel",
     .setup = not_set,
     .threads = {{"canceled", canceled_waiter},
                 {"setter", setter},
                 {"cancel", cancel_first}},
     .check = nobody_waits,
     .executions = 20000,
     .preemptions = 2},
    {.name = "the_others_are_woken",
     .setup = not_set,
     .threads = {{"canceled", canceled_waiter},
                 {"waiter", waiter},
                 {"another", waiter},
                 {"setter", setter},
                 {"cancel", cancel_first}},
     .check = nobody_waits,
     .executions = 20000},
    {.name = "of_threads",
     .setup = not_set_and_threads,
     .threads = {{"canceled", canceled_waiter},
                 {"waiter", waiter},
                 {"setter", setter},
                 {"cancel", cancel_first}},
     .check = nobody_waits,
     .executions = 20000},
    {.name = "reset_and_look",
     .setup = not_set,
     .threads = {{"first", add_first},
                 {"second", add_second},
                 {"collector", collector}},
     .check = nobody_waits,
     .executions = 40000},
    {.name = "set_and_undone",
     .setup = not_set,
     .threads = {{"canceled", late_canceled_waiter},
                 {"waiter", waiter},
                 {"pulser", pulser},
                 {"cancel", cancel_first}},
     .check = nobody_waits,
     .executions = 40000},
    {.name = "two_leave",
     .setup = not_set,
     .threads = {{"canceled", late_canceled_waiter},
                 {"canceled2", late_canceled_waiter},
                 {"waiter", waiter},
                 {"pulser", pulser},
                 {"cancel", cancel_first_two}},
     .check = nobody_waits,
     .executions = 40000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_event", scenarios});
}
