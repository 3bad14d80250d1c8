#include "model_core.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { STACK_BYTES = 1 << 16, GUARD_BYTES = 4096 };

struct execution model_now;

/* ------------------------------------------------------------- choices */

uint64_t random_next(void)
{
    uint64_t z = model_now.random += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

int random_below(int n)
{
    return (int)((random_next() >> 32) * (uint64_t)n >> 32);
}

int model_thread(void)
{
    return model_now.current;
}

int model_choose(int n)
{
    int choice;

    if (n <= 1)
        return 0;
    choice = model_now.strategy == STRATEGY_DFS ? dfs_choose(n)
                                                : random_below(n);
    choice_note((uint64_t)choice);
    return choice;
}

/* ------------------------------------------------- who may run, who does */

static bool enabled(const struct fiber *t)
{
    return t->state == FIBER_READY && !t->yielded;
}

/* The threads that may run; the current one first, so that choice 0 is to stay.
 * Returns how many. */
static int candidates(int *list)
{
    int current = model_now.current;
    int n = 0;

    if (current >= 0 && enabled(&model_now.threads[current]))
        list[n++] = current;
    for (int i = 0; i < model_now.thread_count; i++)
        if (i != current && enabled(&model_now.threads[i]))
            list[n++] = i;
    return n;
}

/* Whoever spins has spun enough. False: nobody does. */
static bool forget_yields(void)
{
    bool any = false;

    for (int i = 0; i < model_now.thread_count; i++) {
        struct fiber *t = &model_now.threads[i];

        any |= t->state == FIBER_READY && t->yielded;
        t->yielded = false;
    }
    return any;
}

/* Nobody is ready: time passes until the first deadline. False: there is none.
 */
static bool time_passes(void)
{
    struct fiber *first = NULL;

    for (int i = 0; i < model_now.thread_count; i++) {
        struct fiber *t = &model_now.threads[i];

        if (t->state == FIBER_ASLEEP && t->deadline != INT64_MAX &&
            (first == NULL || t->deadline < first->deadline))
            first = t;
    }
    if (first == NULL)
        return false;
    if (model_now.now < first->deadline)
        model_now.now = first->deadline;
    first->timed_out = true;
    first->state = FIBER_READY;
    return true;
}

static void end_of_execution(void)
{
    bool asleep = false;

    for (int i = 0; i < model_now.thread_count; i++)
        asleep |= model_now.threads[i].state == FIBER_ASLEEP;
    if (!asleep || model_now.failure != NULL)
        return;
    model_now.running = false; /* may_rest looks at memory as it is */
    if (model_now.scenario->may_rest == NULL ||
        !model_now.scenario->may_rest()) {
        model_now.failure = "deadlock: all threads sleep or have ended";
        model_now.failed_at = NULL;
    }
}

static int highest_priority(const int *list, int n)
{
    int best = 0;

    for (int i = 1; i < n; i++)
        if (model_now.threads[list[i]].priority >
            model_now.threads[list[best]].priority)
            best = i;
    return best;
}

/* At a change point the thread that runs falls below all others. */
static int pick_by_priority(const int *list, int n)
{
    struct execution *e = &model_now;

    while (e->changed < e->depth && e->points >= e->change[e->changed]) {
        if (e->current >= 0)
            e->threads[e->current].priority = -1 - e->steps;
        e->changed++;
    }
    e->attention = e->changed < e->depth ? e->change[e->changed] : e->limit;
    return highest_priority(list, n);
}

static int pick_depth_first(const int *list, int n)
{
    bool may_stay = list[0] == model_now.current;
    int k = may_stay && model_now.preemptions >= model_now.depth
                ? 0
                : dfs_choose(n);

    if (may_stay && k != 0)
        model_now.preemptions++;
    return k;
}

static int pick(const int *list, int n)
{
    switch (model_now.strategy) {
    case STRATEGY_PCT:
        return pick_by_priority(list, n);
    case STRATEGY_DFS:
        return pick_depth_first(list, n);
    case STRATEGY_RANDOM:
    case STRATEGIES:
        break;
    }
    return random_below(n);
}

/* The thread that runs next; -1 if the execution is over. */
static int next_thread(void)
{
    int list[MODEL_THREADS], n;

    do {
        n = candidates(list);
    } while (n == 0 && (forget_yields() || time_passes()));
    return n == 0 ? -1 : list[pick(list, n)];
}

/* ------------------------------------------------------------- switching */

__attribute__((weak)) void model_switches(int from, int to)
{
    (void)from;
    (void)to;
}

static switches_stacks void switch_to(int next)
{
    struct ctx *from = model_now.current < 0
                           ? &model_now.host
                           : &model_now.threads[model_now.current].ctx;
    struct ctx *to = next < 0 ? &model_now.host : &model_now.threads[next].ctx;

    if (from == to)
        return;
    model_switches(model_now.current, next);
    model_now.current = next;
    ctx_switch(from, to);
}

void sched_look_again(void)
{
    model_now.attention = 0;
}

void sched_switch(void)
{
    struct execution *e = &model_now;
    struct fiber *t = e->current < 0 ? NULL : self();

    if (e->steps >= e->limit)
        model_fail("livelock: the execution does not end", NULL);

    /* Depth first, a thread that yields waits until all others have ended,
     * sleep or yield too: otherwise two that spin make an endless path. */
    if (e->strategy != STRATEGY_DFS && t != NULL && !t->yielded)
        forget_yields();

    int next = next_thread();

    if (next < 0)
        end_of_execution();
    switch_to(next);
}

void model_yield(void)
{
    struct fiber *t = self();

    if (!model_now.running)
        return;
    trace("yield", NULL, 0, NULL, NULL);
    t->yielded = true;
    model_now.steps++;
    model_now.points -= t->spun;
    t->spun = 0;
    if (model_now.strategy == STRATEGY_PCT)
        t->priority = -1 - model_now.steps;
    if (model_now.strategy == STRATEGY_DFS)
        memory_refresh(t);
    sched_switch();
    t->yielded = false;
}

bool sched_sleep(const volatile void *on, int64_t deadline)
{
    struct fiber *t = self();

    t->state = FIBER_ASLEEP;
    t->sleeps_on = on;
    t->deadline = deadline;
    t->timed_out = false;
    sched_switch();
    return t->timed_out;
}

void sched_wake(struct fiber *t)
{
    t->state = FIBER_READY;
    sched_look_again();
}

void sched_due(void)
{
    for (int i = 0; i < model_now.thread_count; i++) {
        struct fiber *t = &model_now.threads[i];

        if (t->state == FIBER_ASLEEP && t->deadline <= model_now.now) {
            t->timed_out = true;
            sched_wake(t);
        }
    }
}

void model_fail(const char *why, const char *where)
{
    if (model_now.failure == NULL) {
        model_now.failure = why;
        model_now.failed_at = where;
    }
    if (model_now.running)
        switch_to(-1);
}

/* ---------------------------------------------------------- an execution */

/* Who joins it. */
static void sched_wake_sleepers(const struct fiber *on)
{
    for (int i = 0; i < model_now.thread_count; i++)
        if (model_now.threads[i].state == FIBER_ASLEEP &&
            model_now.threads[i].sleeps_on == on)
            sched_wake(&model_now.threads[i]);
}

static void run_thread(void *arg)
{
    struct fiber *t = arg;

    if (t->run != NULL)
        t->run(t->arg);
    else
        t->body();
    t->state = FIBER_ENDED;
    sched_wake_sleepers(t);
    trace("ends", NULL, 0, NULL, NULL);
    sched_switch();
    abort();
}

static char *map_stack(void)
{
    char *low = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (low == MAP_FAILED || mprotect(low, GUARD_BYTES, PROT_NONE) != 0)
        abort();
    return low + GUARD_BYTES;
}

void sched_stacks(void)
{
    for (int i = 0; i < MODEL_THREADS; i++)
        if (model_now.threads[i].stack == NULL)
            model_now.threads[i].stack = map_stack();
}

static void start_thread(struct fiber *t, const char *name)
{
    t->name = name;
    t->run = NULL;
    t->joined = false;
    t->state = FIBER_READY;
    t->yielded = false;
    t->spurious = t->spun = t->ignores = 0;
    t->priority = (int64_t)(random_next() >> 32);
    ctx_make(&t->ctx, t->stack, t->stack + STACK_BYTES, run_thread, t);
}

/* One that was joined is there to be used again. */
static struct fiber *unused_thread(void)
{
    int n = model_now.thread_count;

    for (int i = 0; i < n; i++)
        if (model_now.threads[i].joined)
            return &model_now.threads[i];
    if (n == MODEL_THREADS)
        return NULL;
    model_now.thread_count++;
    return &model_now.threads[n];
}

int model_start(const char *name, void (*run)(void *arg), void *arg)
{
    struct fiber *t = unused_thread(), *me = self();
    int number = (int)(t - model_now.threads);
    uint32_t clock;

    if (t == NULL)
        return -1;
    clock = t->view.clock[number] + 1;
    view_copy(&t->view, &me->view);
    t->view.clock[number] = clock;
    view_copy(&t->heaved, &me->heaved);
    me->view.clock[model_now.current]++;
    start_thread(t, name);
    t->run = run;
    t->arg = arg;
    trace("starts", NULL, 0, name, NULL);
    sched_look_again();
    model_step();
    return number;
}

void model_join(int thread)
{
    struct fiber *t = &model_now.threads[thread];

    model_step();
    trace("joins", NULL, 0, t->name, NULL);
    if (t->state != FIBER_ENDED)
        (void)sched_sleep(t, INT64_MAX);
    view_join(&self()->view, &t->view);
    t->joined = true;
}

void sched_run(void)
{
    struct execution *e = &model_now;

    e->current = -1;
    e->running = false;
    e->failure = e->failed_at = NULL;
    e->steps = e->points = e->preemptions = e->changed = 0;
    e->limit = e->scenario->steps > 0 ? e->scenario->steps : MODEL_STEPS;
    e->hash = 0;
    e->attention = 0;
    e->now = 1;
    memory_reset();
    barrier_reset();
    plain_reset();
    trace_reset();

    e->scenario->setup();
    for (e->thread_count = 0; e->thread_count < MODEL_THREADS;
         e->thread_count++) {
        int i = e->thread_count;

        if (e->scenario->threads[i].body == NULL)
            break;
        start_thread(&e->threads[i], e->scenario->threads[i].name);
        e->threads[i].body = e->scenario->threads[i].body;
    }

    e->running = true;
    sched_switch();
    e->running = false;
    if (e->failure == NULL && e->scenario->check != NULL)
        e->scenario->check();
}
