/* Barriers, latches, conditions: those who wait against those who let them through
 * and who cancels one. All see what the others did before; nobody sleeps on who was
 * let through; one who is canceled has come or has not; no signal is lost to him. */
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"
#include "sync/mutex.c"
#include "sync/barrier.c"
#include "sync/cond.c"
#include "sync/latch.c"

#include <string.h>

#include "model_tasks.h"

#include "model_scopes.h"

enum { THREADS = 6 };

static thrum_barrier barrier;
static thrum_latch latch;
static thrum_mutex mutex;
static thrum_cond cond;
static int done[2][THREADS]; /* plain, by each thread: in each phase */
static unsigned waiting;     /* mutex: so many ever did */
static _Atomic unsigned last, outcome;

enum { CAME = 1, GAVE_UP };

/* ----------------------------------------------------------------- barriers */

static void meet(int phase, int all)
{
    int rc;

    done[phase][model_thread()] = 1;
    rc = thrum_barrier_wait(&barrier);
    scribble();
    MODEL_ASSERT(rc >= 0);
    add_relaxed(&last, (unsigned)rc);
    for (int i = 0; i < all; i++)
        MODEL_ASSERT(done[phase][i] == 1);
}

static void walker(void)
{
    meet(0, 3);
    meet(1, 3);
}

/* The first is canceled; if he gives up, a third comes in his place. */
static void canceled_walker(void)
{
    int rc = thrum_barrier_wait(&barrier);

    scribble();
    add_relaxed(&last, rc == 1);
    store_relaxed(&outcome, rc < 0 ? GAVE_UP : CAME);
}

static void substitute(void)
{
    while (load_relaxed(&outcome) == 0)
        model_yield();
    if (load_relaxed(&outcome) == GAVE_UP)
        meet(0, 0);
}

static void other_walker(void)
{
    meet(0, 0);
}

/* ------------------------------------------------------------------ latches */

static void part(void)
{
    done[0][model_thread()] = 1;
    thrum_latch_done(&latch);
}

static void latch_waiter(void)
{
    int rc = thrum_latch_wait(&latch);

    scribble();
    MODEL_ASSERT(rc == 0 || model_thread() == 0);
    if (rc == 0)
        MODEL_ASSERT(done[0][2] == 1 && done[0][3] == 1);
}

/* --------------------------------------------------------------- conditions */

static int wait_for_signal(void)
{
    int rc;

    thrum_mutex_lock(&mutex);
    waiting++;
    rc = thrum_cond_wait(&cond, &mutex);
    MODEL_ASSERT(!thrum_mutex_trylock(&mutex));
    thrum_mutex_unlock(&mutex);
    scribble();
    return rc;
}

static void cond_waiter(void)
{
    MODEL_ASSERT(wait_for_signal() == 0);
}

/* A signal that was not meant for him he passes on. */
static void canceled_cond_waiter(void)
{
    if (wait_for_signal() == 0)
        thrum_cond_signal(&cond);
}

static void await_waiting(unsigned wanted)
{
    bool there = false;

    while (!there) {
        thrum_mutex_lock(&mutex);
        there = waiting >= wanted;
        thrum_mutex_unlock(&mutex);
        if (!there)
            model_yield();
    }
}

static void signaler(void)
{
    await_waiting(2);
    thrum_cond_signal(&cond);
}

static void broadcaster(void)
{
    await_waiting(2);
    thrum_cond_broadcast(&cond);
}

/* Not before the signal is due: or two would never wait at once. */
static void late_cancel(void)
{
    await_waiting(2);
    cancel_first();
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

static void prepare(unsigned all, unsigned outsiders)
{
    prepare_scopes(outsiders);
    MODEL_ASSERT(thrum_barrier_init(&barrier, all) == 0);
    thrum_latch_init(&latch, 2);
    memset((void *)&mutex, 0, sizeof mutex);
    memset(&cond, 0, sizeof cond);
    memset(done, 0, sizeof done);
    waiting = 0;
    store_relaxed(&last, 0);
    store_relaxed(&outcome, 0);
    model_watch(&barrier, sizeof barrier);
    model_watch(&latch, sizeof latch);
    model_watch(&cond, sizeof cond);
    model_watch(done, sizeof done);
    model_watch(&waiting, sizeof waiting);
}

static void for_three(void)
{
    prepare(3, 0);
}

static void for_two(void)
{
    prepare(2, 0);
}

static void for_two_threads(void)
{
    prepare(2, 3);
}

static void nobody_waits(void)
{
    MODEL_ASSERT(!line_any(&barrier_of(&barrier)->line));
    MODEL_ASSERT(barrier.here_ == 0);
    MODEL_ASSERT(!line_any(&latch_of(&latch)->line));
    MODEL_ASSERT(!line_any(&cond_of(&cond)->line));
    for (int i = 0; i < THREADS; i++)
        MODEL_ASSERT(scopes[i].waits == NULL);
}

static void met_once(void)
{
    nobody_waits();
    MODEL_ASSERT(load_relaxed(&last) == 1);
}

static void met_twice(void)
{
    nobody_waits();
    MODEL_ASSERT(load_relaxed(&last) == 2);
}

static const struct model_scenario scenarios[] = {
    {.name = "barrier",
     .setup = for_three,
     .threads = {{"a", walker}, {"b", walker}, {"c", walker}},
     .check = met_twice,
     .executions = 20000},
    {.name = "barrier_against_cancel",
     .setup = for_two,
     .threads = {{"canceled", canceled_walker},
                 {"other", other_walker},
                 {"substitute", substitute},
                 {"cancel", cancel_first}},
     .check = met_once,
     .executions = 20000},
    {.name = "barrier_of_threads",
     .setup = for_two_threads,
     .threads = {{"canceled", canceled_walker},
                 {"other", other_walker},
                 {"substitute", substitute},
                 {"cancel", cancel_first}},
     .check = met_once,
     .executions = 20000},
    {.name = "latch",
     .setup = for_two,
     .threads = {{"canceled", latch_waiter},
                 {"waiter", latch_waiter},
                 {"part", part},
                 {"part2", part},
                 {"cancel", cancel_first}},
     .check = nobody_waits,
     .executions = 20000},
    {.name = "signal_against_cancel",
     .setup = for_two,
     .threads = {{"canceled", canceled_cond_waiter},
                 {"waiter", cond_waiter},
                 {"signaler", signaler},
                 {"cancel", late_cancel}},
     .check = nobody_waits,
     .executions = 20000},
    {.name = "broadcast",
     .setup = for_two,
     .threads = {{"waiter", cond_waiter},
                 {"waiter2", cond_waiter},
                 {"broadcaster", broadcaster}},
     .check = nobody_waits,
     .executions = 20000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_meet", scenarios});
}
