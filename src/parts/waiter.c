#include "parts/waiter.h"

bool waiter_fall_asleep(struct waiter *w)
{
    uint32_t armed = WAITER_ARMED;

    return cas_acq_rel(&w->state, &armed, WAITER_ASLEEP); /* [W1] */
}

enum wake waiter_cause(struct waiter *w)
{
    return (enum wake)load_acquire(&w->state); /* [W3] */
}
