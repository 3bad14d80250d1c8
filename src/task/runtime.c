#include "task/runtime.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sanitize.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/env.h"
#include "os/forked.h"
#include "sched/guest.h"
#include "sched/start.h"
#include "task/record.h"
#include "task/scope.h"
#include "task/spawn.h"

enum {
    STACK_LEAST = 16 * 1024,
    STACK_DEFAULT = 256 * 1024,
    BLOCKING_DEFAULT = 256,
};

/* The default runtime: started by the first thrum_run, stopped by the last. */
static struct lock default_lock = LOCK_INITIALIZER;
static unsigned default_users; /* lock: default_lock */

static thrum_opts opts_of(struct sched *sched);

/* ------------------------------------------------------------------ forked */

/* A task that called fork(2) may go on in the child as far as an exec, or its
 * end; what it would ask its worker for next is answered by these. */
static _Noreturn void stop_task(void)
{
    die("a task goes on in the child of a fork(2), where its runtime is not: "
        "there it may call exec, or _exit");
}

static struct thrum_job_ *no_take(struct sched_sim *sim, struct worker *w)
{
    (void)sim;
    (void)w;
    stop_task();
}

static struct thrum_job_ *no_child(struct sched_sim *sim, struct worker *w,
                                   struct siblings *siblings)
{
    (void)sim;
    (void)w;
    (void)siblings;
    stop_task();
}

static void no_fork(struct sched_sim *sim, struct stack *s)
{
    (void)sim;
    (void)s;
    stop_task();
}

static bool no_point(struct sched_sim *sim, struct stack *s, enum point point)
{
    (void)sim;
    (void)s;
    (void)point;
    stop_task();
}

static bool not_over(struct sched_sim *sim)
{
    (void)sim;
    stop_task();
}

static int64_t no_blocking(struct sched_sim *sim)
{
    (void)sim;
    stop_task();
}

static struct sched_fate no_fate(struct sched_sim *sim, const int *errors)
{
    (void)sim;
    (void)errors;
    stop_task();
}

static size_t no_share(struct sched_sim *sim, size_t n)
{
    (void)sim;
    (void)n;
    stop_task();
}

static void forget(void)
{
    static struct sched_sim gone = {.take = no_take,
                                    .find = no_take,
                                    .take_child = no_child,
                                    .forked = no_fork,
                                    .at = no_point,
                                    .is_over = not_over,
                                    .blocking = no_blocking,
                                    .fate = no_fate,
                                    .share = no_share};
    struct stack *here = worker_current();

    lock_init(&default_lock);
    default_users = 0;
    sched_set_default(NULL);
    if (here != NULL)
        here->worker->sched->sim = &gone;
}

FORGET_IN_CHILD(forget)

/* ----------------------------------------------------------- start and stop */

/* If the program does not say. True: by the CPUs, and they may change. */
static bool choose_workers(unsigned *workers)
{
    uint64_t n = 0;
    bool by_cpus = !env_number("THRUM_WORKERS", &n) || n == 0;

    if (by_cpus)
        n = cpu_count();
    *workers = n > IDLE_MAX ? IDLE_MAX : (unsigned)n;
    return by_cpus;
}

static bool is_stack_size(uint64_t bytes)
{
    return bytes >= STACK_LEAST && bytes <= SIZE_MAX / 4096;
}

static size_t choose_stack_size(void)
{
    uint64_t n = 0;

    if (!env_number("THRUM_STACK", &n) || n == 0)
        return STACK_DEFAULT;
    if (!is_stack_size(n))
        env_complain("THRUM_STACK",
                     "is no size of a stack: 16384 bytes at least");
    return (size_t)n;
}

static int fill_in(thrum_opts *o, bool *by_cpus)
{
    *by_cpus = o->workers == 0 && choose_workers(&o->workers) && !o->pin;
    if (o->stack_size == 0)
        o->stack_size = choose_stack_size();
    if (o->max_blocking == 0)
        o->max_blocking = BLOCKING_DEFAULT;
    if (o->grace <= 0)
        o->grace = GRACE_DEFAULT;
    if (o->guest)
        o->workers = 1;
    return o->workers > IDLE_MAX || !is_stack_size(o->stack_size) ? -EINVAL : 0;
}

int runtime_start(struct thrum_rt **out, const thrum_opts *opts,
                  struct sched_sim *sim)
{
    struct thrum_rt *rt;
    thrum_opts o = opts == NULL ? (thrum_opts){0} : *opts;
    bool by_cpus;
    int rc;

    REQUIRE_OF(
        "thrum_start", sanitize_suits(),
        "the program is built with -fsanitize=thread, and this library is "
        "not: make SAN=thread builds one that is");
    rc = fill_in(&o, &by_cpus);
    if (rc < 0)
        return rc;
    rt = alloc_aligned(CACHE_LINE, sizeof *rt);
    if (rt == NULL)
        return -ENOMEM;
    rt->opts = o;
    lock_init(&rt->pool_lock);
    rt->calls_lock = (struct spin){0};
    rt->calls = NULL;
    rt->stuck_count = 0;
    store_relaxed(&rt->pool, NULL);    /* nobody knows it yet */
    store_relaxed(&rt->posts_over, 0); /* likewise */
    scope_open_root(&rt->posted, &rt->sched, "posted");
    scope_open_root(&rt->root, &rt->sched, "background");
    rt->root.supervised = true;
    error_set_context(local_context);
    report_set_finder(opts_of);
    rc = sched_start(
        &rt->sched,
        &(struct sched_opts){.workers = o.workers,
                             .spares = o.guest ? 0 : o.max_blocking,
                             .by_cpus = by_cpus,
                             .stack_bytes = o.stack_size,
                             .pin = o.pin,
                             .hooks = {alarm_settle, alarm_look, block_stuck,
                                       spawn_apart, spawn_made_on},
                             .sim = sim,
                             .guest = o.guest});
    if (rc < 0) {
        release(rt);
        return rc;
    }
    *out = rt;
    return 0;
}

int thrum_start(thrum_rt **out, const thrum_opts *opts)
{
    REQUIRE(out != NULL, "no place for the runtime");
    return runtime_start(out, opts, NULL);
}

void runtime_sweep_calls(struct sched *sched)
{
    struct thrum_rt *rt = runtime_of(sched);

    if (!sched_is_gone(sched)) /* or who had the pool's lock is, too */
        rt->pool_sweep(load_acquire(&rt->pool)); /* [O2] there is one */
}

bool runtime_pool_at_work(struct thrum_rt *rt)
{
    void *pool = load_acquire(&rt->pool); /* [O2] */

    return pool != NULL && rt->pool_at_work(pool);
}

void runtime_free(struct thrum_rt *rt)
{
    void *pool;

    sched_stop(&rt->sched, records_free);
    pool = load_relaxed(&rt->pool); /* the workers have been joined */
    if (pool != NULL)
        rt->pool_stop(pool);
    release(rt);
}

/* What was there before is told to end, and gets some time. */
static thrum_err *stop_background(struct thrum_rt *rt)
{
    int64_t now = clock_now(), grace = rt->opts.grace;
    char text[1024];
    thrum_err *err;

    scope_cancel(&rt->root, NULL);
    if (scope_join_by(&rt->root, &rt->stopper,
                      grace > CLOCK_NEVER - now ? CLOCK_NEVER : now + grace))
        return NULL;
    report_children(&rt->root, text, sizeof text);
    err = thrum_fail_("thrum_stop", &THRUM_TIMEOUT,
                      "background tasks go on %.1f s after they were canceled; "
                      "the runtime is left to them%s",
                      (double)grace / 1e9, text);
    return thrum_err_is(err, &THRUM_TIMEOUT) ? err : thrum_rc(-ETIMEDOUT);
}

thrum_err *thrum_stop(thrum_rt *rt)
{
    struct stack *here = worker_current();
    thrum_err *err, *left;

    REQUIRE(rt != NULL, "no runtime");
    REQUIRE(here == NULL || here->worker->sched != &rt->sched,
            "called from a task of the runtime that is to stop");
    if (sched_is_gone(
            &rt->sched)) /* nothing of it may be freed: its threads are not here */
        return thrum_rc(-ENOTRECOVERABLE);
    REQUIRE(!rt->sched.guest || guest_here() == &rt->sched,
            "a guest is stopped by another thread than its host");
    err = scope_join(&rt->posted, NULL);
    store_relaxed(&rt->posts_over, 1); /* asked by children of root only */
    left = stop_background(rt);
    if (left != NULL) { /* nothing of it may be freed: tasks stand on it */
        if (rt->sched.guest)
            guest_move_out(&rt->sched);
        return thrum_err_add(err, left);
    }
    runtime_free(rt);
    return err;
}

/* ------------------------------------------------------------------ a guest */

int thrum_poll_fd(thrum_rt *rt)
{
    REQUIRE(rt != NULL && rt->sched.guest, "no runtime, or no guest");
    return sched_is_gone(&rt->sched) ? -ENOTRECOVERABLE
                                     : poll_fd(&rt->sched.poller.set);
}

int thrum_poll(thrum_rt *rt, thrum_time max)
{
    int64_t now = clock_now();

    REQUIRE(rt != NULL && rt->sched.guest, "no runtime, or no guest");
    if (sched_is_gone(&rt->sched))
        return -ENOTRECOVERABLE;
    REQUIRE(worker_current() == NULL && guest_here() == &rt->sched,
            "called in a task, or by another thread than the host");
    return guest_run(&rt->sched,
                     max > CLOCK_NEVER - now ? CLOCK_NEVER : now + max);
}

/* ------------------------------------------------------------- submit, wait */

struct call {
    struct thrum_job_ job;
    struct thrum_rt *rt;
    struct scope *parent; /* where the caller is, or NULL */
    struct wait wait;
    thrum_err *err;
};

static void call_run(struct thrum_job_ *job);

static const struct thrum_site_ call_site = {call_run, "main", "thrum_call"};

/* For thrum_dump. One that was called inside a scope is found there. */
static void call_open(struct thrum_rt *rt, struct scope *own)
{
    spin_lock(&rt->calls_lock);
    own->prev = NULL;
    own->next = rt->calls;
    if (own->next != NULL)
        own->next->prev = own;
    rt->calls = own;
    spin_unlock(&rt->calls_lock);
}

static void call_over(struct thrum_rt *rt, struct scope *own)
{
    spin_lock(&rt->calls_lock);
    if (own->prev != NULL)
        own->prev->next = own->next;
    else
        rt->calls = own->next;
    if (own->next != NULL)
        own->next->prev = own->prev;
    spin_unlock(&rt->calls_lock);
}

static void call_run(struct thrum_job_ *job)
{
    struct call *c = container_of(job, struct call, job);
    struct stack *stack = worker_current();
    struct child around = child_begin(stack, NULL, &call_site);
    struct scope own;

    scope_open_task(&own, c->parent, stack, &call_site);
    if (c->parent == NULL)
        call_open(c->rt, &own);
    c->err = scope_close(&own, job->u.call.fn(job->u.call.arg));
    if (c->parent == NULL)
        call_over(c->rt, &own);
    child_end(stack, around);
    (void)wait_wake(&c->wait, WAKE_EVENT);
}

thrum_err *thrum_call(thrum_rt *rt, thrum_fn *fn, void *arg)
{
    struct stack *here = worker_current();
    struct call c = {.rt = rt, .parent = scope_current()};

    REQUIRE(rt != NULL && fn != NULL, "no runtime, or no function");
    if (here != NULL && here->worker->sched == &rt->sched)
        return thrum_with(fn, arg, .name = "call");
    if (sched_is_gone(&rt->sched))
        return thrum_rc(-ENOTRECOVERABLE);
    store_relaxed(&c.job.site, &call_site); /* travels with the inbox [B1] */
    c.job.u.call.fn = fn;
    c.job.u.call.arg = arg;
    wait_init(&c.wait);
    tsan_promise(&c.job);
    sched_submit(&rt->sched, &c.job);
    if (here == NULL)
        (void)scope_watch(c.parent, &c.wait, CLOCK_NEVER);
    else
        (void)wait_sleep(&c.wait, AWAITED_OUTSIDE("a task of another runtime"),
                         NULL);
    return c.err;
}

void thrum_post_run_(struct thrum_job_ *job)
{
    thrum_spawn_run_(job);
}

int thrum_post_(thrum_rt *rt, const struct thrum_site_ *site, thrum_fn *fn,
                const void *arg, size_t copy)
{
    REQUIRE(rt != NULL && fn != NULL, "no runtime, or no function");
    REQUIRE(arg != NULL || copy == 0, "bytes to copy, and no argument");
    if (sched_is_gone(&rt->sched))
        return -ENOTRECOVERABLE;
    return spawn_into(load_relaxed(&rt->posts_over) ? &rt->root : &rt->posted,
                      &(struct spawned){site, fn, arg, copy},
                      false); /* a root task knows */
}

thrum_scope *thrum_root(void)
{
    struct stack *here = worker_current();
    struct sched *sched = here != NULL ? here->worker->sched : sched_default();

    return sched == NULL ? NULL : scope_public(&runtime_of(sched)->root);
}

/* ------------------------------------------------------ the default runtime */

/* Start it, or use it once more. */
static int default_enter(const thrum_opts *opts, struct thrum_rt **rt)
{
    int rc = 0;

    lock_acquire(&default_lock);
    if (default_users > 0)
        *rt = runtime_of(sched_default());
    else
        rc = thrum_start(rt, opts);
    if (rc == 0 && default_users == 0)
        sched_set_default(&(*rt)->sched);
    if (rc == 0)
        default_users++;
    lock_release(&default_lock);
    return rc;
}

static thrum_err *default_leave(struct thrum_rt *rt)
{
    bool last;

    lock_acquire(&default_lock);
    last = --default_users == 0;
    if (last)
        sched_set_default(NULL); /* who comes now starts another */
    lock_release(&default_lock);
    return last ? thrum_stop(rt) : NULL;
}

thrum_err *thrum_run(const thrum_opts *opts, thrum_fn *fn, void *arg)
{
    struct thrum_rt *rt;
    thrum_err *err, *rest;
    int rc;

    REQUIRE(fn != NULL, "no function");
    REQUIRE(opts == NULL || !opts->guest,
            "thrum_run has no guest: see thrum_start");
    if (worker_current() != NULL)
        return thrum_with(fn, arg, .name = "run");
    rc = default_enter(opts, &rt);
    if (rc < 0)
        return thrum_rc(rc);
    err = thrum_call(rt, fn, arg);
    rest = default_leave(rt);
    return thrum_err_add(err, rest);
}

static int resize(struct thrum_rt *rt, unsigned n)
{
    struct sched *s = &rt->sched;
    bool by_cpus = n == 0 && choose_workers(&n);

    if (sched_is_gone(s))
        return -ENOTRECOVERABLE;
    if (!sched_has_threads(s))
        return 0;
    store_relaxed(&s->by_cpus, by_cpus && !rt->opts.pin); /* a hint */
    return sched_resize(s, n);
}

int thrum_resize(thrum_rt *rt, unsigned workers)
{
    struct stack *here = worker_current();
    int rc = -ESRCH;

    if (workers > IDLE_MAX)
        return -EINVAL;
    if (rt == NULL && here != NULL)
        rt = runtime_of(here->worker->sched);
    if (rt != NULL)
        return resize(rt, workers);
    lock_acquire(&default_lock); /* another thread may be about to stop it */
    if (sched_default() != NULL)
        rc = resize(runtime_of(sched_default()), workers);
    lock_release(&default_lock);
    return rc;
}

/* For reports. */
static thrum_opts opts_of(struct sched *sched)
{
    thrum_opts opts = {0};

    if (sched != NULL)
        return runtime_of(sched)->opts;
    lock_acquire(&default_lock); /* another thread may be about to stop it */
    if (sched_default() != NULL)
        opts = runtime_of(sched_default())->opts;
    lock_release(&default_lock);
    return opts;
}
