/* asyncio.Semaphore(4) around every create_task(): back-pressure
 *
 * A scope with a limit has at most so many children at once: whoever spawns one
 * more waits until another has ended. So a fast reader of orders cannot drown the
 * kitchen, and memory stays bounded.
 *
 * Pitfall: that wait ends, too, when the spawner is canceled. Then the task does
 * not exist, and what its argument points to is still the caller's.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <thrum.h>

enum { ORDERS = 100, COOKS = 4 };

struct kitchen {
    atomic_int busy, served;
};

static thrum_err *cook(void *arg)
{
    struct kitchen *kitchen = arg;

    if (++kitchen->busy > COOKS)
        return thrum_fail(&THRUM_ERROR, "too many cooks");
    THRUM_TRY(thrum_sleep(THRUM_US(100)));
    kitchen->busy--;
    kitchen->served++;
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct kitchen kitchen = {0};
    thrum_scope s;
    int rc = 0;

    (void)arg;
    thrum_scope_open(&s, .name = "kitchen", .limit = COOKS);
    for (int i = 0; rc == 0 && i < ORDERS; i++)
        rc = thrum_spawn(&s, cook, &kitchen, 0); /* waits for a free cook */
    THRUM_TRY(thrum_scope_close(&s, thrum_rc(rc)));
    printf("%d orders served\n", kitchen.served);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
