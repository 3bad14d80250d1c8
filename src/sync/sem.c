/* Semaphores: task/permits.c, as everybody may use it. */

#include <thrum/sync.h>

#include <errno.h>

#include "task/scope.h"

_Static_assert(sizeof(struct permits) == sizeof(thrum_sem) &&
                   offsetof(struct permits, left) == offsetof(thrum_sem, left_),
               "the same, THRUM_SEM_INIT included");

static struct permits *permits_of(thrum_sem *s)
{
    return (struct permits *)(void *)s;
}

void thrum_sem_init(thrum_sem *s, unsigned n)
{
    permits_init(permits_of(s), n);
}

int thrum_sem_acquire(thrum_sem *s)
{
    struct scope *scope = scope_current();

    sched_point(POINT_CALL);
    if ((scope != NULL && scope_canceled(scope)) ||
        !permits_take(permits_of(s), scope, AWAITED("a semaphore")))
        return -ECANCELED;
    tsan_rely(s);
    return 0;
}

bool thrum_sem_try_acquire(thrum_sem *s)
{
    bool taken = permits_try_take(permits_of(s));

    sched_point(POINT_POLL);
    if (taken)
        tsan_rely(s);
    return taken;
}

void thrum_sem_release(thrum_sem *s)
{
    sched_point(POINT_CALL);
    tsan_promise(s);
    permits_give(permits_of(s));
}
