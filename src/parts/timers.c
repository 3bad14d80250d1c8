#include "parts/timers.h"

#include "base/base.h"

void timers_init(struct timers *ts)
{
    *ts = (struct timers){0};
    store_relaxed(&ts->earliest, TIMERS_NEVER); /* nobody knows it yet */
}

/* Under the lock. */
static void note_earliest(struct timers *ts)
{
    struct heap_node *least = ts->heap.least;

    store_seq_cst(&ts->earliest,
                  least == NULL ? TIMERS_NEVER : least->key); /* [T3] */
}

bool timers_add(struct timers *ts, struct timer *t, int64_t deadline,
                void (*fire)(struct timer *t))
{
    bool first;

    t->fire = fire;
    spin_lock(&ts->lock);
    t->set = true;
    heap_add(&ts->heap, &t->node, deadline);
    first = deadline < load_relaxed(&ts->earliest); /* under the lock */
    if (first)
        note_earliest(ts);
    spin_unlock(&ts->lock);
    return first;
}

bool timers_remove(struct timers *ts, struct timer *t)
{
    bool was_set;

    spin_lock(&ts->lock);
    was_set = t->set;
    if (was_set)
        heap_remove(&ts->heap, &t->node);
    t->set = false;
    spin_unlock(&ts->lock);
    return was_set;
}

struct timer *timers_take_due(struct timers *ts, int64_t now)
{
    struct timer *t = NULL;

    spin_lock(&ts->lock);
    if (ts->heap.least != NULL && ts->heap.least->key <= now) {
        t = container_of(ts->heap.least, struct timer, node);
        heap_remove(&ts->heap, &t->node);
        t->set = false;
    }
    note_earliest(ts);
    spin_unlock(&ts->lock);
    return t;
}

void timers_fire(struct timers *ts, int64_t now)
{
    struct timer *t;

    while (timers_earliest(ts) <= now && (t = timers_take_due(ts, now)) != NULL)
        t->fire(t);
}
