/* sim.h - a scheduler that decides by a seed: thrum_sim.
 *
 * A simulated runtime has one worker, on the calling thread, and a struct
 * sched_sim in its scheduler. Stacks, scopes, waits, timers are what they always
 * are; only where the scheduler would take a decision it asks here:
 *
 *   take, find    Who runs next. All that is ready lies in one array, from which
 *                 one is chosen. When nothing is ready the clock leaps to the
 *                 earliest timer; when there is none either, all has ended, or
 *                 it is a deadlock.
 *   take_child    Whether a closing scope calls a child in place.
 *   forked        `hungry` always says yes, so that each fork asks: it stays, to
 *                 be called at its join, or it becomes ready, as if stolen.
 *   at            The running task calls the library: whether it is interrupted.
 *                 It then lies in the array, too, its forks where they are.
 *
 * The seed of a round first draws a plan: by which strategy, how often forks are
 * taken and tasks interrupted, how long it takes to ask (the pace), how often
 * thrum_chaos is true. So some rounds are nearly serial, others torn to pieces.
 * Each kind of choice has a sequence of its own: one more fault shifts no other.
 *
 *   walk    each time anybody who is ready, with equal chance
 *   ranks   who has the highest rank runs, and is interrupted when a higher one
 *           becomes ready. A task draws its rank when it becomes ready first,
 *           and keeps it over its waits. At a few moments of the round the
 *           running one is put below all others. After S. Burckhardt et al., "A
 *           randomized scheduler with probabilistic guarantees of finding bugs"
 *           (ASPLOS 2010). How many decisions a round takes, which their
 *           argument wants to know, is drawn as well.
 *
 * Time. The clock of the thread is `now`. It moves in leaps; by the pace, when a
 * task asks (polls); and to the next timer when all that is ready does nothing
 * but ask. Of the timers that are due one of the first few is fired at a time,
 * and others may run between two. Who asks again and again is made to let others
 * run, and ranks anew: else a loop that waits for another task would go on
 * for ever.
 *
 * Descriptors. Pipes and sockets are the kernel's own (io/simulate.h). What it has
 * to say of them is asked for whenever somebody is to be chosen, and is kept back
 * for some time of the simulation, by a timer as any other, so that news come late
 * and out of order; or it joins what is being kept back of the same descriptor; or
 * it is told twice. How long calls take and how much they transfer is drawn here,
 * too (news.c). Nothing is under way outside: if the kernel has nothing to say when
 * all wait, and there is no timer, it never will.
 *
 * Nothing else may influence a choice: no address, no real time, no thread. The
 * hash of all choices tells (thrum_sim_opts.twice).
 *
 * The end of a round. When it has stalled (a deadlock, a limit) that is its
 * error, and all its tasks are canceled; if it stalls once more, those that are
 * shielded, too; if it still does it is over: every task is suspended where it
 * stands, for good, and the stacks are unmapped.
 *
 * Files: sim.c rounds; step.c the decisions above; ready.c the array and the
 * strategies; news.c descriptors; trace.c what is told of a failing round; dump.c
 * who waits; case.c test cases.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <thrum/test.h>

#include "base/rng.h"
#include "task/runtime.h"

/* Each a sequence of its own. */
enum choice {
    CHOOSE_PLAN,
    CHOOSE_NEXT,  /* who runs */
    CHOOSE_RANK,  /* a rank, and where they change */
    CHOOSE_BREAK, /* to interrupt */
    CHOOSE_FORK,
    CHOOSE_CHILD,
    CHOOSE_TIMER,
    CHOOSE_PACE,
    CHOOSE_BLOCKING,
    CHOOSE_CHAOS,
    CHOOSE_FAULT,
    CHOOSE_IO, /* how long calls and news take, how much is transferred */
    CHOOSE_IO_FAULT,
    CHOICES
};

/* When a round begins. */
#define EPOCH THRUM_SEC(1)

enum { TRACE_MAX = 256, CHANGES_MAX = 4, READY_LEAST = 64, NEWS_MAX = 64 };

/* Of a task: its function, and where it was started. Strings that stay. */
struct place {
    const char *name, *where;
};

/* One decision. */
struct event {
    int64_t now;
    const char *what;
    struct place place;
    uint32_t of; /* among how many */
};

struct trace {
    uint64_t count; /* the last TRACE_MAX are kept */
    struct event events[TRACE_MAX];
};

struct ready {
    struct thrum_job_ *job;
    int32_t rank;
    bool polls; /* it was put away when it asked for something */
};

struct ready_set {
    struct ready *all; /* under ranks a heap, the highest first */
    size_t count, room;
    size_t polling; /* how many of them */
    struct ready first[READY_LEAST];
};

/* What the round's seed has drawn. Chances are in 1024. */
struct plan {
    bool ranks;
    uint32_t takes_fork, interrupts, calls_child, chaos;
    uint32_t pace;       /* nanoseconds */
    uint32_t shortens;   /* transfers */
    uint32_t delay_bits; /* of ns: what descriptors take at most */
    unsigned changes;
    uint64_t change_at[CHANGES_MAX];
};

/* What the kernel has said of a descriptor, and its tasks are not told yet. */
struct news {
    struct timer timer;
    struct sim *sim;
    bool any;
    struct poll_event event;
};

struct sim {
    struct sched_sim hooks; /* first */
    const thrum_sim_opts *opts;
    struct thrum_rt *rt;
    uint64_t seed;
    uint64_t fault, io_fault; /* of 2^32 */

    struct rng rng[CHOICES];
    struct plan plan;
    struct ready_set ready;
    struct news news[NEWS_MAX];
    int64_t now;
    int32_t running;  /* the rank of what runs */
    int32_t lowest;   /* rank that was given out */
    unsigned changed; /* how many of the plan's changes have been */
    uint64_t steps, stop_at;
    uint64_t hash;
    unsigned polls; /* in a row, by one task */
    uint64_t vain;  /* polls in a row with nobody ready who does not poll */
    bool asks;      /* who is put away next does so because it polls */
    bool deciding;  /* we are at work: no choice is asked for */

    /* the body */
    struct thrum_job_ main;
    thrum_fn *fn;
    void *arg;
    struct scope *of_main; /* while it runs */
    bool ended;
    thrum_err *err;

    unsigned stalls; /* how often it has been told to end */
    bool over;
    struct trace trace;
};

/* For messages: how long after that. */
static inline double seconds(int64_t now)
{
    return (double)(now - EPOCH) / 1e9;
}

static inline struct sim *sim_of(struct sched_sim *hooks)
{
    return container_of(hooks, struct sim, hooks);
}

/* A number in [0, n). */
uint32_t sim_choose(struct sim *sim, enum choice kind, uint32_t n);

/* True so many times of 1024. */
static inline bool sim_chance(struct sim *sim, enum choice kind,
                              uint32_t of1024)
{
    return of1024 != 0 && sim_choose(sim, kind, 1024) < of1024;
}

/* The simulation that the caller is a task of, or NULL. */
struct sim *sim_current(void);

/* --- step.c */

extern const struct sched_sim sim_hooks;

/* --- news.c */

struct sched_fate sim_fate(struct sched_sim *hooks, const int *errors);
size_t sim_share(struct sched_sim *hooks, size_t n);

/* Draw of the round what descriptors do; no news is left of another one. */
void news_begin(struct sim *sim);

/* Ask the kernel, and tell, or do so later. */
void news_look(struct sim *sim);

/* Descriptors that were closed, and others under their numbers: who waits is woken
 * to look again. */
void news_check(struct sim *sim);

/* --- ready.c */

/* Draw the plan of the round, and its ranks. */
void plan_draw(struct sim *sim);

/* One of so many, each as likely as the others. */
uint32_t one_of(struct sim *sim, const uint32_t *of, uint32_t n);

#define ONE_OF(sim, ...)                                                       \
    one_of(sim, (const uint32_t[]){__VA_ARGS__},                               \
           sizeof(const uint32_t[]){__VA_ARGS__} / sizeof(uint32_t))

void ready_init(struct ready_set *set);
void ready_free(struct ready_set *set);

/* For one more. False: no memory; it stays where it is. */
bool ready_has_room(struct ready_set *set);

void ready_add(struct sim *sim, struct thrum_job_ *job);

/* The one whose turn it is; there is one. */
struct thrum_job_ *ready_pick(struct sim *sim);

/* The same, if it is a spawned child of `scope`; else NULL, and nothing was
 * chosen. */
struct thrum_job_ *ready_pick_child(struct sim *sim, struct thrum_scope *scope);

/* Under ranks: does somebody who is ready go before who runs? */
bool ready_any_higher(const struct sim *sim);

/* Who runs ranks below all others from here on; or somewhere, or there. */
void rank_lowest(struct sim *sim);
void rank_anew(struct sim *sim);

/* --- trace.c */

void trace_add(struct sim *sim, const char *what, struct place place,
               uint32_t of);

struct place place_of_stack(struct stack *s);
struct place place_of_job(struct thrum_job_ *job);

/* What led to here, to stderr. */
void trace_tell(struct sim *sim, const char *what);

/* --- dump.c */

/* Who waits, and for what. */
void dump_waiting(struct sim *sim, char *text, size_t bytes);

#endif
