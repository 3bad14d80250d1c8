/* model_workers.h - workers as the library has them, with all their parts, and
 * jobs that block their worker until all of them run: so a wake-up that was lost
 * is found. A program includes it once, and nothing of sched/ besides.
 */
#ifndef MODEL_WORKERS_H
#define MODEL_WORKERS_H

#include "base/heap.c"
#include "parts/deque.c"
#include "parts/idle.c"
#include "parts/inbox.c"
#include "parts/parker.c"
#include "parts/queue.c"
#include "parts/timers.c"
#include "sched/away.c"
#include "sched/crew.c"
#include "sched/fds.c"
#include "sched/keeper.c"
#include "sched/poller.c"
#include "sched/relief.c"
#include "sched/sched.c"

#include <string.h>

#include "os/barrier.h"

enum { WORKERS = 3, JOBS = 4, SLOTS = 8 };

static const struct thrum_site_ done = {NULL, "done", ""};
static struct thrum_scope *const scope = (struct thrum_scope *)&done;

static struct sched sched;
static struct worker workers[WORKERS];
static struct stack *stacks[WORKERS];
static _Alignas(SEGMENT_BYTES) char arena[2 * WORKERS + 3][SEGMENT_BYTES];

static struct thrum_job_ jobs[JOBS];
static _Atomic uint32_t met;  /* how many have come to the meeting */
static _Atomic uint32_t left; /* jobs that have not ended */
static uint32_t expected;     /* at the meeting */
static int total;             /* jobs */
static int runs[JOBS + 1];

/* What is not explored here: nobody computes for long, nor has spare stacks, and
 * the poller is opened by one. The relief does nothing but stand in for who polls. */
int thread_start(struct thread *t, const char *name, size_t stack_bytes,
                 void (*run)(void *arg), void *arg)
{
    (void)t, (void)name, (void)stack_bytes, (void)run, (void)arg;
    return 0;
}

void thread_join(struct thread *t)
{
    (void)t;
}

bool clock_ticks_even(void)
{
    return false;
}

struct clock_pair clock_pair(void)
{
    return (struct clock_pair){0, 0};
}

static _Atomic uint32_t *word_of(struct lock *l)
{
    return (_Atomic uint32_t *)(void *)l;
}

void lock_init(struct lock *l)
{
    store_relaxed(word_of(l), 0);
}

void lock_acquire(struct lock *l)
{
    uint32_t is = 0;

    while (!cas_acquire(word_of(l), &is, 1)) {
        model_yield();
        is = 0;
    }
}

void lock_release(struct lock *l)
{
    store_release(word_of(l), 0);
}

int poll_open(struct poll_set *set)
{
    *set = (struct poll_set){0, 0, -1};
    return 0;
}

void poll_close(struct poll_set *set)
{
    (void)set;
}

int poll_open_timed(struct poll_set *set)
{
    return poll_open(set);
}

void poll_ready_at(struct poll_set *set, int64_t until)
{
    (void)set, (void)until;
}

bool stack_pool_trim(struct stack_pool *pool)
{
    (void)pool;
    return false;
}

/* --------------------------------------------------------------------- jobs */

static void stop(void)
{
    store_seq_cst(&sched.stopping, 1); /* as sched/start.c does */
    sched_wake_all(&sched);
}

static void end(int id)
{
    MODEL_ASSERT(runs[id] == 0);
    runs[id]++;
    if (sub_acq_rel(&left, 1) == 1)
        stop();
}

/* Blocks the thread, so that others must come. */
static void meet(void)
{
    uint32_t now;

    add_acq_rel(&met, 1);
    futex_wake(&met, WORKERS);
    while ((now = load_acquire(&met)) < expected)
        futex_wait(&met, now, CLOCK_NEVER);
}

static void meet_and_end(struct thrum_job_ *job)
{
    int id;

    memcpy(&id, job->u.bytes, sizeof id);
    meet();
    end(id);
}

static const struct thrum_site_ meeting = {meet_and_end, "meeting", ""};

static struct thrum_job_ *job_of_id(int id, const struct thrum_site_ *site)
{
    struct thrum_job_ *job = &jobs[id];

    memcpy(job->u.bytes, &id, sizeof id);
    store_relaxed(&job->site, site);
    return job;
}

static struct worker *here(void)
{
    return &workers[model_thread()];
}

/* A job that ends at once, between two that meet. */
static void just_end(struct thrum_job_ *job)
{
    int id;

    memcpy(&id, job->u.bytes, sizeof id);
    end(id);
}

static struct timer late;

static void submit_on_time(struct timer *t);

/* One that sleeps for years: somebody may keep that time already. */
static void arm_late(struct thrum_job_ *job)
{
    sched_arm(here(), &late, INT64_MAX - 1, submit_on_time);
    just_end(job);
}

static const struct thrum_site_ late_sleeper = {arm_late, "late sleeper", ""};

static void run(struct stack *s, struct thrum_job_ *job)
{
    bool fork = job_is_fork(job);

    if (fork)
        deque_set_scope(&s->deque, deque_newest(&s->deque), job->taken);
    load_relaxed(&job->site)->run(job);
    if (fork) {
        deque_set_scope(&s->deque, deque_newest(&s->deque), NULL);
        store_release(&job->site, &done);
    }
}

static inline void work(void)
{
    struct worker *w = here();
    struct thrum_job_ *job;

    store_release(&w->stack, stacks[model_thread()]);
    while ((job = sched_find(&sched, w)) != NULL)
        run(stacks[model_thread()], job);
}

static bool nobody_is_attended(void *arg, bool judge)
{
    (void)arg;
    (void)judge;
    return false;
}

static void prepare(unsigned count)
{
    bool fenced = !barrier_start();

    memset((void *)&sched, 0, sizeof sched);
    memset((void *)workers, 0, sizeof workers);
    memset(jobs, 0, sizeof jobs);
    memset(runs, 0, sizeof runs);
    idle_init(&sched.idle, count, fenced);
    inbox_init(&sched.inbox);
    timers_init(&sched.timers);
    store_relaxed(&sched.always, 1);
    store_relaxed(&sched.keeper, IDLE_NOBODY);
    store_relaxed(&sched.count, count);
    store_relaxed(&sched.crew.running, count);
    store_relaxed(&sched.relief.attends, 1);
    sched.workers = workers;
    parker_init(&sched.relief.parker);
    sched.relief.stand_in = sched_stand_in;
    sched.relief.attend = nobody_is_attended;
    sched.relief.arg = &sched;
    store_relaxed(&met, 0);
    expected = count;
    model_name(&sched.idle.hungry, "hungry");
    model_name(&sched.idle.searching, "searching");
    model_name(&sched.idle.asleep, "asleep");
    model_name(&sched.inbox, "inbox");
    model_name(&sched.inbox.count, "inbox.count");
    model_name(&sched.timers, "timers");
    model_name(&sched.stopping, "stopping");
    model_name(&sched.keeper, "keeper");
    model_name(&sched.poller.hooks, "hooks");
    model_name(&sched.poller.set, "set");
    model_watch(&sched.poller.set, sizeof sched.poller.set);
    model_name(jobs, "jobs");
    model_name(&met, "met");
    model_name(&left, "left");
    model_watch(jobs, sizeof jobs);
    model_watch(arena, sizeof arena);
}

static void prepare_worker(unsigned i)
{
    static const char *const names[] = {"queue 0", "queue 1", "queue 2"};
    static const char *const heaps[] = {"heap 0", "heap 1", "heap 2"};
    static const char *const decks[] = {"deque 0", "deque 1", "deque 2"};
    struct worker *w = &workers[i];
    char *border = arena[2 * i + 1];

    if ((uint32_t)(uintptr_t)border == 0)
        border += SEGMENT_BYTES;
    stacks[i] = (struct stack *)(void *)(border - SEGMENT_HEAD);
    memset((void *)stacks[i], 0, SEGMENT_HEAD + SLOTS * sizeof *jobs);
    deque_init(&stacks[i]->deque, &stacks[i]->deque,
               sched.idle.fenced ? &sched.always : &sched.idle.hungry,
               sched.idle.fenced);
    deque_set_scope(&stacks[i]->deque, stacks[i]->deque.head, scope);
    stacks[i]->worker = w;

    w->sched = &sched;
    w->index = i;
    rng_init(&w->rng, (uint64_t)model_choose(100));
    queue_init(&w->queue, sched.idle.fenced);
    parker_init(&w->parker);
    timers_join(&sched.timers, &w->timers);
    model_name(&w->timers, heaps[i]);
    model_watch(&w->timers.heap, sizeof w->timers.heap);
    store_relaxed(&w->stack, NULL);
    model_name(&w->queue, names[i]);
    model_name(stacks[i], decks[i]);
    model_watch(&w->queue.jobs.first, 2 * sizeof w->queue.jobs.first);
}

static void prepare_for(unsigned count, int job_count)
{
    prepare(count);
    for (unsigned i = 0; i < count; i++)
        prepare_worker(i);
    total = job_count;
    store_relaxed(&left, (uint32_t)job_count);
}

static void each_ran_once(void)
{
    for (int id = 0; id < total; id++)
        MODEL_ASSERT(runs[id] == 1);
    MODEL_ASSERT(load_relaxed(&left) == 0);
    MODEL_ASSERT(load_relaxed(&sched.idle.searching) == 0);
    MODEL_ASSERT(load_relaxed(&sched.idle.asleep[0]) == 0);
    MODEL_ASSERT(load_relaxed(&sched.inbox.count) == 0);
}

/* A thief looks 200 times for an answer, and others take turns with it. */
#define SCENARIO(what, barrier, prepared, ...)                                 \
    {                                                                          \
        .name = what, .setup = prepared, .threads = {__VA_ARGS__},             \
        .check = each_ran_once, .membarrier = barrier, .executions = 6000,     \
        .steps = 20000                                                         \
    }
#define BOTH(what, prepared, ...)                                              \
    SCENARIO(what, true, prepared, __VA_ARGS__),                               \
        SCENARIO(what "_fenced", false, prepared, __VA_ARGS__)
#define TWO                                                                    \
    {"w0", work},                                                              \
    {                                                                          \
        "w1", work                                                             \
    }
#define THREE                                                                  \
    {"w0", work}, {"w1", work},                                                \
    {                                                                          \
        "w2", work                                                             \
    }

#endif
