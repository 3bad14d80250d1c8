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
#include "os/thread.h"

enum { SPIN_PATIENCE = 100 };

struct spin {
    _Atomic uint32_t held;
};

static inline void spin_lock(struct spin *s)
{
    uint32_t free_now = 0;

    while (!cas_acquire(&s->held, &free_now, 1)) {          /* [L2] */
        for (int i = 0; load_relaxed(&s->held) != 0; i++) { /* worth a try? */
            cpu_relax();
            if (i >= SPIN_PATIENCE)
                thread_yield();
        }
        free_now = 0;
    }
}

static inline void spin_unlock(struct spin *s)
{
    store_release(&s->held, 0); /* [L1] */
}

#endif
