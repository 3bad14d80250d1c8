/* Latches. All is under the lock. */

#include <thrum/sync.h>

#include <errno.h>

#include "task/scope.h"

struct latch {
    struct spin lock;
    uint32_t count;   /* lock */
    struct line line; /* lock: who waits; then count is not 0 */
};

_Static_assert(sizeof(struct latch) == sizeof(thrum_latch) &&
                   offsetof(struct latch, count) ==
                       offsetof(thrum_latch, count_),
               "the same, THRUM_LATCH_INIT included");

static struct latch *latch_of(thrum_latch *l)
{
    return (struct latch *)(void *)l;
}

void thrum_latch_init(thrum_latch *l, unsigned n)
{
    *latch_of(l) = (struct latch){.count = n};
}

void thrum_latch_add(thrum_latch *latch, unsigned n)
{
    struct latch *l = latch_of(latch);

    spin_lock(&l->lock);
    if (unlikely(n > UINT32_MAX - l->count))
        die("thrum_latch_add: more than can be counted");
    l->count += n;
    spin_unlock(&l->lock);
}

void thrum_latch_done(thrum_latch *latch)
{
    struct latch *l = latch_of(latch);
    struct line_place *all = NULL;

    sched_point(POINT_CALL);
    tsan_promise(l);
    spin_lock(&l->lock);
    if (unlikely(l->count == 0))
        die("thrum_latch_done: nothing is left to be done");
    if (--l->count == 0)
        all = line_call_all(&l->line);
    spin_unlock(&l->lock);
    line_let_go_all(all);
}

int thrum_latch_wait(thrum_latch *latch)
{
    struct latch *l = latch_of(latch);
    struct scope *scope = scope_current();
    struct line_place place;
    struct scope_wait w;
    bool done;

    sched_point(POINT_CALL);
    if (scope != NULL && scope_canceled(scope))
        return -ECANCELED;
    spin_lock(&l->lock);
    done = l->count == 0;
    if (!done) {
        wait_init(&w.wait);
        wait_tell(&w, AWAITED("a latch"), l);
        line_enter(&l->line, &place, &w.wait);
    }
    spin_unlock(&l->lock);
    if (!done && !scope_sleep_in(scope, &w, &l->line, &l->lock, &place))
        return -ECANCELED;
    tsan_rely(l);
    return 0;
}
