/* asyncio.Condition: wait until something that a mutex guards is so
 *
 * Here a queue with room for three. Who wants to put waits while it is full, who
 * wants to get waits while it is empty; each tells the other of what he changed.
 *
 * Pitfall: ask again after each wait, in a loop. Between the signal and the one who
 * is woken by it somebody else may have had the mutex.
 */
#include <stdio.h>
#include <thrum.h>

enum { ROOM = 3, PARCELS = 1000 };

static struct {
    thrum_mutex lock;
    thrum_cond filled, emptied;
    int parcels[ROOM], first, count; /* lock */
} shelf;

static int put(int parcel)
{
    int rc = 0;

    thrum_mutex_lock(&shelf.lock);
    while (rc == 0 && shelf.count == ROOM)
        rc = thrum_cond_wait(&shelf.emptied, &shelf.lock);
    if (rc == 0) {
        shelf.parcels[(shelf.first + shelf.count++) % ROOM] = parcel;
        thrum_cond_signal(&shelf.filled);
    }
    thrum_mutex_unlock(&shelf.lock); /* it is held, whatever rc is */
    return rc;
}

static int get(int *parcel)
{
    int rc = 0;

    thrum_mutex_lock(&shelf.lock);
    while (rc == 0 && shelf.count == 0)
        rc = thrum_cond_wait(&shelf.filled, &shelf.lock);
    if (rc == 0) {
        *parcel = shelf.parcels[shelf.first];
        shelf.first = (shelf.first + 1) % ROOM;
        shelf.count--;
        thrum_cond_signal(&shelf.emptied);
    }
    thrum_mutex_unlock(&shelf.lock);
    return rc;
}

static thrum_err *deliver(void *arg)
{
    (void)arg;
    for (int i = 1; i <= PARCELS; i++)
        THRUM_TRY(put(i));
    return NULL;
}

static thrum_err *app(void *arg)
{
    thrum_scope s;
    int rc, parcel = 0, in_order = 0;

    (void)arg;
    thrum_scope_open(&s, .name = "parcels");
    rc = thrum_spawn(&s, deliver, NULL, 0);
    for (int i = 1; rc == 0 && i <= PARCELS; i++) {
        rc = get(&parcel);
        in_order += rc == 0 && parcel == i;
    }
    THRUM_TRY(thrum_scope_close(&s, thrum_rc(rc)));
    printf("%d parcels, in order\n", in_order);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
