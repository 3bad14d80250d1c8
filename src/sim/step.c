/* The decisions of a simulated scheduler. */

#include "sim/sim.h"

#include "base/alloc.h"
#include "os/clock.h"
#include "sched/fork.h"

enum {
    DUE_MAX = 4,          /* timers among which the next one is chosen */
    POLLS_MAX = 32,       /* in a row, before others are let run */
    READY_ENOUGH = 64,    /* no more forks are taken */
    VAIN_MAX = 64,        /* decisions among pollers, before the clock leaps */
    BLOCKING_BITS = 22,   /* a blocking call takes up to so many bits of ns */
    CHECK_NS = 100000000, /* after which descriptors are checked (io/fd.h) */
};

uint32_t sim_choose(struct sim *sim, enum choice kind, uint32_t n)
{
    uint32_t choice = n < 2 ? 0 : rng_below(&sim->rng[kind], n);

    sim->hash = (sim->hash ^ ((uint64_t)n << 32 | choice) ^ (uint64_t)kind) *
                UINT64_C(0x100000001B3);
    return choice;
}

struct sim *sim_current(void)
{
    struct stack *s = worker_current();

    if (s == NULL || s->worker->sched->sim == NULL)
        return NULL;
    return sim_of(s->worker->sched->sim);
}

/* ------------------------------------------------------------------- limits */

/* Shielded ones hear it, too. */
static void stop_shielded(struct stack *stack, void *unused)
{
    (void)unused;
    for (struct scope *s = scope_on(stack); s != NULL; s = s->parent)
        if (s->shield)
            scope_cancel(s, NULL);
}

/* Consumes err. */
static void stall(struct sim *sim, thrum_err *err)
{
    sim->err = thrum_err_add(sim->err, err);
    tsan_promise(sim); /* to the thread, should this stack not go on */
    sim->stop_at = sim->steps + sim->opts->steps;
    switch (sim->stalls++) {
    case 0:
        if (sim->of_main != NULL)
            scope_cancel(sim->of_main, NULL);
        scope_cancel(&sim->rt->posted, NULL);
        scope_cancel(&sim->rt->root, NULL);
        break;
    case 1:
        stack_pool_each(&sim->rt->sched.pool, stop_shielded, NULL);
        break;
    default:
        sim->over = true;
    }
}

static thrum_err *stalled(struct sim *sim, const thrum_kind *kind,
                          const char *why)
{
    char text[4096];

    if (sim->stalls == 1) /* who waits has been told */
        return NULL;
    if (sim->stalls > 1)
        return thrum_fail_("thrum_sim", kind,
                           "and again after all tasks were canceled: their "
                           "stacks are abandoned");
    dump_waiting(sim, text, sizeof text);
    return thrum_fail_("thrum_sim", kind, "%s, %.9f s into the round%s", why,
                       seconds(sim->now), text);
}

static cold void past_limit(struct sim *sim, const char *why)
{
    stall(sim, stalled(sim, &THRUM_TIMEOUT, why));
}

static void step(struct sim *sim)
{
    if (unlikely(++sim->steps >= sim->stop_at) && !sim->over)
        past_limit(sim, "too many decisions");
    if (unlikely(sim->now > sim->opts->limit) && sim->stalls == 0)
        past_limit(sim, "too late");
}

/* ----------------------------------------------------------------- the time */

static void pass(struct sim *sim, int64_t ns)
{
    sim->now = ns > CLOCK_NEVER - 1 - sim->now ? CLOCK_NEVER - 1
                                               : sim->now + ns;
}

/* One of the first few that are due. */
static bool fire_one(struct sim *sim)
{
    struct timers *timers = &sim->rt->sched.timers;
    struct timer *due[DUE_MAX], *t;
    uint32_t n = 0, i;

    while (n < DUE_MAX && (t = timers_take_due(timers, sim->now)) != NULL)
        due[n++] = t;
    if (n == 0)
        return false;
    i = sim_choose(sim, CHOOSE_TIMER, n);
    t = due[i];
    due[i] = due[n - 1];
    while (--n > 0)
        (void)timers_add(&sim->rt->sched.workers->timers, due[n - 1],
                         due[n - 1]->node.key, due[n - 1]->fire);
    t->fire(t);
    return true;
}

/* Collect what has become ready since. */
static void gather(struct sim *sim)
{
    struct worker *w = sim->rt->sched.workers;
    struct thrum_job_ *job = inbox_take_all(&sim->rt->sched.inbox);

    if (job != NULL)
        queue_push_all(&w->queue, job);
    while (ready_has_room(&sim->ready) && (job = queue_pop(&w->queue)) != NULL)
        ready_add(sim, job);
}

/* Those that are due, or some of them, unless there is nothing else to do. */
static void fire(struct sim *sim)
{
    gather(sim);
    while (timers_earliest(&sim->rt->sched.timers) <= sim->now &&
           (sim->ready.count == 0 || sim_choose(sim, CHOOSE_TIMER, 2) == 0) &&
           fire_one(sim))
        gather(sim);
}

/* Nobody is ready, or only who asks for something: on to the next timer. */
static bool leap(struct sim *sim)
{
    struct timers *timers = &sim->rt->sched.timers;
    int64_t earliest;

    if (fire_one(sim)) /* or else `earliest` is exact */
        return true;
    earliest = timers_earliest(timers);
    if (earliest == TIMERS_NEVER)
        return false;
    sim->now = earliest;
    trace_add(sim, "the clock leaps", (struct place){NULL, NULL}, 1);
    return fire_one(sim);
}

/* All wait, and no timer runs. */
static bool look_again(struct sim *sim)
{
    news_check(sim);
    gather(sim);
    if (sim->ready.count > 0)
        pass(sim, CHECK_NS);
    return sim->ready.count > 0;
}

/* --------------------------------------------------------------------- next */

/* The stack that is left: what holds until it goes on. */
static void leave(struct sim *sim, struct worker *w)
{
    struct stack *s = load_relaxed(&w->stack); /* its own */

    s->sim_rank = sim->running;
    s->deque.since = sim->now;
    s->sim_polls = sim->asks;
    sim->asks = false;
    if (!s->sim_polls)
        sim->vain = 0;
}

static struct thrum_job_ *pick(struct sim *sim)
{
    struct thrum_job_ *job = NULL;

    news_look(sim);
    fire(sim);
    if (sim->ready.count > sim->ready.polling)
        sim->vain = 0;
    else if (sim->vain > VAIN_MAX + 2 * sim->ready.count && leap(sim))
        gather(sim);
    if (sim->ready.count > 0)
        job = ready_pick(sim);
    if (job != NULL)
        sim->polls = 0;
    return job;
}

static struct thrum_job_ *sim_take(struct sched_sim *hooks, struct worker *w)
{
    struct sim *sim = sim_of(hooks);
    struct thrum_job_ *job = NULL;

    sim->deciding = true;
    leave(sim, w);
    step(sim);
    if (!sim->over)
        job = pick(sim);
    sim->deciding = false;
    return job;
}

static bool all_ended(struct sim *sim)
{
    return sim->ended && scope_live(&sim->rt->posted) == 1 &&
           scope_live(&sim->rt->root) == 1;
}

static cold void deadlock(struct sim *sim)
{
    stall(sim, stalled(sim, &THRUM_DEADLOCK,
                       "deadlock: no task is ready, and nothing will "
                       "happen"));
}

static struct thrum_job_ *sim_find(struct sched_sim *hooks, struct worker *w)
{
    struct sim *sim = sim_of(hooks);
    struct thrum_job_ *job = NULL;

    (void)w;
    sim->deciding = true;
    while (job == NULL && !sim->over) {
        step(sim);
        job = sim->over ? NULL : pick(sim);
        if (job != NULL || sim->over)
            break;
        if (all_ended(sim))
            sim->over = true;
        else if (!leap(sim) && !look_again(sim))
            deadlock(sim);
    }
    sim->deciding = false;
    if (job == NULL)
        tsan_promise(sim); /* to the thread, what was done on this stack */
    return job;
}

static struct thrum_job_ *sim_take_child(struct sched_sim *hooks,
                                         struct worker *w,
                                         struct siblings *siblings)
{
    struct sim *sim = sim_of(hooks);
    struct thrum_job_ *job = NULL;

    (void)w;
    if (sim->over || !sim_chance(sim, CHOOSE_CHILD, sim->plan.calls_child))
        return NULL;
    sim->deciding = true;
    step(sim);
    fire(sim);
    if (sim->ready.count > 0 && !sim->over)
        job = ready_pick_child(sim, siblings->scope);
    sim->deciding = false;
    return job;
}

static void sim_forked(struct sched_sim *hooks, struct stack *s)
{
    struct sim *sim = sim_of(hooks);
    struct thrum_job_ *job;

    /* Nor would workers who have enough to do. */
    if (sim->ready.count < READY_ENOUGH &&
        sim_chance(sim, CHOOSE_FORK, sim->plan.takes_fork) &&
        deque_any_own(&s->deque) &&
        deque_steal(&s->deque, true, 1, &job) == STEAL_GOT) {
        trace_add(sim, "a fork is taken", place_of_job(job), 1);
        sched_push(s->worker, job);
    }
    sched_point(POINT_CALL);
}

/* ------------------------------------------------------------------- points */

/* Who asks again and again waits for others: they go first. */
static bool ask(struct sim *sim, enum point point)
{
    pass(sim, sim_choose(sim, CHOOSE_PACE, sim->plan.pace + 1));
    if (point != POINT_YIELD && ++sim->polls % POLLS_MAX != 0)
        return false;
    sim->asks = true;
    sim->vain++;
    rank_anew(sim);
    return point != POINT_YIELD; /* else it does so itself */
}

static bool is_interrupted(struct sim *sim)
{
    struct plan *p = &sim->plan;

    step(sim);
    if (p->ranks && sim->changed < p->changes &&
        sim->steps >= p->change_at[sim->changed]) {
        sim->changed++;
        rank_lowest(sim);
    }
    fire(sim);
    if (sim->ready.count == 0)
        return false;
    return p->ranks ? ready_any_higher(sim)
                    : sim_chance(sim, CHOOSE_BREAK, p->interrupts);
}

static bool sim_at(struct sched_sim *hooks, struct stack *s, enum point point)
{
    struct sim *sim = sim_of(hooks);
    bool stops = false;

    if (sim->deciding || scope_on(s) == NULL) /* it is no task that calls */
        return false;
    sim->deciding = true;
    if (point == POINT_TIME) {
        if (++sim->polls > POLLS_MAX) /* it does nothing but look */
            pass(sim, 1 + sim_choose(sim, CHOOSE_PACE, sim->plan.pace + 1));
    } else if (point != POINT_CALL) {
        stops = ask(sim, point);
    } else {
        sim->polls = 0;
        stops = is_interrupted(sim);
    }
    if (point == POINT_POLL && !stops)
        stops = is_interrupted(sim);
    if (stops)
        trace_add(sim, "is interrupted", place_of_stack(s), 1);
    sim->deciding = false;
    return stops;
}

static bool sim_is_over(struct sched_sim *hooks)
{
    return sim_of(hooks)->over;
}

/* From nothing to some milliseconds, each order of magnitude as often. */
static int64_t sim_blocking(struct sched_sim *hooks)
{
    struct sim *sim = sim_of(hooks);
    uint32_t bits = sim_choose(sim, CHOOSE_BLOCKING, BLOCKING_BITS + 1);

    if (alloc_is_to_fail())
        return -1;
    return sim_choose(sim, CHOOSE_BLOCKING, UINT32_C(1) << bits);
}

const struct sched_sim sim_hooks = {
    .take = sim_take,
    .find = sim_find,
    .take_child = sim_take_child,
    .forked = sim_forked,
    .at = sim_at,
    .is_over = sim_is_over,
    .blocking = sim_blocking,
    .fate = sim_fate,
    .share = sim_share,
};
