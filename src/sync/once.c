/* What is made once. One at a time tries; when he fails, the first of those who
 * wait is the next.
 *
 * Ordering
 *   [ON1] it is made -> [ON2] who asks   what the call did
 *   All else is under the lock.
 */

#include <thrum/sync.h>

#include <errno.h>

#include "task/scope.h"

/* In the word; who is at it stands above (thrum_taker_), for reports. */
enum state { NEW, MADE = THRUM_MADE_, UNDER_WAY, CANCELED, STATES = 15 };

_Static_assert(sizeof(thrum_once) == 16, "a lock and a line lie in it");

struct asker {
    struct scope_wait wait;
    struct line_place place;
    enum state found; /* by who called it: MADE, or NEW, it is his turn */
};

static struct spin *lock_of(thrum_once *o)
{
    return (struct spin *)(void *)&o->lock_;
}

static struct line *line_of(thrum_once *o)
{
    return (struct line *)(void *)&o->line_;
}

static uint32_t who_calls(const void *once)
{
    const thrum_once *o = once;
    uint32_t seen = load_relaxed(&o->state_); /* for a report */

    return (seen & STATES) == UNDER_WAY
               ? (seen & ~(uint32_t)STATES) | STACK_HELD
               : 0;
}

static const struct thrum_awaited_ awaited = {"a once", who_calls, false};

/* What the caller finds, once nobody else is at it. NEW: he is at it now. */
static enum state begin(thrum_once *o, struct scope *scope)
{
    struct asker w;
    enum state found;

    wait_init(&w.wait.wait);
    wait_tell(&w.wait, &awaited, o);
    spin_lock(lock_of(o));
    found = load_relaxed(&o->state_) & STATES; /* locked, as below */
    if (found == NEW)
        store_relaxed(&o->state_, UNDER_WAY | stack_tag(worker_current()));
    else if (found == UNDER_WAY)
        line_enter(line_of(o), &w.place, &w.wait.wait);
    spin_unlock(lock_of(o));

    if (found != UNDER_WAY)
        return found;
    if (!scope_sleep_in(scope, &w.wait, line_of(o), lock_of(o), &w.place))
        return CANCELED;
    return w.found;
}

static void tell(struct line_place *p, enum state found)
{
    for (; p != NULL; p = p->next)
        container_of(p, struct asker, place)->found = found;
}

static void made(thrum_once *o)
{
    struct line_place *all;

    spin_lock(lock_of(o));
    all = line_call_all(line_of(o));
    tell(all, MADE);
    store_release(&o->state_, MADE); /* [ON1] */
    spin_unlock(lock_of(o));
    line_let_go_all(all);
}

static void failed(thrum_once *o)
{
    struct line_place *next;

    spin_lock(lock_of(o));
    next = line_call(line_of(o));
    if (next == NULL) {
        store_relaxed(&o->state_, NEW);
    } else {
        store_relaxed(&o->state_, UNDER_WAY | stack_tag(next->wait->stack));
        container_of(next, struct asker, place)->found = NEW;
    }
    spin_unlock(lock_of(o));
    if (next != NULL)
        line_let_go(next);
}

thrum_err *thrum_once_slow_(thrum_once *o, thrum_fn *fn, void *arg)
{
    struct scope *scope = scope_current();
    enum state found = CANCELED;
    thrum_err *err;

    sched_point(POINT_CALL);
    if (unlikely(fn == NULL))
        die("thrum_once_call: no function");
    if (scope == NULL || !scope_canceled(scope))
        found = begin(o, scope);
    tsan_rely(o);
    if (found != NEW)
        return found == MADE ? NULL : thrum_rc(-ECANCELED);
    err = fn(arg);
    tsan_promise(o);
    if (err == NULL)
        made(o);
    else
        failed(o);
    return err;
}
