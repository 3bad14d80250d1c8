/* timers.h - deadlines: a heap, and what the earliest one is.
 *
 * Time comes in as an argument. A timer that is due is handed to its `fire`,
 * with the lock released. Arming takes the lock for O(1); looking whether
 * anything is due takes one load. A timer lives on the stack of who waits.
 *
 * Invariants
 *   I1  earliest is at most the least key in the heap, whenever the lock is
 *       free. It is less after the least was removed, until somebody comes to
 *       fire it and finds that out: most timers are removed, and then nobody
 *       need be told.
 *   I2  A timer is in the heap exactly from timers_add until it is handed to
 *       fire, which may end its life, or is removed.
 *
 * Ordering
 *   [T3] timers_add: earliest <-> [T4] who parks reads it   a worker that keeps
 *        the time is unparked by the one who armed an earlier timer
 *   [T5] a timer that was too late is done -> [T6] who canceled goes on   its
 *        last access to the timer (await/sleep.c)
 */
#ifndef PARTS_TIMERS_H
#define PARTS_TIMERS_H

#include "base/heap.h"
#include "os/spin.h"

#define TIMERS_NEVER INT64_MAX

struct timer {
    struct heap_node node;
    bool set; /* lock: the heap's; in it */
    void (*fire)(struct timer *t);
};

struct timers {
    _Atomic int64_t earliest; /* [T3] [T4] */
    struct spin lock;
    struct heap heap; /* lock */
};

void timers_init(struct timers *ts);

/* True: it is now the earliest, so whoever sleeps until the earliest must be
 * told. */
bool timers_add(struct timers *ts, struct timer *t, int64_t deadline,
                void (*fire)(struct timer *t));

/* False: it is being fired, or was. True: it never will be. */
bool timers_remove(struct timers *ts, struct timer *t);

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
