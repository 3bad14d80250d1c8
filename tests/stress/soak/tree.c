/* Tasks that make tasks. */
#include <errno.h>
#include <stddef.h>

#include "soak.h"

/* --- spawns --------------------------------------------------------------- */

struct started {
    thrum_fn *fn;
    void *arg;
};

static thrum_err *launch(void *arg)
{
    struct started *s = arg;
    thrum_err *err = s->fn(s->arg);

    ended(SPAWNS, 1);
    return err;
}

bool start(thrum_scope *s, thrum_fn *fn, void *arg)
{
    struct started copy = {fn, arg};
    int rc = thrum_spawn(s, launch, &copy, sizeof copy);

    must(rc == 0 || rc == -ECANCELED);
    begun(SPAWNS, rc == 0);
    return rc == 0;
}

static thrum_err *bee(void *unused)
{
    return unused;
}

/* Now and then many small ones. */
static thrum_err *swarm(struct rng *r)
{
    uint32_t n = rng_below(r, 16) == 0 ? 1000 : 10;
    thrum_scope s;

    thrum_scope_open(&s, .limit = rng_below(r, 2) * 20);
    while (n > 0 && start(&s, bee, NULL))
        n--;
    return thrum_scope_close(&s, NULL);
}

/* --- scopes --------------------------------------------------------------- */

enum { KIDS = 6, DEFERS = 6 };

static struct node kid_of(struct rng *r, int depth, enum kind counted)
{
    return (struct node){(uint64_t)rng_below(r, UINT32_MAX) << 20, depth - 1,
                         counted, false};
}

static thrum_err *clean_up(void *unused)
{
    thrum_yield();
    ended(DEFERRED, 1);
    return unused;
}

static thrum_err *in_scope(struct rng *r, int depth)
{
    thrum_time timeout = rng_below(r, 3) == 0 ? THRUM_US(rng_below(r, 300)) : 0;
    uint32_t n = 1 + rng_below(r, KIDS), defers = rng_below(r, DEFERS);
    struct node kids[KIDS];
    thrum_err *err = NULL;
    thrum_scope s;

    thrum_scope_open(&s, .name = "soak", .timeout = timeout,
                     .limit = rng_below(r, 4),
                     .policy = (thrum_policy)rng_below(r, 4),
                     .shield = rng_below(r, 16) == 0);
    for (uint32_t i = 0; i < defers; i++)
        thrum_defer(&s, clean_up, NULL);
    begun(DEFERRED, defers);
    for (uint32_t i = 0; i < n; i++) {
        kids[i] = kid_of(r, depth, KINDS);
        (void)start(&s, grow, &kids[i]);
    }
    if (rng_below(r, 4) == 0)
        thrum_scope_cancel(&s, NULL);
    else if (rng_below(r, 4) == 0)
        err = thrum_rc(thrum_sleep(THRUM_US(rng_below(r, 200))));
    return thrum_scope_close(&s, err);
}

/* --- forks ---------------------------------------------------------------- */

/* What was left out has ended, too. */
static void settle(const struct node *nodes, size_t n, enum kind counted)
{
    for (size_t i = 0; i < n; i++)
        ended(counted, !nodes[i].ran);
}

static thrum_err *in_forks(struct rng *r, int depth)
{
    struct node a = kid_of(r, depth, FORKS), b = kid_of(r, depth, KINDS);
    thrum_task fork;
    thrum_err *err;

    begun(FORKS, 1);
    thrum_fork(&fork, grow, &a);
    err = grow(&b);
    if (rng_below(r, 4) == 0)
        thrum_task_cancel(&fork);
    err = thrum_err_add(err, thrum_join(&fork));
    settle(&a, 1, FORKS);
    return err;
}

static thrum_err *in_jobs(struct rng *r, int depth)
{
    uint32_t n = 1 + rng_below(r, KIDS);
    thrum_job jobs[KIDS];
    struct node nodes[KIDS];
    thrum_err *err;

    for (uint32_t i = 0; i < n; i++) {
        nodes[i] = kid_of(r, depth, JOBS);
        jobs[i] = (thrum_job){.fn = grow, .arg = &nodes[i]};
    }
    begun(JOBS, n);
    err = thrum_gather(jobs, n, (thrum_policy)rng_below(r, 4));
    settle(nodes, n, JOBS);
    for (uint32_t i = 0; i < n; i++)
        thrum_err_drop(jobs[i].err);
    return err;
}

/* So many calls there are: two for each fork, and the first. */
THRUM_TASK(uint64_t, tree, unsigned, depth)
{
    uint64_t calls = 1;

    if (depth == 0)
        return calls;
    THRUM_FORK(tree, depth - 1);
    calls += THRUM_CALL(tree, depth - 1);
    return calls + THRUM_JOIN(tree);
}

static thrum_err *in_tree(struct rng *r)
{
    unsigned depth = rng_below(r, 40) == 0 ? 15 : 6;

    begun(FORKS, ((uint64_t)1 << depth) - 1);
    ended(FORKS, (tree(depth) - 1) / 2);
    return NULL;
}

/* --- loops ---------------------------------------------------------------- */

static thrum_err *add_up(size_t lo, size_t hi, void *sum)
{
    add_relaxed((_Atomic size_t *)sum, hi - lo); /* read at its end */
    return NULL;
}

static thrum_err *count_one(size_t i, void *sum)
{
    return add_up(i, i + 1, sum);
}

static thrum_err *loop(struct rng *r)
{
    size_t n = rng_below(r, 2000);
    _Atomic size_t sum = 0;
    thrum_err *err = rng_below(r, 2) == 0
                         ? thrum_for(0, n, rng_below(r, 3), add_up, &sum)
                         : thrum_each(n, count_one, &sum,
                                      .limit = rng_below(r, 3) * 4);

    must(err == NULL ? load_relaxed(&sum) == n : load_relaxed(&sum) <= n);
    return err;
}

/* --- a random task -------------------------------------------------------- */

static thrum_err *nap(struct rng *r)
{
    thrum_time length = THRUM_US(rng_below(r, 100)), start = thrum_now();
    int rc = thrum_sleep(length);

    must(rc == -ECANCELED || thrum_now() - start >= length);
    return thrum_rc(rc);
}

static thrum_err *make_way(struct rng *r)
{
    if (rng_below(r, 2) == 0)
        return thrum_rc(thrum_checkpoint());
    thrum_yield();
    return NULL;
}

static thrum_err *go_wrong(struct rng *r)
{
    return rng_below(r, 8) == 0 ? thrum_fail(&THRUM_ERROR, "as planned") : NULL;
}

static thrum_err *act(struct rng *r, int depth)
{
    static soak_act *const acts[] = {nap,   make_way, go_wrong, offload,
                                     swarm, in_tree,  loop,     trade,
                                     hold,  announce, flow,     generate};
    uint32_t which = rng_below(r, 20);

    if (which < sizeof acts / sizeof *acts)
        return acts[which](r);
    if (depth == 0)
        return make_way(r);
    if (which < 14)
        return in_forks(r, depth);
    return which < 16 ? in_jobs(r, depth) : in_scope(r, depth);
}

thrum_err *grow(void *arg)
{
    struct node *node = arg;
    thrum_err *err = NULL;
    struct rng r;

    rng_init(&r, node->seed);
    node->ran = true;
    for (int i = 0; i < 3 && err == NULL; i++)
        err = act(&r, node->depth);
    if (node->counted != KINDS)
        ended(node->counted, 1);
    return err;
}
