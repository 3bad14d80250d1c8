/* The blocking pool: threads for calls that block, made as needed.
 *
 * One queue. The question at each job is whether the threads that are awake will
 * come to it soon, or sit in calls that block. The pool takes jobs to be what
 * the last ones were: if those were brief (BRIEF_NS), a job is left to who is
 * awake; if not, a resting thread is called, or one is added. A timer looks
 * again after STUCK_NS: when no job was taken meanwhile, it calls and adds
 * threads, twice as many each time. So a flood of short jobs makes few threads
 * and few wake-ups, and jobs behind blocked ones are soon served.
 *
 * A thread that has nothing to do spins for a moment, because the next job often
 * comes at once, then rests WARM_NS, then retires.
 *
 * Invariants
 *   I1  threads counts those that run; starting, those being made. resting are
 *       the threads in the list `rest`.
 *   I2  While the queue is not empty, and a thread rests or may be made, the
 *       timer is armed or a thread that was called is on its way.
 *   I3  A job that is not taken because there is no thread, and none can be
 *       made, fails.
 *
 * Ordering
 *   [O1] the pool is shown -> [O2] who asks for it   its fields
 *   All else is under the lock; a job's result travels by its wait.
 */

#include <thrum/offload.h>

#include <errno.h>

#include "base/alloc.h"
#include "base/sanitize.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "task/runtime.h"

enum {
    BRIEF_NS = 20000,
    STUCK_NS = 200000,
    SPIN_LOOKS = 40,
    BLOCKING_STACK = 1 << 20, /* bytes; what blocks is often a deep library */
};

#define WARM_NS INT64_C(5000000000)

struct offload {
    struct offload *next;
    thrum_fn *fn;
    void *arg;
    thrum_err *err;
    struct scope *scope; /* of who waits */
    struct wait wait;
};

struct blocking_thread {
    struct thread thread;
    struct pool *pool;
    struct parker parker;
    struct blocking_thread *next; /* lock: in rest, or in retired */
    bool called;                  /* lock: taken off the list to work */
};

struct pool {
    /* const */
    struct sched *sched;
    unsigned most, base;

    struct spin lock;
    struct offload *first, *last;        /* lock */
    struct blocking_thread *rest;        /* lock: newest first */
    struct blocking_thread *retired;     /* lock: to be joined */
    unsigned threads, starting, resting; /* lock */
    unsigned grow;                       /* lock: how many the timer adds */
    uint64_t taken, seen;                /* lock: seen by the timer */
    bool brief;                          /* lock: the last job was */
    bool armed, stopping;                /* lock */
    _Atomic uint32_t waiting;            /* jobs in the queue; a hint */
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

/* Under the lock: nobody will hand it a job any more. True: it was the last of a
 * pool that stops. */
static bool retire(struct pool *p, struct blocking_thread *t)
{
    p->threads--;
    t->next = p->retired;
    p->retired = t;
    return p->stopping && p->threads == 0;
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

static void spin_for_job(struct pool *p)
{
    for (int i = 0; i < SPIN_LOOKS; i++) {
        if (load_relaxed(&p->waiting) != 0) /* a hint, decided by the lock */
            return;
        cpu_relax();
    }
}

enum next { NEXT_JOB, NEXT_SPIN, NEXT_REST, NEXT_STOP };

/* What to do now. `took`: how long the job before took, or 0; `spun`: it was in
 * vain. */
static enum next next(struct pool *p, struct blocking_thread *t, int64_t took,
                      bool spun, struct offload **job)
{
    enum next what = NEXT_SPIN;
    bool last = false;

    spin_lock(&p->lock);
    if (took != 0)
        p->brief = took < BRIEF_NS;
    *job = pop(p);
    if (*job != NULL) {
        what = NEXT_JOB;
    } else if (p->stopping) {
        what = NEXT_STOP;
        last = retire(p, t);
    } else if (spun) {
        what = NEXT_REST;
        t->called = false;
        t->next = p->rest;
        p->rest = t;
        p->resting++;
    }
    spin_unlock(&p->lock);
    if (last)
        parker_unpark(&p->stopper);
    return what;
}

static void do_job(struct offload *job)
{
    (void)scope_adopt(job->scope);
    tsan_rely(job);
    job->err = job->fn(job->arg);
    (void)scope_adopt(NULL);
    (void)wait_wake(&job->wait, WAKE_EVENT); /* the job is gone */
}

static void thread_body(void *arg)
{
    struct blocking_thread *t = arg;
    struct pool *p = t->pool;
    struct offload *job;
    int64_t took = 0, start = clock_now();
    bool spun = false;

    for (;;) {
        enum next what = next(p, t, took, spun, &job);

        took = 0;
        spun = what == NEXT_SPIN;
        if (what == NEXT_STOP || (what == NEXT_REST && !rest(p, t)))
            return;
        if (what == NEXT_JOB) {
            int64_t now;

            do_job(job);
            now = clock_now();
            took = now - start + 1;
            start = now;
            continue;
        }
        if (what == NEXT_SPIN)
            spin_for_job(p);
        start = clock_now();
    }
}

static void join_retired(struct pool *p)
{
    struct blocking_thread *t, *after;

    spin_lock(&p->lock);
    t = p->retired;
    p->retired = NULL;
    spin_unlock(&p->lock);
    for (; t != NULL; t = after) {
        after = t->next;
        thread_join(&t->thread);
        release(t);
    }
}

/* ------------------------------------------------------------------- growing */

static void fail_all(struct offload *job, int rc)
{
    while (job != NULL) {
        struct offload *after = job->next;

        job->err = thrum_rc(rc);
        (void)wait_wake(&job->wait, WAKE_EVENT);
        job = after;
    }
}

/* Under the lock: a thread could not be made. I3: the jobs that are lost. */
static struct offload *give_up(struct pool *p)
{
    struct offload *lost = NULL;

    p->grow = 1;
    if (p->threads == 0 && p->starting == 0) {
        lost = p->first;
        p->first = NULL;
        store_relaxed(&p->waiting, 0); /* locked */
    }
    return lost;
}

/* Make a thread that was counted in `starting`; from here on it is counted in
 * `threads`, once at any time. */
static int add_thread(struct pool *p)
{
    struct blocking_thread *t = alloc(sizeof *t);
    struct offload *lost = NULL;
    int rc = -ENOMEM;

    join_retired(p);
    spin_lock(&p->lock);
    p->starting--;
    p->threads += t != NULL;
    if (t == NULL)
        lost = give_up(p);
    spin_unlock(&p->lock);

    if (t != NULL) {
        *t = (struct blocking_thread){.pool = p};
        parker_init(&t->parker);
        rc = thread_start(&t->thread, "thrum/blocking", BLOCKING_STACK,
                          thread_body, t);
    }
    if (t != NULL && rc < 0) {
        release(t);
        spin_lock(&p->lock);
        p->threads--;
        lost = give_up(p);
        spin_unlock(&p->lock);
    }
    fail_all(lost, rc);
    return rc;
}

/* Under the lock: take a resting thread off the list. NULL: there is none. */
static struct blocking_thread *call(struct pool *p)
{
    struct blocking_thread *t = p->rest;

    if (t != NULL) {
        p->rest = t->next;
        p->resting--;
        t->called = true;
    }
    return t;
}

/* Under the lock. */
static bool can_grow(struct pool *p)
{
    return p->resting > 0 || p->threads + p->starting < p->most;
}

static void look_again(struct timer *timer);

static void arm(struct pool *p)
{
    sched_arm(p->sched, &p->timer, clock_now() + STUCK_NS, look_again);
}

/* Under the lock: how many to call and to add, now that nothing is taken. */
static unsigned stuck(struct pool *p, struct blocking_thread **called)
{
    unsigned room = p->most - p->threads - p->starting;
    unsigned more = p->grow < room ? p->grow : room;

    p->brief = false;
    *called = call(p);
    if (*called != NULL)
        return 0;
    p->grow = more < p->most / 2 ? more * 2 : p->most;
    p->starting += more;
    return more;
}

/* On a worker, STUCK_NS after a job was left to the threads that are awake. */
static void look_again(struct timer *timer)
{
    struct pool *p = container_of(timer, struct pool, timer);
    struct blocking_thread *called = NULL;
    unsigned more = 0;
    bool again;

    spin_lock(&p->lock);
    if (p->first == NULL || p->taken != p->seen)
        p->grow = 1;
    else
        more = stuck(p, &called);
    p->seen = p->taken;
    spin_unlock(&p->lock);

    if (called != NULL)
        parker_unpark(&called->parker);
    while (more-- > 0)
        (void)add_thread(p);

    spin_lock(&p->lock);
    again = p->first != NULL && can_grow(p);
    p->armed = again;
    spin_unlock(&p->lock);
    if (again)
        arm(p);
}

/* ---------------------------------------------------------------- submitting */

/* What to do for a job that was put into the queue. */
struct duty {
    struct blocking_thread *called;
    bool add, arm;
};

static void link_last(struct pool *p, struct offload *job)
{
    job->next = NULL;
    if (p->first == NULL)
        p->first = job;
    else
        p->last->next = job;
    p->last = job;
    store_relaxed(&p->waiting, load_relaxed(&p->waiting) + 1); /* locked */
}

static struct duty enqueue(struct pool *p, struct offload *job)
{
    struct duty duty = {NULL, false, false};
    bool served;

    spin_lock(&p->lock);
    link_last(p, job);
    served = p->brief && p->threads + p->starting > p->resting;
    if (!served)
        duty.called = call(p);
    if (!served && duty.called == NULL && p->threads + p->starting < p->base) {
        duty.add = true;
        p->starting++;
    } else if (duty.called == NULL && !p->armed && can_grow(p)) {
        duty.arm = true;
        p->armed = true;
        p->seen = p->taken;
    }
    spin_unlock(&p->lock);
    return duty;
}

/* A thread could not be made. Others may serve the job: see to it. */
static void rely_on_others(struct pool *p)
{
    bool to_arm;

    spin_lock(&p->lock);
    to_arm = p->first != NULL && !p->armed && can_grow(p);
    if (to_arm) {
        p->armed = true;
        p->seen = p->taken;
    }
    spin_unlock(&p->lock);
    if (to_arm)
        arm(p);
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
    struct offload job = {.fn = fn, .arg = arg, .scope = scope_current()};
    struct stack *here = worker_current();
    struct pool *p;
    struct duty duty;

    REQUIRE(fn != NULL, "no function");
    if (here == NULL)
        return fn(arg);
    p = pool_of(runtime_of(here->worker->sched));
    if (p == NULL)
        return thrum_rc(-ENOMEM);

    wait_init(&job.wait);
    tsan_promise(&job);
    duty = enqueue(p, &job);
    if (duty.called != NULL)
        parker_unpark(&duty.called->parker);
    if (duty.arm)
        arm(p);
    if (duty.add && add_thread(p) < 0)
        rely_on_others(p); /* or the job has failed, with all others */
    (void)wait_sleep(&job.wait);
    return job.err;
}
