/* The blocking pool: threads for calls that block, made as needed.
 *
 * One queue. A job goes to a thread that rests, if there is one. If there is
 * none and the pool is as large as the machine, it may be that all are busy with
 * jobs that take no time, or that all are blocked: a timer looks again after
 * STUCK_NS, and adds threads while nothing was taken meanwhile, twice as many
 * each time. So a flood of short jobs makes few threads, and blocked ones are
 * soon joined by more.
 *
 * A thread that has nothing to do spins for a moment, because the next job often
 * comes at once, then rests WARM_NS, then retires.
 *
 * Invariants
 *   I1  A thread is counted in `resting` exactly while it is in the list.
 *   I2  While the queue is not empty and no thread rests, the timer is armed or
 *       the pool has as many threads as it may.
 *
 * Ordering
 *   [O1] the pool is shown -> [O2] who asks for it   its fields
 *   All else is under the lock; a job's result travels by its wait.
 */

#include <thrum/offload.h>

#include <errno.h>

#include "base/alloc.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "task/runtime.h"

enum {
    STUCK_NS = 100000,
    SPIN_LOOKS = 400,
    BLOCKING_STACK = 1 << 20, /* bytes; what blocks is often a deep library */
};

#define WARM_NS INT64_C(5000000000)

struct offload {
    struct offload *next;
    thrum_fn *fn;
    void *arg;
    thrum_err *err;
    struct wait wait;
};

struct blocking_thread {
    struct thread thread;
    struct pool *pool;
    struct parker parker;
    struct blocking_thread *next; /* resting, or retired: linked by */
    bool called;                  /* lock: taken off the list to work */
};

struct pool {
    /* const */
    struct sched *sched;
    unsigned most, base;

    struct spin lock;
    struct offload *first, *last;    /* lock */
    struct blocking_thread *rest;    /* lock: newest first */
    struct blocking_thread *retired; /* lock: to be joined */
    unsigned threads, resting, grow; /* lock */
    uint64_t taken, seen;            /* lock: seen by the timer */
    bool armed, stopping;            /* lock */
    _Atomic uint32_t waiting;        /* jobs in the queue; a hint */
    struct timer timer;
    struct parker stopper; /* who waits for the last thread */
};

/* --------------------------------------------------------------- the threads */

/* Under the lock. */
static struct offload *pop(struct pool *p)
{
    struct offload *job = p->first;

    if (job != NULL) {
        p->first = job->next;
        p->taken++;
        store_relaxed(&p->waiting, load_relaxed(&p->waiting) - 1); /* locked */
    }
    return job;
}

static void do_job(struct offload *job)
{
    job->err = job->fn(job->arg);
    (void)wait_wake(&job->wait, WAKE_EVENT); /* the job is gone */
}

/* Under the lock; false: it was called to work meanwhile. */
static bool leave_rest(struct pool *p, struct blocking_thread *t)
{
    struct blocking_thread **at = &p->rest;

    if (t->called)
        return false;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    p->resting--;
    return true;
}

/* Under the lock: nobody will hand it a job any more. True: it was the last of a
 * pool that stops. */
static bool retire(struct pool *p, struct blocking_thread *t)
{
    p->threads--;
    t->next = p->retired;
    p->retired = t;
    return p->stopping && p->threads == 0;
}

/* Rest until called. False: retired. */
static bool rest(struct pool *p, struct blocking_thread *t)
{
    bool stay;

    if (parker_park(&t->parker, clock_now() + WARM_NS))
        return true;
    spin_lock(&p->lock);
    stay = !leave_rest(p, t);
    if (!stay)
        (void)retire(p, t); /* not of a pool that stops: that calls all */
    spin_unlock(&p->lock);
    if (stay)
        (void)parker_park(&t->parker, CLOCK_NEVER); /* the caller's token */
    return stay;
}

static bool spin_for_job(struct pool *p)
{
    for (int i = 0; i < SPIN_LOOKS; i++) {
        if (load_relaxed(&p->waiting) != 0) /* a hint, decided by the lock */
            return true;
        cpu_relax();
    }
    return false;
}

/* A job; NULL: retire or stop. */
static struct offload *next_job(struct pool *p, struct blocking_thread *t)
{
    bool spun = false, stop, last = false;
    struct offload *job;

    for (;;) {
        spin_lock(&p->lock);
        job = pop(p);
        stop = p->stopping;
        if (job == NULL && !stop && spun) {
            t->called = false;
            t->next = p->rest;
            p->rest = t;
            p->resting++;
        }
        if (job == NULL && stop)
            last = retire(p, t);
        spin_unlock(&p->lock);

        if (last)
            parker_unpark(&p->stopper);
        if (job != NULL || stop)
            return job;
        if (!spun)
            spun = true, (void)spin_for_job(p);
        else if (!rest(p, t))
            return NULL;
    }
}

static void thread_body(void *arg)
{
    struct blocking_thread *t = arg;
    struct pool *p = t->pool;
    struct offload *job;

    while ((job = next_job(p, t)) != NULL)
        do_job(job);
}

static void join_retired(struct pool *p)
{
    struct blocking_thread *t, *next;

    spin_lock(&p->lock);
    t = p->retired;
    p->retired = NULL;
    spin_unlock(&p->lock);
    for (; t != NULL; t = next) {
        next = t->next;
        thread_join(&t->thread);
        release(t);
    }
}

/* The caller has counted it. */
static int add_thread(struct pool *p)
{
    struct blocking_thread *t = alloc(sizeof *t);
    int rc = -ENOMEM;

    join_retired(p);
    if (t != NULL) {
        *t = (struct blocking_thread){.pool = p};
        parker_init(&t->parker);
        rc = thread_start(&t->thread, "thrum/blocking", BLOCKING_STACK,
                          thread_body, t);
    }
    if (rc == 0)
        return 0;
    release(t);
    spin_lock(&p->lock);
    p->threads--;
    spin_unlock(&p->lock);
    return rc;
}

/* ------------------------------------------------------------------- growing */

static void look_again(struct timer *timer);

static void arm(struct pool *p)
{
    sched_arm(p->sched, &p->timer, clock_now() + STUCK_NS, look_again);
}

/* On a worker, STUCK_NS after the queue could not be served at once. */
static void look_again(struct timer *timer)
{
    struct pool *p = container_of(timer, struct pool, timer);
    unsigned more = 0;
    bool again;

    spin_lock(&p->lock);
    if (p->first == NULL || p->taken != p->seen) {
        p->grow = 1;
    } else {
        more = p->grow < p->most - p->threads ? p->grow : p->most - p->threads;
        p->grow *= 2;
        p->threads += more;
    }
    p->seen = p->taken;
    again = p->first != NULL && p->threads < p->most;
    p->armed = again;
    spin_unlock(&p->lock);

    if (again)
        arm(p);
    while (more-- > 0)
        (void)add_thread(p); /* no memory or no threads: looked at again */
}

/* ---------------------------------------------------------------- submitting */

/* What to do for a job that was put into the queue. */
struct duty {
    struct blocking_thread *call;
    bool add, arm;
};

static struct duty enqueue(struct pool *p, struct offload *job)
{
    struct duty duty = {NULL, false, false};

    spin_lock(&p->lock);
    job->next = NULL;
    if (p->first == NULL)
        p->first = job;
    else
        p->last->next = job;
    p->last = job;
    store_relaxed(&p->waiting, load_relaxed(&p->waiting) + 1); /* locked */

    if (p->rest != NULL) {
        duty.call = p->rest;
        p->rest = duty.call->next;
        p->resting--;
        duty.call->called = true;
    } else if (p->threads < p->base) {
        duty.add = true;
        p->threads++;
    } else if (!p->armed && p->threads < p->most) {
        duty.arm = true;
        p->armed = true;
        p->seen = p->taken;
    }
    spin_unlock(&p->lock);
    return duty;
}

/* No thread could be added. If there is none at all, take the job back. */
static bool withdraw(struct pool *p, struct offload *job)
{
    struct offload **at = &p->first, *last = NULL;
    bool mine = false;

    spin_lock(&p->lock);
    if (p->threads == 0) {
        for (; *at != NULL && *at != job; at = &(*at)->next)
            last = *at;
        mine = *at == job;
    }
    if (mine) {
        *at = job->next;
        if (p->last == job)
            p->last = last;
        store_relaxed(&p->waiting, load_relaxed(&p->waiting) - 1); /* locked */
    }
    spin_unlock(&p->lock);
    return mine;
}

/* ---------------------------------------------------------- start and stop */

/* No job is left, and no worker: nobody else calls. */
static void pool_stop(void *pool)
{
    struct pool *p = pool;
    struct blocking_thread *t, *next;
    bool any;

    spin_lock(&p->lock);
    p->stopping = true;
    any = p->threads > 0;
    t = p->rest;
    p->rest = NULL;
    for (next = t; next != NULL; next = next->next)
        next->called = true;
    spin_unlock(&p->lock);

    for (; t != NULL; t = next) {
        next = t->next; /* t retires once it has its token */
        parker_unpark(&t->parker);
    }
    if (any)
        (void)parker_park(&p->stopper, CLOCK_NEVER);
    join_retired(p);
    release(p);
}

static struct pool *pool_new(struct thrum_rt *rt)
{
    struct pool *p = alloc(sizeof *p);

    if (p == NULL)
        return NULL;
    *p = (struct pool){.sched = &rt->sched, .most = rt->opts.max_blocking};
    p->base = cpu_count() < p->most ? cpu_count() : p->most;
    p->grow = 1;
    parker_init(&p->stopper);
    return p;
}

static struct pool *pool_of(struct thrum_rt *rt)
{
    struct pool *p = load_acquire(&rt->pool); /* [O2] */

    if (likely(p != NULL))
        return p;
    lock_acquire(&rt->pool_lock);
    p = load_relaxed(&rt->pool); /* under the lock */
    if (p == NULL && (p = pool_new(rt)) != NULL) {
        rt->pool_stop = pool_stop;
        store_release(&rt->pool, p); /* [O1] */
    }
    lock_release(&rt->pool_lock);
    return p;
}

thrum_err *thrum_offload(thrum_fn *fn, void *arg)
{
    struct offload job = {.fn = fn, .arg = arg};
    struct stack *here = worker_current();
    struct pool *p;
    struct duty duty;
    int rc = 0;

    REQUIRE(fn != NULL, "no function");
    if (here == NULL)
        return fn(arg);
    p = pool_of(runtime_of(here->worker->sched));
    if (p == NULL)
        return thrum_rc(-ENOMEM);

    wait_init(&job.wait);
    duty = enqueue(p, &job);
    if (duty.call != NULL)
        parker_unpark(&duty.call->parker);
    if (duty.add)
        rc = add_thread(p);
    if (duty.arm)
        arm(p);
    if (rc < 0 && withdraw(p, &job))
        return thrum_rc(rc);
    (void)wait_sleep(&job.wait);
    return job.err;
}
