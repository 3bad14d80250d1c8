/* Locks for many readers or one writer. All is under the lock of the line; who
 * releases hands over to those at the head of the line who may go on. */

#include <thrum/sync.h>

#include <errno.h>

#include "task/scope.h"

enum what { READ, WRITE };

#define WRITER (UINT32_C(1) << 31)

struct rwlock {
    struct spin lock;
    uint32_t held; /* lock: so many read; or WRITER, and his stack_tag >> 4 */
    struct line line; /* lock */
};

struct locker {
    struct scope_wait wait;
    struct line_place place;
    enum what what;
};

_Static_assert(sizeof(struct rwlock) == sizeof(thrum_rwlock), "the same");

static struct rwlock *rwlock_of(thrum_rwlock *l)
{
    return (struct rwlock *)(void *)l;
}

/* --- under the lock */

static bool is_possible(const struct rwlock *l, enum what what)
{
    return what == WRITE ? l->held == 0 : (l->held & WRITER) == 0;
}

/* tag: of who takes it. */
static void hold(struct rwlock *l, enum what what, uint32_t tag)
{
    l->held = what == WRITE ? WRITER | tag >> 4 : l->held + 1;
    if (unlikely(what == READ && l->held == WRITER))
        die("thrum_rwlock_rdlock: more readers than can be counted");
}

static bool take(struct rwlock *l, enum what what)
{
    if (line_any(&l->line) || !is_possible(l, what))
        return false;
    hold(l, what, stack_tag(worker_current()));
    return true;
}

static enum what first_wants(const struct rwlock *l)
{
    return container_of(l->line.first, struct locker, place)->what;
}

/* Those at the head of the line who may go on, linked by next. */
static struct line_place *admit(struct rwlock *l)
{
    struct line_place *first = NULL, **end = &first;

    while (line_any(&l->line) && is_possible(l, first_wants(l))) {
        enum what what = first_wants(l);
        struct line_place *p = line_call_first(&l->line);

        if (p == NULL)
            continue;
        hold(l, what, stack_tag(p->wait->stack));
        *end = p;
        end = &p->next;
    }
    *end = NULL;
    return first;
}

/* --- without */

static uint32_t who_writes(const void *rwlock)
{
    struct rwlock *l = rwlock_of((thrum_rwlock *)(uintptr_t)rwlock);
    uint32_t held;

    spin_lock(&l->lock);
    held = l->held;
    spin_unlock(&l->lock);
    return held & WRITER ? held << 4 | STACK_HELD : 0;
}

static const struct thrum_awaited_ to_read = {"an rwlock, to read", who_writes,
                                              false},
                                   to_write = {"an rwlock, to write",
                                               who_writes, false};

/* Readers who came after a writer that gives up need wait no more. */
static void leave(struct rwlock *l, struct line_place *p)
{
    struct line_place *admitted;

    spin_lock(&l->lock);
    line_leave(&l->line, p);
    admitted = admit(l);
    spin_unlock(&l->lock);
    line_let_go_all(admitted);
}

/* False: canceled. hears: a cancel of scope, where the caller is. */
static bool lock(struct rwlock *l, enum what what, struct scope *scope,
                 bool hears)
{
    struct locker w;
    bool taken;

    spin_lock(&l->lock);
    taken = take(l, what);
    if (!taken) {
        w.what = what;
        wait_init(&w.wait.wait);
        wait_tell(&w.wait, what == READ ? &to_read : &to_write, l);
        line_enter(&l->line, &w.place, &w.wait.wait);
    }
    spin_unlock(&l->lock);

    if (!taken && !hears)
        scope_sleep_deaf(scope, &w.wait);
    else if (!taken && scope_sleep(scope, &w.wait) != WAKE_EVENT) {
        leave(l, &w.place);
        return false;
    }
    if (!taken)
        line_settle(&w.place);
    tsan_rely(l);
    return true;
}

static int lock_cancelable(thrum_rwlock *l, enum what what)
{
    struct scope *scope = scope_current();

    if ((scope != NULL && scope_canceled(scope)) ||
        !lock(rwlock_of(l), what, scope, true))
        return -ECANCELED;
    return 0;
}

static bool try_lock(struct rwlock *l, enum what what)
{
    bool taken;

    spin_lock(&l->lock);
    taken = take(l, what);
    spin_unlock(&l->lock);
    if (taken)
        tsan_rely(l);
    return taken;
}

static void unlock(struct rwlock *l, enum what what)
{
    struct line_place *admitted;

    tsan_promise(l);
    spin_lock(&l->lock);
    if (unlikely(what == WRITE ? (l->held & WRITER) == 0
                               : l->held - 1 >= WRITER - 1))
        die("thrum_rwlock_%sunlock: nobody %s", what == WRITE ? "wr" : "rd",
            what == WRITE ? "writes" : "reads");
    l->held = what == WRITE ? 0 : l->held - 1;
    admitted = admit(l);
    spin_unlock(&l->lock);
    line_let_go_all(admitted);
}

/* -------------------------------------------------------------- as declared */

void thrum_rwlock_rdlock(thrum_rwlock *l)
{
    sched_point(POINT_CALL);
    (void)lock(rwlock_of(l), READ, scope_current(), false);
}

void thrum_rwlock_wrlock(thrum_rwlock *l)
{
    sched_point(POINT_CALL);
    (void)lock(rwlock_of(l), WRITE, scope_current(), false);
}

int thrum_rwlock_rdlock_cancelable(thrum_rwlock *l)
{
    sched_point(POINT_CALL);
    return lock_cancelable(l, READ);
}

int thrum_rwlock_wrlock_cancelable(thrum_rwlock *l)
{
    sched_point(POINT_CALL);
    return lock_cancelable(l, WRITE);
}

bool thrum_rwlock_tryrdlock(thrum_rwlock *l)
{
    sched_point(POINT_POLL);
    return try_lock(rwlock_of(l), READ);
}

bool thrum_rwlock_trywrlock(thrum_rwlock *l)
{
    sched_point(POINT_POLL);
    return try_lock(rwlock_of(l), WRITE);
}

void thrum_rwlock_rdunlock(thrum_rwlock *l)
{
    sched_point(POINT_CALL);
    unlock(rwlock_of(l), READ);
}

void thrum_rwlock_wrunlock(thrum_rwlock *l)
{
    sched_point(POINT_CALL);
    unlock(rwlock_of(l), WRITE);
}
