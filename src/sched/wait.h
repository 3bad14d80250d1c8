/* wait.h - the one door to sleep: a task is suspended, another thread blocks.
 *
 *      struct wait w;
 *      wait_init(&w);
 *      ... show &w to whoever will call wait_wake ...
 *      wait_sleep(&w, kind, thing);
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

/* A kind of things that are waited for, for who looks on. */
struct thrum_awaited_ {
    const char *what; /* "a mutex" */
    /* Who has it: 0, nobody; or STACK_HELD, with his stack_tag if he is a task.
     * NULL: that is not known. */
    uint32_t (*holder)(const void *thing);
    bool outside; /* the kernel brings it about, or another runtime */
};

#define AWAITED_(...)                                                          \
    __extension__({                                                            \
        static const struct thrum_awaited_ awaited_ = {__VA_ARGS__};           \
        &awaited_;                                                             \
    })
#define AWAITED(what)         AWAITED_(what, NULL, false)
#define AWAITED_OUTSIDE(what) AWAITED_(what, NULL, true)

struct wait {
    struct waiter waiter;
    struct parker parker;
    struct sched *sched; /* of the stack; or the guest of the thread, or NULL */
    struct stack *stack; /* NULL: a thread that is no worker */
};

void wait_init(struct wait *w);

/* The same, of the stack that the caller stands on, as worker_current says. */
static inline void wait_init_on(struct wait *w, struct stack *here)
{
    waiter_arm(&w->waiter);
    w->stack = here;
    w->sched = here == NULL ? guest_here() : here->worker->sched;
    if (here == NULL) /* nobody else parks in it */
        parker_init(&w->parker);
}

/* Returns what woke it; at once, if something has already. The thing is of this
 * kind, both for who looks on. */
enum wake wait_sleep(struct wait *w, const struct thrum_awaited_ *kind,
                     const void *thing);

/* A thread that is no worker: the same, until it wakes itself (WAKE_DEADLINE). */
enum wake wait_block(struct wait *w, int64_t until);

/* The same, but it can be woken still. True: it was. */
bool wait_pause(struct wait *w, int64_t until);

/* True: this call woke it. From any thread. */
bool wait_wake(struct wait *w, enum wake cause);

/* The same in two steps, for who holds a lock. CLAIM_WAKE: its sleeper stays
 * where it is until wait_deliver. CLAIM_EARLY: it goes on by itself. */
static inline enum claim wait_claim(struct wait *w, enum wake cause)
{
    bool thread = w->stack == NULL;
    enum claim claim;

    tsan_promise(w);
    claim = waiter_claim(&w->waiter, cause);
    return claim == CLAIM_EARLY && thread ? CLAIM_WAKE : claim;
}
void wait_deliver(struct wait *w);

/* For who claims many, on a stack of this scheduler: instead of wait_deliver, to
 * be given to sched_push_chain. False: it is another's. */
static inline bool wait_deliver_by(struct wait *w, struct sched *sched,
                                   struct chain *ready)
{
    bool ours = w->stack != NULL && w->sched == sched;

    if (ours)
        chain_add(ready, stack_woken(w->stack));
    return ours;
}

#endif
