/* Does a scope end as its manual says? Random trees of tasks - spawned, forked,
 * gathered, called for each - in scopes with policies, limits, shields and
 * deadlines, that fail, are canceled and clean up. What every close, join and
 * gather returns is compared with what the table in thrum/scope.h makes of what
 * the children returned: a set, where the schedule decides. Every spawned body
 * starts; every deferred function runs once, shielded, after the children. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <thrum/run.h>
#include <thrum/test.h>

#include "outcome.h"

enum { OWN = 2, DEPTH = 3, TREES = 32 };

THRUM_KIND(Planned, THRUM_ERROR, .code = 9);

static _Atomic uint64_t bodies, closes; /* for the last line */

static void region_free(struct region *r)
{
    for (int i = 0; i < KIDS; i++) {
        free(r->kid[i].own);
        free(r->more[i].own);
    }
    free(r);
}

static void finish(struct region *r, unsigned body, long body_count,
                   const thrum_err *err)
{
    outcome_check(r, body, body_count, err);
    add_relaxed(&closes, 1);
    region_free(r);
}

/* ------------------------------------------------------------- what is done */

static thrum_err *body_of(void *task);

/* Failures go before cancellations. */
static thrum_err *keep(thrum_err *err, thrum_err *e)
{
    unsigned was = ended_how(err), is = ended_how(e);

    if (was == is || was == WELL || is == WELL ||
        ((was & FAILURE) && (is & FAILURE)))
        return thrum_err_add(err, e);
    thrum_err_drop(was == CANCELED ? err : e);
    return was == CANCELED ? e : err;
}

static thrum_err *fail(void)
{
    return thrum_fail(&Planned, "as planned");
}

static thrum_err *wait_some(struct rng *r)
{
    bool before = thrum_canceled();
    int rc = 0;

    switch (rng_below(r, 4)) {
    case 0:
        thrum_yield();
        return NULL;
    case 1:
        rc = thrum_checkpoint();
        break;
    default:
        rc = thrum_sleep(THRUM_US(rng_below(r, 3) * 20));
    }
    must(rc == 0 || rc == -ECANCELED);
    must(rc == 0 ? !before : thrum_canceled());
    return thrum_rc(rc);
}

static void task_init(struct task *t, struct rng *r, int depth)
{
    *t = (struct task){.depth = depth};
    t->seed = (uint64_t)rng_below(r, UINT32_MAX) << 32 |
              rng_below(r, UINT32_MAX);
}

/* Was a scope around canceled before it began; and when it has ended? */
static void known_outside(struct region *r, bool before, bool shield)
{
    r->outside = shield || !thrum_canceled() ? NO : before ? YES : MAYBE;
}

/* ------------------------------------------------------------------- scopes */

static thrum_err *clean(void *arg)
{
    struct clean_up *c = arg;
    struct region *r = c->of;
    uint32_t before = add_acq_rel(&r->cleaned, 1);
    const thrum_err *outcome = thrum_outcome();

    must(add_acq_rel(&c->ran, 1) == 0);
    for (int i = 0; i < r->kids; i++) {
        must(load_acquire(&r->kid[i].ended) == 1);
        must(!load_acquire(&r->more_spawned[i]) ||
             load_acquire(&r->more[i].ended) == 1);
    }
    must(!thrum_canceled());
    must(thrum_sleep(THRUM_US(1)) == 0);
    if (before == 0)
        r->seen_outcome = ended_how(outcome);
    if (c->index >= 0 && load_acquire(&r->of_kids) == 0)
        must((int)before == r->defers - 1 - c->index);
    if (c->index == 1) /* too late to mean anything */
        thrum_scope_cancel(&r->scope, NULL);
    return c->fails ? fail() : NULL;
}

static void clean_up_later(struct region *r, struct clean_up *c, int index,
                           bool fails)
{
    *c = (struct clean_up){.of = r, .index = index, .fails = fails};
    thrum_defer(&r->scope, clean, c);
}

static void all_is_clean(struct region *r)
{
    for (int i = 0; i < r->defers; i++)
        must(load_acquire(&r->defer[i].ran) == 1);
    must(load_acquire(&r->cleaned) ==
         (uint32_t)r->defers + load_acquire(&r->of_kids));
}

static void cancel_region(struct region *r, bool by_deadline)
{
    if (by_deadline) {
        store_release(&r->over, true);
        thrum_scope_set_deadline(&r->scope, thrum_now() - 1);
    } else {
        store_release(&r->canceled, true);
        thrum_scope_cancel(&r->scope, "as planned");
    }
    must(thrum_canceled());
}

/* A deadline that never comes. What has passed stays passed. */
static thrum_time some_day(struct rng *r)
{
    return rng_below(r, 2) ? INT64_MAX : thrum_now() + THRUM_SEC(1000);
}

static void spawn_kids(struct region *r, struct rng *rng, int depth)
{
    int n = (int)rng_below(rng, KIDS + 1), rc;

    for (int i = 0; i < n; i++) {
        struct task *t = &r->kid[r->kids];

        task_init(t, rng, depth);
        t->in = r;
        t->cancels = rng_below(rng, 24) == 0;
        t->ends_it = t->cancels && rng_below(rng, 2) == 0;
        rc = thrum_spawn(&r->scope, body_of, t, 0);
        if (rc == 0) {
            r->kids++;
        } else {
            must(rc == -ECANCELED);
            must(thrum_canceled());
        }
    }
}

static thrum_err *some_of(struct task *t, struct rng *r, bool in_scope);

static thrum_err *region_body(struct region *r, struct task *t, struct rng *rng)
{
    thrum_err *err = NULL;

    for (int n = (int)rng_below(rng, 4) == 0 ? DEFERS : 0; r->defers < n;) {
        clean_up_later(r, &r->defer[r->defers], r->defers,
                       rng_below(rng, 16) == 0);
        r->defers++;
        if (rng_below(rng, 3) == 0)
            break;
    }
    if (rng_below(rng, 16) == 0)
        cancel_region(r, rng_below(rng, 2) == 0);
    spawn_kids(r, rng, t->depth - 1);
    if (rng_below(rng, 4) == 0)
        err = some_of(t, rng, true);
    if (rng_below(rng, 16) == 0)
        cancel_region(r, rng_below(rng, 2) == 0);
    if (rng_below(rng, 3) == 0)
        err = keep(err, wait_some(rng));
    if (rng_below(rng, 16) == 0)
        err = keep(err, fail());
    return err;
}

static void region_init(struct region *r, thrum_policy policy)
{
    r->policy = policy;
    r->outside = NO;
    store_relaxed(&r->over, false); /* nobody else knows it yet */
    store_relaxed(&r->canceled, false);
    r->kids = r->defers = 0;
    store_relaxed(&r->of_kids, 0); /* likewise */
    store_relaxed(&r->of_kids_fail, 0);
    store_relaxed(&r->cleaned, 0);
    r->seen_outcome = 0;
    for (int i = 0; i < KIDS; i++) {
        r->kid[i].own = r->more[i].own = NULL;
        store_relaxed(&r->more_spawned[i], false); /* likewise */
    }
}

static thrum_policy some_policy(struct rng *r)
{
    return rng_below(r, 2) ? THRUM_ALL : (thrum_policy)rng_below(r, 4);
}

static thrum_err *open_scope(struct task *t, struct rng *rng)
{
    struct region *r = malloc(sizeof *r);
    thrum_scope_opts opts = {.where = "stress", .name = "random"};
    bool before = thrum_canceled(), over;
    unsigned body_is;
    long count;
    thrum_err *err;

    must(r != NULL);
    region_init(r, some_policy(rng));
    opts.policy = r->policy;
    opts.limit = rng_below(rng, 4);
    opts.shield = rng_below(rng, 8) == 0;
    opts.timeout = rng_below(rng, 4) == 0 ? THRUM_SEC(1000) : 0;
    over = rng_below(rng, 16) == 0;
    if (over)
        opts.deadline = thrum_now();
    store_relaxed(&r->over, over);
    thrum_scope_open_(&r->scope, &opts);
    must(thrum_canceled() || !over);
    must(!thrum_canceled() || over || !opts.shield);
    err = region_body(r, t, rng);
    body_is = ended_how(err);
    count = outcome_count(err);
    err = thrum_scope_close(&r->scope, err);
    known_outside(r, before, opts.shield);
    all_is_clean(r);
    must(thrum_scope_expired(&r->scope) == load_relaxed(&r->over));
    finish(r, body_is, count, err);
    return err;
}

/* ------------------------------------------------------- gather, each, fork */

static thrum_err *each_body(size_t i, void *region)
{
    return body_of(&((struct region *)region)->kid[i]);
}

/* Nothing stopped the others: then each was called. */
static void all_were_called(struct region *r)
{
    bool failed = false;
    long count;

    for (int i = 0; i < r->kids; i++)
        failed = failed || (outcome_of_task(&r->kid[i], &count) & FAILURE) != 0;
    for (int i = 0; i < r->kids; i++)
        must(load_acquire(&r->kid[i].started) == 1 || r->outside != NO ||
             r->policy > THRUM_SETTLE || load_acquire(&r->over) ||
             (r->policy == THRUM_ALL && failed));
}

static void check_settled(struct region *r, thrum_job *jobs,
                          const thrum_err *err)
{
    long count;

    must(err == NULL ||
         (r->outside != NO && thrum_err_is(err, &THRUM_CANCELED)));
    for (int i = 0; i < r->kids; i++) {
        must(err == NULL || jobs[i].err == NULL);
        if (err == NULL)
            must(outcome_of_task(&r->kid[i], &count) & ended_how(jobs[i].err));
        thrum_err_drop(jobs[i].err);
    }
    region_free(r);
}

static thrum_err *gather_some(struct task *t, struct rng *rng)
{
    struct region *r = malloc(sizeof *r);
    thrum_job jobs[KIDS];
    bool before = thrum_canceled();
    thrum_err *err;

    must(r != NULL);
    region_init(r, some_policy(rng));
    r->kids = (int)rng_below(rng, KIDS + 1);
    for (int i = 0; i < r->kids; i++) {
        task_init(&r->kid[i], rng, t->depth - 1);
        jobs[i] = (thrum_job){.fn = body_of, .arg = &r->kid[i]};
    }
    err = thrum_gather(jobs, (size_t)r->kids, r->policy);
    known_outside(r, before, false);
    all_were_called(r);
    if (r->policy == THRUM_SETTLE)
        check_settled(r, jobs, err);
    else
        finish(r, WELL, 0, err);
    return err;
}

static thrum_err *call_each(struct task *t, struct rng *rng)
{
    struct region *r = malloc(sizeof *r);
    bool before = thrum_canceled(), shield = rng_below(rng, 8) == 0;
    thrum_time timeout = rng_below(rng, 8) == 0 ? -1 : 0;
    thrum_err *err;

    must(r != NULL);
    region_init(r, some_policy(rng));
    r->kids = (int)rng_below(rng, KIDS + 1);
    store_relaxed(&r->over, timeout < 0);
    for (int i = 0; i < r->kids; i++)
        task_init(&r->kid[i], rng, t->depth - 1);
    err = thrum_each((size_t)r->kids, each_body, r, .policy = r->policy,
                     .limit = rng_below(rng, 3), .shield = shield,
                     .timeout = timeout);
    known_outside(r, before, shield);
    all_were_called(r);
    finish(r, WELL, 0, err);
    return err;
}

static thrum_err *join_one(thrum_task *fork, struct task *t, bool left_out,
                           bool told)
{
    thrum_err *err = thrum_join(fork);
    bool called = load_acquire(&t->started) == 1;
    long count;
    unsigned set = outcome_of_task(t, &count);

    must((set & ended_how(err)) != 0);
    must(count < 0 || thrum_err_count(err) == (size_t)count);
    must(called ? !left_out : told || thrum_canceled());
    free(t->own);
    return err;
}

static thrum_err *fork_some(struct task *t, struct rng *rng)
{
    bool before = thrum_canceled();
    int n = 1 + (int)rng_below(rng, KIDS - 1), told = -1;
    struct task kid[KIDS];
    thrum_task fork[KIDS];
    thrum_err *err = NULL;

    for (int i = 0; i < n; i++) {
        task_init(&kid[i], rng, t->depth - 1);
        thrum_fork(&fork[i], body_of, &kid[i]);
    }
    if (rng_below(rng, 4) == 0)
        err = wait_some(rng);
    if (rng_below(rng, 4) == 0) {
        told = (int)rng_below(rng, (uint32_t)n);
        thrum_task_cancel(&fork[told]);
    }
    for (int i = n - 1; i >= 0; i--)
        err = keep(err, join_one(&fork[i], &kid[i], before, i == told));
    return err;
}

/* -------------------------------------------------------------------- tasks */

/* Into the task's own scope: who joins the task meets what comes of them. */
static void spawn_own(struct task *t, struct rng *r)
{
    if (t->own != NULL)
        return;
    t->own = calloc(OWN, sizeof *t->own);
    must(t->own != NULL);
    for (int i = 0; i < OWN; i++) {
        task_init(&t->own[i], r, 0);
        must(thrum_spawn(NULL, body_of, &t->own[i], 0) == 0);
        t->own_count++;
    }
}

static thrum_err *some_of(struct task *t, struct rng *r, bool in_scope)
{
    if (t->depth <= 0)
        return NULL;
    switch (rng_below(r, in_scope ? 8 : 10)) {
    case 0:
    case 1:
    case 2:
        return open_scope(t, r);
    case 3:
    case 4:
        return fork_some(t, r);
    case 5:
        return gather_some(t, r);
    case 6:
        return call_each(t, r);
    case 7:
        return wait_some(r);
    case 8:
        spawn_own(t, r);
        return NULL;
    default:
        if (rng_below(r, 4) != 0)
            return NULL;
        thrum_scope_cancel(NULL, NULL); /* its own */
        must(thrum_canceled());
        return wait_some(r);
    }
}

/* One more beside itself; in place, if the scope is full. */
static void spawn_more(struct region *in, struct rng *r, int index)
{
    task_init(&in->more[index], r, 0);
    store_release(&in->more_spawned[index], true);
    must(thrum_spawn(&in->scope, body_of, &in->more[index], 0) == 0);
}

/* What a child does to the scope it is in. */
static void meddle(struct task *t, struct rng *r, int index)
{
    struct region *in = t->in;

    if (t->cancels)
        cancel_region(in, t->ends_it);
    if (rng_below(r, 8) == 0)
        spawn_more(in, r, index);
    if (rng_below(r, 16) == 0)
        thrum_scope_set_deadline(&in->scope, some_day(r));
    if (rng_below(r, 16) != 0)
        return;
    add_acq_rel(&in->of_kids, 1);
    clean_up_later(in, &in->of_kid[index], -1, rng_below(r, 8) == 0);
    if (in->of_kid[index].fails)
        add_acq_rel(&in->of_kids_fail, 1);
}

static thrum_err *body_of(void *arg)
{
    struct task *t = arg;
    thrum_err *err = NULL, *e;
    struct rng r;

    rng_init(&r, t->seed);
    must(add_acq_rel(&t->started, 1) == 0);
    add_relaxed(&bodies, 1);
    if (t->in != NULL)
        meddle(t, &r, (int)(t - t->in->kid));
    for (int n = (int)rng_below(&r, 3); n > 0; n--) {
        e = some_of(t, &r, false);
        if (rng_below(&r, 2) == 0)
            err = keep(err, e);
        else
            thrum_err_drop(e);
    }
    if (rng_below(&r, 4) == 0)
        err = keep(err, wait_some(&r));
    if (rng_below(&r, 16) == 0)
        err = keep(err, fail());
    must(thrum_deadline() > 0);
    t->returned = ended_how(err);
    t->count = outcome_count(err);
    store_release(&t->ended, 1);
    return err;
}

/* ------------------------------------------------------------------- rounds */

static void reported(const thrum_err *err, void *unused)
{
    (void)unused;
    (void)err;
    must(!"nothing is reported");
}

static thrum_err *trees(void *seed)
{
    thrum_task fork[TREES];
    struct task tree[TREES];
    struct rng r;

    rng_init(&r, *(uint64_t *)seed);
    for (int i = 0; i < TREES; i++) {
        task_init(&tree[i], &r, DEPTH);
        thrum_fork(&fork[i], body_of, &tree[i]);
    }
    for (int i = TREES - 1; i >= 0; i--)
        thrum_err_drop(join_one(&fork[i], &tree[i], false, false));
    return NULL;
}

static void one_round(uint64_t seed)
{
    thrum_opts opts = {.workers = 1 + (unsigned)(seed % 4),
                       .on_error = reported};

    must(thrum_run(&opts, trees, &seed) == NULL);
}

static thrum_err *simulated_trees(void *unused)
{
    uint64_t seed = thrum_sim_seed();

    (void)unused;
    return trees(&seed);
}

int main(void)
{
    thrum_sim_opts sim = {.rounds = (unsigned)stress_scale(2000)};
    uint64_t seed;

    if (thrum_report(thrum_sim(&sim, simulated_trees, NULL)))
        return 1;
    for (stress_begin(stress_scale(400)); stress_next(&seed);)
        one_round(seed);
    printf("%u rounds simulated\n", sim.rounds);
    printf("%llu tasks, %llu scopes\n",
           (unsigned long long)load_relaxed(&bodies),
           (unsigned long long)load_relaxed(&closes));
    return 0;
}
