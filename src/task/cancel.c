/* The tree of scopes that are canceled together.
 *
 * Canceling a scope sets a bit in it. Who asks looks at the scopes around him,
 * up to a shield; and because that is seldom news, each scope keeps the number
 * of cancels there had been in the process when it last looked in vain (`seen`).
 * As long as that number stays, one load and a compare are an answer. Once it is
 * canceled `seen` is no more the number, so who asks looks up and acquires [K1];
 * and because that is for good he says so in all on his way (SEEN_CANCELED): who
 * leaves many scopes, one after the other, need not go all the way from each.
 *
 * So running tasks register nowhere. A wait does: it is put into a list of its
 * scope, and the first wait in a scope links that into its parent's list of
 * inner scopes, and so on. A cancel walks down from the scope that it was asked
 * for, past shields, and claims what it finds. Wakers come later, when no lock is
 * held any more.
 *
 * A scope's lock guards its lists; locks are taken downwards. While a walk holds
 * a scope's lock, none of the inner scopes can go away, because they take it to
 * unlink.
 *
 * Nothing is missed: the walk takes the lock of a list either after a wait was
 * put there, and finds it, or before, and then who put it there sees the new
 * number and asks. A scope counts as linked (ROOTED) only when all above it are.
 *
 * Ordering
 *   [K1] stop: the bit      -> [K3] who asks looks up   what came before the cancel
 *   [K1] it is counted      -> [K1] [K3]                the number
 *   [K2] stop: the number   -> [K3] who asks            the bits before it
 *   [K4] linked             -> [K5] a waiter trusts it  the lists above
 *   [K6] bind               -> [K7] get                 the binding
 *   [K8] timed              -> [K9] who asks            the deadline
 *   [K10] SEEN_CANCELED     -> [K11] who asks, or opens what came before the cancel
 *   All else is under the locks.
 */

#include <errno.h>

#include "os/clock.h"
#include "task/runtime.h"

enum {
    LINKED = 1,
    ROOTED = 2,
    UNIT = sizeof(void *), /* scopes lie at multiples of it */
    CHECKPOINT_TURN = 128, /* every so often others may run */
};

_Atomic uint64_t thrum_cancels_ = 0; /* [K2] */

/* ------------------------------------------------------------------- asking */

/* Nobody tells of a cancel before the number says so everywhere inside: else who
 * has been told might ask again, and hear no. */
static void count(struct scope *c, uint32_t stops)
{
    if (stops & STOP_COUNTED)
        return;
    add_acq_rel(&thrum_cancels_, 1);           /* [K2] */
    (void)or_acq_rel(&c->stops, STOP_COUNTED); /* [K1] */
}

/* Its own cancel, or one that is known; a deadline that nobody else keeps. */
static bool is_stopped(struct scope *c)
{
    uint32_t stops;

    if (load_acquire(&c->seen) == SEEN_CANCELED) /* [K11] */
        return true;
    stops = load_acquire(&c->stops); /* [K3] */
    if (stops != 0) {
        count(c, stops);
        return true;
    }
    if (scope_is_alone(c) && load_acquire(&c->timed) && /* [K9] */
        load_relaxed(&c->deadline) <= clock_now()) {    /* a hint */
        (void)scope_stop(c, STOP_DEADLINE);
        return true;
    }
    return false;
}

/* All from s up to the one that is stopped. */
static void note_canceled(struct scope *s, struct scope *stopped)
{
    for (; s != stopped; s = s->parent)
        store_release(&s->seen, SEEN_CANCELED);  /* [K10] */
    if (load_relaxed(&s->seen) != SEEN_CANCELED) /* many share it */
        store_release(&s->seen, SEEN_CANCELED);  /* [K10] */
}

/* A number that is kept may be older than the one that was there, or take the
 * place of SEEN_CANCELED: then it is asked again, no more. */
bool scope_ask_canceled(struct scope *s)
{
    uint64_t number = load_acquire(&thrum_cancels_); /* [K3] */
    struct scope *c = s;

    while (!is_stopped(c)) {
        if (c->shield || c->parent == NULL) {
            if (load_relaxed(&s->seen) != SEEN_NEVER)
                store_relaxed(&s->seen, number);
            return false;
        }
        c = c->parent;
    }
    note_canceled(s, c);
    return true;
}

bool scope_is_stopped(const struct scope *s)
{
    const struct scope *c = s;

    while (c->parent != NULL && !c->shield &&
           load_acquire(&c->stops) == 0) /* [K3] */
        c = c->parent;
    return load_acquire(&c->stops) != 0; /* [K3] */
}

bool scope_canceled_outside(struct scope *s)
{
    return !s->shield && s->parent != NULL && scope_canceled(s->parent);
}

bool thrum_canceled(void)
{
    struct stack *stack;
    struct scope *s;

    sched_point(POINT_POLL);
    stack = worker_current();
    s = likely(stack != NULL) ? scope_on(stack) : scope_current();
    return s != NULL && scope_canceled(s);
}

/* ------------------------------------------------------------------ linking */

/* A walk goes through a list in the order of its linking, newest first, or nearly
 * so where several workers link: the scope that this worker linked some steps ago
 * is one that it comes to some steps later, if it is still there. How far away
 * that is, or 0. */
static int32_t find_ahead(const struct scope *s)
{
    struct stack *here = worker_current();
    const void **oldest;
    intptr_t away = 0;

    if (here == NULL)
        return 0;
    oldest =
        &here->worker->linked[here->worker->linked_count++ % WORKER_LINKED];
    if (*oldest != NULL)
        away = ((intptr_t)*oldest - (intptr_t)s) / UNIT;
    *oldest = s;
    return away == (int32_t)away ? (int32_t)away : 0;
}

static void link_into_parent(struct scope *s)
{
    struct scope *p = s->parent;
    int32_t ahead = find_ahead(s);

    spin_lock(&p->lock);
    if (load_relaxed(&s->linked) == 0) { /* under the lock */
        s->prev = NULL;
        s->next = p->inner;
        if (p->inner != NULL)
            p->inner->prev = s;
        p->inner = s;
        s->ahead = ahead;
        store_relaxed(&s->linked, LINKED); /* under the lock */
    }
    spin_unlock(&p->lock);
}

/* Several tasks of a scope may do so at once: each goes all the way. */
void scope_link(struct scope *s)
{
    struct scope *c;

    for (c = s;
         c->parent != NULL && load_acquire(&c->linked) != ROOTED; /* [K5] */
         c = c->parent)
        link_into_parent(c);
    for (; s != c; s = s->parent)
        store_release(&s->linked, ROOTED); /* [K4] */
}

void scope_unlink(struct scope *s)
{
    struct scope *p = s->parent;

    spin_lock(&p->lock); /* the list is the parent's */
    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        p->inner = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    spin_unlock(&p->lock);
}

/* Who puts a call into the pool's queue asks after that whether s is canceled. If
 * the walk went by before the flag was set, who set it hears so, and has the pool
 * look; and by the pool's lock all who come after that hear it, too. So nothing
 * hangs on the order of the flag itself. */
void scope_has_calls(struct scope *s)
{
    if (load_relaxed(&s->calls) != 0)
        return;
    scope_link(s);
    spin_lock(&s->lock);
    store_relaxed(&s->calls, 1);
    spin_unlock(&s->lock);
}

/* ------------------------------------------------------------------ waiting */

static void list(struct scope *s, struct scope_wait *w)
{
    w->prev = NULL;
    w->listed = true;
    spin_lock(&s->lock);
    w->next = s->waits;
    if (s->waits != NULL)
        s->waits->prev = w;
    s->waits = w;
    spin_unlock(&s->lock);
}

/* Under the lock. */
static void unlist(struct scope *s, struct scope_wait *w)
{
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        s->waits = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    w->listed = false;
}

/* From here on who looks on finds the wait; and a cancel, unless it is deaf, or it
 * has been claimed already. */
static void show(struct scope *s, struct scope_wait *w, bool deaf)
{
    w->deaf = deaf;
    scope_link(s);
    list(s, w);
    if (!deaf && scope_canceled(s))
        (void)wait_wake(&w->wait, WAKE_CANCEL);
}

static void hide(struct scope *s, struct scope_wait *w)
{
    spin_lock(&s->lock); /* as a cancel may be about to */
    if (w->listed)
        unlist(s, w);
    spin_unlock(&s->lock);
}

/* What its deadline cancels may be its own wait: that is then woken by itself. */
enum wake scope_watch(struct scope *s, struct wait *w, int64_t until)
{
    while (s != NULL && scope_is_alone(s) && !scope_ask_canceled(s)) {
        int64_t deadline = thrum_deadline();

        if (deadline > until)
            break;
        if (wait_pause(w, deadline))
            return waiter_cause(&w->waiter);
    }
    return wait_block(w, until);
}

enum wake scope_sleep(struct scope *s, struct scope_wait *w)
{
    enum wake cause;

    if (s != NULL)
        show(s, w, false);
    cause = w->wait.stack == NULL ? scope_watch(s, &w->wait, CLOCK_NEVER)
                                  : wait_sleep(&w->wait, w->kind, w->thing);
    if (s != NULL)
        hide(s, w);
    return cause;
}

void scope_sleep_deaf(struct scope *s, struct scope_wait *w)
{
    if (s != NULL)
        show(s, w, true);
    (void)wait_sleep(&w->wait, w->kind, w->thing);
    if (s != NULL)
        hide(s, w);
}

bool scope_sleep_in(struct scope *s, struct scope_wait *w, struct line *l,
                    struct spin *lock, struct line_place *p)
{
    if (scope_sleep(s, w) == WAKE_EVENT) {
        line_settle(p);
        return true;
    }
    spin_lock(lock);
    line_leave(l, p);
    spin_unlock(lock);
    return false;
}

enum wake scope_block(struct scope *s, struct scope_wait *w, int64_t until)
{
    enum wake cause;

    if (s != NULL)
        show(s, w, false);
    cause = scope_watch(s, &w->wait, until);
    if (s != NULL)
        hide(s, w);
    return cause;
}

/* ---------------------------------------------------------------- canceling */

/* Who is to be woken when no lock is held any more. */
struct claimed {
    struct stack *here; /* the caller's, or NULL */
    struct chain ready; /* the tasks of its runtime */
    struct scope_wait *rest, **end;
};

static void note_claimed(struct claimed *all, struct scope_wait *w)
{
    if (all->here != NULL &&
        wait_deliver_by(&w->wait, all->here->worker->sched, &all->ready))
        return;
    w->next = NULL;
    *all->end = w;
    all->end = &w->next;
}

/* Under the lock: claim the waits of s. Those that began to wait last come first:
 * what they are taken out of next, a heap of timers, likes that best. */
static void claim_all(struct scope *s, struct claimed *all)
{
    struct scope_wait *w, *next;

    if (unlikely(load_relaxed(&s->calls) != 0)) /* under the lock */
        runtime_sweep_calls(s->sched);
    for (w = s->waits; w != NULL; w = next) {
        next = w->next;
        if (w->deaf)
            continue;
        unlist(s, w);
        if (wait_claim(&w->wait, WAKE_CANCEL) != CLAIM_WAKE)
            continue;
        note_claimed(all, w);
    }
}

/* From c on, the first that hears of a cancel outside. Shielded ones are linked
 * too, so that reports find them. */
static struct scope *hearing(struct scope *c)
{
    while (c != NULL && c->shield)
        c = c->next;
    return c;
}

fetches void fetch_like(const void *thing, uintptr_t away)
{
    __builtin_prefetch((const void *)((uintptr_t)thing + away), 1);
}

/* What the walk touches of a scope, of who waits there and of his stack lies in
 * memory, if many wait. It is fetched some steps ahead, without a look at what
 * lies between: tasks that wait alike have it in the same places of their stacks.
 * The lock is held. */
fetches void fetch_ahead(const struct scope *s)
{
    const struct scope_wait *w = s->waits;
    uintptr_t away = (uintptr_t)((intptr_t)s->ahead * UNIT);

    if (away == 0 || w == NULL || w->wait.stack == NULL)
        return;
    fetch_like(&s->parent, away);
    fetch_like(&s->stops, away);
    fetch_like(w, away);
    fetch_like((const char *)(w + 1) - 1, away);
    fetch_like(&w->wait.stack->resume, away);
}

/* Down the tree without recursion: the locks of the path are held. */
static void claim_inside(struct scope *top, struct claimed *all)
{
    struct scope *s = top, *next;

    spin_lock(&top->lock);
    claim_all(top, all);
    for (next = hearing(top->inner);;) {
        if (next != NULL) {
            s = next;
            spin_lock(&s->lock);
            fetch_ahead(s);
            claim_all(s, all);
            next = hearing(s->inner);
            continue;
        }
        spin_unlock(&s->lock);
        if (s == top)
            return;
        next = hearing(s->next); /* the parent's lock is held */
        s = s->parent;
    }
}

static void wake_inside(struct scope *s)
{
    struct claimed all = {.here = worker_current(), .end = &all.rest};
    struct scope_wait *next;

    claim_inside(s, &all);
    if (all.here != NULL)
        sched_push_chain(all.here->worker, &all.ready);
    for (struct scope_wait *w = all.rest; w != NULL; w = next) {
        next = w->next; /* it is gone once it runs */
        wait_deliver(&w->wait);
    }
}

/* Returns what it was stopped by before. */
static uint32_t stop(struct scope *s, enum stop why)
{
    uint32_t before = or_acq_rel(&s->stops, why); /* [K1] */

    count(s, before);
    if (before != 0) /* who was first wakes */
        return before;
    wake_inside(s);
    return 0;
}

void scope_tell(struct scope *s, enum stop why)
{
    (void)stop(s, why);
}

bool scope_stop(struct scope *s, enum stop why)
{
    uint32_t before = stop(s, why);

    if (before == 0)
        alarm_late(s);
    return (before & why) == 0;
}

void scope_cancel(struct scope *s, const char *why)
{
    spin_lock(&s->lock);
    if ((load_relaxed(&s->stops) & STOP_CANCEL) == 0) /* locked: one reason */
        s->why = why;
    spin_unlock(&s->lock);
    (void)scope_stop(s, STOP_CANCEL);
}

void thrum_scope_cancel(thrum_scope *scope, const char *why)
{
    struct scope *s = scope_given(scope, __func__);

    REQUIRE(s->sched != NULL ||
                load_relaxed(&s->alone), /* set when it is opened */
            "a scope that was never opened");
    sched_point(POINT_CALL);
    scope_cancel(s, why);
}

int thrum_checkpoint(void)
{
    struct stack *stack = worker_current();

    if (thrum_canceled())
        return -ECANCELED;
    if (stack == NULL)
        return 0;
    worker_give_way(stack);
    if (++stack->budget % CHECKPOINT_TURN != 0)
        return 0;
    worker_yield(stack);
    return thrum_canceled() ? -ECANCELED : 0;
}
