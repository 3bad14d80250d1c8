/* spin.h - a lock for a few instructions, held by threads, never across a call
 * that may suspend.
 *
 * Ordering
 *   [L1] spin_unlock -> [L2] spin_lock   what the lock guards
 */
#ifndef BASE_SPIN_H
#define BASE_SPIN_H

#include "base/atomic.h"

struct spin {
    _Atomic uint32_t held;
};

static inline void spin_lock(struct spin *s)
{
    uint32_t free_now = 0;

    while (!cas_acquire(&s->held, &free_now, 1)) { /* [L2] */
        while (load_relaxed(&s->held) != 0)        /* until it is worth a try */
            cpu_relax();
        free_now = 0;
    }
}

static inline void spin_unlock(struct spin *s)
{
    store_release(&s->held, 0); /* [L1] */
}

#endif
