#include "sync/chan.h"

#include "base/base.h"

enum { FEW = 8 }; /* cases that are put in order one by one */

/* What a case keeps while its select goes on. */
struct branch {
    struct chan_place place;
    thrum_case *next; /* in the order of the addresses of their channels */
};

_Static_assert(sizeof(struct branch) <= sizeof(((thrum_case *)0)->opaque_),
               "the public type has room for a branch");

static struct branch *branch_of(thrum_case *c)
{
    return (struct branch *)(void *)c->opaque_;
}

/* ---------------------------------------------------------------- all locks */

static bool is_before(const thrum_case *a, const thrum_case *b)
{
    return (uintptr_t)a->ch < (uintptr_t)b->ch;
}

static thrum_case *merge(thrum_case *a, thrum_case *b)
{
    thrum_case *first, **at = &first;

    while (a != NULL && b != NULL) {
        thrum_case **next = is_before(b, a) ? &b : &a;

        *at = *next;
        at = &branch_of(*next)->next;
        *next = *at;
    }
    *at = a != NULL ? a : b;
    return first;
}

/* Linked by `next`, those without a channel left out. */
static thrum_case *in_order(thrum_case *cases, int n)
{
    thrum_case *first = NULL;

    if (n > FEW)
        return merge(in_order(cases, n / 2),
                     in_order(cases + n / 2, n - n / 2));
    for (int i = n - 1; i >= 0; i--) { /* cheap if they are in order */
        thrum_case *c = &cases[i], **at = &first;

        if (c->ch == NULL)
            continue;
        while (*at != NULL && is_before(*at, c))
            at = &branch_of(*at)->next;
        branch_of(c)->next = *at;
        *at = c;
    }
    return first;
}

/* The next one with another channel. */
static thrum_case *next_channel(thrum_case *c)
{
    thrum_chan *ch = c->ch;

    do
        c = branch_of(c)->next;
    while (c != NULL && c->ch == ch);
    return c;
}

static void lock_all(thrum_case *first)
{
    for (thrum_case *c = first; c != NULL; c = next_channel(c))
        chan_lock(chan_of(c->ch));
}

static void unlock_all(thrum_case *first)
{
    for (thrum_case *c = first; c != NULL; c = next_channel(c))
        chan_unlock(chan_of(c->ch));
}

/* ----------------------------------------------------------------- one case */

/* Where to begin to look, so that whoever is always ready leaves the others their
 * turn. */
static int begin_at(int n)
{
    static _Atomic uint32_t turns;
    struct stack *here = worker_current();

    if (n <= 1)
        return 0;
    if (here != NULL)
        return (int)rng_below(&here->worker->rng, (uint32_t)n);
    return (int)(add_relaxed(&turns, 1) % (uint32_t)n); /* any one will do */
}

/* Under all locks. The index of the case that was done, or -1. */
static int do_one(thrum_case *cases, int n, struct line_place **called)
{
    int start = begin_at(n);

    for (int k = 0; k < n; k++) {
        int i = start < n - k ? start + k : start + k - n;
        thrum_case *c = &cases[i];
        int rc = CHAN_LATER;

        if (c->ch != NULL)
            rc = chan_do(chan_of(c->ch), c->op, c->item, called);
        if (rc == CHAN_LATER)
            continue;
        c->rc = rc;
        return i;
    }
    return -1;
}

/* ------------------------------------------------------------------ waiting */

static void enter_all(thrum_case *first, struct wait *wait)
{
    for (thrum_case *c = first; c != NULL; c = branch_of(c)->next)
        chan_enter(chan_line(chan_of(c->ch), c->op), &branch_of(c)->place, wait,
                   c->item);
}

/* Out of all lines. The case that was called, or NULL. */
static thrum_case *leave_all(thrum_case *first)
{
    thrum_case *called = NULL;

    for (thrum_case *c = first; c != NULL; c = branch_of(c)->next) {
        struct chan *chan = chan_of(c->ch);
        struct chan_place *p = &branch_of(c)->place;

        chan_lock(chan);
        line_leave(chan_line(chan, c->op), &p->place);
        if (p->called)
            called = c;
        chan_unlock(chan);
    }
    return called;
}

/* In all lines, with no lock held: until one is called. */
static int wait_for_one(thrum_case *cases, thrum_case *first,
                        struct scope *scope, struct scope_wait *w)
{
    enum wake cause = scope_sleep(scope, w);
    thrum_case *called = leave_all(first);

    if (cause != WAKE_EVENT)
        return -ECANCELED;
    line_settle(&branch_of(called)->place.place);
    called->rc = branch_of(called)->place.rc;
    return (int)(called - cases);
}

static int select_now_or_later(thrum_case *cases, int n, struct scope *scope,
                               bool block)
{
    thrum_case *first = in_order(cases, n);
    struct line_place *called = NULL;
    struct scope_wait w;
    int done;

    lock_all(first);
    done = do_one(cases, n, &called);
    if (done < 0 && block) {
        wait_init(&w.wait);
        wait_tell(&w, AWAITED("a select"), NULL);
        enter_all(first, &w.wait);
    }
    unlock_all(first);
    if (called != NULL)
        line_let_go(called);
    if (done >= 0)
        return done;
    return block ? wait_for_one(cases, first, scope, &w) : -EAGAIN;
}

int thrum_select(thrum_case *cases, int n, bool block)
{
    struct scope *scope = scope_current();

    sched_point(POINT_CALL);
    REQUIRE(n >= 0, "a negative number of cases");
    if (block && scope != NULL && scope_canceled(scope))
        return -ECANCELED;
    return select_now_or_later(cases, n, scope, block);
}
