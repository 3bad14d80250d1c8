#include "sched/start.h"

#include <errno.h>

#include "os/barrier.h"
#include "os/entropy.h"
#include "os/fault.h"
#include "os/memory.h"
#include "sched/fork.h"
#include "sched/guest.h"
#include "sched/monitor.h"
#include "sched/worker.h"

enum { WORKER_STACK = 256 * 1024 };

static void workers_stop(struct sched *s)
{
    store_seq_cst(&s->stopping, 1); /* [S1] */
    crew_stop(&s->crew);
    sched_wake_all(s);
    if (guest_here() == s)
        (void)guest_run(s, CLOCK_NEVER); /* for the last time */
    for (unsigned i = 0; i < sched_count(s); i++)
        if (sched_has_threads(s) && s->workers[i].member.joinable)
            thread_join(&s->workers[i].thread);
    while (load_acquire(&s->visitors) != 0) /* [S9] some microseconds */
        thread_yield();
    tsan_rely(&s->crew);
    tsan_rely(&s->relief);
}

/* ----------------------------------------------------------- for sched/crew */

static unsigned workers_room(const struct sched *s)
{
    return sched_has_threads(s) ? IDLE_MAX : 1;
}

static size_t workers_bytes(const struct sched *s)
{
    return workers_room(s) * sizeof *s->workers;
}

static struct crew_member *make_worker(void *sched)
{
    struct sched *s = sched;
    unsigned i = sched_count(s);
    struct worker *w = &s->workers[i];

    if (i == workers_room(s))
        return NULL;
    *w = (struct worker){.sched = s, .index = i};
    rng_init(&w->rng, s->seed + i);
    queue_init(&w->queue, s->idle.fenced);
    parker_init(&w->parker);
    parker_init(&w->member.parker);
    timers_join(&s->timers, &w->timers);
    store_relaxed(&w->stack, NULL); /* no thread yet */
    sched_show(w);
    return &w->member;
}

static bool has_stack(struct worker *w)
{
    struct stack *s;

    if (w->spares > 0)
        return true;
    s = stack_get(&w->sched->pool);
    if (s == NULL)
        return false;
    s->next = NULL;
    w->spare = s;
    w->spares = 1;
    return true;
}

static struct worker *worker_of(struct crew_member *m)
{
    return container_of(m, struct worker, member);
}

static int start_worker(struct crew_member *m)
{
    struct worker *w = worker_of(m);
    char name[32]; /* thread_start cuts it */

    if (!has_stack(w))
        return -ENOMEM;
    if (!sched_has_threads(w->sched))
        return 0;
    snprintf(name, sizeof name, "thrum/%u", w->index);
    return thread_start(&w->thread, name, WORKER_STACK, worker_main, w);
}

static void join_worker(struct crew_member *m)
{
    thread_join(&worker_of(m)->thread);
}

static const struct crew_hooks crew_hooks = {make_worker, start_worker,
                                             join_worker};

/* ----------------------------------------------------------- start and stop */

/* A fault, on the thread that had it. */
static bool explain(const char *addr, const char *sp, char *line, size_t n)
{
    return stack_explain(worker_current(), addr, sp, line, n);
}

int sched_start(struct sched *s, const struct sched_opts *opts)
{
    bool fenced = !barrier_start();
    int rc;

    idle_init(&s->idle, 1, fenced);
    inbox_init(&s->inbox);
    timers_init(&s->timers);
    poller_init(&s->poller);
    relief_init(&s->relief, &s->timers, !fenced && opts->sim == NULL,
                sched_look, s);
    s->relief.stand_in = sched_stand_in;
    s->relief.attend = monitor_look;
    crew_init(&s->crew, &crew_hooks, s);
    store_relaxed(&s->always, 1);
    store_relaxed(&s->stopping, 0);
    store_relaxed(&s->visitors, 0);
    store_relaxed(&s->keeper, IDLE_NOBODY);
    store_relaxed(&s->lead, 0);
    s->run_fork = fork_run;
    store_relaxed(&s->count, 0);
    store_relaxed(&s->by_cpus, opts->by_cpus);
    s->cpus_at = 0;
    s->pinned = opts->pin && !opts->guest ? opts->workers : 0;
    s->spares = opts->spares;
    s->hooks = opts->hooks;
    s->sim = opts->sim;
    s->guest = opts->guest;
    s->seed = opts->sim != NULL ? 0 : entropy(); /* it chooses itself */
    s->forks = forked_times();
    stack_pool_init(&s->pool, opts->stack_bytes,
                    fenced || opts->sim != NULL ? &s->always : &s->idle.hungry,
                    fenced, worker_loop);
    fault_start(explain);

    s->workers = memory_reserve(workers_bytes(s), CACHE_LINE);
    if (s->workers == NULL)
        return -ENOMEM;
    rc = crew_want(&s->crew, opts->workers, opts->spares);
    if (rc == 0 && s->guest)
        rc = guest_move_in(s);
    if (rc < 0) {
        relief_stop(&s->relief);
        workers_stop(s);
        stack_pool_deinit(&s->pool);
        memory_unmap(s->workers, workers_bytes(s));
    }
    return rc;
}

void sched_stop(struct sched *s, void (*done)(struct worker *w))
{
    relief_stop(&s->relief);
    workers_stop(s);
    if (s->guest)
        guest_move_out(s);
    poller_close(&s->poller);
    for (unsigned i = 0; i < sched_count(s); i++)
        done(&s->workers[i]);
    stack_pool_deinit(&s->pool);
    memory_unmap(s->workers, workers_bytes(s));
}

static _Atomic(struct sched *) default_sched; /* [S4] [S5] */

struct sched *sched_default(void)
{
    return load_acquire(&default_sched); /* [S5] */
}

void sched_set_default(struct sched *s)
{
    store_release(&default_sched, s); /* [S4] */
}
