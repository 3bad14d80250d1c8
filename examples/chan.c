/* queue = asyncio.Queue(8); await queue.put(x); await queue.get()
 *
 * A channel with room for 8 orders, one task that takes them and two that cook
 * them. Who is too fast waits, so memory stays bounded. When the last order has
 * been sent the channel is closed: each cook takes what is left and then hears
 * -EPIPE, so that no order is needed that says "this was the last one".
 *
 * Pitfall: a send into a closed channel is -EPIPE, too. Let only those close it
 * who send, and after the last of them.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <thrum.h>

enum { ORDERS = 1000, COOKS = 2 };

struct kitchen {
    thrum_chan orders;
    atomic_long served;
};

static thrum_err *take_orders(void *arg)
{
    struct kitchen *k = arg;

    for (long table = 1; table <= ORDERS; table++)
        THRUM_TRY(thrum_chan_send(&k->orders, &table));
    thrum_chan_close(&k->orders);
    return NULL;
}

static thrum_err *cook(void *arg)
{
    struct kitchen *k = arg;
    long table;
    int rc;

    while ((rc = thrum_chan_recv(&k->orders, &table)) == 0)
        k->served += table;
    return rc == -EPIPE ? NULL : thrum_rc(rc);
}

static thrum_err *run_kitchen(struct kitchen *k)
{
    thrum_scope s;
    int rc;

    thrum_scope_open(&s, .name = "kitchen");
    rc = thrum_spawn(&s, take_orders, k, 0);
    for (int i = 0; rc == 0 && i < COOKS; i++)
        rc = thrum_spawn(&s, cook, k, 0);
    return thrum_scope_close(&s, thrum_rc(rc));
}

static thrum_err *app(void *arg)
{
    struct kitchen k = {.served = 0};

    (void)arg;
    THRUM_TRY(thrum_chan_init(&k.orders, sizeof(long), 8));
    thrum_err *e = run_kitchen(&k);
    thrum_chan_fini(&k.orders);
    THRUM_TRY(e);
    printf("sum of all tables served: %ld\n", k.served);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
