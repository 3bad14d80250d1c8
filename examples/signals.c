/* loop.add_signal_handler(SIGTERM, stop)
 *
 * A service that runs until SIGTERM, and reads its configuration anew at SIGHUP: a
 * task waits for both, one at a time, and the end is a cancel. There is no handler,
 * so nothing that one may not do. Here another task sends them; usually kill(1)
 * does, or a terminal (SIGINT).
 *
 * Pitfall: block them in main, before there are threads. Where a single thread has
 * not, the kernel ends the program there.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <thrum.h>

static sigset_t signals;
static thrum_event reloaded;

static thrum_err *goodbye(void *arg)
{
    (void)arg;
    puts("service: stopped");
    return NULL;
}

static thrum_err *service(void *arg)
{
    (void)arg;
    thrum_defer(NULL, goodbye, NULL);
    return thrum_rc(thrum_sleep(THRUM_SEC(3600)));
}

static thrum_err *administrator(void *arg)
{
    (void)arg;
    kill(getpid(), SIGHUP);
    THRUM_TRY(thrum_event_wait(&reloaded));
    kill(getpid(), SIGTERM);
    return NULL;
}

static thrum_err *app(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "services");
    int rc = thrum_spawn(&s, service, NULL, 0);
    if (rc == 0)
        rc = thrum_spawn(&s, administrator, NULL, 0);
    while (rc >= 0 && (rc = thrum_signal_wait(&signals, NULL)) == SIGHUP) {
        puts("SIGHUP: read the configuration");
        thrum_event_set(&reloaded);
    }
    if (rc == SIGTERM)
        puts("SIGTERM: stop");
    thrum_scope_cancel(&s, "a signal");
    return thrum_scope_close(&s, thrum_rc(rc));
}

int main(void)
{
    signals = thrum_signals_block(SIGHUP, SIGTERM);
    return thrum_report(thrum_run(NULL, app, NULL));
}
