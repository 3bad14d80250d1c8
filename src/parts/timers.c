#include "parts/timers.h"

#include "base/base.h"

void timers_init(struct timers *ts)
{
    *ts = (struct timers){0};
    store_relaxed(&ts->earliest, TIMERS_NEVER); /* nobody knows it yet */
}

void timers_join(struct timers *ts, struct timer_heap *h)
{
    *h = (struct timer_heap){.of = ts};
    store_relaxed(&h->earliest, TIMERS_NEVER); /* nobody knows it yet */
    spin_lock(&ts->lock);
    h->next = load_relaxed(&ts->heaps); /* under the lock */
    store_release(&ts->heaps, h);       /* [T7] */
    spin_unlock(&ts->lock);
}

/* Of a heap, whose lock is held: see I2. */
static bool lower(struct timers *ts, int64_t earliest)
{
    bool first;

    spin_lock(&ts->lock);
    first = earliest < load_relaxed(&ts->earliest); /* under the lock */
    if (first)
        store_seq_cst(&ts->earliest, earliest); /* [T3] */
    spin_unlock(&ts->lock);
    return first;
}

bool timers_add(struct timer_heap *h, struct timer *t, int64_t deadline,
                void (*fire)(struct timer *t))
{
    bool first = false;

    t->fire = fire;
    spin_lock(&h->lock);
    store_relaxed(&t->in, h); /* under the lock */
    heap_add(&h->heap, &t->node, deadline);
    if (deadline < load_relaxed(&h->earliest)) { /* under the lock */
        store_relaxed(&h->earliest, deadline);   /* by lower's lock */
        first = lower(h->of, deadline);
    }
    spin_unlock(&h->lock);
    return first;
}

/* The lock says whether it is still there. */
bool timers_remove(struct timer *t)
{
    struct timer_heap *h = load_relaxed(&t->in); /* a hint */
    bool was_in;

    if (h == NULL)
        return false;
    spin_lock(&h->lock);
    was_in = load_relaxed(&t->in) == h; /* under the lock */
    if (was_in) {
        heap_remove(&h->heap, &t->node);
        store_relaxed(&t->in, NULL); /* likewise */
    }
    spin_unlock(&h->lock);
    return was_in;
}

static struct timer *take_from(struct timer_heap *h, int64_t now)
{
    struct timer *t = NULL;

    spin_lock(&h->lock);
    if (h->heap.least != NULL && h->heap.least->key <= now) {
        t = container_of(h->heap.least, struct timer, node);
        heap_remove(&h->heap, &t->node);
        store_relaxed(&t->in, NULL); /* under the lock */
    }
    store_relaxed(&h->earliest, /* under the lock */
                  h->heap.least == NULL ? TIMERS_NEVER : h->heap.least->key);
    spin_unlock(&h->lock);
    return t;
}

/* It can only be later than was known: who has just lowered that of his heap,
 * seen here or not, comes after this to lower it for all, and tells. */
static void note_earliest(struct timers *ts)
{
    struct timer_heap *h;
    int64_t least = TIMERS_NEVER, own;

    spin_lock(&ts->lock);
    for (h = load_relaxed(&ts->heaps); h != NULL; h = h->next) { /* locked */
        own = load_relaxed(&h->earliest);                        /* see above */
        least = own < least ? own : least;
    }
    if (least > load_relaxed(&ts->earliest)) /* locked */
        store_relaxed(&ts->earliest, least); /* else one looks in vain */
    spin_unlock(&ts->lock);
}

static struct timer_heap *first_of(struct timers *ts)
{
    return load_acquire(&ts->heaps); /* [T8] */
}

struct timer *timers_take_due(struct timers *ts, int64_t now)
{
    struct timer_heap *h = first_of(ts);
    struct timer *t = NULL;

    for (; h != NULL && t == NULL; h = h->next)
        t = take_from(h, now);
    note_earliest(ts);
    return t;
}

void timers_fire(struct timers *ts, int64_t now)
{
    struct timer_heap *h = first_of(ts);
    struct timer *t;

    for (; h != NULL; h = h->next)
        while (load_relaxed(&h->earliest) <= now && /* a hint */
               (t = take_from(h, now)) != NULL)
            t->fire(t);
    note_earliest(ts);
}
