/* Barriers. All is under the lock. Who is canceled when the last one has come is
 * through: it has happened. */

#include <thrum/sync.h>

#include <errno.h>

#include "task/scope.h"

struct barrier {
    struct spin lock;
    uint32_t all;     /* const */
    uint32_t here;    /* lock */
    struct line line; /* lock: who waits; there may be fewer than are here */
};

_Static_assert(sizeof(struct barrier) == sizeof(thrum_barrier) &&
                   offsetof(struct barrier, all) ==
                       offsetof(thrum_barrier, all_),
               "the same, THRUM_BARRIER_INIT included");

static struct barrier *barrier_of(thrum_barrier *b)
{
    return (struct barrier *)(void *)b;
}

int thrum_barrier_init(thrum_barrier *b, unsigned n)
{
    if (n == 0)
        return -EINVAL;
    *barrier_of(b) = (struct barrier){.all = n};
    return 0;
}

/* Under the lock: the caller has come. True: and with him all. */
static bool arrive(struct barrier *b, struct line_place *place, struct wait *w)
{
    bool last = ++b->here == b->all;

    if (last)
        b->here = 0;
    else
        line_enter(&b->line, place, w);
    return last;
}

/* Canceled: the caller has not come, if it is not too late for that. */
static bool withdraw(struct barrier *b, struct line_place *place)
{
    bool waiting;

    spin_lock(&b->lock);
    waiting = place->in;
    line_leave(&b->line, place);
    if (waiting)
        b->here--;
    spin_unlock(&b->lock);
    return waiting;
}

int thrum_barrier_wait(thrum_barrier *barrier)
{
    struct barrier *b = barrier_of(barrier);
    struct scope *scope = scope_current();
    struct line_place place, *all = NULL;
    struct scope_wait w;
    bool last;

    sched_point(POINT_CALL);
    if (scope != NULL && scope_canceled(scope))
        return -ECANCELED;
    if (unlikely(b->all == 0))
        die("thrum_barrier_wait: of a barrier for nobody");
    wait_init(&w.wait);
    wait_tell(&w, AWAITED("a barrier"), b);
    tsan_promise(b);
    spin_lock(&b->lock);
    last = arrive(b, &place, &w.wait);
    if (last)
        all = line_call_all(&b->line);
    spin_unlock(&b->lock);

    line_let_go_all(all);
    if (!last && scope_sleep(scope, &w) == WAKE_EVENT)
        line_settle(&place);
    else if (!last && withdraw(b, &place))
        return -ECANCELED;
    tsan_rely(b);
    return last;
}
