/* relief.h - keeps the time when every worker is busy.
 *
 * As a rule a worker does, one that rests (sched.h). When none rests, and one
 * computes for long, nobody would look at the clock, and a deadline that is to
 * end that computation would never come. Then this thread does, a little late:
 * it leaves the workers some time to do it themselves. It sleeps otherwise, and
 * is not made before it is first asked for.
 *
 * Most deadlines never come, and most of those belong to a scope that is closed
 * before its task ever waits. To arm a timer for each would cost more than the
 * scope. Such a deadline is only noted on the stack that runs (`pending`); the
 * stack arms it when it is put away, and while it runs the relief looks at it
 * now and then (it watches). It stops watching when it has found none for a
 * while.
 *
 * It looks after workers that make no turn, too (sched/monitor): every 10 ms, as
 * long as a worker is awake.
 *
 * It stands in for who polls as well (sched/poller): it looks whether anybody
 * does, as long as workers go to work, and stops when somebody has for a while.
 *
 * Who forgets what he noted does not wait, unless the relief is looking just
 * then. Neither passes a fence: the relief makes all others pass one.
 *
 * Ordering
 *   [R1] relief: until, look <-> [T3] an earlier timer, ask: until   it is woken
 *   [R2] sched_stop: stopping -> [R3] relief looks                   it ends
 *   [R4] note: pending, watching <-> [R5] relief: watching, pending  it watches
 *   [R6] forget: pending, looking <-> [R7] relief: looking, pending  who waits
 *   [R8] relief has looked -> [R9] who forgets goes on       its last access
 *   [R10] a worker is awake, attends <-> [R11] relief: attends, look  it is seen
 */
#ifndef SCHED_RELIEF_H
#define SCHED_RELIEF_H

#include "base/base.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/thread.h"
#include "parts/parker.h"
#include "parts/timers.h"

struct relief {
    /* const after relief_init */
    struct timers *timers;
    bool (*look)(void *arg); /* at what is noted: is there any? */
    /* Poll, if nobody does: was it needed? Round 0 is the last one. */
    bool (*stand_in)(void *arg, unsigned round);
    /* At the workers, to judge them or just so: is one awake? */
    bool (*attend)(void *arg, bool judge);
    void *arg;
    bool can_watch;         /* there is a membarrier, and an even counter */
    struct clock_pair base; /* of the counter */

    struct lock lock;
    bool started, stopping; /* lock */
    struct thread thread;
    struct parker parker;
    _Atomic int64_t until;      /* when it looks next [R1] */
    _Atomic uint32_t over;      /* [R2] [R3] */
    _Atomic uint32_t watching;  /* [R4] [R5] */
    _Atomic uint32_t looking;   /* [R6] to [R9] */
    _Atomic uint32_t stands_in; /* [U3] [U4] */
    _Atomic uint32_t attends;   /* [R10] [R11] */
    unsigned rounds;            /* the thread's; that 0 comes by is no matter */
    int64_t attend_at;          /* likewise */
};

void relief_init(struct relief *r, struct timers *timers, bool can_watch,
                 bool (*look)(void *arg), void *arg);
void relief_stop(struct relief *r);

/* A timer is due at `at`: see to it, should nobody else. Without a thread to
 * be had it stays undone until the next time. */
void relief_ask(struct relief *r, int64_t at);

/* After something was noted on the stack that runs. */
void relief_watch(struct relief *r);

/* After the role of who polls was given up. */
void relief_begin_to_stand_in(struct relief *r);

static inline void relief_stand_in(struct relief *r)
{
    if (unlikely(load_seq_cst(&r->stands_in) == 0)) /* [U3] */
        relief_begin_to_stand_in(r);
}

/* After a worker was woken, or is back. */
void relief_begin_to_attend(struct relief *r);

static inline void relief_attend(struct relief *r)
{
    if (unlikely(load_seq_cst(&r->attends) == 0)) /* [R10] */
        relief_begin_to_attend(r);
}

static inline void relief_noted(struct relief *r)
{
    barrier_light();
    if (unlikely(load_relaxed(&r->watching) == 0)) /* [R4] */
        relief_watch(r);
}

/* After it was taken back, and before it goes away. */
static inline void relief_forgotten(struct relief *r)
{
    barrier_light();
    while (unlikely(load_acquire(&r->looking) != 0)) /* [R6] [R9] */
        thread_yield();
}

#endif
