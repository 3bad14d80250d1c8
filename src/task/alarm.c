/* What time does to a scope: its deadline cancels it; one that takes longer than
 * `slow`, or is still at work some time after it was canceled, is told of.
 *
 * One timer serves for both: it is set to the earlier instant, and rings. Who
 * closes the scope silences it, and waits until it has rung out: then nobody
 * else knows the scope.
 *
 * A scope that is alone (scope_is_alone) sets none: its opener looks at the clock.
 *
 * A timeout is noted first (sched/relief.h): the scope remembers the counter and
 * is in the list `pending` of its stack. When the stack is put away its scopes
 * set their timers; until then the relief looks whether one is over.
 */

#include "os/clock.h"
#include "task/scope.h"

/* How long after a cancel it is odd that a scope is still at work. */
#define LATE_NS THRUM_SEC(1)

/* A deadline that is not an instant yet. */
enum { NOTED = 0 };

static void ring(struct timer *t);

static int64_t later(int64_t now, thrum_time by)
{
    if (by <= 0)
        return now;
    return by > CLOCK_NEVER - now ? CLOCK_NEVER : now + by;
}

/* When it was opened, if that was only noted. */
static int64_t opened_at(const struct scope *s)
{
    return s->noted
               ? clock_of_ticks(s->sched->relief.base, clock_pair(), s->ticks)
               : s->opened;
}

/* One that was only noted is the same instant to all who ask. */
static int64_t deadline_of(struct scope *s)
{
    int64_t deadline = load_relaxed(&s->deadline), at; /* a hint, or locked */

    if (deadline != NOTED)
        return deadline;
    at = later(opened_at(s), s->timeout);
    return cas_relaxed(&s->deadline, &deadline, at) ? at : deadline;
}

/* Under the lock: when to ring next. */
static int64_t next_ring(const struct scope *s)
{
    int64_t deadline = load_relaxed(&s->deadline); /* under the lock */

    if (deadline == NOTED ||                            /* the relief looks */
        (load_relaxed(&s->stops) & STOP_DEADLINE) != 0) /* it has rung */
        deadline = CLOCK_NEVER;
    return deadline < s->slow_at ? deadline : s->slow_at;
}

/* Under the lock: set it anew. While it rings, it does so itself at the end. In the
 * child of a fork nobody rings. */
static void set(struct scope *s)
{
    int64_t at = next_ring(s);

    if (scope_is_alone(s) || sched_is_gone(s->sched))
        return;
    if (s->alarm == ALARM_SET && timers_remove(&s->timer))
        s->alarm = ALARM_OFF;
    if (s->alarm != ALARM_OFF || s->alarm_ended || at == CLOCK_NEVER)
        return;
    s->alarm = ALARM_SET;
    if (!s->alarm_used) /* who closes it looks without the lock */
        s->alarm_used = true;
    sched_arm_running(worker_near(s->sched), &s->timer, at, ring);
}

static void ring(struct timer *t)
{
    struct scope *s = container_of(t, struct scope, timer);
    int64_t now = clock_now();
    bool over, slow;

    spin_lock(&s->lock);
    s->alarm = ALARM_RINGS;
    s->alarm_rang = true;
    over = deadline_of(s) <= now;
    slow = s->slow_at <= now;
    if (slow)
        s->slow_at = CLOCK_NEVER;
    spin_unlock(&s->lock);

    if (over)
        (void)scope_stop(s, STOP_DEADLINE);
    if (slow)
        report_slow(s, now - opened_at(s));

    spin_lock(&s->lock);
    s->alarm = ALARM_OFF;
    set(s);
    spin_unlock(&s->lock); /* it may be gone now */
}

/* The fields, for a scope that has used none of them yet. */
static void begin(struct scope *s, int64_t now)
{
    s->noted = false;
    s->opened = now;
    s->slow_at = CLOCK_NEVER;
    s->slow = 0;
    store_relaxed(&s->deadline, CLOCK_NEVER); /* with the lock, or at open */
    store_release(&s->timed, 1);              /* [K8] */
}

/* ---------------------------------------------------- noted for the present */

static bool can_note(const struct scope *s, const thrum_scope_opts *opts)
{
    return opts->timeout > 0 && opts->deadline == 0 && opts->slow <= 0 &&
           s->stack != NULL && s->sched == s->stack->worker->sched &&
           s->sched->relief.can_watch;
}

static void note(struct scope *s, thrum_time timeout)
{
    struct thrum_deque_ *deque = &s->stack->deque;

    s->noted = true;
    s->ticks = clock_ticks();
    s->timeout = timeout;
    s->slow = 0;
    s->slow_at = CLOCK_NEVER;
    store_relaxed(&s->deadline, NOTED); /* nobody else knows it yet */
    store_relaxed(&s->timed, 1);        /* likewise */
    s->pending_outer = load_relaxed(&deque->pending); /* ours to write */
    store_release(&deque->pending, s);                /* [R4] [R6] */
    relief_noted(&s->sched->relief);
}

/* It closes: it is the innermost in the list, if that was not settled. */
static void forget(struct scope *s)
{
    struct thrum_deque_ *deque = &s->stack->deque;

    if (load_relaxed(&deque->pending) == s)               /* ours to write */
        store_release(&deque->pending, s->pending_outer); /* [R6], as noted */
    relief_forgotten(&s->sched->relief);
}

void alarm_settle(struct stack *stack)
{
    struct scope *s = load_relaxed(&stack->deque.pending); /* ours */

    for (; s != NULL; s = s->pending_outer) {
        spin_lock(&s->lock);
        (void)deadline_of(s);
        set(s);
        spin_unlock(&s->lock);
    }
    store_relaxed(&stack->deque.pending, NULL); /* [R6], in forget */
}

bool alarm_look(struct stack *stack)
{
    struct scope *s = load_acquire(&stack->deque.pending); /* [R7] */
    bool any = s != NULL;

    for (; s != NULL; s = s->pending_outer)
        if (deadline_of(s) <= clock_now())
            (void)scope_stop(s, STOP_DEADLINE);
    return any;
}

/* ------------------------------------------------------------ alone, or not */

/* A timer is set for what it has from before, too. */
static void end_alone(struct scope *s)
{
    bool over;

    spin_lock(&s->lock);
    store_relaxed(&s->alone, false); /* under the lock; a hint to others */
    over = load_relaxed(&s->timed) &&
           deadline_of(s) <= clock_now(); /* likewise */
    if (load_relaxed(&s->timed) && !over)
        set(s);
    spin_unlock(&s->lock);
    if (over)
        (void)scope_stop(s, STOP_DEADLINE);
}

static bool is_alone_with(const struct scope *s, const struct sched *sched)
{
    return s != NULL && sched != NULL && s->sched == sched &&
           s->stack == NULL && load_relaxed(&s->alone); /* a hint */
}

void alarm_keep(struct scope *s)
{
    struct sched *sched = s->sched;
    struct scope *c = s;

    for (; is_alone_with(c, sched); c = c->parent)
        end_alone(c);
    if (c != NULL && scope_is_alone(c))
        return; /* that one still asks the clock, from here as well */
    for (; s != c; s = s->parent)
        store_relaxed(&s->seen, 0); /* a number that is old, if there is news */
}

/* ------------------------------------------------------------------- opened */

void alarm_open(struct scope *s, const thrum_scope_opts *opts)
{
    int64_t now, at = CLOCK_NEVER;

    if (likely(can_note(s, opts))) {
        note(s, opts->timeout);
        return;
    }
    now = clock_now();
    if (opts->timeout != 0)
        at = later(now, opts->timeout);
    if (opts->deadline != 0 && opts->deadline < at)
        at = opts->deadline;
    begin(s, now);
    store_relaxed(&s->deadline, at); /* nobody else knows it yet */
    s->slow = opts->slow;
    if (opts->slow > 0)
        s->slow_at = later(now, opts->slow);
    if (opts->slow > 0 && s->sched != NULL)
        alarm_keep(s);
    if (scope_is_alone(s))
        return;
    spin_lock(&s->lock);
    if (at > now)
        set(s);
    spin_unlock(&s->lock);
    if (at <= now)
        (void)scope_stop(s, STOP_DEADLINE); /* which sets it, too */
}

void alarm_late(struct scope *s)
{
    int64_t now;

    if (scope_is_alone(s) || s->supervised)
        return;
    now = clock_now();
    spin_lock(&s->lock);
    if (!load_relaxed(&s->timed)) /* with the lock */
        begin(s, now);
    if (s->slow_at > later(now, LATE_NS))
        s->slow_at = later(now, LATE_NS);
    set(s);
    spin_unlock(&s->lock);
}

/* It rings now, or has: silent from here on; true once it has rung out. */
static bool has_rung_out(struct scope *s)
{
    bool silent;

    spin_lock(&s->lock);
    s->alarm_ended = true;
    if (s->alarm == ALARM_SET && timers_remove(&s->timer))
        s->alarm = ALARM_OFF;
    silent = s->alarm == ALARM_OFF;
    spin_unlock(&s->lock);
    return silent;
}

/* Nobody else knows the scope but who rings: if the timer is still set, nobody
 * does, nor will. But who rang and set it anew may not have let go of the lock:
 * that he rang is known, since he set the timer after he said so. */
void alarm_silence(struct scope *s)
{
    if (s->noted)
        forget(s);
    if (!s->alarm_used || sched_is_gone(s->sched))
        return;
    if (likely(timers_remove(&s->timer))) {
        if (likely(!s->alarm_rang))
            return;
        spin_lock(&s->lock);
        spin_unlock(&s->lock);
        return;
    }
    while (!has_rung_out(s))
        thread_yield();
}

void alarm_report(struct scope *s, const thrum_err *err)
{
    int64_t took;

    if (s->slow <= 0)
        return;
    took = clock_now() - opened_at(s);
    if (took >= s->slow)
        report_took(s, took, err);
}

/* ------------------------------------------------------------ the interface */

void thrum_scope_set_deadline(thrum_scope *scope, thrum_time at)
{
    struct scope *s = scope_given(scope, __func__);
    int64_t now = clock_now();
    bool passed;

    spin_lock(&s->lock);
    if (!load_relaxed(&s->timed)) /* with the lock */
        begin(s, now);
    passed = deadline_of(s) <= now && !s->alarm_ended;
    if (!passed)
        store_relaxed(&s->deadline,
                      at > NOTED ? at : NOTED + 1); /* with the lock */
    if (!passed && at > now)
        set(s);
    spin_unlock(&s->lock);
    if (passed || at <= now)
        (void)scope_stop(s, STOP_DEADLINE);
    else if (is_alone_with(s, sched_default()) && !scope_is_open_here(s))
        alarm_keep(s); /* its thread waits for what was said before */
}

thrum_time thrum_deadline(void)
{
    thrum_time least = CLOCK_NEVER, own;

    for (struct scope *s = scope_current(); s != NULL; s = s->parent) {
        own = load_acquire(&s->timed) ? deadline_of(s) /* [K9] */
                                      : CLOCK_NEVER;
        if (own < least)
            least = own;
        if (s->shield)
            break;
    }
    return least;
}

bool thrum_scope_expired(const thrum_scope *scope)
{
    const struct scope *s = (const struct scope *)(const void *)scope;

    REQUIRE(s != NULL, "no scope");
    return (load_relaxed(&s->stops) & STOP_DEADLINE) != 0; /* a hint */
}

thrum_time thrum_scope_elapsed(const thrum_scope *scope)
{
    const struct scope *s = (const struct scope *)(const void *)scope;

    REQUIRE(s != NULL, "no scope");
    return load_acquire(&s->timed) ? clock_now() - opened_at(s) : 0; /* [K9] */
}
