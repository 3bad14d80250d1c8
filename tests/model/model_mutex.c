/* A mutex: who takes it, in vain or not, against who releases it and who cancels.
 * Never are two inside, what it guards travels with it, and nobody sleeps on while
 * it is free, or is overtaken more often than patience allows: here never once
 * woken in vain, so that each hand-over is seen. */
#define MUTEX_PATIENCE 0

#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"
#include "sync/mutex.c"

#include <string.h>

#include "model_tasks.h"

#include "model_scopes.h"

enum { THREADS = 6 };

static thrum_mutex mutex;
static int guarded, rounds; /* by the mutex */

/* ------------------------------------------------------------------ threads */

static void work_inside(void)
{
    int before = guarded;

    model_yield();
    guarded = before + 1;
}

static void locker(void)
{
    thrum_mutex_lock(&mutex);
    scribble();
    work_inside();
    thrum_mutex_unlock(&mutex);
    scribble();
}

static void two_times(void)
{
    locker();
    locker();
}

static void canceled_locker(void)
{
    int rc = thrum_mutex_lock_cancelable(&mutex);

    scribble();
    if (rc < 0)
        return;
    work_inside();
    thrum_mutex_unlock(&mutex);
}

static void trier(void)
{
    if (!thrum_mutex_trylock(&mutex))
        return;
    work_inside();
    thrum_mutex_unlock(&mutex);
}

/* Holds it since setup. */
static void holder(void)
{
    work_inside();
    thrum_mutex_unlock(&mutex);
}

static void greedy_holder(void)
{
    holder();
    two_times();
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

static void prepare(uint32_t state, unsigned outsiders)
{
    prepare_scopes(outsiders);
    memset((void *)&mutex, 0, sizeof mutex);
    store_relaxed(&mutex.state_, state);
    guarded = 0;
    model_name(&mutex, "mutex");
    model_watch(&mutex, sizeof mutex);
    model_watch(&guarded, sizeof guarded);
}

static void it_is_free(void)
{
    prepare(0, 0);
}

static void it_is_held(void)
{
    prepare(LOCKED, 0);
}

static void it_is_held_by_a_thread(void)
{
    prepare(LOCKED, 7);
}

static void free_and_forgotten(void)
{
    MODEL_ASSERT((load_relaxed(&mutex.state_) & LOCKED) == 0);
    MODEL_ASSERT(!line_any(line_of(&mutex)));
    for (int i = 0; i < THREADS; i++)
        MODEL_ASSERT(scopes[i].waits == NULL);
}

static void all_have_counted(void)
{
    free_and_forgotten();
    MODEL_ASSERT(guarded == rounds);
}

static void two_have(void)
{
    rounds = 2;
    all_have_counted();
}

static void three_have(void)
{
    rounds = 3;
    all_have_counted();
}

static void five_have(void)
{
    rounds = 5;
    all_have_counted();
}

static const struct model_scenario scenarios[] = {
    {.name = "take_turns",
     .setup = it_is_free,
     .threads = {{"a", locker}, {"b", locker}, {"c", locker}},
     .check = three_have,
     .executions = 20000,
     .preemptions = 2},
    {.name = "greedy_against_waiter",
     .setup = it_is_held,
     .threads = {{"greedy", greedy_holder},
                 {"waiter", locker},
                 {"another", locker}},
     .check = five_have,
     .executions = 20000},
    {.name = "release_against_cancel",
     .setup = it_is_held,
     .threads = {{"canceled", canceled_locker},
                 {"holder", holder},
                 {"cancel", cancel_first}},
     .check = free_and_forgotten,
     .executions = 20000},
    {.name = "the_next_one_gets_it",
     .setup = it_is_held,
     .threads = {{"canceled", canceled_locker},
                 {"next", locker},
                 {"holder", greedy_holder},
                 {"cancel", cancel_first}},
     .check = free_and_forgotten,
     .executions = 20000},
    {.name = "who_does_not_hear_of_a_cancel",
     .setup = it_is_held,
     .threads = {{"deaf", locker},
                 {"holder", holder},
                 {"cancel", cancel_first}},
     .check = two_have,
     .executions = 20000},
    {.name = "of_threads",
     .setup = it_is_held_by_a_thread,
     .threads = {{"canceled", canceled_locker},
                 {"next", locker},
                 {"holder", holder},
                 {"cancel", cancel_first}},
     .check = free_and_forgotten,
     .executions = 20000},
    {.name = "trying",
     .setup = it_is_held,
     .threads = {{"holder", holder}, {"waiter", locker}, {"trier", trier}},
     .check = free_and_forgotten,
     .executions = 20000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_mutex", scenarios});
}
