/* waiter.h - a one-shot token: many may try to wake a sleeper; the first does.
 *
 * Lives on the sleeper's stack. Knows nothing of tasks: who puts a sleeper away
 * and who runs it again is the caller's business.
 *
 *      ARMED ----fall_asleep----> ASLEEP
 *        |                           |
 *        +--claim: EARLY    claim: WAKE
 *        v                           v
 *      cause  <----------------------+        a second claim: LOST
 *
 * Invariants
 *   I1  At most one claim is not LOST.
 *   I2  A claim is WAKE exactly when fall_asleep returned true.
 *   I3  After a claim the waiter may be gone: a claimer reads what it needs
 *       before, and touches nothing of it after.
 *
 * Ordering
 *   [W1] fall_asleep -> [W2] claim: WAKE   the stack is at rest
 *   [W2] claim       -> [W3] waiter_cause  what the waker did before waking
 */
#ifndef PARTS_WAITER_H
#define PARTS_WAITER_H

#include "base/atomic.h"

enum waiter_state { WAITER_ARMED, WAITER_ASLEEP, WAITER_CAUSE };
enum wake { WAKE_EVENT = WAITER_CAUSE, WAKE_DEADLINE, WAKE_CANCEL };
enum claim { CLAIM_LOST, CLAIM_EARLY, CLAIM_WAKE };

struct waiter {
    _Atomic uint32_t state; /* a waiter_state, then the wake that won */
};

static inline void waiter_arm(struct waiter *w)
{
    store_relaxed(&w->state, WAITER_ARMED); /* still the sleeper's alone */
}

/* Called once the sleeper's stack is at rest. False: it was claimed meanwhile,
 * so the caller runs it again at once. */
bool waiter_fall_asleep(struct waiter *w);

/* After CLAIM_WAKE the caller must run the sleeper. */
static inline enum claim waiter_claim(struct waiter *w, enum wake cause)
{
    uint32_t seen = load_relaxed(&w->state); /* a guess, checked by [W2] */

    do {
        if (seen >= WAITER_CAUSE)
            return CLAIM_LOST;
    } while (!cas_acq_rel(&w->state, &seen, (uint32_t)cause)); /* [W2] */

    return seen == WAITER_ASLEEP ? CLAIM_WAKE : CLAIM_EARLY;
}

/* What woke it; the sleeper only, awake again. */
enum wake waiter_cause(struct waiter *w);

#endif
