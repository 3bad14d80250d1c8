/* Producers and consumers around a bounded queue, with thrum: queue_pthreads.c
 *
 * The queue is a channel. Two scopes say who ends before whom: the inner one is that
 * of the producers; when it is closed, nothing will be sent any more. Whatever
 * fails, a spawn or a consumer, cancels the scope, and ends every wait in it: there
 * is no path on which somebody waits for ever, and none on which a thread is left.
 *
 * Pitfall: a channel is freed when nobody uses it any more: after the scope of all
 * who do is closed, so it is made before that one is opened.
 */
#include <errno.h>
#include <stdio.h>
#include <thrum.h>

enum { ROOM = 8, PRODUCERS = 2, CONSUMERS = 3, ITEMS = 500 };

static thrum_err *produce(void *queue)
{
    for (int i = 1; i <= ITEMS; i++)
        THRUM_TRY(thrum_chan_send(queue, &i));
    return NULL;
}

struct consumer {
    thrum_chan *queue;
    long items, sum;
};

static thrum_err *consume(void *arg)
{
    struct consumer *me = arg;
    int item, rc;

    while ((rc = thrum_chan_recv(me->queue, &item)) == 0) {
        me->items++;
        me->sum += item;
    }
    return rc == -EPIPE ? NULL : thrum_rc(rc);
}

static thrum_err *produce_all(void *queue)
{
    for (int i = 0; i < PRODUCERS; i++)
        THRUM_TRY(thrum_spawn(NULL, produce, queue, 0));
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct consumer consumers[CONSUMERS], all = {0};
    thrum_err *e = NULL;
    thrum_chan queue;
    thrum_scope s;

    (void)arg;
    THRUM_TRY(thrum_chan_init(&queue, sizeof(int), ROOM));
    thrum_scope_open(&s, .name = "consumers");
    for (int i = 0; e == NULL && i < CONSUMERS; i++) {
        consumers[i] = (struct consumer){.queue = &queue};
        e = thrum_rc(thrum_spawn(&s, consume, &consumers[i], 0));
    }
    if (e == NULL)
        e = thrum_with(produce_all, &queue, .name = "producers");
    thrum_chan_close(&queue);
    e = thrum_scope_close(&s, e);
    thrum_chan_fini(&queue);
    for (int i = 0; e == NULL && i < CONSUMERS; i++) {
        all.items += consumers[i].items;
        all.sum += consumers[i].sum;
    }
    if (e == NULL)
        printf("%ld items, their sum is %ld\n", all.items, all.sum);
    return e;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
