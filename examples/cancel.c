/* task.cancel(), try: ... finally: clean up
 *
 * A fork is canceled: what it waits for ends with -ECANCELED, and THRUM_TRY hands
 * that up. What it deferred runs on its way out. The join waits for all of that,
 * and says that it was canceled.
 *
 * Pitfall: nothing is stopped by force. A task is canceled where it waits, or
 * where it asks: see deadline.c for one that only computes.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <thrum.h>

static thrum_err *say_goodbye(void *arg)
{
    (void)arg;
    puts("cleaned up");
    return NULL;
}

static thrum_err *work(void *arg)
{
    atomic_int *steps = arg;

    thrum_defer(NULL, say_goodbye, NULL);
    for (;;) {
        ++*steps;
        THRUM_TRY(thrum_sleep(THRUM_MS(1)));
    }
}

static thrum_err *app(void *arg)
{
    atomic_int steps = 0;
    thrum_task task;
    int rc = 0;

    (void)arg;
    thrum_fork(&task, work, &steps);
    while (rc == 0 && steps < 3)
        rc = thrum_sleep(THRUM_MS(1));
    thrum_task_cancel(&task);
    thrum_err *e = thrum_join(&task); /* always, even if we were canceled */
    if (rc < 0 || !thrum_err_is(e, &THRUM_CANCELED))
        return thrum_err_add(thrum_rc(rc), e);
    puts("canceled");
    thrum_err_drop(e);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
