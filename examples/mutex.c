/* asyncio.Lock: one at a time, also across waits
 *
 * A task that holds a thrum_mutex may wait: for time, for a call on another thread,
 * for another task. It keeps the mutex, and goes on with it on whatever thread it
 * then is. So "look whether it is there, else fetch it" is one step for all others.
 *
 * Pitfall: a pthread_mutex_t must not be held across a wait; it is the thread's, not
 * the task's.
 */
#include <stdio.h>
#include <thrum.h>

enum { VISITORS = 20 };

static struct {
    thrum_mutex lock;
    const char *token;  /* lock */
    int logins, visits; /* lock */
} session;

static thrum_err *log_in(void)
{
    THRUM_TRY(thrum_sleep(THRUM_MS(1))); /* a server far away */
    session.token = "s3cret";
    session.logins++;
    return NULL;
}

static thrum_err *visit(void *arg)
{
    thrum_err *e = NULL;

    (void)arg;
    thrum_mutex_lock(&session.lock);
    if (session.token == NULL)
        e = log_in();
    session.visits += e == NULL;
    thrum_mutex_unlock(&session.lock);
    return e;
}

static thrum_err *app(void *arg)
{
    thrum_scope s;
    int rc = 0;

    (void)arg;
    thrum_scope_open(&s, .name = "visitors");
    for (int i = 0; rc == 0 && i < VISITORS; i++)
        rc = thrum_spawn(&s, visit, NULL, 0);
    THRUM_TRY(thrum_scope_close(&s, thrum_rc(rc)));
    printf("%d visits, %d login\n", session.visits, session.logins);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
