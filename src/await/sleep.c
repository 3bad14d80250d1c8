/* Time: now, sleep, yield. */

#include <thrum/time.h>

#include <errno.h>

#include "os/clock.h"
#include "task/scope.h"

struct sleeper {
    struct timer timer;
    struct scope_wait wait;
    _Atomic uint32_t missed; /* [T5]: the timer came too late, and is done */
};

thrum_time thrum_now(void)
{
    sched_point(POINT_TIME);
    return clock_now();
}

static void wake_up(struct timer *t)
{
    struct sleeper *s = container_of(t, struct sleeper, timer);

    if (!wait_wake(&s->wait.wait, WAKE_DEADLINE))
        store_release(&s->missed, 1); /* [T5] */
}

static int64_t after(thrum_time duration)
{
    int64_t now = clock_now();

    return duration > CLOCK_NEVER - 1 - now ? CLOCK_NEVER - 1 : now + duration;
}

/* The timer may be firing: it must be done with us. */
static void forget(struct sleeper *s)
{
    if (timers_remove(&s->timer))
        return;
    while (load_acquire(&s->missed) == 0) /* [T6] */
        thread_yield();
}

/* A thread that is no worker. */
static int sleep_thread(struct scope *scope, int64_t until)
{
    struct scope_wait w;

    wait_init(&w.wait);
    wait_tell(&w, AWAITED("a sleep"), NULL);
    return scope_block(scope, &w, until) == WAKE_CANCEL ? -ECANCELED : 0;
}

int thrum_sleep(thrum_time duration)
{
    struct scope *scope = scope_current();
    struct stack *here = worker_current();
    struct sleeper s;

    if (scope != NULL && scope_canceled(scope))
        return -ECANCELED;
    if (duration <= 0)
        return 0;
    if (here == NULL)
        return sleep_thread(scope, after(duration));
    wait_init(&s.wait.wait);
    wait_tell(&s.wait, AWAITED("a sleep"), NULL);
    store_relaxed(&s.missed, 0); /* still this task's alone */
    if (duration == INT64_MAX)   /* until canceled */
        return scope_sleep(scope, &s.wait) == WAKE_CANCEL ? -ECANCELED : 0;
    sched_arm(here->worker, &s.timer, after(duration), wake_up);
    if (scope_sleep(scope, &s.wait) != WAKE_CANCEL)
        return 0;
    forget(&s);
    return -ECANCELED;
}

void thrum_yield(void)
{
    struct stack *s = worker_current();

    sched_point(POINT_YIELD);
    if (s != NULL)
        worker_yield_to_forks(s);
}
