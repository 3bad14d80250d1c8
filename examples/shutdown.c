/* asyncio.run: at the end, what is left in the background is canceled
 *
 * A heartbeat without an end. When the last thrum_run returns, the runtime stops:
 * the background scope is canceled, and its tasks get `grace` to clean up. They
 * may still wait meanwhile, in what they deferred.
 *
 * Pitfall: a task that neither waits nor asks does not hear of it. When `grace` is
 * over, thrum_run returns an error that says who still runs.
 */
#include <stdio.h>
#include <thrum.h>

static thrum_err *last_words(void *arg)
{
    (void)arg;
    THRUM_TRY(thrum_sleep(THRUM_MS(1)));
    puts("heartbeat: stopped");
    return NULL;
}

static thrum_err *heartbeat(void *arg)
{
    (void)arg;
    thrum_defer(NULL, last_words, NULL);
    for (;;)
        THRUM_TRY(thrum_sleep(THRUM_MS(1)));
}

static thrum_err *app(void *arg)
{
    (void)arg;
    THRUM_TRY(thrum_spawn(thrum_root(), heartbeat, NULL, 0));
    puts("app: done");
    return NULL;
}

int main(void)
{
    thrum_opts opts = {.grace = THRUM_SEC(3600)};

    thrum_report(thrum_run(&opts, app, NULL));
    puts("main: nothing runs any more");
}
