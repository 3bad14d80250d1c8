#include "sched/wait.h"

#include <stdio.h>

#include "os/clock.h"

enum { NO_STACK_NS = 1000000 }; /* how often to look, out of memory */

void wait_init(struct wait *w)
{
    wait_init_on(w, worker_current());
}

/* On another stack. If the waker came first, the sleeper goes on at once. */
static void fall_asleep(struct worker *here, struct stack *left, void *arg)
{
    struct wait *w = arg;

    if (!waiter_fall_asleep(&w->waiter))
        sched_push(here, stack_woken(left));
}

/* Once in a process: what comes of it may be that the program hangs. */
static void tell_of_no_stack(const struct stack_pool *pool)
{
    static _Atomic uint32_t told;

    if (add_relaxed(&told, 1) == 0) /* nothing else is shared */
        fprintf(
            stderr,
            "thrum: no memory for one more stack, of %zu bytes: a task that "
            "waits keeps its worker, what has not begun may wait for it\n",
            pool->stack_bytes);
}

/* There is no memory for a stack to go on with. Run what needs none in place,
 * and look again: as long as we are not asleep, a waker only leaves the cause. */
static cold void sleep_in_place(struct wait *w)
{
    tell_of_no_stack(&w->sched->pool);
    while (load_acquire(&w->waiter.state) == WAITER_ARMED) { /* [W3] */
        struct parker never;

        if (worker_run_one(w->stack))
            continue;
        if (worker_suspend(w->stack, fall_asleep, w))
            return;
        if (w->sched->sim != NULL)
            continue; /* its time does not pass here */
        parker_init(&never);
        (void)parker_park(&never, clock_now() + NO_STACK_NS);
    }
}

static bool park(struct wait *w, int64_t until)
{
    return w->sched != NULL ? guest_park(w->sched, &w->parker, until)
                            : parker_park(&w->parker, until);
}

bool wait_pause(struct wait *w, int64_t until)
{
    bool token = park(w, until);

    if (token)
        tsan_rely(w);
    return token;
}

enum wake wait_block(struct wait *w, int64_t until)
{
    if (!park(w, until) &&
        waiter_claim(&w->waiter, WAKE_DEADLINE) == CLAIM_LOST)
        (void)parker_park(&w->parker, CLOCK_NEVER); /* the waker's token */
    tsan_rely(w);
    return waiter_cause(&w->waiter);
}

static bool is_claimed(struct wait *w)
{
    return load_relaxed(&w->waiter.state) >= WAITER_CAUSE; /* [W3] follows */
}

enum wake wait_sleep(struct wait *w, const struct thrum_awaited_ *kind,
                     const void *thing)
{
    struct stack *stack = w->stack;

    if (stack == NULL)
        return wait_block(w, CLOCK_NEVER);
    worker_require_no_mutex(stack, kind == NULL ? "something" : kind->what);
    if (!is_claimed(w)) {
        store_relaxed(&stack->deque.waits_at, thing); /* hints */
        store_relaxed(&stack->deque.waits_for, kind);
        if (unlikely(!worker_suspend(stack, fall_asleep, w)))
            sleep_in_place(w);
        store_relaxed(&stack->deque.waits_for, NULL);
    }
    tsan_rely(w);
    return waiter_cause(&w->waiter);
}

/* It waits for this token only, and then w may be gone. Its guest is not, before
 * the visit is over. */
static void unpark(struct wait *w, struct sched *guest)
{
    if (guest == NULL) {
        parker_unpark(&w->parker);
        return;
    }
    add_relaxed(&guest->visitors, 1); /* shown by the token */
    parker_unpark_in(&w->parker, &guest->poller.set);
    sub_release(&guest->visitors, 1); /* [S8] */
}

bool wait_wake(struct wait *w, enum wake cause)
{
    struct stack *stack = w->stack;
    struct sched *sched = w->sched;
    enum claim claim;

    if (cause != WAKE_DEADLINE)
        tsan_promise(w);
    claim = waiter_claim(&w->waiter, cause);
    if (claim == CLAIM_LOST)
        return false;
    if (stack == NULL)
        unpark(w, sched);
    else if (claim == CLAIM_WAKE)
        worker_resume(sched, stack);
    return true;
}

void wait_deliver(struct wait *w)
{
    if (w->stack == NULL)
        unpark(w, w->sched);
    else
        worker_resume(w->sched, w->stack);
}
