/* Does no worker sleep while there is work? As many tasks as workers wait for
 * each other without ever suspending: all of them must be run at once, or the
 * round hangs. Made ready in every way there is, while others fall asleep. */
#include <sched.h>
#include <stdio.h>

#include <thrum/run.h>
#include <thrum/task.h>

#include "base/atomic.h"
#include "lib/stress.h"
#include "task/scope.h"

enum { WORKERS_MOST = 6, WAYS = 7 };

static thrum_rt *rt;
static unsigned workers;
static _Atomic unsigned arrived, gone, chained;
static struct permits permits;

/* Hold this worker until all are here. */
static void meet(void)
{
    add_seq_cst(&arrived, 1);
    while (load_seq_cst(&arrived) < workers)
        sched_yield(); /* the CPU's, not ours: this worker stays taken */
    add_seq_cst(&gone, 1);
}

static thrum_err *come(void *unused)
{
    meet();
    return unused;
}

static thrum_err *come_after_a_yield(void *unused)
{
    thrum_yield();
    return come(unused);
}

static thrum_err *come_when_permitted(void *unused)
{
    (void)permits_take(&permits, NULL, AWAITED("a permit"));
    return come(unused);
}

/* Let one more come, then stay. */
static thrum_err *bring_another(void *unused)
{
    if (add_relaxed(&chained, 1) + 1 < workers)
        must(thrum_spawn(NULL, bring_another, NULL, 0) == 0);
    return come(unused);
}

THRUM_PROC(bring_by_fork, unsigned, left)
{
    if (left > 1)
        THRUM_FORK(bring_by_fork, left - 1);
    meet();
    if (left > 1)
        THRUM_JOIN(bring_by_fork);
}

static void spawn_all(thrum_fn *fn, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        must(thrum_spawn(NULL, fn, NULL, 0) == 0);
}

static void fork_all(void)
{
    thrum_task t[WORKERS_MOST];

    for (unsigned i = 1; i < workers; i++)
        thrum_fork(&t[i], come, NULL);
    meet();
    for (unsigned i = workers - 1; i > 0; i--)
        must(thrum_join(&t[i]) == NULL);
}

static thrum_err *gather_them(void *way)
{
    switch (*(uint32_t *)way) {
    case 0:
        spawn_all(come, workers - 1);
        return come(NULL);
    case 1:
        fork_all();
        break;
    case 2:
        spawn_all(come_after_a_yield, workers);
        break;
    case 3:
        return bring_another(NULL);
    case 4:
        bring_by_fork(workers);
        break;
    case 5:
        permits_init(&permits, 0);
        spawn_all(come_when_permitted, workers);
        for (unsigned i = 0; i < workers; i++)
            permits_give(&permits);
        break;
    default:
        for (unsigned i = 1; i < workers; i++)
            must(thrum_post(rt, come, NULL, 0) == 0);
        return come(NULL);
    }
    return NULL;
}

/* Some workers sleep by then, some are about to, some still search. */
static void pass_time(struct rng *r)
{
    uint32_t n = rng_below(r, 4) ? rng_below(r, 300) : rng_below(r, 100000);

    for (volatile uint32_t i = 0; i < n; i++)
        cpu_relax();
}

static void meetings(uint64_t n, uint64_t seed)
{
    struct rng r;

    rng_init(&r, seed);
    for (uint64_t i = 0; i < n; i++) {
        uint32_t way = rng_below(&r, WAYS);

        pass_time(&r);
        store_relaxed(&arrived, 0);
        store_relaxed(&gone, 0);
        store_relaxed(&chained, 0);
        must(thrum_call(rt, gather_them, &way) == NULL);
        while (load_seq_cst(&gone) < workers) /* those posted */
            sched_yield();
    }
}

int main(void)
{
    uint64_t seed, n = stress_scale(300), total = 0;

    for (stress_begin(10); stress_next(&seed); total += n) {
        thrum_opts opts = {.workers = workers = 2 + (unsigned)(seed % 5)};

        must(thrum_start(&rt, &opts) == 0);
        meetings(n, seed);
        must(thrum_stop(rt) == NULL);
    }
    printf("%llu meetings\n", (unsigned long long)total);
    return 0;
}
