#include "parts/waiter.h"

bool waiter_fall_asleep(struct waiter *w)
{
    uint32_t armed = WAITER_ARMED;

    return cas_acq_rel(&w->state, &armed, WAITER_ASLEEP); /* [W1] */
}

enum claim waiter_claim(struct waiter *w, enum wake cause)
{
    uint32_t seen = load_relaxed(&w->state); /* a guess, checked by [W2] */

    do {
        if (seen >= WAITER_CAUSE)
            return CLAIM_LOST;
    } while (!cas_acq_rel(&w->state, &seen, (uint32_t)cause)); /* [W2] */

    return seen == WAITER_ASLEEP ? CLAIM_WAKE : CLAIM_EARLY;
}

enum wake waiter_cause(struct waiter *w)
{
    return (enum wake)load_acquire(&w->state); /* [W3] */
}
