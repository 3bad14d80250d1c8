/* Permits: who waits for one against who gives one back and who cancels the
 * waiter. Never are more inside than there are permits, none is lost, and nobody
 * sleeps on while there is one or in a canceled scope. */
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"
#include "task/permits.c"

#include <string.h>

#include "model_tasks.h"

enum { TAKERS = 3, SCRATCH = 512 };

static struct permits permits;
static struct scope scopes[TAKERS]; /* of each taker */
static uint32_t total;              /* permits */
static _Atomic uint32_t inside;
static int guarded; /* what a single permit guards */

/* ----------------------------------------------------- what is not explored */

void alarm_late(struct scope *s)
{
    (void)s;
}

thrum_time thrum_deadline(void)
{
    return CLOCK_NEVER;
}

struct scope *scope_current(void)
{
    return NULL;
}

struct scope *scope_given(thrum_scope *scope, const char *func)
{
    (void)func;
    return scope_of(scope);
}

/* ------------------------------------------------------------------ threads */

static void work_inside(void)
{
    MODEL_ASSERT(add_relaxed(&inside, 1) < total);
    if (total == 1)
        guarded++;
    model_yield();
    sub_relaxed(&inside, 1);
}

/* Who still knows the wait that lay here finds nonsense. */
static __attribute__((noinline)) void scribble(void)
{
    unsigned char scratch[SCRATCH];

    memset(scratch, 0xee, sizeof scratch);
    __asm__ volatile("" : : "r"(scratch) : "memory");
}

static bool take_in_own_scope(void)
{
    bool taken = permits_take(&permits, &scopes[model_thread()],
                              AWAITED("a permit"));

    scribble();
    return taken;
}

static void taker(void)
{
    if (!take_in_own_scope())
        return;
    work_inside();
    permits_give(&permits);
}

static void taker_nobody_cancels(void)
{
    MODEL_ASSERT(take_in_own_scope());
    work_inside();
    permits_give(&permits);
}

static void two_times(void)
{
    taker();
    taker();
}

/* Holds the one that setup took. */
static void giver(void)
{
    work_inside();
    permits_give(&permits);
}

static void cancel_first(void)
{
    thrum_scope_cancel(scope_public(&scopes[0]), NULL);
}

static void cancel_first_two(void)
{
    cancel_first();
    thrum_scope_cancel(scope_public(&scopes[1]), NULL);
}

/* --------------------------------------------------------- setup and checks */

static void prepare(uint32_t permits_there, unsigned outsiders)
{
    model_tasks_setup(outsiders);
    store_relaxed(&thrum_cancels_, 0);
    for (int i = 0; i < TAKERS; i++) {
        memset((void *)&scopes[i], 0, sizeof scopes[i]);
        scopes[i].sched = &model_sched;
    }
    permits_init(&permits, permits_there);
    total = permits_there;
    store_relaxed(&inside, 0);
    guarded = 0;
    model_name(&permits, "permits");
    model_name(scopes, "scopes");
    model_name(&thrum_cancels_, "number");
    model_watch(&permits, sizeof permits);
    model_watch(scopes, sizeof scopes);
    model_watch(&guarded, sizeof guarded);
}

static void one_free(void)
{
    prepare(1, 0);
}

static void one_held(void)
{
    prepare(1, 0);
    (void)permits_try_take(&permits);
}

static void one_held_and_threads(void)
{
    prepare(1, 7);
    (void)permits_try_take(&permits);
}

static void two_held(void)
{
    prepare(2, 0);
    (void)permits_try_take(&permits);
    (void)permits_try_take(&permits);
}

static void none_is_lost(void)
{
    MODEL_ASSERT(permits.left == total);
    MODEL_ASSERT(!line_any(&permits.line));
    for (int i = 0; i < TAKERS; i++)
        MODEL_ASSERT(scopes[i].waits == NULL);
}

static const struct model_scenario scenarios[] = {
    {.name = "take_turns",
     .setup = one_free,
     .threads = {{"a", taker_nobody_cancels},
                 {"b", taker_nobody_cancels},
                 {"c", taker_nobody_cancels}},
     .check = none_is_lost,
     .executions = 20000},
    {.name = "give_against_cancel",
     .setup = one_held,
     .threads = {{"taker", taker}, {"giver", giver}, {"cancel", cancel_first}},
     .check = none_is_lost,
     .executions = 20000,
     .preemptions = 2},
    {.name = "of_a_thread",
     .setup = one_held_and_threads,
     .threads = {{"taker", taker}, {"giver", giver}, {"cancel", cancel_first}},
     .check = none_is_lost,
     .executions = 20000},
    {.name = "the_next_one_gets_it",
     .setup = one_held,
     .threads = {{"canceled", taker},
                 {"next", taker_nobody_cancels},
                 {"giver", giver},
                 {"cancel", cancel_first}},
     .check = none_is_lost,
     .executions = 20000},
    {.name = "two_canceled_one_not",
     .setup = two_held,
     .threads = {{"canceled", taker},
                 {"canceled2", taker},
                 {"next", taker_nobody_cancels},
                 {"giver", giver},
                 {"giver2", giver},
                 {"cancel", cancel_first_two}},
     .check = none_is_lost,
     .executions = 20000},
    {.name = "again",
     .setup = one_held,
     .threads = {{"canceled", two_times},
                 {"other", taker_nobody_cancels},
                 {"giver", giver},
                 {"cancel", cancel_first}},
     .check = none_is_lost,
     .executions = 20000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_permits", scenarios});
}
