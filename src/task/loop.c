/* gather, each, for and reduce: one engine.
 *
 * A range is cut in halves until the first piece is a chunk; the upper halves
 * are forks, so all that is not being run lies open to thieves. When the chunk
 * is done the nearest half is taken back, unless it was stolen, and cut in its
 * turn. Nothing recurses: at most OPEN_MAX halves are open. A body that waits
 * may thus wait for what any other body does.
 *
 * With grain 0 a chunk grows until it takes GOAL_NS, and shrinks when one takes
 * much longer.
 */

#include <thrum/task.h>

#include <errno.h>

#include "base/alloc.h"
#include "os/clock.h"
#include "sched/fork.h"
#include "task/scope.h"

enum { OPEN_MAX = 16, GOAL_NS = 16000 };

struct loop {
    /* const */
    void (*step)(struct loop *l, size_t lo, size_t hi, void *acc);
    void (*skip)(struct loop *l, size_t lo, size_t hi); /* canceled before */
    void *ctx;
    const thrum_reduction *how;
    const struct thrum_site_ *site; /* of the task whose loop it is */
    bool adaptive;
    enum point point; /* between two chunks: what it is to a simulation */

    _Atomic size_t chunk; /* a hint to all */
    struct scope scope;
};

struct part {
    size_t lo, hi;
    void *acc; /* made by the thief, merged and freed by the joiner */
    struct thrum_job_ *slot;
};

/* The scope takes part in every end only if its policy wants to know. True: it
 * has won. */
static bool ended(struct loop *l, size_t index, thrum_err *err)
{
    return unlikely(err != NULL || l->scope.policy > THRUM_SETTLE) &&
           scope_ended(&l->scope, index, err);
}

/* Canceled: these are not called. */
static void leave_out(struct loop *l, size_t lo, size_t hi)
{
    (void)hi;
    (void)ended(l, lo, thrum_rc(-ECANCELED));
}

static void run_chunk(struct loop *l, size_t lo, size_t hi, void *acc)
{
    int64_t start, took;

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

/* With what it adds up by itself. */
static void run_apart(struct loop *l, struct part *p)
{
    if (l->how != NULL) {
        p->acc = alloc(l->how->size);
        if (p->acc == NULL) {
            (void)ended(l, p->lo, thrum_rc(-ENOMEM));
            return;
        }
        l->how->init(p->acc, l->ctx);
    }
    run_part(l, p->lo, p->hi, p->acc);
}

/* On a thief's stack. A part has no name: for messages it has its task's. */
static void part_run(struct thrum_job_ *job)
{
    struct stack *stack = worker_current();
    struct loop *l = container_of(scope_on(stack), struct loop, scope);
    struct child around = child_begin(stack, NULL, l->site);

    store_relaxed(&stack->site, l->site);
    run_apart(l, job->u.call.arg);
    child_end(stack, around);
}

static const struct thrum_site_ part_site = {part_run, "a part of a loop",
                                             "thrum"};

static void part_open(struct part *p)
{
    struct thrum_deque_ *self = thrum_hint_slow_();
    struct thrum_job_ *slot = self->head + 1;

    slot->u.call.arg = p;
    p->slot = slot;
    tsan_promise(&slot->scope); /* [D1], as user code makes it */
    (void)thrum_publish_(self, slot, &part_site);
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
        bool stop;

        sched_point(l->point);
        worker_give_way(worker_current());
        stop = lo < hi && scope_canceled(&l->scope);
        while (!stop && hi - lo > chunk && p < open + OPEN_MAX) {
            size_t mid = lo + (hi - lo) / 2;

            *p = (struct part){.lo = mid, .hi = hi};
            part_open(p++);
            hi = mid;
        }
        if (stop) {
            l->skip(l, lo, hi);
        } else if (hi - lo > chunk) { /* a range of more than 2^16 chunks */
            run_chunk(l, lo, lo + chunk, acc);
            lo += chunk;
            continue;
        } else if (lo < hi) {
            run_chunk(l, lo, hi, acc);
        }
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

static thrum_err *run_loop(struct loop *l, const thrum_scope_opts *opts,
                           size_t lo, size_t hi, size_t grain, void *acc)
{
    l->site = load_relaxed(&worker_current()->site); /* ours */
    l->adaptive = grain == 0;
    store_relaxed(&l->chunk, grain == 0 ? 1 : grain); /* nobody else yet */
    scope_open(&l->scope, opts, NULL);
    if (lo < hi)
        run_part(l, lo, hi, acc);
    return scope_close(&l->scope, NULL);
}

/* ------------------------------------------------------------------- gather */

static thrum_err *call_job(struct stack *stack, const thrum_job *job)
{
    struct thrum_here_ here;

    scope_here_begin(stack, &here);
    return scope_here_end(stack, &here, job->fn(job->arg));
}

static void gather_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    struct stack *stack = worker_current();
    thrum_job *jobs = l->ctx;

    (void)acc;
    for (size_t i = lo; i < hi; i++)
        jobs[i].won = ended(l, i, call_job(stack, &jobs[i]));
}

static void settle_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    struct stack *stack = worker_current();
    thrum_job *jobs = l->ctx;

    (void)acc;
    for (size_t i = lo; i < hi; i++) {
        jobs[i].err = call_job(stack, &jobs[i]);
        if (jobs[i].err != NULL && error_is_canceled(jobs[i].err))
            /* that it was cut short */
            (void)ended(l, i, thrum_rc(-ECANCELED));
    }
}

static void settle_skip(struct loop *l, size_t lo, size_t hi)
{
    thrum_job *jobs = l->ctx;

    for (size_t i = lo; i < hi; i++)
        jobs[i].err = thrum_rc(-ECANCELED);
    leave_out(l, lo, hi);
}

/* Cut short from outside: nobody will look at the jobs. */
static thrum_err *settle_canceled(thrum_job *jobs, size_t n, thrum_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].err != NULL && error_is_canceled(jobs[i].err))
            thrum_err_drop(jobs[i].err);
        else
            err = thrum_err_add(err, jobs[i].err);
        jobs[i].err = NULL;
    }
    return err;
}

thrum_err *thrum_gather(thrum_job *jobs, size_t n, thrum_policy policy)
{
    struct loop l = {.ctx = jobs, .step = gather_step, .skip = leave_out};
    thrum_scope_opts opts = {.where = "thrum_gather", .policy = policy};
    bool outside;
    thrum_err *err;

    REQUIRE(worker_current() != NULL, "call it from a task");
    REQUIRE(jobs != NULL || n == 0, "no jobs");
    REQUIRE((unsigned)policy <= THRUM_FIRST, "an unknown policy");
    for (size_t i = 0; i < n; i++)
        REQUIRE(jobs[i].fn != NULL, "a job without a function");
    for (size_t i = 0; i < n; i++)
        jobs[i].won = false;
    if (policy != THRUM_SETTLE)
        return run_loop(&l, &opts, 0, n, 1, NULL);
    l.step = settle_step;
    l.skip = settle_skip;
    err = run_loop(&l, &opts, 0, n, 1, NULL);
    outside = scope_canceled(scope_current());
    if (err == NULL)
        return NULL;
    if (outside)
        return settle_canceled(jobs, n, err);
    thrum_err_drop(err); /* a job's own affair */
    return NULL;
}

/* --------------------------------------------------------------------- each */

struct each {
    thrum_each_fn *fn;
    void *ctx;
    size_t n;
    _Atomic size_t next; /* of a limited one: who takes it runs it */
};

static void call_each(struct loop *l, struct stack *stack, size_t i)
{
    struct each *e = l->ctx;
    struct thrum_here_ here;

    scope_here_begin(stack, &here);
    (void)ended(l, i, scope_here_end(stack, &here, e->fn(i, e->ctx)));
}

static void each_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    struct stack *stack = worker_current();

    (void)acc;
    for (size_t i = lo; i < hi; i++)
        call_each(l, stack, i);
}

/* One of `limit` runners. */
static void each_limited_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    struct stack *stack = worker_current();
    struct each *e = l->ctx;
    size_t i;

    (void)lo, (void)hi, (void)acc;
    while ((i = add_relaxed(&e->next, 1)) < e->n) { /* nothing to carry */
        if (scope_canceled(&l->scope)) {
            (void)ended(l, i, thrum_rc(-ECANCELED));
            return;
        }
        call_each(l, stack, i);
    }
}

/* The runner is not what was left out: the calls are, if there are any left. */
static void each_limited_skip(struct loop *l, size_t lo, size_t hi)
{
    each_limited_step(l, lo, hi, NULL);
}

thrum_err *thrum_each_(size_t n, thrum_each_fn *fn, void *ctx,
                       const thrum_scope_opts *opts)
{
    struct each e = {.fn = fn, .ctx = ctx, .n = n};
    struct loop l = {.ctx = &e, .step = each_step, .skip = leave_out};
    size_t runners = n;

    REQUIRE(worker_current() != NULL, "call it from a task");
    REQUIRE(fn != NULL && opts != NULL, "no function, or no options");
    REQUIRE((unsigned)opts->policy <= THRUM_FIRST, "an unknown policy");
    if (opts->limit != 0 && opts->limit < n) {
        l.step = each_limited_step;
        l.skip = each_limited_skip;
        runners = opts->limit;
    }
    return run_loop(&l, opts, 0, runners, 1, NULL);
}

/* ---------------------------------------------------------------------- for */

struct range {
    thrum_range_fn *fn;
    void *ctx;
};

static void for_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    struct stack *stack = worker_current();
    struct range *r = l->ctx;
    struct thrum_here_ here;

    (void)acc;
    scope_here_begin(stack, &here);
    (void)ended(l, lo, scope_here_end(stack, &here, r->fn(lo, hi, r->ctx)));
}

thrum_err *thrum_for(size_t lo, size_t hi, size_t grain, thrum_range_fn *fn,
                     void *ctx)
{
    struct range r = {.fn = fn, .ctx = ctx};
    struct loop l = {
        .ctx = &r, .step = for_step, .skip = leave_out, .point = POINT_POLL};

    REQUIRE(worker_current() != NULL, "call it from a task");
    REQUIRE(fn != NULL, "no function");
    return run_loop(&l, &(thrum_scope_opts){.where = "thrum_for"}, lo, hi,
                    grain, NULL);
}

static void reduce_step(struct loop *l, size_t lo, size_t hi, void *acc)
{
    struct stack *stack = worker_current();
    struct thrum_here_ here;

    scope_here_begin(stack, &here);
    (void)ended(l, lo,
                scope_here_end(stack, &here, l->how->fn(lo, hi, acc, l->ctx)));
}

thrum_err *thrum_reduce(size_t lo, size_t hi, size_t grain,
                        const thrum_reduction *how, void *acc, void *ctx)
{
    struct loop l = {.ctx = ctx,
                     .step = reduce_step,
                     .skip = leave_out,
                     .how = how,
                     .point = POINT_POLL};

    REQUIRE(worker_current() != NULL, "call it from a task");
    REQUIRE(how != NULL && how->size > 0 && how->init != NULL &&
                how->merge != NULL && how->fn != NULL,
            "a reduction has a size and three functions");
    REQUIRE(acc != NULL, "no accumulator");
    return run_loop(&l, &(thrum_scope_opts){.where = "thrum_reduce"}, lo, hi,
                    grain, acc);
}
