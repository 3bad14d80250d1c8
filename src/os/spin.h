/* spin.h - a lock for a few instructions, held by threads, never across a call
 * that may suspend. Who waits for long gives up its CPU: the holder may have
 * lost his.
 *
 * Ordering
 *   [L1] spin_unlock -> [L2] spin_lock   what the lock guards
 */
#ifndef OS_SPIN_H
#define OS_SPIN_H

#include "base/atomic.h"
#include "base/base.h"
#include "os/thread.h"

enum { SPIN_PATIENCE = 100, SPIN_APART = 64, SPIN_APART_TURNS = 4 };

struct spin {
    _Atomic uint32_t held;
};

static inline bool spin_try(struct spin *s)
{
    uint32_t free_now = 0;

    return cas_acquire(&s->held, &free_now, 1); /* [L2] */
}

static inline void spin_lock(struct spin *s)
{
    while (!spin_try(s)) {
        for (int i = 0; load_relaxed(&s->held) != 0; i++) { /* worth a try? */
            cpu_relax();
            if (i >= SPIN_PATIENCE)
                thread_yield();
        }
    }
}

/* The same, for a lock that each of its users takes again and again: who finds it
 * held stands back for a moment, and does not even look. So the holder goes on
 * with the lock, and what it guards, in his cache, and they take turns in bursts,
 * not one by one. */
static inline void spin_lock_apart(struct spin *s)
{
    for (int turn = 0; unlikely(!spin_try(s)); turn++) {
        cpu_relax_for(SPIN_APART);
        if (turn >= SPIN_APART_TURNS)
            thread_yield();
    }
}

static inline void spin_unlock(struct spin *s)
{
    store_release(&s->held, 0); /* [L1] */
}

#endif
