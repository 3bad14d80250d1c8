#include "sched/start.h"

#include <errno.h>

#include "base/alloc.h"
#include "os/barrier.h"
#include "os/entropy.h"
#include "os/fault.h"
#include "sched/fork.h"
#include "sched/guest.h"
#include "sched/worker.h"

enum { WORKER_STACK = 256 * 1024 };

static void workers_stop(struct sched *s, unsigned started)
{
    store_seq_cst(&s->stopping, 1); /* [S1] */
    sched_wake_all(s);
    if (s->guest)
        (void)guest_run(s, CLOCK_NEVER); /* for the last time */
    for (unsigned i = 0; i < started; i++)
        thread_join(&s->workers[i].thread);
    while (load_acquire(&s->visitors) != 0) /* [S9] some microseconds */
        thread_yield();
}

static int worker_init(struct sched *s, unsigned i, uint64_t seed)
{
    struct worker *w = &s->workers[i];

    *w = (struct worker){.sched = s, .index = i};
    rng_init(&w->rng, seed + i);
    queue_init(&w->queue, s->idle.fenced);
    parker_init(&w->parker);
    store_relaxed(&w->stack, NULL); /* no thread yet */
    w->spare = stack_get(&s->pool);
    w->spares = 1;
    return w->spare == NULL ? -ENOMEM : 0;
}

static int workers_start(struct sched *s)
{
    char name[32]; /* thread_start cuts it */
    uint64_t seed = entropy();
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < s->count; i++)
        rc = worker_init(s, i, seed);
    for (unsigned i = 0; rc == 0 && i < s->count && sched_has_threads(s); i++) {
        snprintf(name, sizeof name, "thrum/%u", i);
        rc = thread_start(&s->workers[i].thread, name, WORKER_STACK,
                          worker_main, &s->workers[i]);
        if (rc < 0)
            workers_stop(s, i);
    }
    return rc;
}

int sched_start(struct sched *s, const struct sched_opts *opts)
{
    bool fenced = !barrier_start();
    int rc;

    idle_init(&s->idle, opts->workers, fenced);
    inbox_init(&s->inbox);
    timers_init(&s->timers);
    poller_init(&s->poller);
    relief_init(&s->relief, &s->timers, !fenced && opts->sim == NULL,
                sched_look, s);
    s->relief.stand_in = sched_stand_in;
    store_relaxed(&s->always, 1);
    store_relaxed(&s->stopping, 0);
    store_relaxed(&s->visitors, 0);
    store_relaxed(&s->keeper, IDLE_NOBODY);
    s->run_fork = fork_run;
    s->pin = opts->pin;
    s->hooks = opts->hooks;
    s->sim = opts->sim;
    s->guest = opts->guest;
    s->count = opts->workers;
    s->forks = forked_times();
    stack_pool_init(&s->pool, opts->stack_bytes,
                    fenced || opts->sim != NULL ? &s->always : &s->idle.hungry,
                    fenced, worker_loop);
    fault_start(stack_explain);

    s->workers = alloc_aligned(CACHE_LINE, opts->workers * sizeof *s->workers);
    if (s->workers == NULL)
        return -ENOMEM;
    rc = workers_start(s);
    if (rc == 0 && s->guest)
        rc = guest_move_in(s);
    if (rc < 0) {
        stack_pool_deinit(&s->pool);
        release(s->workers);
    }
    return rc;
}

void sched_stop(struct sched *s, void (*done)(struct worker *w))
{
    relief_stop(&s->relief);
    workers_stop(s, sched_has_threads(s) ? s->count : 0);
    if (s->guest)
        guest_move_out(s);
    poller_close(&s->poller);
    for (unsigned i = 0; i < s->count; i++)
        done(&s->workers[i]);
    stack_pool_deinit(&s->pool);
    release(s->workers);
}
