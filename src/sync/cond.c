/* Conditions: a line of those who wait. All is under its lock. */

#include <thrum/sync.h>

#include <errno.h>

#include "task/scope.h"

struct cond {
    struct spin lock;
    struct line line; /* lock */
};

_Static_assert(sizeof(struct cond) == sizeof(thrum_cond), "the same");

static struct cond *cond_of(thrum_cond *c)
{
    return (struct cond *)(void *)c;
}

int thrum_cond_wait(thrum_cond *cond, thrum_mutex *m)
{
    struct scope *scope = scope_current();
    struct cond *c = cond_of(cond);
    struct line_place place;
    struct scope_wait w;
    bool signaled;

    sched_point(POINT_CALL);
    if (scope != NULL && scope_canceled(scope))
        return -ECANCELED;
    REQUIRE((load_relaxed(&m->state_) & THRUM_LOCKED_) != 0, /* as it is ours */
            "nobody has this mutex");
    wait_init(&w.wait);
    wait_tell(&w, AWAITED("a condition"), c);
    spin_lock(&c->lock);
    line_enter(&c->line, &place, &w.wait);
    spin_unlock(&c->lock);
    tsan_promise(m);
    thrum_mutex_unlock_slow_(m);
    signaled = scope_sleep_in(scope, &w, &c->line, &c->lock, &place);
    thrum_mutex_lock_slow_(m);
    tsan_rely(m);
    if (signaled)
        tsan_rely(c);
    return signaled ? 0 : -ECANCELED;
}

void thrum_cond_signal(thrum_cond *cond)
{
    struct cond *c = cond_of(cond);
    struct line_place *p;

    sched_point(POINT_CALL);
    tsan_promise(c);
    spin_lock(&c->lock);
    p = line_call(&c->line);
    spin_unlock(&c->lock);
    if (p != NULL)
        line_let_go(p);
}

void thrum_cond_broadcast(thrum_cond *cond)
{
    struct cond *c = cond_of(cond);
    struct line_place *all;

    sched_point(POINT_CALL);
    tsan_promise(c);
    spin_lock(&c->lock);
    all = line_call_all(&c->line);
    spin_unlock(&c->lock);
    line_let_go_all(all);
}
