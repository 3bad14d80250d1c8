#include "await/job.h"

#include "base/alloc.h"
#include "base/sanitize.h"

static struct wait *wait_in(uintptr_t state)
{
    return (struct wait *)(state & ~(uintptr_t)OFFLOAD_STATES);
}

void offload_init(struct offload *job, thrum_fn *fn, void *arg, uintptr_t state)
{
    job->fn = fn;
    job->u.arg = arg;
    store_relaxed(&job->state, state); /* shown by the queue */
}

void offload_skip(struct offload *job)
{
    struct wait *again = wait_in(load_acquire(&job->state)); /* [OJ2] */

    if (again == NULL)
        release(job);
    else
        (void)wait_wake(again, WAKE_EVENT); /* the job is gone */
}

bool offload_begin(struct offload *job, struct scope **scope)
{
    uintptr_t state = load_relaxed(&job->state); /* the exchange decides */

    if ((state & OFFLOAD_STATES) == 0 &&
        cas_release(&job->state, &state, OFFLOAD_CALLED)) { /* [OJ2] */
        *scope = (struct scope *)state;
        return true;
    }
    return false;
}

bool offload_end(struct offload *job)
{
    struct waited *w = container_of(job, struct waited, job);
    uintptr_t state;

    tsan_promise(job);
    if (wait_wake(&w->wait.wait, WAKE_EVENT)) /* the job is gone */
        return true;
    state = exchange_acq_rel(&job->state, OFFLOAD_DONE); /* [OJ2] */
    if (state == OFFLOAD_ABANDONED)
        return false;
    if (state == OFFLOAD_CANCELED) /* it failed in the queue */
        release(job);
    else if (wait_in(state) != NULL && (state & OFFLOAD_STATES) != 0)
        (void)wait_wake(wait_in(state), WAKE_EVENT);
    return true;
}

/* By the task. */
static bool turn(struct offload *job, uintptr_t from, uintptr_t to)
{
    return cas_acq_rel(&job->state, &from, to); /* [OJ1] */
}

bool offload_withdraw(struct offload *job, struct scope *scope,
                      struct wait *again)
{
    return turn(job, (uintptr_t)scope, (uintptr_t)again | OFFLOAD_CANCELED);
}

bool offload_wait_again(struct offload *job, struct wait *again)
{
    return turn(job, OFFLOAD_CALLED, (uintptr_t)again | OFFLOAD_AGAIN);
}

bool offload_abandon(struct offload *job)
{
    return turn(job, OFFLOAD_CALLED, OFFLOAD_ABANDONED);
}
