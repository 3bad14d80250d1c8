/* asyncio.Event, loop.call_soon_threadsafe: a callback of another library, awaited
 *
 * The library calls back on a thread of its own. The callback stores the result and
 * sets an event; the task waits for that as for anything else, with a deadline or
 * without. thrum_event_set may be called anywhere, in a signal handler too.
 *
 * Pitfall: a wait that is canceled returns, but the callback will come nevertheless:
 * what it writes to must still be there. Hence the shield; the alternative is to put
 * `struct call` on the heap.
 */
#include <pthread.h>
#include <stdio.h>
#include <thrum.h>

/* ---- a library that knows nothing of tasks */

struct request {
    int number;
    void (*done)(int result, void *arg);
    void *arg;
};

static void *work(void *arg)
{
    struct request *r = arg;

    r->done(r->number * r->number, r->arg);
    return NULL;
}

static int square_later(pthread_t *thread, struct request *r)
{
    return -pthread_create(thread, NULL, work, r);
}

/* ---- the bridge: fifteen lines */

struct call {
    thrum_event done;
    int result;
};

static void on_done(int result, void *arg)
{
    struct call *call = arg;

    call->result = result;
    thrum_event_set(&call->done);
}

static thrum_err *square(int number, int *result)
{
    struct call call = {.done = {0}};
    struct request request = {number, on_done, &call};
    pthread_t thread;
    thrum_scope s;

    THRUM_TRY(square_later(&thread, &request));
    thrum_scope_open(&s, .name = "square", .shield = true);
    THRUM_TRY(thrum_scope_close(&s, thrum_rc(thrum_event_wait(&call.done))));
    pthread_join(thread, NULL);
    *result = call.result;
    return NULL;
}

static thrum_err *app(void *arg)
{
    int result;

    (void)arg;
    for (int i = 1; i <= 5; i++) {
        THRUM_TRY(square(i, &result));
        printf("%d ", result);
    }
    printf("\n");
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
