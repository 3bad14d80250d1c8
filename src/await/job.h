/* job.h - one call that blocks: who runs it, and whether its task still wants it.
 *
 * It lies on the stack of its task, who waits; or (private) on the heap, with
 * copies of its arguments, so that its task may leave it. Or nobody waits for it
 * but a scope, whose child it is (child.c): then its state is constant.
 *
 *             thread: begin            thread: end
 *      QUEUED -------------> CALLED ----------------> the task is woken
 *        |                     |  \
 *        | the task is canceled|   \ the task is canceled, of a private one
 *        v                     v    v
 *      CANCELED               AGAIN  ABANDONED
 *      not called; woken      woken  the thread cleans up
 *      when it is out of      at the
 *      the queue              end
 *
 * A wake-up and a cancel meet in the wait: if the end of the call claims it, the
 * job is the task's again and all is as if there had been no cancel. If a cancel
 * does, the two agree by `state`, and whoever comes second finds what the first
 * left there: DONE, or the wait in which the task waits again.
 *
 * Ordering
 *   [OJ1] a task withdraws, waits again, or abandons -> [OJ2] a thread begins, or
 *        has ended    its second wait; all it did to a private one
 *   [OJ2] a thread begins, or has ended -> [OJ1] the task   the scope of a private
 *        one; the result
 *   The queue and the wait order the rest.
 */
#ifndef AWAIT_JOB_H
#define AWAIT_JOB_H

#include <stddef.h>

#include "parts/tray.h"
#include "task/scope.h"

struct offload {
    struct tray_item item;
    thrum_fn *fn;
    union {
        void *arg;
        thrum_err *err; /* when done */
    } u;
    /* [OJ1] [OJ2]: while queued the scope of its task */
    _Atomic uintptr_t state;
};

/* One that a task waits for. What a thread sees of it is one line of memory: that
 * goes there and back. */
struct waited {
    _Alignas(CACHE_LINE) struct offload job;
    struct scope_wait wait; /* what is behind its wait is its task's */
};

_Static_assert(offsetof(struct waited, wait) + sizeof(struct wait) <=
                   CACHE_LINE,
               "one line");

/* In the low bits of the state. With OFFLOAD_CANCELED and OFFLOAD_AGAIN the rest
 * is the wait of its task; none: a private one, which nobody waits for. */
enum {
    OFFLOAD_CALLED = 1,
    OFFLOAD_CANCELED = 2,
    OFFLOAD_ABANDONED = 3,
    OFFLOAD_AGAIN = 4,
    OFFLOAD_DONE = 5,
    OFFLOAD_CHILD = 6,
    OFFLOAD_STATES = 7,
};

/* state: the scope of its task; 0: a private one; or OFFLOAD_CHILD. */
void offload_init(struct offload *job, thrum_fn *fn, void *arg,
                  uintptr_t state);

static inline bool offload_is_child(struct offload *job)
{
    return load_relaxed(&job->state) == OFFLOAD_CHILD; /* const */
}

/* If it is no child. */
static inline bool offload_is_private(struct offload *job)
{
    uintptr_t state = load_relaxed(&job->state); /* shown by the queue */

    return (state & ~(uintptr_t)OFFLOAD_STATES) == 0;
}

/* --- by whoever has taken it off the queue; but for children */

/* False: its task does not want it any more: it is to be skipped. `scope`: of its
 * task, NULL of a private one. */
bool offload_begin(struct offload *job, struct scope **scope);

/* It is still in the queue: would it be skipped? */
static inline bool offload_is_canceled(struct offload *job)
{
    uintptr_t state = load_relaxed(&job->state); /* decided by offload_skip */

    return (state & OFFLOAD_STATES) == OFFLOAD_CANCELED;
}

/* Its task goes on, or did long ago; the job is gone. */
void offload_skip(struct offload *job);

/* Its result is there: its task goes on. False: it was abandoned, and is the
 * caller's. */
bool offload_end(struct offload *job);

/* --- by its task, whose wait was ended by a cancel */

/* True: it will not be called. It is gone once `again` was woken; a private one
 * is at once. again: NULL of a private one. */
bool offload_withdraw(struct offload *job, struct scope *scope,
                      struct wait *again);

/* Too late for that. True: it goes on, and `again` is woken at its end. False:
 * it is done. */
bool offload_wait_again(struct offload *job, struct wait *again);

/* The same of a private one. True: it is the thread's. */
bool offload_abandon(struct offload *job);

static inline bool offload_is_done(struct offload *job)
{
    return load_acquire(&job->state) == OFFLOAD_DONE; /* [OJ1] */
}

#endif
