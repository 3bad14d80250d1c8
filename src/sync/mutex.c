/* Mutexes. The word tells who must do what:
 *
 *      LOCKED   somebody has it
 *      WAKE     who releases it must look at the line: some may wait there
 *      COMING   one of them was woken and comes to take it: no need for another
 *      STARVED  the first of the line came too often in vain
 *
 * and above these, while it is locked, who has it (thrum_taker_), for reports. Not
 * a rule: another may release it.
 *
 * Free is whoever sees LOCKED clear and sets it: who comes may overtake those who
 * wait, so that a busy mutex is not idle for as long as it takes to wake somebody.
 * One who is woken and finds it taken goes back to the head of the line; after
 * PATIENCE times he sets STARVED, and the next release hands it to the first of
 * the line, LOCKED staying set all the while. So no one is overtaken for ever.
 *
 * Invariants
 *   I1  If somebody is in the line whom nobody has woken, WAKE or COMING is set.
 *   I2  While it is locked, the other bits change only under the lock of the line.
 *
 * The last that a release touches of the mutex is the store that frees it, or the
 * lock of the line when it hands over: whoever has it next may free its memory.
 *
 * Ordering
 *   [MU1] release -> [MU2] take   what the mutex guards
 *   When it is handed over, the line's [N1] -> [N2].
 */

#include <thrum/sync.h>

#include <errno.h>

#include "os/clock.h"
#include "task/scope.h"

#ifndef MUTEX_PATIENCE /* a model has less */
#define MUTEX_PATIENCE 4
#endif

enum {
    LOCKED = THRUM_LOCKED_,
    WAKE = THRUM_WAKE_,
    COMING = THRUM_COMING_,
    STARVED = 8,
    FLAGS = 15,
    PATIENCE = MUTEX_PATIENCE,
    LOOKS = 4,
    LOOK_NS = 5000,
};

_Static_assert(sizeof(thrum_mutex) == 16, "as promised");
_Static_assert(sizeof(struct spin) == 4 && sizeof(struct line) == 8,
               "they lie in the mutex");

struct locker {
    struct scope_wait wait;
    struct line_place place;
    bool given; /* by who called it: the mutex, too */
};

static struct spin *lock_of(thrum_mutex *m)
{
    return (struct spin *)(void *)&m->lock_;
}

static struct line *line_of(thrum_mutex *m)
{
    return (struct line *)(void *)&m->line_;
}

static uint32_t who_has(const void *mutex)
{
    const thrum_mutex *m = mutex;
    uint32_t seen = load_relaxed(&m->state_); /* for a report */

    return seen & LOCKED ? (seen & ~(uint32_t)FLAGS) | STACK_HELD : 0;
}

static const struct thrum_awaited_ awaited = {"a mutex", who_has, false};

/* ------------------------------------------------------------------- taking */

/* come: the caller is the one who was woken, and does not know who waits. */
static bool take(thrum_mutex *m, bool come)
{
    uint32_t seen = load_relaxed(&m->state_), next,
             who = stack_tag(worker_current());

    while ((seen & LOCKED) == 0) {
        next = come ? (seen & ~(uint32_t)COMING) | WAKE : seen;
        if (cas_acquire(&m->state_, &seen, next | LOCKED | who)) /* [MU2] */
            return true;
    }
    return false;
}

/* False: there is something better to do. */
static bool pass_time(struct stack *here)
{
    int64_t until = clock_now() + LOOK_NS;

    do {
        if (queue_count(&here->worker->queue) > 0 ||
            inbox_any(&here->worker->sched->inbox))
            return false;
        thread_yield();
    } while (clock_now() < until);
    return true;
}

/* A worker that has nothing else to do looks now and then, for as long as it would
 * search for a job. Not more often, since a look slows down who has it. */
static bool look(thrum_mutex *m, bool come)
{
    struct stack *here = worker_current();
    bool taken = take(m, come);

    if (taken || here == NULL || sched_running(here->worker->sched) == 1)
        return taken;
    for (int i = 0; i < LOOKS && !taken && pass_time(here); i++)
        taken = take(m, come);
    return taken;
}

/* Into the line, and say so to who has it. False: nobody did, and it is taken.
 * vain: so often the caller was woken in vain. */
static bool enter(thrum_mutex *m, struct locker *w, unsigned vain)
{
    uint32_t seen, next;

    do {
        if (take(m, vain > 0))
            return false;
        seen = load_relaxed(&m->state_); /* free again? Then once more */
        next = vain > 0 ? (seen & ~(uint32_t)COMING) | WAKE : seen;
        next |= (next & COMING ? 0 : WAKE) | (vain > PATIENCE ? STARVED : 0);
    } while ((seen & LOCKED) == 0 || !cas_relaxed(&m->state_, &seen, next));
    if (vain > 0)
        line_enter_first(line_of(m), &w->place, &w->wait.wait);
    else
        line_enter(line_of(m), &w->place, &w->wait.wait);
    return true;
}

/* False: canceled. */
static bool sleep_in_line(thrum_mutex *m, struct scope *scope, bool hears,
                          struct locker *w)
{
    if (hears)
        return scope_sleep_in(scope, &w->wait, line_of(m), lock_of(m),
                              &w->place);
    scope_sleep_deaf(scope, &w->wait);
    line_settle(&w->place);
    return true;
}

/* hears: a cancel of scope, where the caller is. */
static bool lock(thrum_mutex *m, struct scope *scope, bool hears)
{
    for (unsigned vain = 0; !look(m, vain > 0); vain++) {
        struct locker w;
        bool entered;

        wait_init(&w.wait.wait);
        wait_tell(&w.wait, &awaited, m);
        w.given = false;
        spin_lock(lock_of(m));
        entered = enter(m, &w, vain);
        spin_unlock(lock_of(m));
        if (!entered)
            break;
        if (!sleep_in_line(m, scope, hears, &w))
            return false;
        if (w.given)
            break;
    }
    tsan_rely(m);
    return true;
}

void thrum_mutex_lock_slow_(thrum_mutex *m)
{
    sched_point(POINT_CALL);
    (void)lock(m, scope_current(), false);
}

int thrum_mutex_lock_cancelable(thrum_mutex *m)
{
    struct scope *scope = scope_current();

    sched_point(POINT_CALL);
    if (scope != NULL && scope_canceled(scope))
        return -ECANCELED;
    return lock(m, scope, true) ? 0 : -ECANCELED;
}

bool thrum_mutex_trylock(thrum_mutex *m)
{
    bool taken = take(m, false);

    sched_point(POINT_POLL);
    if (taken)
        tsan_rely(m);
    return taken;
}

/* ---------------------------------------------------------------- releasing */

/* The next one of the line, claimed: given the mutex, or to come and take it. */
static struct locker *call(thrum_mutex *m)
{
    struct locker *w = NULL;
    struct line_place *p;
    uint32_t seen, next, has;

    spin_lock(lock_of(m));
    p = line_call(line_of(m));
    seen = load_relaxed(&m->state_); /* I2: nobody else changes it now */
    has = seen & ~(uint32_t)FLAGS;
    next = LOCKED;
    if (p != NULL) {
        w = container_of(p, struct locker, place);
        w->given = (seen & STARVED) != 0;
        next |= w->given ? WAKE : COMING;
        if (w->given)
            has = stack_tag(p->wait->stack);
    }
    store_relaxed(&m->state_, has | next);
    spin_unlock(lock_of(m));
    return w;
}

void thrum_mutex_unlock_slow_(thrum_mutex *m)
{
    uint32_t seen = load_relaxed(&m->state_); /* the caller's, it should be */
    struct locker *next = NULL;

    sched_point(POINT_CALL);
    if (unlikely((seen & LOCKED) == 0))
        die("thrum_mutex_unlock: nobody has this mutex");
    tsan_promise(m);
    do {
        if (seen & WAKE) {
            next = call(m);
            if (next != NULL && next->given)
                break;
            seen = load_relaxed(&m->state_); /* call changed it */
        }
        /* WAKE may have come back: if somebody came, and nobody was called. */
    } while (
        (seen & WAKE) != 0 ||
        !cas_release(&m->state_, &seen, seen & (FLAGS & ~LOCKED))); /* [MU1] */
    if (next != NULL)
        line_let_go(&next->place);
}
