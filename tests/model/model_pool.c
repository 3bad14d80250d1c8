/* The blocking pool: who submits, its threads, and who delivers. Each call is
 * made once and its task woken once; no job is left to threads that rest, and no
 * result waits for another call to end. */
#include "os/clock.h"
#include "parts/parker.c"

#include "base/alloc.h"

/* Nobody retires but at the end, where what is static is not freed. */
static bool park(struct parker *p)
{
    return parker_park(p, CLOCK_NEVER);
}

#define parker_park(p, deadline) park(p)
#define release(p)               ((void)(p))

#include "await/blocking_thread.c"
#include "await/job.c"
#include "await/offload.c"

#include <string.h>

#include "os/futex.h"

enum { JOBS = 3, THREADS = 2 };

static struct sched sched;
static struct pool pool;
static struct blocking_thread threads[THREADS];
static struct waited jobs[JOBS];
static struct scope scopes[JOBS];
static int ids[JOBS], calls[JOBS], wakes[JOBS];
static _Atomic uint32_t awake[JOBS]; /* the task has been woken */
static _Atomic uint32_t ran[JOBS];
static _Atomic uint32_t submitted; /* deliver is */
static _Atomic uint32_t events;    /* for the worker to look at */
static _Atomic uint32_t armed;
static _Atomic uint32_t no_timer; /* who keeps the time has ended */
static _Atomic uint32_t waiting;  /* tasks not yet woken */
static int needs[JOBS]; /* the call blocks until this one's task woke */
static int meets[JOBS]; /* or until this one's call was made */

/* ------------------------------------------------ what lies around the pool */

_Atomic uint64_t alloc_countdown;

bool alloc_is_to_fail(void)
{
    return false;
}

static uint32_t wait_for(_Atomic uint32_t *word)
{
    uint32_t now;

    while ((now = load_acquire(word)) == 0)
        futex_wait(word, 0, CLOCK_NEVER);
    return now;
}

static void set(_Atomic uint32_t *word)
{
    store_release(word, 1);
    futex_wake(word, 4);
}

static void tell_worker(void)
{
    add_acq_rel(&events, 1);
    futex_wake(&events, 4);
}

void sched_submit(struct sched *s, struct thrum_job_ *job)
{
    (void)s;
    MODEL_ASSERT(job == &pool.deliver);
    MODEL_ASSERT(exchange_acq_rel(&submitted, 1) == 0); /* once at a time */
    tell_worker();
}

bool wait_wake(struct wait *w, enum wake cause)
{
    int id = (int)(container_of(w, struct waited, wait.wait) - jobs);

    MODEL_ASSERT(cause == WAKE_EVENT);
    MODEL_ASSERT(calls[id] == 1 && jobs[id].job.u.err == NULL);
    wakes[id]++;
    memset((void *)&jobs[id], 0xAA, sizeof jobs[id]); /* the task went on */
    set(&awake[id]);
    if (sub_acq_rel(&waiting, 1) == 1) {
        set(&armed);
        tell_worker();
    }
    return true;
}

struct worker *worker_near(struct sched *s)
{
    (void)s;
    return NULL;
}

void sched_arm(struct worker *w, struct timer *t, int64_t deadline,
               void (*fire)(struct timer *t))
{
    uint32_t before;

    (void)w;
    (void)deadline;
    MODEL_ASSERT(t == &pool.timer && fire == look_again);
    before = exchange_acq_rel(&armed, 1);
    MODEL_ASSERT(before == 0 || load_acquire(&waiting) == 0); /* not twice */
    futex_wake(&armed, 4);
}

int thread_start(struct thread *t, const char *name, size_t stack_bytes,
                 void (*body)(void *arg), void *arg)
{
    (void)t;
    (void)name;
    (void)stack_bytes;
    (void)body;
    (void)arg;
    return -EAGAIN;
}

void thread_join(struct thread *t)
{
    (void)t;
}

unsigned cpu_count(void)
{
    return THREADS;
}

_Atomic uint64_t thrum_cancels_; /* nothing is canceled here */

bool scope_ask_canceled(struct scope *s)
{
    (void)s;
    return false;
}

struct scope *scope_current(void)
{
    return NULL;
}

struct scope *scope_adopt(struct scope *s)
{
    return s;
}

struct stack *worker_current(void)
{
    return NULL;
}

void wait_init(struct wait *w)
{
    (void)w;
}

enum wake wait_sleep(struct wait *w, const struct thrum_awaited_ *kind,
                     const void *thing)
{
    (void)w;
    (void)kind;
    (void)thing;
    return WAKE_EVENT;
}

enum wake scope_sleep(struct scope *s, struct scope_wait *w)
{
    (void)s;
    return wait_sleep(&w->wait, NULL, NULL);
}

void sched_push(struct worker *w, struct thrum_job_ *job)
{
    (void)w;
    (void)job;
    MODEL_ASSERT(!"nothing is swept: nothing is canceled");
}

thrum_err *pool_simulate(thrum_fn *fn, void *arg)
{
    return fn(arg);
}

bool private_run(struct offload *job)
{
    (void)job;
    return false;
}

void child_run(struct offload *job)
{
    (void)job;
}

void child_over(struct offload *job)
{
    (void)job;
}

bool child_is_canceled(struct offload *job)
{
    (void)job;
    return false;
}

void private_end(struct offload *job)
{
    (void)job;
}

void lock_acquire(struct lock *l)
{
    (void)l;
}

void lock_release(struct lock *l)
{
    (void)l;
}

thrum_err *thrum_rc(int64_t rc)
{
    (void)rc;
    return NULL;
}

/* ------------------------------------------------------------------ threads */

static thrum_err *work(void *arg)
{
    int id = *(int *)arg;

    calls[id]++;
    set(&ran[id]);
    if (needs[id] >= 0)
        (void)wait_for(&awake[needs[id]]);
    if (meets[id] >= 0)
        (void)wait_for(&ran[meets[id]]);
    return NULL;
}

static void submit(int id)
{
    struct duty duty;

    ids[id] = id;
    memset((void *)&jobs[id], 0, sizeof jobs[id]);
    offload_init(&jobs[id].job, work, &ids[id], (uintptr_t)&scopes[id]);
    duty = enqueue(&pool, &jobs[id].job);
    MODEL_ASSERT(!duty.add);
    if (duty.called != NULL)
        parker_unpark(&duty.called->parker);
    if (duty.arm)
        arm(&pool);
}

/* A worker, as far as the pool sees it. */
static void submit_two_and_deliver(void)
{
    submit(0);
    submit(1);
    while (load_acquire(&waiting) != 0) {
        uint32_t seen = load_acquire(&events);

        if (exchange_acq_rel(&submitted, 0) != 0)
            deliver(&pool.deliver);
        else if (load_acquire(&waiting) != 0)
            futex_wait(&events, seen, CLOCK_NEVER);
    }
    (void)wait_for(&no_timer);
    MODEL_ASSERT(!any_waits(&pool) && load_relaxed(&submitted) == 0);
    pool_stop(&pool);
    MODEL_ASSERT(pool.threads == 0 && pool.coming == 0 && !pool.looking);
}

static void submit_third(void)
{
    submit(2);
}

static void keep_time(void)
{
    while (load_acquire(&waiting) != 0) {
        (void)wait_for(&armed);
        (void)exchange_acq_rel(&armed, 0);
        if (load_acquire(&waiting) != 0)
            look_again(&pool.timer);
        model_yield(); /* time passes */
    }
    set(&no_timer);
}

static void serve(void)
{
    struct blocking_thread *t = &threads[model_thread()];

    blocking_thread_run(t);
}

/* ---------------------------------------------------------------- scenarios */

static void prepare(unsigned count, unsigned tasks)
{
    memset((void *)&pool, 0, sizeof pool);
    memset((void *)threads, 0, sizeof threads);
    memset((void *)jobs, 0, sizeof jobs);
    memset(calls, 0, sizeof calls);
    memset(wakes, 0, sizeof wakes);
    pool.most = pool.base = pool.threads = pool.coming = count;
    pool.grow = 1;
    pool.sched = &sched;
    pool.brief = model_choose(2) == 1;
    store_relaxed(&sched.idle.searching, (uint32_t)model_choose(2));
    for (int i = 0; i < THREADS; i++) {
        threads[i].pool = &pool;
        threads[i].called = true;
        threads[i].burst = model_choose(3) > 0 ? 2 * FLOOD : 0;
        parker_init(&threads[i].parker);
    }
    parker_init(&pool.stopper);
    for (int i = 0; i < JOBS; i++) {
        needs[i] = meets[i] = -1;
        store_relaxed(&awake[i], 0);
        store_relaxed(&ran[i], 0);
    }
    store_relaxed(&submitted, 0);
    store_relaxed(&events, 0);
    store_relaxed(&armed, 0);
    store_relaxed(&no_timer, 0);
    store_relaxed(&waiting, tasks);
    model_name(&pool.lock, "pool.lock");
    model_name(&pool.serve_lock, "pool.serve_lock");
    model_name(&pool.done_lock, "pool.done_lock");
    model_name(&submitted, "submitted");
    model_name(&armed, "armed");
    model_name(&waiting, "waiting");
    model_watch(jobs, sizeof jobs);
    model_watch(calls, sizeof calls);
}

static void one_thread(void)
{
    prepare(1, 2);
}

static void two_threads(void)
{
    prepare(2, 2);
}

static void two_threads_three_jobs(void)
{
    prepare(2, 3);
}

/* The second call holds the only thread until the first one's task went on. */
static void one_call_needs_a_result(void)
{
    prepare(1, 2);
    needs[1] = 0;
}

static void calls_meet(void)
{
    prepare(2, 2);
    meets[0] = 1;
    meets[1] = 0;
}

static void each_was_called_and_woken_once(void)
{
    int tasks = load_relaxed(&ran[2]) != 0 ? 3 : 2;

    for (int i = 0; i < tasks; i++)
        MODEL_ASSERT(calls[i] == 1 && wakes[i] == 1);
    MODEL_ASSERT(pool.done.first == NULL);
}

#define SCENARIO(what, prepared, ...)                                          \
    {                                                                          \
        .name = what, .setup = prepared, .threads = {__VA_ARGS__},             \
        .check = each_was_called_and_woken_once, .executions = 20000           \
    }
#define REST                                                                   \
    {"worker", submit_two_and_deliver},                                        \
    {                                                                          \
        "timer", keep_time                                                     \
    }

static const struct model_scenario scenarios[] = {
    SCENARIO("one_thread", one_thread, {"t0", serve}, REST),
    SCENARIO("two_threads", two_threads, {"t0", serve}, {"t1", serve}, REST),
    SCENARIO("two_workers", two_threads_three_jobs, {"t0", serve},
             {"t1", serve}, REST, {"worker2", submit_third}),
    SCENARIO("a_call_needs_a_result", one_call_needs_a_result, {"t0", serve},
             REST),
    SCENARIO("calls_meet", calls_meet, {"t0", serve}, {"t1", serve}, REST),
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_pool", scenarios});
}
