/* asyncio.wait({queue.get(), stop.wait()}, return_when=FIRST_COMPLETED)
 *
 * A worker waits for a job or for the word to stop, whatever comes first. In
 * asyncio the loser has to be canceled, and a job that it had just taken is lost.
 * A select does exactly one of its cases: the other channel is not touched.
 *
 * Pitfall: look at the `rc` of the case that was done. A closed channel is ready,
 * for ever; to wait for the others only, set its `ch` to NULL.
 */
#include <stdio.h>
#include <thrum.h>

struct office {
    thrum_chan jobs, stop;
    int done;
};

static thrum_err *work(void *arg)
{
    struct office *o = arg;
    int job;
    thrum_case cases[] = {
        {.ch = &o->jobs, .op = THRUM_RECV, .item = &job},
        {.ch = &o->stop, .op = THRUM_RECV},
    };

    while (cases[1].ch) {
        int i = thrum_select(cases, 2, true);

        THRUM_TRY(i);
        if (i == 1)
            cases[1].ch = NULL; /* closed: that is the word */
        else
            o->done += job;
    }
    /* What had been sent before that is still there. */
    while (thrum_chan_try_recv(&o->jobs, &job) == 0)
        o->done += job;
    return NULL;
}

static thrum_err *send_work(struct office *o)
{
    for (int job = 1; job <= 100; job++)
        THRUM_TRY(thrum_chan_send(&o->jobs, &job));
    thrum_chan_close(&o->stop);
    return NULL;
}

static thrum_err *run_office(struct office *o)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "office");
    thrum_err *e = thrum_rc(thrum_spawn(&s, work, o, 0));
    return thrum_scope_close(&s, e ? e : send_work(o));
}

static thrum_err *app(void *arg)
{
    struct office o = {.done = 0};

    (void)arg;
    THRUM_TRY(thrum_chan_init(&o.jobs, sizeof(int), 4));
    THRUM_TRY(thrum_chan_init(&o.stop, 0, 0));
    thrum_err *e = run_office(&o);
    thrum_chan_fini(&o.jobs);
    thrum_chan_fini(&o.stop);
    THRUM_TRY(e);
    printf("done: %d\n", o.done);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
