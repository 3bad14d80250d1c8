#include "sched/monitor.h"

#include "os/clock.h"
#include "os/cpu.h"
#include "sched/sched.h"

enum { LITTLE_NS = 500000 }; /* CPU, between two looks */

#define CPUS_NS INT64_C(5000000000) /* between two counts of the CPUs */

enum verdict { MOVES, COMPUTES, BLOCKS };

static bool runs(struct worker *w)
{
    return crew_runs(&w->sched->crew, &w->member);
}

static bool sleeps(struct worker *w)
{
    return idle_is_asleep(&w->sched->idle, w->index); /* [R11] */
}

/* Since the last look; and this is one. */
static enum verdict judge(struct worker *w)
{
    uint32_t turn = load_relaxed(&w->turn), seen_turn = w->seen_turn;
    int64_t cpu = thread_cpu_time(&w->thread), used = cpu - w->seen_cpu;

    w->seen_turn = turn;
    w->seen_cpu = cpu;
    if (turn != seen_turn)
        return MOVES;
    return used < LITTLE_NS && thread_is_asleep(&w->thread) ? BLOCKS : COMPUTES;
}

/* Who asked for one worker may rely on it that no two tasks run at a time. */
static bool may_replace(struct sched *s)
{
    return load_relaxed(&s->by_cpus) != 0 || /* once */
           crew_wanted(&s->crew) > 1;
}

static void miss(struct sched *s, struct worker *w, bool computes)
{
    struct stack *stack = load_acquire(&w->stack); /* [S7] */
    bool missed = !may_replace(s) || crew_miss(&s->crew, &w->member, computes);

    if (missed && stack != NULL)
        s->hooks.stuck(s, stack, computes);
}

/* True: jobs wait, and did so at the last look. */
static bool ask_turns(struct sched *s)
{
    bool for_all = inbox_any(&s->inbox), any = false, again = false;

    for (unsigned i = 0; i < sched_count(s); i++) {
        struct worker *w = &s->workers[i];

        if ((!for_all && queue_count(&w->queue) == 0) || sleeps(w))
            continue;
        any = true;
        again = load_relaxed(&w->asked) != 0 || again; /* hints, both */
        store_relaxed(&w->asked, 1);
    }
    idle_ask_turns(&s->idle, any);
    return again;
}

/* True: one that runs sleeps or moves, or another was called just now. */
static bool judge_one(struct sched *s, struct worker *w, struct worker **hog)
{
    if (!runs(w))
        return false;
    if (sleeps(w))
        return true;
    switch (judge(w)) {
    case MOVES:
        return true;
    case BLOCKS:
        if (!sleeps(w)) /* by now */
            miss(s, w, false);
        return true;
    case COMPUTES:
        *hog = w;
        break;
    }
    return false;
}

static void judge_all(struct sched *s)
{
    struct worker *hog = NULL;
    bool free = false, again = ask_turns(s);

    for (unsigned i = 0; i < sched_count(s); i++)
        free = judge_one(s, &s->workers[i], &hog) || free;
    if (!free && hog != NULL && again)
        miss(s, hog, true);
}

static bool any_awake(struct sched *s)
{
    for (unsigned i = 0; i < sched_count(s); i++)
        if (runs(&s->workers[i]) && !sleeps(&s->workers[i]))
            return true;
    return false;
}

static unsigned cpus_now(void)
{
    unsigned n = cpu_count();

    return n > IDLE_MAX ? IDLE_MAX : n;
}

static void count_cpus(struct sched *s)
{
    int64_t now = clock_now();

    if (load_relaxed(&s->by_cpus) == 0) /* another time */
        return;
    if (s->cpus_at != 0 && now >= s->cpus_at)
        (void)sched_resize(s, cpus_now()); /* crew_fill tries again */
    if (now >= s->cpus_at)
        s->cpus_at = now + CPUS_NS;
}

bool monitor_look(void *sched, bool to_judge)
{
    struct sched *s = sched;

    if (to_judge && sched_has_threads(s)) {
        judge_all(s);
        count_cpus(s);
    } else if (sched_has_threads(s)) {
        (void)ask_turns(s);
    }
    return !crew_fill(&s->crew) || any_awake(s);
}
