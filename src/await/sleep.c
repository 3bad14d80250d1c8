/* Time: now, sleep, yield. */

#include <thrum/time.h>

#include "os/clock.h"
#include "sched/wait.h"

struct sleeper {
    struct timer timer;
    struct wait wait;
};

thrum_time thrum_now(void)
{
    return clock_now();
}

static void wake_up(struct timer *t)
{
    struct sleeper *s = container_of(t, struct sleeper, timer);

    (void)wait_wake(&s->wait, WAKE_DEADLINE);
}

static int64_t after(thrum_time duration)
{
    int64_t now = clock_now();

    return duration > CLOCK_NEVER - 1 - now ? CLOCK_NEVER - 1 : now + duration;
}

int thrum_sleep(thrum_time duration)
{
    struct sleeper s;
    struct parker alarm;

    if (duration <= 0)
        return 0;
    wait_init(&s.wait);
    if (s.wait.stack == NULL) {
        parker_init(&alarm); /* nobody will ever wake it */
        (void)parker_park(&alarm, after(duration));
        return 0;
    }
    sched_arm(s.wait.sched, &s.timer, after(duration), wake_up);
    (void)wait_sleep(&s.wait);
    return 0;
}

void thrum_yield(void)
{
    struct stack *s = worker_current();

    if (s != NULL)
        worker_yield(s);
}
