/* fork.h - what becomes of a fork that somebody took, and joining it.
 *
 * The site word of a taken slot tells how far it is:
 *
 *      its site --taker has run it--> done
 *         |                            ^
 *         +--joiner waits--> joining --+   the taker wakes the joiner
 *
 * and `joined`, for a fork that was joined before newer ones were: its slot is
 * given back when those are.
 *
 * Ordering
 *   [J1] taker: done     -> [J2] joiner   what the fork did, its result
 *   [J3] joiner: joining -> [J1] taker    the wait
 *   [J3] joiner: joining -> [J4] taker    where it keeps the site
 */
#ifndef SCHED_FORK_H
#define SCHED_FORK_H

#include "sched/stack.h"

/* Run a fork that this stack's worker took, and tell its joiner. */
void fork_run(struct stack *s, struct thrum_job_ *slot);

/* Whether there is a fork above `from`, which was the newest once. */
static inline bool fork_any_above(struct thrum_job_ *from)
{
    return thrum_in_use_(from + 1);
}

/* The newest fork of stack s that is not joined, if it is above `from`, which
 * was the newest once; else NULL. */
struct thrum_job_ *fork_open_above(struct stack *s, struct thrum_job_ *from);

/* The newest fork, whose job can also be done by who forked it. True: it has not
 * begun and never will; the caller does the job. False: it has ended. */
bool fork_take_back(struct thrum_job_ *slot);

/* To join one: the thing is its slot. */
extern const struct thrum_awaited_ awaited_fork;

/* Is it forked and not joined? */
bool fork_is_open(struct thrum_job_ *slot);

/* Join any fork of stack s that is. Its result is then in the slot. */
void fork_join(struct stack *s, struct thrum_job_ *slot);

#endif
