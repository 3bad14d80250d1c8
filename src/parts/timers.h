/* timers.h - deadlines: heaps, and what the earliest of all is.
 *
 * Time comes in as an argument. A timer that is due is handed to its `fire`,
 * with no lock held. Each worker has a heap of its own, and arms its timers
 * there: for O(1), under a lock that nobody else asks for, but who fires what is
 * due, or removes what another worker has armed. Only who arms the earliest one
 * of a heap looks beyond it. Looking whether anything is due takes one load. A
 * timer lives on the stack of who waits.
 *
 * Invariants
 *   I1  A heap's `earliest` is at most its least key, whenever its lock is free.
 *       It is less after the least was removed, until somebody comes to fire it
 *       and finds that out: most timers are removed, and then nobody need be
 *       told.
 *   I2  The `earliest` of all is at most that of each heap, but for one whose
 *       lock is held by who is about to lower it.
 *   I3  A timer is in a heap exactly from timers_add until it is handed to fire,
 *       which may end its life, or is removed.
 *
 * Ordering
 *   [T3] timers_add: earliest <-> [T4] who parks reads it   a worker that keeps
 *        the time is unparked by the one who armed an earlier timer
 *   [T5] a timer that was too late is done -> [T6] who canceled goes on   its
 *        last access to the timer (await/sleep.c)
 *   [T7] a heap joins -> [T8] who goes over all of them   its lock
 */
#ifndef PARTS_TIMERS_H
#define PARTS_TIMERS_H

#include "base/heap.h"
#include "os/spin.h"

#define TIMERS_NEVER INT64_MAX

struct timers;

struct timer {
    struct heap_node node;
    _Atomic(struct timer_heap *) in; /* its lock: NULL: in none */
    void (*fire)(struct timer *t);
};

struct timer_heap {
    struct timers *of;       /* const, as is the next */
    struct timer_heap *next; /* of all, to be gone over */

    struct spin lock;
    struct heap heap;         /* lock */
    _Atomic int64_t earliest; /* lock; a hint to others */
};

/* All of a runtime. */
struct timers {
    _Atomic int64_t earliest; /* written under the lock [T3] [T4] */
    struct spin lock;
    _Atomic(struct timer_heap *) heaps; /* [T7] [T8] */
};

void timers_init(struct timers *ts);

/* One more heap. It stays. */
void timers_join(struct timers *ts, struct timer_heap *h);

/* True: it is now the earliest of all, so whoever sleeps until the earliest must
 * be told. */
bool timers_add(struct timer_heap *h, struct timer *t, int64_t deadline,
                void (*fire)(struct timer *t));

/* One that was added, and not since by another thread. False: it is being fired,
 * or was. True: it never will be. */
bool timers_remove(struct timer *t);

/* One that is due at `now`, to be fired by the caller, or NULL; `earliest` is
 * exact then. */
struct timer *timers_take_due(struct timers *ts, int64_t now);

/* Fire all that are due at `now`. */
void timers_fire(struct timers *ts, int64_t now);

static inline int64_t timers_earliest(struct timers *ts)
{
    return load_seq_cst(&ts->earliest); /* [T4] */
}

#endif
