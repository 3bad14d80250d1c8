/* asyncio.wait(tasks, return_when=FIRST_COMPLETED)
 *
 * Two things may end it, and whichever comes first does: the work, or a signal
 * to stop. THRUM_FIRST cancels the other one, and waits until it has ended.
 *
 * Pitfall: the first to end decides even by failing. Of mirrors, where another
 * one may do better, one wants the first success: see race.c.
 */
#include <stdio.h>
#include <thrum.h>

static thrum_err *answer(void *arg)
{
    thrum_time *takes = arg;

    return thrum_rc(thrum_sleep(*takes));
}

static thrum_err *run(thrum_time work_takes, thrum_time stop_takes)
{
    thrum_job jobs[] = {{.fn = answer, .arg = &work_takes},
                        {.fn = answer, .arg = &stop_takes}};

    THRUM_TRY(thrum_gather(jobs, 2, THRUM_FIRST));
    puts(jobs[0].won ? "the work is done" : "somebody wants us to stop");
    return NULL;
}

static thrum_err *app(void *arg)
{
    (void)arg;
    THRUM_TRY(run(THRUM_MS(1), THRUM_SEC(3600)));
    return run(THRUM_SEC(3600), THRUM_MS(1));
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
