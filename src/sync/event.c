/* Events. The word is UNSET, SET, or the newest of the places of those who wait,
 * each on its waiter's stack and linked to the one before.
 *
 * Who sets it may have interrupted anybody at any point, so he takes no lock and
 * waits for nobody: he exchanges SET for whatever was there, and wakes those. Who
 * waits adds his place by a compare-and-swap. Only who was canceled has a hard
 * time: no place can be taken out of the middle of a list that may be taken at any
 * moment. He takes all of it, drops his own place, and those of others who are
 * canceled, and puts the rest back; if it was set meanwhile, he wakes them in the
 * setter's stead. The lock keeps those who leave, and those who reset, from each
 * other: places that are in somebody's hands have not been overlooked by a set that
 * was then undone.
 *
 * A place that is in a list when its waiter is canceled stays until whoever took
 * the list says that he is done with it (`missed`).
 *
 * Ordering
 *   [V1] set                -> [V2] who sees it   what came before it
 *   [V3] a place is added   -> [V1] [V4] the list is taken   the place
 *   [V5] the claim was lost -> [V6] the canceled one   the waker is done with it
 */

#include <thrum/sync.h>

#include <errno.h>

#include "task/scope.h"

_Static_assert(sizeof(thrum_event) == 16 && sizeof(struct spin) == 4,
               "a lock lies in it");

struct place {
    struct scope_wait wait;
    struct place *next;      /* of who has the list */
    _Atomic uint32_t missed; /* [V5] [V6] */
};

enum { UNSET, SET }; /* or the address of a place */

static struct spin *lock_of(thrum_event *e)
{
    return (struct spin *)(void *)&e->lock_;
}

static struct place *place_at(uintptr_t word)
{
    return (struct place *)word; /* NULL if it is UNSET */
}

/* Those of a list, the newest of which is p; the oldest first. */
static void wake_all(struct place *p)
{
    struct place *oldest = NULL, *next;

    for (; p != NULL; p = next) {
        next = p->next;
        p->next = oldest;
        oldest = p;
    }
    for (p = oldest; p != NULL; p = next) {
        next = p->next;
        if (!wait_wake(&p->wait.wait, WAKE_EVENT)) /* else it is gone */
            store_release(&p->missed, 1);          /* [V5] */
    }
}

void thrum_event_set(thrum_event *e)
{
    uintptr_t before;

    tsan_promise(e);
    before = exchange_acq_rel(&e->word_, SET); /* [V1] */
    if (before != SET)
        wake_all(place_at(before));
}

void thrum_event_reset(thrum_event *e)
{
    uintptr_t set = SET;

    spin_lock(lock_of(e)); /* nobody has places in his hands */
    if (cas_acquire(&e->word_, &set, UNSET)) /* [V2] */
        tsan_rely(e);
    spin_unlock(lock_of(e));
}

bool thrum_event_is_set(thrum_event *e)
{
    bool set = load_acquire(&e->word_) == SET; /* [V2] */

    sched_point(POINT_POLL);
    if (set)
        tsan_rely(e);
    return set;
}

/* Add a list of places. False: it is set, and the list is as it was. */
static bool add(thrum_event *e, struct place *newest, struct place *oldest)
{
    uintptr_t below = load_acquire(&e->word_); /* [V2] */

    do {
        oldest->next = below == SET ? NULL : place_at(below);
        if (below == SET)
            return false;
    } while (
        !cas_acq_rel(&e->word_, &below, (uintptr_t)newest)); /* [V2] [V3] */
    return true;
}

/* Under the lock. */
static struct place *take_all(thrum_event *e)
{
    uintptr_t all = load_relaxed(&e->word_); /* acquired with the exchange */

    do {
        if (all == SET)
            return NULL;
    } while (!cas_acquire(&e->word_, &all, UNSET)); /* [V4] */
    return place_at(all);
}

static bool is_canceled(struct place *p)
{
    return load_relaxed(&p->wait.wait.waiter.state) >=
           WAITER_CAUSE; /* a hint */
}

/* Take p out of a list, and with it all others that are canceled: a cancel of many
 * is to cost one walk. False: p is not in it. *oldest: the last one left. */
static bool sweep(struct place **newest, struct place **oldest, struct place *p)
{
    struct place *at;
    bool found = false;

    *oldest = NULL;
    while ((at = *newest) != NULL) {
        if (at != p && !is_canceled(at)) {
            *oldest = at;
            newest = &at->next;
            continue;
        }
        *newest = at->next;
        if (at == p)
            found = true;
        else
            store_relaxed(&at->missed, 1); /* its owner takes the lock */
    }
    return found;
}

/* Canceled. Somebody else may have p in his hands, or had it. */
static void leave(thrum_event *e, struct place *p)
{
    struct place *others = NULL, *oldest;
    bool found = false, put_back = true;

    spin_lock(lock_of(e));
    if (load_acquire(&p->missed) == 0) { /* [V6] */
        others = take_all(e);
        found = sweep(&others, &oldest, p);
        put_back = others == NULL || add(e, others, oldest);
    }
    spin_unlock(lock_of(e));

    if (!put_back)
        wake_all(others);
    while (!found && load_acquire(&p->missed) == 0) /* [V6] */
        thread_yield();
}

static int wait_at(thrum_event *e, struct place *p)
{
    struct scope *scope = scope_current();

    if (scope != NULL && scope_canceled(scope))
        return -ECANCELED;
    if (thrum_event_is_set(e))
        return 0;
    wait_init(&p->wait.wait);
    wait_tell(&p->wait, AWAITED("an event"), e);
    store_relaxed(&p->missed, 0); /* still this task's alone */
    if (add(e, p, p) && scope_sleep(scope, &p->wait) != WAKE_EVENT) {
        leave(e, p);
        return -ECANCELED;
    }
    tsan_rely(e);
    return 0;
}

int thrum_event_wait(thrum_event *e)
{
    struct place p;

    sched_point(POINT_CALL);
    return wait_at(e, &p);
}
