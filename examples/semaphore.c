/* asyncio.Semaphore: so many at once, wherever they are
 *
 * A scope's `limit` bounds the children of one scope. A semaphore bounds a thing: the
 * connections to a data base, whoever asks for one, in whatever scope. Permits go to
 * those who wait in the order in which they came.
 *
 * Pitfall: a permit must be given back on every way out, the errors' ways too.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <thrum.h>

enum { CONNECTIONS = 3, REQUESTS = 100 };

static thrum_sem connections = THRUM_SEM_INIT(CONNECTIONS);
static atomic_int open_now, answered;

static thrum_err *ask(void)
{
    if (++open_now > CONNECTIONS)
        return thrum_fail(&THRUM_ERROR, "too many connections");
    THRUM_TRY(thrum_sleep(THRUM_US(50)));
    open_now--;
    answered++;
    return NULL;
}

static thrum_err *handle(size_t i, void *arg)
{
    thrum_err *e;

    (void)i;
    (void)arg;
    THRUM_TRY(thrum_sem_acquire(&connections));
    e = ask();
    thrum_sem_release(&connections);
    return e;
}

static thrum_err *app(void *arg)
{
    (void)arg;
    THRUM_TRY(thrum_each(REQUESTS, handle, NULL, .name = "requests"));
    printf("%d requests answered\n", answered);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
