/* A number of things to wait for, wherever they are done
 *
 * A server answers once its parts are ready, and goes on serving: closing a scope
 * would wait for the end of the parts. Each part counts the latch down; whoever
 * needs all of them waits.
 *
 * Pitfall: a part that fails before it is ready never counts down. Here its error
 * cancels the scope, and with it who waits.
 */
#include <stdio.h>
#include <thrum.h>

enum { PARTS = 3 };

static thrum_latch ready = THRUM_LATCH_INIT(PARTS);

static thrum_err *run_part(void *arg)
{
    (void)arg;
    THRUM_TRY(thrum_sleep(THRUM_MS(1))); /* read the settings, connect, ... */
    thrum_latch_done(&ready);
    return thrum_rc(thrum_sleep(THRUM_SEC(3600))); /* serve */
}

static thrum_err *app(void *arg)
{
    thrum_scope s;
    int rc = 0;

    (void)arg;
    thrum_scope_open(&s, .name = "server");
    for (int i = 0; rc == 0 && i < PARTS; i++)
        rc = thrum_spawn(&s, run_part, NULL, 0);
    if (rc == 0)
        rc = thrum_latch_wait(&ready);
    if (rc == 0)
        printf("ready\n");
    thrum_scope_cancel(&s, "that was the example");
    return thrum_scope_close(&s, thrum_rc(rc));
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
