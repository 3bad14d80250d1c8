/* wait.h - the one door to sleep: a task is suspended, another thread blocks.
 *
 *      struct wait w;
 *      wait_init(&w);
 *      ... show &w to whoever will call wait_wake ...
 *      wait_sleep(&w);
 *
 * One wait_wake wins; it may come at any time after wait_init. It
 * lives on the sleeper's stack, and is gone once it was woken: a waker touches
 * nothing of it after wait_wake, and neither does wait_wake after its claim, but
 * for the token that the sleeping thread waits for.
 *
 * Order: what the waker did before wait_wake is visible after wait_sleep.
 */
#ifndef SCHED_WAIT_H
#define SCHED_WAIT_H

#include "parts/parker.h"
#include "parts/waiter.h"
#include "sched/guest.h"

struct wait {
    struct waiter waiter;
    struct parker parker;
    struct sched *sched; /* of the stack; or the guest of the thread, or NULL */
    struct stack *stack; /* NULL: a thread that is no worker */
};

void wait_init(struct wait *w);

/* For who looks at what waits: what it is for, "a sleep". A literal. */
static inline void wait_tell(struct wait *w, const char *what)
{
    if (w->stack != NULL)
        store_relaxed(&w->stack->deque.waits_for, what); /* a hint */
}

/* Returns what woke it; at once, if something has already. */
enum wake wait_sleep(struct wait *w);

/* A thread that is no worker: the same, until it wakes itself (WAKE_DEADLINE). */
enum wake wait_block(struct wait *w, int64_t until);

/* True: this call woke it. From any thread. */
bool wait_wake(struct wait *w, enum wake cause);

/* The same in two steps, for who holds a lock. CLAIM_WAKE: its sleeper stays
 * where it is until wait_deliver. CLAIM_EARLY: it goes on by itself. */
enum claim wait_claim(struct wait *w, enum wake cause);
void wait_deliver(struct wait *w);

#endif
