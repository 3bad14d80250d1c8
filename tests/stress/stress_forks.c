/* Does every fork run once, whatever the order of the joins? Tasks with a few forks
 * open, or with more than a segment holds, so that thieves take some together;
 * forked and joined in turn: oldest first, newest first, at random. */
#include <stdio.h>
#include <stdlib.h>

#include <thrum/run.h>
#include <thrum/task.h>
#include <thrum/time.h>

#include "base/atomic.h"
#include "lib/stress.h"

enum { FEW = 20, MANY = 1500, DEEP = 2, ROOTS = 4 };

enum order { OLDEST, NEWEST, ANY, ORDERS };

/* One fork of many. */
struct child {
    uint64_t seed;
    int depth;
    bool joined;
    _Atomic uint32_t runs;
    thrum_task task;
};

struct forks {
    struct child *child;
    uint32_t most, forked, joined;
    uint32_t oldest; /* that is not joined, or joined below */
    enum order order;
    struct rng rng;
};

static thrum_err *fork_and_join(void *child);

static void spin(uint32_t n)
{
    while (n-- > 0)
        cpu_relax();
}

static void fork_one(struct forks *f, int depth)
{
    struct child *c = &f->child[f->forked++];
    bool is_leaf = depth == 0 || rng_below(&f->rng, f->most / 4 + 2) != 0;

    *c = (struct child){.seed = rng_below(&f->rng, UINT32_MAX),
                        .depth = is_leaf ? 0 : depth - 1};
    thrum_fork(&c->task, fork_and_join, c);
}

static uint32_t choose(struct forks *f)
{
    uint32_t i = f->order == NEWEST ? f->forked - 1
                 : f->order == ANY  ? rng_below(&f->rng, f->forked)
                                    : f->oldest;

    while (f->child[i].joined)
        i = f->order == NEWEST ? i - 1 : (i + 1) % f->forked;
    if (f->order == OLDEST)
        f->oldest = i;
    return i;
}

static void join_one(struct forks *f)
{
    struct child *c = &f->child[choose(f)];

    must(thrum_join(&c->task) == NULL);
    must(load_relaxed(&c->runs) == 1); /* carried by the join */
    c->joined = true;
    f->joined++;
}

static void fork_some(struct child *c)
{
    struct forks f = {.order = OLDEST};

    rng_init(&f.rng, c->seed);
    f.order = (enum order)rng_below(&f.rng, ORDERS);
    f.most = rng_below(&f.rng, rng_below(&f.rng, 4) == 0 ? MANY : FEW);
    f.child = calloc(f.most + 1, sizeof *f.child);
    must(f.child != NULL);
    while (f.joined < f.most)
        if (f.forked < f.most &&
            (f.forked == f.joined || rng_below(&f.rng, 5) != 0))
            fork_one(&f, c->depth);
        else
            join_one(&f);
    free(f.child);
}

static thrum_err *fork_and_join(void *child)
{
    struct child *c = child;
    uint32_t what = (uint32_t)(c->seed % 128);

    add_relaxed(&c->runs, 1); /* ours alone, if all is well */
    if (c->depth > 0)
        fork_some(c);
    else if (what == 0)
        thrum_yield();
    else
        spin(what % 32);
    return NULL;
}

static thrum_err *some_roots(void *seed)
{
    struct child root[ROOTS];
    thrum_scope s;

    thrum_scope_open(&s);
    for (int i = 0; i < ROOTS; i++) {
        root[i] = (struct child){
            .seed = *(uint64_t *)seed * ROOTS + (uint64_t)i, .depth = DEEP};
        must(thrum_spawn(&s, fork_and_join, &root[i], 0) == 0);
    }
    must(thrum_scope_close(&s, NULL) == NULL);
    for (int i = 0; i < ROOTS; i++)
        must(load_relaxed(&root[i].runs) == 1);
    return NULL;
}

int main(void)
{
    uint64_t seed, rounds = 0;

    for (stress_begin(stress_scale(100)); stress_next(&seed); rounds++) {
        thrum_opts opts = {.workers = 1 + (unsigned)(seed % 4)};

        must(thrum_run(&opts, some_roots, &seed) == NULL);
    }
    printf("%llu rounds\n", (unsigned long long)rounds);
    return 0;
}
