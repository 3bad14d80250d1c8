/* for queue in subscribers: queue.put_nowait(price)
 *
 * One task has news, others listen, each to all of it. In asyncio every listener
 * gets a queue, and one who is slow fills the memory or holds up all. Here the
 * newest items are kept once for all, and who comes too late is told how many he
 * has missed.
 *
 * Pitfall: a subscriber hears what is sent after thrum_subscribe. Subscribe before
 * the task that listens is spawned, or it may begin too late.
 */
#include <errno.h>
#include <stdio.h>
#include <thrum.h>

enum { PRICES = 100, KEPT = 128, LISTENERS = 3 };

struct listener {
    thrum_subscriber prices;
    long heard, sum;
};

static thrum_err *follow(void *arg)
{
    struct listener *l = arg;
    int price, rc;

    while ((rc = thrum_subscriber_recv(&l->prices, &price, NULL)) == 0) {
        l->heard++;
        l->sum += price;
    }
    return rc == -EPIPE ? NULL : thrum_rc(rc);
}

static thrum_err *publish(thrum_broadcast *b)
{
    for (int price = 1; price <= PRICES; price++)
        THRUM_TRY(thrum_broadcast_send(b, &price));
    return NULL;
}

static thrum_err *run_market(thrum_broadcast *b, struct listener *listeners)
{
    thrum_scope s;
    int rc = 0;

    thrum_scope_open(&s, .name = "market");
    for (int i = 0; rc == 0 && i < LISTENERS; i++) {
        thrum_subscribe(&listeners[i].prices, b);
        rc = thrum_spawn(&s, follow, &listeners[i], 0);
    }
    thrum_err *e = rc == 0 ? publish(b) : thrum_rc(rc);
    thrum_broadcast_close(b);
    return thrum_scope_close(&s, e);
}

/* He has slept while there was room for a few only. */
static thrum_err *come_late(void)
{
    thrum_broadcast b;
    thrum_subscriber sleeper;
    uint64_t missed;
    int price;

    THRUM_TRY(thrum_broadcast_init(&b, sizeof(int), 4));
    thrum_subscribe(&sleeper, &b);
    thrum_err *e = publish(&b);
    if (!e)
        e = thrum_rc(thrum_subscriber_recv(&sleeper, &price, &missed));
    thrum_broadcast_fini(&b);
    THRUM_TRY(e);
    printf("the sleeper missed %d, then heard %d\n", (int)missed, price);
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct listener listeners[LISTENERS] = {0};
    thrum_broadcast b;

    (void)arg;
    THRUM_TRY(thrum_broadcast_init(&b, sizeof(int), KEPT));
    thrum_err *e = run_market(&b, listeners);
    thrum_broadcast_fini(&b);
    THRUM_TRY(e);
    for (int i = 0; i < LISTENERS; i++)
        printf("listener %d: %ld prices, sum %ld\n", i, listeners[i].heard,
               listeners[i].sum);
    return come_late();
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
