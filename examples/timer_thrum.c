/* A timer thread, with thrum: timer_pthreads.c
 *
 * A timer is a task that sleeps. What it does over time is a loop with local
 * variables, and each is a task of its own: a slow one makes no other late. To
 * cancel it is to cancel the scope that it is in; when that is closed it has ended,
 * and what it used may be freed.
 *
 * Pitfall: a loop that sleeps for a period drifts by the time its body takes. For
 * the beat of a clock sleep until an instant, as here.
 */
#include <stdio.h>
#include <thrum.h>

struct fired {
    int ticks, alarm, tea;
};

static thrum_err *clock_ticks(void *arg)
{
    struct fired *fired = arg;
    thrum_time at = thrum_now();

    while (fired->ticks < 3) {
        at += THRUM_MS(2);
        THRUM_TRY(thrum_sleep(at - thrum_now()));
        fired->ticks++;
    }
    return NULL;
}

static thrum_err *alarm_rings(void *arg)
{
    struct fired *fired = arg;

    THRUM_TRY(thrum_sleep(THRUM_MS(5)));
    fired->alarm++;
    return NULL;
}

static thrum_err *tea_is_ready(void *arg)
{
    struct fired *fired = arg;

    THRUM_TRY(thrum_sleep(THRUM_SEC(3600)));
    fired->tea++;
    return NULL;
}

static thrum_err *timers(void *fired)
{
    thrum_err *e;
    thrum_scope s;

    THRUM_TRY(thrum_spawn(NULL, clock_ticks, fired, 0));
    THRUM_TRY(thrum_spawn(NULL, alarm_rings, fired, 0));
    thrum_scope_open(&s, .name = "tea");
    e = thrum_rc(thrum_spawn(&s, tea_is_ready, fired, 0));
    thrum_scope_cancel(&s, "coffee, please");
    THRUM_TRY(thrum_scope_close(&s, e));
    puts("the tea was canceled");
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct fired fired = {0};

    (void)arg;
    THRUM_TRY(thrum_with(timers, &fired, .name = "timers"));
    printf("%d ticks, %d alarm, %d tea\n", fired.ticks, fired.alarm, fired.tea);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
