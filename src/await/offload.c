/* Calls that block, off the workers: submitting them, and how the pool of
 * threads grows. */

#include <thrum/offload.h>

#include <errno.h>

#include "await/pool.h"
#include "await/simulate.h"
#include "base/alloc.h"
#include "base/sanitize.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "task/scope.h"

enum {
    STUCK_NS = 200000,
    BEHIND = 64,              /* jobs that came and nobody moved */
    BLOCKING_STACK = 1 << 20, /* bytes; what blocks is often a deep library */
};

/* ------------------------------------------------------------------ growing */

static void fail_all(struct tray_item *item, int rc)
{
    while (item != NULL) {
        struct tray_item *next = item->next;
        struct offload *job = offload_of(item);

        job->u.err = thrum_rc(rc);
        offload_over(job); /* nobody abandons what was not called */
        item = next;
    }
}

/* Under the lock: a thread could not be made. I3: the jobs that are lost. */
static struct tray_item *give_up(struct pool *p)
{
    struct tray_item *lost = NULL;

    p->grow = 1;
    if (p->threads == 0 && p->starting == 0) {
        lost = tray_take_all(&p->came);
        store_relaxed(&p->any, 0); /* locked */
    }
    return lost;
}

/* Make a thread that was counted in `starting`; from here on it is counted in
 * `threads`, once at any time. */
static int add_thread(struct pool *p)
{
    struct blocking_thread *t = alloc(sizeof *t);
    struct tray_item *lost = NULL;
    int rc = -ENOMEM;

    blocking_threads_join(p);
    spin_lock(&p->lock);
    p->starting--;
    p->threads += t != NULL;
    p->coming += t != NULL;
    if (t == NULL)
        lost = give_up(p);
    spin_unlock(&p->lock);

    if (t != NULL) {
        *t = (struct blocking_thread){.pool = p, .called = true};
        parker_init(&t->parker);
        rc = thread_start(&t->thread, "thrum/blocking", BLOCKING_STACK,
                          blocking_thread_run, t);
    }
    if (t != NULL && rc < 0) {
        release(t);
        spin_lock(&p->lock);
        p->threads--;
        p->coming--;
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
        p->coming++;
        t->called = true;
    }
    return t;
}

/* Under the lock. */
static bool can_grow(struct pool *p)
{
    return p->resting > 0 || p->threads + p->starting < p->most;
}

/* Under the lock. */
static bool any_waits(struct pool *p)
{
    return p->came.first != NULL || load_relaxed(&p->queue) != NULL; /* I6 */
}

static void look_again(struct timer *timer);

static void arm(struct pool *p)
{
    sched_arm(worker_near(p->sched), &p->timer, clock_now() + STUCK_NS,
              look_again);
}

/* Under the lock: how many to call and to add, now that nothing is taken. */
static unsigned stuck(struct pool *p, struct blocking_thread **called)
{
    unsigned room = p->most - p->threads - p->starting;
    unsigned more = p->grow < room ? p->grow : room;

    p->brief = false;
    if (p->coming > 0) /* more would not be there sooner */
        return 0;
    *called = call(p);
    if (*called != NULL)
        return 0;
    p->grow = p->grow < p->most / 2 ? p->grow * 2 : p->most;
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
    if (!any_waits(p) || load_relaxed(&p->taken) != p->seen)
        p->grow = 1;
    else
        more = stuck(p, &called);
    p->seen = load_relaxed(&p->taken);
    spin_unlock(&p->lock);

    if (called != NULL)
        parker_unpark(&called->parker);
    while (more-- > 0)
        (void)add_thread(p);

    spin_lock(&p->lock);
    again = any_waits(p) && can_grow(p);
    p->armed = again;
    spin_unlock(&p->lock);
    if (again)
        arm(p);
}

/* --------------------------------------------------------------- submitting */

/* What to do for a job that was put into the queue. */
struct duty {
    struct blocking_thread *called;
    bool add, arm;
    bool behind; /* the threads are: they may wait for this very CPU */
};

static struct duty enqueue(struct pool *p, struct offload *job)
{
    struct duty duty = {NULL, false, false, false};
    bool first, served;

    spin_lock(&p->lock);
    first = tray_add(&p->came, &job->item);
    if (first)
        store_relaxed(&p->any, 1); /* locked */
    duty.behind = p->came.count % BEHIND == 0;
    served = (first && p->looking) ||
             (p->brief && p->threads + p->starting > p->resting);
    if (!served)
        duty.called = call(p);
    if (!served && duty.called == NULL && p->threads + p->starting < p->base) {
        duty.add = true;
        p->starting++;
    } else if (duty.called == NULL && !p->armed && can_grow(p)) {
        duty.arm = true;
        p->armed = true;
        p->seen = load_relaxed(&p->taken);
    }
    spin_unlock(&p->lock);
    return duty;
}

/* A thread could not be made. Others may serve the job: see to it. */
static void rely_on_others(struct pool *p)
{
    bool to_arm;

    spin_lock(&p->lock);
    to_arm = any_waits(p) && !p->armed && can_grow(p);
    if (to_arm) {
        p->armed = true;
        p->seen = load_relaxed(&p->taken); /* locked */
    }
    spin_unlock(&p->lock);
    if (to_arm)
        arm(p);
}

/* ----------------------------------------------------------------- sweeping */

static bool is_unwanted(struct offload *job)
{
    return offload_is_child(job) ? child_is_canceled(job)
                                 : offload_is_canceled(job);
}

/* It was taken out. */
static void skip(struct offload *job)
{
    if (offload_is_child(job)) {
        job->u.err = thrum_rc(-ECANCELED);
        child_over(job);
    } else {
        offload_skip(job);
    }
}

/* Take the canceled ones out of the list at *at. Returns its last item. */
static struct tray_item *pick(struct tray_item **at, struct tray_item **picked)
{
    struct tray_item *item, *last = NULL;

    while ((item = *at) != NULL) {
        if (is_unwanted(offload_of(item))) {
            *at = item->next;
            item->next = *picked;
            *picked = item;
        } else {
            last = item;
            at = &item->next;
        }
    }
    return last;
}

/* Under both locks. */
static struct tray_item *pick_all(struct pool *p)
{
    struct tray_item *picked = NULL, *first = load_relaxed(&p->queue);

    (void)pick(&first, &picked);
    store_relaxed(&p->queue, first); /* locked */
    p->came.last = pick(&p->came.first, &picked);
    p->came.count = 0;
    store_relaxed(&p->any, p->came.first != NULL); /* locked */
    return picked;
}

/* On a worker. */
static void sweep(struct thrum_job_ *job)
{
    struct pool *p = container_of(job, struct pool, sweep);
    struct tray_item *item, *after;

    spin_lock(&p->lock);
    spin_lock(&p->serve_lock);
    p->sweeping = false; /* who withdraws from here on asks anew */
    item = pick_all(p);
    spin_unlock(&p->serve_lock);
    spin_unlock(&p->lock);
    for (; item != NULL; item = after) {
        after = item->next;
        tsan_rely(offload_of(item));
        skip(offload_of(item)); /* it is gone */
    }
}

static const struct thrum_site_ pool_sweeper = {sweep, "offload", "thrum"};

void pool_sweep(void *pool)
{
    struct stack *here = worker_current();
    struct pool *p = pool;
    bool first;

    spin_lock(&p->lock);
    first = !p->sweeping;
    p->sweeping = true;
    spin_unlock(&p->lock);
    if (!first)
        return;
    tsan_promise(&p->sweep);
    if (here != NULL && here->worker->sched == p->sched)
        sched_push(here->worker, &p->sweep); /* after its like */
    else
        sched_submit(p->sched, &p->sweep);
}

/* A thread that is awake and has no job soon rests. */
static bool at_work(void *pool)
{
    struct pool *p = pool;
    bool any;

    spin_lock(&p->lock);
    any = any_waits(p) || p->starting > 0 || p->resting < p->threads;
    spin_unlock(&p->lock);
    return any;
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
    for (next = t; next != NULL; next = next->next) {
        next->called = true;
        p->coming++;
    }
    spin_unlock(&p->lock);

    for (; t != NULL; t = next) {
        next = t->next; /* t retires once it has its token */
        parker_unpark(&t->parker);
    }
    if (any)
        (void)parker_park(&p->stopper, CLOCK_NEVER);
    blocking_threads_join(p);
    release(p);
}

static struct pool *pool_new(struct thrum_rt *rt)
{
    struct pool *p = alloc_aligned(CACHE_LINE, sizeof *p);

    if (p == NULL)
        return NULL;
    *p = (struct pool){.sched = &rt->sched, .most = rt->opts.max_blocking};
    p->base = cpu_count() < p->most ? cpu_count() : p->most;
    p->grow = 1;
    parker_init(&p->stopper);
    store_relaxed(&p->deliver.site, &pool_deliver); /* nobody knows it yet */
    store_relaxed(&p->deliver.scope, JOB_SHORT);
    store_relaxed(&p->sweep.site, &pool_sweeper);
    store_relaxed(&p->sweep.scope, JOB_SHORT);
    return p;
}

struct pool *pool_of(struct thrum_rt *rt)
{
    struct pool *p = load_acquire(&rt->pool); /* [O2] */

    if (likely(p != NULL))
        return p;
    lock_acquire(&rt->pool_lock);
    p = load_relaxed(&rt->pool); /* under the lock */
    if (p == NULL && (p = pool_new(rt)) != NULL) {
        rt->pool_stop = pool_stop;
        rt->pool_sweep = pool_sweep;
        rt->pool_at_work = at_work;
        store_release(&rt->pool, p); /* [O1] */
    }
    lock_release(&rt->pool_lock);
    return p;
}

struct pool *pool_here(void)
{
    return pool_of(runtime_of(worker_current()->worker->sched));
}

void pool_submit(struct pool *p, struct offload *job)
{
    struct duty duty;

    tsan_promise(job);
    duty = enqueue(p, job);
    if (duty.called != NULL)
        parker_unpark(&duty.called->parker);
    if (duty.arm)
        arm(p);
    if (duty.add && add_thread(p) < 0)
        rely_on_others(p); /* or the job has failed, with all others */
    if (duty.behind)
        thread_yield();
}

/* ------------------------------------------------------------ the interface */

/* A cancel came while the job was waited for. Its arguments are borrowed: it
 * waits until the job is out of the queue, or done. */
static cold thrum_err *canceled(struct pool *p, struct offload *job,
                                struct scope *scope)
{
    const struct thrum_awaited_ *kind = AWAITED_OUTSIDE(
        "a blocking call that goes on");
    struct wait again;

    wait_init(&again);
    if (offload_withdraw(job, scope, &again)) {
        pool_sweep(p);
        (void)wait_sleep(&again, kind, NULL);
        return thrum_rc(-ECANCELED);
    }
    if (offload_wait_again(job, &again))
        (void)wait_sleep(&again, kind, NULL);
    tsan_rely(job);
    return job->u.err;
}

thrum_err *thrum_offload(thrum_fn *fn, void *arg)
{
    struct scope *scope = scope_current();
    struct waited w;
    struct pool *p;

    REQUIRE(fn != NULL, "no function");
    if (scope != NULL && scope_canceled(scope))
        return thrum_rc(-ECANCELED);
    if (worker_current() == NULL)
        return fn(arg);
    if (worker_current()->worker->sched->sim != NULL)
        return pool_simulate(fn, arg);
    p = pool_here();
    if (p == NULL)
        return thrum_rc(-ENOMEM);

    offload_init(&w.job, fn, arg, (uintptr_t)scope);
    wait_init(&w.wait.wait);
    wait_tell(&w.wait, AWAITED_OUTSIDE("a blocking call"), NULL);
    pool_submit(p, &w.job);
    if (likely(scope_sleep(scope, &w.wait) == WAKE_EVENT))
        return w.job.u.err;
    return canceled(p, &w.job, scope);
}
