/* Sched, with all its parts: workers, their queues and deques, and the inbox, as
 * the library has them. No job lies anywhere while a worker sleeps that could
 * run it: jobs that block their workers until all of them run together find a
 * wake-up that was lost. With membarrier, and without. */
#include "base/heap.c"
#include "parts/deque.c"
#include "parts/idle.c"
#include "parts/inbox.c"
#include "parts/parker.c"
#include "parts/queue.c"
#include "parts/timers.c"
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

/* What is not explored here: nobody computes for long, nor has spare stacks. */
void relief_ask(struct relief *r, int64_t at)
{
    (void)r, (void)at;
}

bool stack_pool_trim(struct stack_pool *pool)
{
    (void)pool;
    return false;
}

/* ----------------------------------------------------------------------- jobs */

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

/* ----------------------------------------------------------------- the root job */

static void push_children(void)
{
    for (int id = 1; id < WORKERS; id++)
        sched_push(here(), job_of_id(id, &meeting));
}

/* Pushed to be called by whoever pushed them, who then keeps his worker. */
static void root_pushes_own(struct thrum_job_ *job)
{
    for (int id = 1; id < (int)expected; id++)
        sched_push_child(here(), job_of_id(id, &meeting));
    meet_and_end(job);
}

static void root_pushes(struct thrum_job_ *job)
{
    push_children();
    meet_and_end(job);
}

static void root_submits(struct thrum_job_ *job)
{
    for (int id = 1; id < WORKERS; id++)
        sched_submit(&sched, job_of_id(id, &meeting));
    meet_and_end(job);
}

/* A job that ends at once, between two that meet. */
static void just_end(struct thrum_job_ *job)
{
    int id;

    memcpy(&id, job->u.bytes, sizeof id);
    end(id);
}

static const struct thrum_site_ short_job = {just_end, "short", ""};

static void root_pushes_among_others(struct thrum_job_ *job)
{
    sched_push(here(), job_of_id(WORKERS, &short_job));
    root_pushes(job);
}

/* As the inline code and sched/fork.c do it. */
static void root_forks(struct thrum_job_ *job)
{
    struct thrum_job_ *slot = deque_newest(&stacks[model_thread()]->deque);

    for (int id = 1; id < WORKERS; id++) {
        memcpy((slot + 1)->u.bytes, &id, sizeof id);
        slot = thrum_publish_(slot + 1, &meeting);
    }
    meet();
    for (int id = WORKERS - 1; id > 0; id--) {
        MODEL_ASSERT(deque_take_back(slot, &slot) == TAKE_STOLEN);
        while (load_acquire(&slot->site) != &done)
            cpu_relax();
        deque_forget(slot--);
    }
    just_end(job);
}

struct thrum_job_ *thrum_publish_slow_(struct thrum_job_ *slot)
{
    sched_share(stack_of(thrum_deque_of_(slot)->first));
    return slot;
}

static struct timer soon, late;

static void submit_on_time(struct timer *t)
{
    MODEL_ASSERT(t == &soon);
    sched_submit(&sched, job_of_id(1, &meeting));
}

/* A task that pushes another and goes to sleep. Its worker runs the other, which
 * waits for what the timer brings: somebody else must keep the time. */
static void root_arms_a_timer(struct thrum_job_ *job)
{
    sched_push(here(), job_of_id(2, &meeting));
    sched_arm(&sched, &soon, clock_now() + 1000000, submit_on_time);
    just_end(job);
}

/* One that sleeps for years: somebody may keep that time already. */
static void arm_late(struct thrum_job_ *job)
{
    sched_arm(&sched, &late, INT64_MAX - 1, submit_on_time);
    just_end(job);
}

static const struct thrum_site_ late_sleeper = {arm_late, "late sleeper", ""};

static void root_arms_an_earlier_timer(struct thrum_job_ *job)
{
    sched_arm(&sched, &soon, clock_now() + 1000000, submit_on_time);
    meet_and_end(job);
}

static const struct thrum_site_ roots[] = {
    {root_pushes, "root pushes", ""},
    {root_pushes_among_others, "root pushes", ""},
    {root_submits, "root submits", ""},
    {root_forks, "root forks", ""},
    {root_arms_a_timer, "root arms", ""},
    {root_arms_an_earlier_timer, "root arms", ""},
    {root_pushes_own, "root pushes", ""},
};

/* -------------------------------------------------------------------- threads */

static void run(struct stack *s, struct thrum_job_ *job)
{
    bool fork = job_is_fork(job);

    if (fork)
        deque_set_scope(&s->deque, job->taken);
    load_relaxed(&job->site)->run(job);
    if (fork) {
        deque_set_scope(&s->deque, NULL);
        store_release(&job->site, &done);
    }
}

static void work(void)
{
    struct worker *w = here();
    struct thrum_job_ *job;

    store_release(&w->stack, stacks[model_thread()]);
    while ((job = sched_find(&sched, w)) != NULL)
        run(stacks[model_thread()], job);
}

static void submit_root(int which)
{
    sched_submit(&sched, job_of_id(0, &roots[which]));
}

static void submit_pusher(void)
{
    submit_root(0);
}

static void submit_busy_pusher(void)
{
    submit_root(1);
}

static void submit_submitter(void)
{
    submit_root(2);
}

static void submit_forker(void)
{
    submit_root(3);
}

static void submit_armer(void)
{
    submit_root(4);
}

static void submit_late_and_soon(void)
{
    sched_submit(&sched, job_of_id(3, &late_sleeper));
    submit_root(4);
}

/* The second when somebody keeps the time for the first. */
static void submit_late_then_soon(void)
{
    sched_submit(&sched, job_of_id(2, &late_sleeper));
    while (load_relaxed(&sched.keeper) == IDLE_NOBODY)
        model_yield();
    submit_root(5);
}

static void submit_own_pusher(void)
{
    submit_root(6);
}

static void submit_all(void)
{
    for (int id = 0; id < WORKERS; id++)
        sched_submit(&sched, job_of_id(id, &meeting));
}

static void submit_third(void)
{
    sched_submit(&sched, job_of_id(2, &meeting));
}

static void submit_first(void)
{
    sched_submit(&sched, job_of_id(0, &meeting));
}

static void submit_second(void)
{
    sched_submit(&sched, job_of_id(1, &meeting));
}

static void submit_both(void)
{
    submit_first();
    submit_second();
}

/* ------------------------------------------------------------------ scenarios */

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
    sched.count = count;
    sched.workers = workers;
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
    model_name(jobs, "jobs");
    model_name(&met, "met");
    model_name(&left, "left");
    model_watch(jobs, sizeof jobs);
    model_watch(arena, sizeof arena);
    model_watch(&sched.timers.heap, sizeof sched.timers.heap);
}

static void prepare_worker(unsigned i)
{
    static const char *const names[] = {"queue 0", "queue 1", "queue 2"};
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
    deque_set_scope(&stacks[i]->deque, scope);
    stacks[i]->worker = w;

    w->sched = &sched;
    w->index = i;
    rng_init(&w->rng, (uint64_t)model_choose(100));
    queue_init(&w->queue, sched.idle.fenced);
    parker_init(&w->parker);
    store_relaxed(&w->stack, NULL);
    model_name(&w->queue, names[i]);
    model_name(stacks[i], decks[i]);
    model_watch(&w->queue.first, 2 * sizeof w->queue.first);
}

static void prepare_for(unsigned count, int job_count)
{
    prepare(count);
    for (unsigned i = 0; i < count; i++)
        prepare_worker(i);
    total = job_count;
    store_relaxed(&left, (uint32_t)job_count);
}

static void two_workers(void)
{
    prepare_for(2, 2);
}

static void two_workers_a_job_more(void)
{
    prepare_for(2, 3);
}

static void two_workers_two_jobs_more(void)
{
    prepare_for(2, 4);
}

static void three_workers(void)
{
    prepare_for(3, 3);
}

static void three_workers_a_job_more(void)
{
    prepare_for(3, 4);
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

#define SCENARIO(what, barrier, prepared, ...)                                 \
    {                                                                          \
        .name = what, .setup = prepared, .threads = {__VA_ARGS__},             \
        .check = each_ran_once, .membarrier = barrier, .executions = 6000      \
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

static const struct model_scenario scenarios[] = {
    BOTH("one_outsider", two_workers, TWO, {"outsider", submit_both}),
    BOTH("two_outsiders", two_workers, TWO, {"outsider", submit_first},
         {"outsider2", submit_second}),
    BOTH("three_from_outside", three_workers, THREE, {"outsider", submit_all}),
    BOTH("three_outsiders", three_workers, THREE, {"outsider", submit_first},
         {"outsider2", submit_second}, {"outsider3", submit_third}),
    BOTH("submitted_by_a_job", three_workers, THREE,
         {"outsider", submit_submitter}),
    BOTH("pushed", three_workers, THREE, {"outsider", submit_pusher}),
    BOTH("a_child_pushed", two_workers, TWO, {"outsider", submit_own_pusher}),
    BOTH("children_pushed", three_workers, THREE,
         {"outsider", submit_own_pusher}),
    BOTH("pushed_among_others", three_workers_a_job_more, THREE,
         {"outsider", submit_busy_pusher}),
    BOTH("forked", three_workers, THREE, {"outsider", submit_forker}),
    BOTH("timer", two_workers_a_job_more, TWO, {"outsider", submit_armer}),
    BOTH("two_timers", two_workers_two_jobs_more, TWO,
         {"outsider", submit_late_and_soon}),
    BOTH("earlier_timer", two_workers_a_job_more, TWO,
         {"outsider", submit_late_then_soon}),
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_sched", scenarios});
}
