/* A lock for readers and writers: never is somebody inside with a writer, what was
 * written is read, and nobody sleeps on who may go on: not behind a writer that was
 * canceled either. */
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"
#include "sync/rwlock.c"

#include <string.h>

#include "model_tasks.h"

#include "model_scopes.h"

enum { THREADS = 6 };

static thrum_rwlock rwlock;
static int written[2]; /* by writers; the same when none is inside */
static _Atomic uint32_t reading, both_read;

/* ------------------------------------------------------------------ threads */

static void read_inside(void)
{
    add_relaxed(&reading, 1);
    MODEL_ASSERT(written[0] == written[1]);
    model_yield();
    MODEL_ASSERT(written[0] == written[1]);
    add_relaxed(&reading, (uint32_t)-1);
}

static void write_inside(void)
{
    MODEL_ASSERT(load_relaxed(&reading) == 0);
    written[0]++;
    model_yield();
    written[1]++;
}

static void reader(void)
{
    thrum_rwlock_rdlock(&rwlock);
    scribble();
    read_inside();
    thrum_rwlock_rdunlock(&rwlock);
}

static void writer(void)
{
    thrum_rwlock_wrlock(&rwlock);
    scribble();
    write_inside();
    thrum_rwlock_wrunlock(&rwlock);
}

static void canceled_writer(void)
{
    int rc = thrum_rwlock_wrlock_cancelable(&rwlock);

    scribble();
    if (rc < 0)
        return;
    write_inside();
    thrum_rwlock_wrunlock(&rwlock);
}

static void canceled_reader(void)
{
    int rc = thrum_rwlock_rdlock_cancelable(&rwlock);

    scribble();
    if (rc < 0)
        return;
    read_inside();
    thrum_rwlock_rdunlock(&rwlock);
}

/* Reads since setup, and does not end before another one reads, too. */
static void companion(void)
{
    while (load_relaxed(&both_read) == 0)
        model_yield();
    thrum_rwlock_rdunlock(&rwlock);
}

static void awaited_reader(void)
{
    thrum_rwlock_rdlock(&rwlock);
    store_relaxed(&both_read, 1);
    thrum_rwlock_rdunlock(&rwlock);
}

static void holding_writer(void)
{
    write_inside();
    thrum_rwlock_wrunlock(&rwlock);
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

static void prepare(uint32_t held, unsigned outsiders)
{
    prepare_scopes(outsiders);
    memset((void *)&rwlock, 0, sizeof rwlock);
    rwlock.held_ = held;
    written[0] = written[1] = 0;
    store_relaxed(&reading, 0);
    store_relaxed(&both_read, 0);
    model_name(&rwlock, "rwlock");
    model_watch(&rwlock, sizeof rwlock);
    model_watch(written, sizeof written);
}

static void free_one(void)
{
    prepare(0, 0);
}

static void one_reads(void)
{
    prepare(1, 0);
}

static void one_writes(void)
{
    prepare(WRITER, 0);
}

static void one_writes_and_threads(void)
{
    prepare(WRITER, 7);
}

static void nobody_is_left(void)
{
    MODEL_ASSERT(rwlock.held_ == 0);
    MODEL_ASSERT(!line_any(&rwlock_of(&rwlock)->line));
    MODEL_ASSERT(written[0] == written[1]);
    for (int i = 0; i < THREADS; i++)
        MODEL_ASSERT(scopes[i].waits == NULL);
}

static const struct model_scenario scenarios[] = {
    {.name = "take_turns",
     .setup = free_one,
     .threads = {{"reader", reader},
                 {"writer", writer},
                 {"writer2", writer},
                 {"reader2", reader}},
     .check = nobody_is_left,
     .executions = 20000},
    {.name = "a_writer_gives_up",
     .setup = one_reads,
     .threads = {{"canceled", canceled_writer},
                 {"companion", companion},
                 {"reader", awaited_reader},
                 {"cancel", cancel_first}},
     .check = nobody_is_left,
     .executions = 20000,
     .preemptions = 2},
    {.name = "release_against_cancel",
     .setup = one_writes,
     .threads = {{"canceled", canceled_reader},
                 {"holder", holding_writer},
                 {"writer", writer},
                 {"reader", reader},
                 {"cancel", cancel_first}},
     .check = nobody_is_left,
     .executions = 20000},
    {.name = "of_threads",
     .setup = one_writes_and_threads,
     .threads = {{"canceled", canceled_writer},
                 {"holder", holding_writer},
                 {"reader", reader},
                 {"cancel", cancel_first}},
     .check = nobody_is_left,
     .executions = 20000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_rwlock", scenarios});
}
