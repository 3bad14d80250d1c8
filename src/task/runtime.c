#include "task/runtime.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "os/cpu.h"
#include "sched/start.h"
#include "task/record.h"
#include "task/spawn.h"

enum {
    STACK_LEAST = 16 * 1024,
    STACK_DEFAULT = 256 * 1024,
    BLOCKING_DEFAULT = 256,
};

/* The default runtime: started by the first thrum_run, stopped by the last. */
static struct lock default_lock = LOCK_INITIALIZER;
static unsigned default_users; /* lock: default_lock */

/* ------------------------------------------------------------ start and stop */

/* A number from the environment, or 0: not set, or none. */
static size_t env_number(const char *name)
{
    const char *text = getenv(name);
    char *end;
    unsigned long long n;

    if (text == NULL || *text == '\0' || *text == '-')
        return 0;
    n = strtoull(text, &end, 10);
    return *end == '\0' ? (size_t)n : 0;
}

static int fill_in(thrum_opts *o)
{
    size_t n;

    if (o->workers == 0) {
        n = env_number("THRUM_WORKERS");
        o->workers = n == 0         ? cpu_count()
                     : n > IDLE_MAX ? IDLE_MAX
                                    : (unsigned)n;
        if (o->workers > IDLE_MAX)
            o->workers = IDLE_MAX;
    }
    if (o->stack_size == 0)
        o->stack_size = env_number("THRUM_STACK");
    if (o->stack_size == 0)
        o->stack_size = STACK_DEFAULT;
    if (o->max_blocking == 0)
        o->max_blocking = BLOCKING_DEFAULT;
    if (o->workers > IDLE_MAX || o->stack_size < STACK_LEAST ||
        o->stack_size > SIZE_MAX / 4096)
        return -EINVAL;
    return 0;
}

/* The root scope belongs to no task: it is set up by hand, and closed by the
 * thread that stops. */
static void root_open(struct thrum_rt *rt)
{
    rt->root = (struct scope){.name = "root", .where = "thrum_start"};
    rt->root.sched = &rt->sched;
    store_relaxed(&rt->root.children, 1); /* the body: this runtime */
}

/* What errors say about where they were made. */
static const char *running_task(void)
{
    struct stack *s = worker_current();

    return s == NULL || s->site == NULL ? NULL : s->site->name;
}

int thrum_start(thrum_rt **out, const thrum_opts *opts)
{
    struct thrum_rt *rt;
    thrum_opts o = opts == NULL ? (thrum_opts){0} : *opts;
    int rc;

    REQUIRE(out != NULL, "no place for the runtime");
    rc = fill_in(&o);
    if (rc < 0)
        return rc;
    rt = alloc_aligned(CACHE_LINE, sizeof *rt);
    if (rt == NULL)
        return -ENOMEM;
    rt->opts = o;
    lock_init(&rt->pool_lock);
    store_relaxed(&rt->pool, NULL); /* nobody knows it yet */
    root_open(rt);
    error_set_namer(running_task);
    rc = sched_start(&rt->sched,
                     &(struct sched_opts){.workers = o.workers,
                                          .stack_bytes = o.stack_size,
                                          .pin = o.pin});
    if (rc < 0) {
        release(rt);
        return rc;
    }
    *out = rt;
    return 0;
}

thrum_err *thrum_stop(thrum_rt *rt)
{
    struct stack *here = worker_current();
    thrum_err *err;
    void *pool;

    REQUIRE(rt != NULL, "no runtime");
    REQUIRE(here == NULL || here->worker->sched != &rt->sched,
            "called from a task of the runtime that is to stop");
    err = scope_join(&rt->root, NULL);
    sched_stop(&rt->sched, records_free);
    pool = load_relaxed(&rt->pool); /* the workers have been joined */
    if (pool != NULL)
        rt->pool_stop(pool);
    release(rt);
    return err;
}

/* -------------------------------------------------------------- submit, wait */

struct call {
    struct thrum_job_ job;
    struct thrum_rt *rt;
    struct wait wait;
    thrum_err *err;
};

static void call_run(struct thrum_job_ *job)
{
    struct call *c = container_of(job, struct call, job);
    struct stack *stack = worker_current();
    struct scope own;

    scope_open_task(&own, NULL, stack);
    c->err = scope_close(&own, job->u.call.fn(job->u.call.arg));
    deque_set_scope(&stack->deque, NULL);
    (void)wait_wake(&c->wait, WAKE_EVENT);
}

static const struct thrum_site_ call_site = {call_run, "main", "thrum_call"};

thrum_err *thrum_call(thrum_rt *rt, thrum_fn *fn, void *arg)
{
    struct stack *here = worker_current();
    struct call c = {.rt = rt};

    REQUIRE(rt != NULL && fn != NULL, "no runtime, or no function");
    if (here != NULL && here->worker->sched == &rt->sched)
        return thrum_with(fn, arg, .name = "call");
    store_relaxed(&c.job.site, &call_site); /* travels with the inbox [B1] */
    c.job.u.call.fn = fn;
    c.job.u.call.arg = arg;
    wait_init(&c.wait);
    tsan_promise(&c.job);
    sched_submit(&rt->sched, &c.job);
    (void)wait_sleep(&c.wait);
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
    return spawn_into(&rt->root, site, fn, arg, copy, false);
}

/* --------------------------------------------------------- the default runtime */

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
    if (worker_current() != NULL)
        return thrum_with(fn, arg, .name = "run");
    rc = default_enter(opts, &rt);
    if (rc < 0)
        return thrum_rc(rc);
    err = thrum_call(rt, fn, arg);
    rest = default_leave(rt);
    return thrum_err_add(err, rest);
}

/* -------------------------------------------------------------------- report */

static void report_to_stderr(const thrum_err *err)
{
    char text[4096];

    (void)thrum_err_format(err, text, sizeof text);
    fprintf(stderr, "%s%s", text,
            text[0] != '\0' && text[strlen(text) - 1] == '\n' ? "" : "\n");
}

/* Those of the runtime we are on, else of the default one, which another thread
 * may be about to stop. */
static thrum_opts current_opts(void)
{
    struct stack *here = worker_current();
    thrum_opts opts = {0};

    if (here != NULL)
        return runtime_of(here->worker->sched)->opts;
    lock_acquire(&default_lock);
    if (sched_default() != NULL)
        opts = runtime_of(sched_default())->opts;
    lock_release(&default_lock);
    return opts;
}

void thrum_report(thrum_err *err)
{
    thrum_opts opts;

    if (err == NULL)
        return;
    opts = current_opts();
    if (opts.on_error != NULL)
        opts.on_error(err, opts.user);
    else
        report_to_stderr(err);
    thrum_err_drop(err);
}
