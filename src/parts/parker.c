#include "parts/parker.h"

#include <errno.h>

#include "os/futex.h"

enum { EMPTY, PARKED, TOKEN, POLLING };

void parker_init(struct parker *p)
{
    store_relaxed(&p->word, EMPTY); /* no other thread knows it yet */
}

bool parker_park(struct parker *p, int64_t deadline_ns)
{
    uint32_t seen = EMPTY;
    int rc = 0;

    if (!cas_acquire(&p->word, &seen, PARKED)) { /* EMPTY, or a token */
        exchange_acquire(&p->word, EMPTY);       /* [P2] */
        return true;
    }
    while (rc != -ETIMEDOUT) {
        rc = futex_wait(&p->word, PARKED, deadline_ns);
        seen = TOKEN;
        if (cas_acquire(&p->word, &seen, EMPTY)) /* [P2] */
            return true;
    }
    /* Too late, unless a token comes at this very moment. */
    return exchange_acquire(&p->word, EMPTY) == TOKEN; /* [P2] */
}

void parker_unpark(struct parker *p)
{
    if (exchange_acq_rel(&p->word, TOKEN) == PARKED) /* [P1] */
        futex_wake(&p->word, 1);
}

bool parker_begin_poll(struct parker *p)
{
    uint32_t seen = EMPTY;

    return cas_acq_rel(&p->word, &seen, POLLING); /* [P3]; or a token */
}

bool parker_end_poll(struct parker *p)
{
    return TOKEN == exchange_acquire(&p->word, EMPTY); /* [P2] */
}

bool parker_has_token(struct parker *p)
{
    return load_relaxed(&p->word) == TOKEN; /* a hint */
}

bool parker_poll(struct parker *p, struct poll_set *set, int64_t deadline_ns,
                 struct poll_event *events, int most, int *n)
{
    *n = 0;
    if (parker_begin_poll(p))
        *n = poll_wait(set, events, most, deadline_ns);
    return parker_end_poll(p);
}

void parker_unpark_in(struct parker *p, struct poll_set *set)
{
    uint32_t was = exchange_acq_rel(&p->word, TOKEN); /* [P1] */

    if (was == PARKED)
        futex_wake(&p->word, 1);
    else if (was == POLLING)
        poll_interrupt(set);
}
