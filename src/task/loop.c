/* gather, each, for and reduce: one engine.
 *
 * A range is cut in halves until the first piece is a chunk; the upper halves
 * are forks, so all that is not being run lies open to thieves. When the chunk
 * is done the nearest half is taken back, unless it was stolen, and cut in its
 * turn. Nothing recurses: what is open is at most one half for each bit of a
 * size_t. A body that waits may thus wait for what any other body does.
 *
 * With grain 0 a chunk grows until it takes GOAL_NS, and shrinks when one takes
 * much longer.
 */

#include <errno.h>

#include "base/alloc.h"
#include "os/clock.h"
#include "sched/fork.h"
#include "task/scope.h"

enum { OPEN_MAX = 66, GOAL_NS = 16000 };

struct loop {
    /* const */
    void (*step)(struct loop *l, size_t lo, size_t hi, void *acc);
    void *ctx;
    const thrum_reduction *how;
    const struct thrum_site_ *site; /* of the task whose loop it is */
    bool adaptive, stops, settle;

    _Atomic size_t chunk;    /* a hint to all */
    _Atomic uint32_t failed; /* a hint: parts not begun are left out */
    struct error_sink errors;
};

struct part {
    struct loop *loop;
    size_t lo, hi;
    void *acc; /* made by the thief, merged and freed by the joiner */
    struct thrum_job_ *slot;
};

static void loop_fail(struct loop *l, size_t index, thrum_err *err)
{
    if (err == NULL)
        return;
    (void)error_sink_add(&l->errors, index, err);
    store_relaxed(&l->failed, 1);
}

static void run_chunk(struct loop *l, size_t lo, size_t hi, void *acc)
{
    int64_t start, took;

    if (lo == hi || (l->stops && load_relaxed(&l->failed) != 0))
        return;
    if (!l->adaptive) {
        l->step(l, lo, hi, acc);
        return;
    }
    start = clock_now();
    l->step(l, lo, hi, acc);
    took = clock_now() - start;
    if (took < GOAL_NS / 2 && hi - lo <= SIZE_MAX / 2)
        store_relaxed(&l->chunk, (hi - lo) * 2);
    else if (took > GOAL_NS * 4)
        store_relaxed(&l->chunk, (hi - lo) / 2 + 1);
}

static void run_part(struct loop *l, size_t lo, size_t hi, void *acc);

/* On a thief's stack: a part of its own. */
static void part_run(struct thrum_job_ *job)
{
    struct part *p = job->u.call.arg;
    struct loop *l = p->loop;

    worker_current()->site = l->site; /* for messages: a part has no name */
    if (l->how != NULL) {
        p->acc = alloc(l->how->size);
        if (p->acc == NULL) {
            loop_fail(l, p->lo, thrum_rc(-ENOMEM));
            return;
        }
        l->how->init(p->acc, l->ctx);
    }
    run_part(l, p->lo, p->hi, p->acc);
}

static const struct thrum_site_ part_site = {part_run, "a part of a loop",
                                             "thrum"};

static void part_open(struct part *p)
{
    struct thrum_job_ *slot = thrum_newest_slow_() + 1;

    slot->u.call.arg = p;
    p->slot = slot;
    tsan_promise(&slot->scope); /* [D1], as user code makes it */
    (void)thrum_publish_(slot, &part_site);
}

static void part_merge(struct loop *l, struct part *p, void *acc)
{
    if (p->acc == NULL)
        return;
    l->how->merge(acc, p->acc, l->ctx);
    release(p->acc);
}

static void run_part(struct loop *l, size_t lo, size_t hi, void *acc)
{
    struct part open[OPEN_MAX], *p = open;

    for (;;) {
        size_t chunk = load_relaxed(&l->chunk);

        while (hi - lo > chunk) {
            size_t mid = lo + (hi - lo) / 2;

            *p = (struct part){.loop = l, .lo = mid, .hi = hi};
            part_open(p++);
            hi = mid;
        }
        run_chunk(l, lo, hi, acc);
        if (p-- == open)
            return;
        lo = p->lo;
        hi = p->hi;
        if (!fork_take_back(p->slot)) {
            part_merge(l, p, acc);
            lo = hi;
        }
    }
}

static thrum_err *run_loop(struct loop *l, size_t lo, size_t hi, size_t grain,
                           void *acc)
{
    l->site = worker_current()->site;
    l->adaptive = grain == 0;
    store_relaxed(&l->chunk, grain == 0 ? 1 : grain); /* nobody else yet */
    if (lo < hi)
        run_part(l, lo, hi, acc);
    if (error_sink_is_empty(&l->errors))
        return NULL;
    return error_sink_fold(
        &l->errors, l->settle ? PRIMARY_LOWEST : PRIMARY_FIRST, CANCELED_KEEP);
}

/* --------------------------------------------------------------------- gather */

static void gather_all_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    thrum_job *jobs = l->ctx;

    (void)acc;
    for (size_t i = lo; i < hi; i++)
        loop_fail(l, i, jobs[i].fn(jobs[i].arg));
}

static void gather_settle_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    thrum_job *jobs = l->ctx;

    (void)acc;
    for (size_t i = lo; i < hi; i++)
        jobs[i].err = jobs[i].fn(jobs[i].arg);
}

thrum_err *thrum_gather(thrum_job *jobs, size_t n, thrum_policy policy)
{
    struct loop l = {.ctx = jobs};

    REQUIRE(worker_current() != NULL, "call it from a task");
    REQUIRE(jobs != NULL || n == 0, "no jobs");
    REQUIRE(policy == THRUM_ALL || policy == THRUM_SETTLE, "an unknown policy");
    for (size_t i = 0; i < n; i++)
        REQUIRE(jobs[i].fn != NULL, "a job without a function");
    l.step = policy == THRUM_ALL ? gather_all_step : gather_settle_step;
    return run_loop(&l, 0, n, 1, NULL);
}

/* ----------------------------------------------------------------------- each */

struct each {
    thrum_each_fn *fn;
    void *ctx;
    size_t n;
    _Atomic size_t next; /* of a limited one: who takes it runs it */
};

static void each_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    struct each *e = l->ctx;

    (void)acc;
    for (size_t i = lo; i < hi; i++)
        loop_fail(l, i, e->fn(i, e->ctx));
}

/* One of `limit` runners. */
static void each_limited_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    struct each *e = l->ctx;
    size_t i;

    (void)lo, (void)hi, (void)acc;
    while ((i = add_relaxed(&e->next, 1)) < e->n) /* nothing to carry */
        loop_fail(l, i, e->fn(i, e->ctx));
}

thrum_err *thrum_each_(size_t n, thrum_each_fn *fn, void *ctx,
                       const thrum_scope_opts *opts)
{
    struct each e = {.fn = fn, .ctx = ctx, .n = n};
    struct loop l = {.ctx = &e, .step = each_step};
    size_t runners = n;

    REQUIRE(worker_current() != NULL, "call it from a task");
    REQUIRE(fn != NULL && opts != NULL, "no function, or no options");
    l.settle = opts->policy == THRUM_SETTLE;
    error_sink_init(&l.errors, opts->max_errors);
    if (opts->limit != 0 && opts->limit < n) {
        l.step = each_limited_step;
        runners = opts->limit;
    }
    return run_loop(&l, 0, runners, 1, NULL);
}

/* ------------------------------------------------------------------------ for */

struct range {
    thrum_range_fn *fn;
    void *ctx;
};

static void for_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    struct range *r = l->ctx;

    (void)acc;
    loop_fail(l, lo, r->fn(lo, hi, r->ctx));
}

thrum_err *thrum_for(size_t lo, size_t hi, size_t grain, thrum_range_fn *fn,
                     void *ctx)
{
    struct range r = {.fn = fn, .ctx = ctx};
    struct loop l = {.ctx = &r, .step = for_step, .stops = true};

    REQUIRE(worker_current() != NULL, "call it from a task");
    REQUIRE(fn != NULL, "no function");
    return run_loop(&l, lo, hi, grain, NULL);
}

static void reduce_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    loop_fail(l, lo, l->how->fn(lo, hi, acc, l->ctx));
}

thrum_err *thrum_reduce(size_t lo, size_t hi, size_t grain,
                        const thrum_reduction *how, void *acc, void *ctx)
{
    struct loop l = {
        .ctx = ctx, .step = reduce_step, .stops = true, .how = how};

    REQUIRE(worker_current() != NULL, "call it from a task");
    REQUIRE(how != NULL && how->size > 0 && how->init != NULL &&
                how->merge != NULL && how->fn != NULL,
            "a reduction has a size and three functions");
    REQUIRE(acc != NULL, "no accumulator");
    return run_loop(&l, lo, hi, grain, acc);
}
