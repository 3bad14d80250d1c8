#include "sched/relief.h"

#include "base/sanitize.h"
#include "os/barrier.h"
#include "os/clock.h"

enum {
    LEAVE_NS = 1000000,   /* time left to the workers */
    PERIOD_NS = 1000000,  /* it looks no more often */
    WATCH_NS = 2000000,   /* between two looks while it watches */
    STAND_NS = 8000000,   /* .. while it stands in */
    ATTEND_NS = 10000000, /* .. at the workers */
    VAIN_LOOKS = 32,      /* looks in vain before it stops watching */
    RELIEF_STACK = 65536, /* bytes; hooks of the program run on it */
};

static int64_t plus(int64_t at, int64_t ns)
{
    return at > CLOCK_NEVER - ns ? CLOCK_NEVER : at + ns;
}

/* When to look, now that `at` is the earliest. */
static int64_t next_look(int64_t at, int64_t now)
{
    int64_t due = plus(at, LEAVE_NS), soon = plus(now, PERIOD_NS);

    return due > soon ? due : soon;
}

static bool look(struct relief *r)
{
    bool any;

    store_seq_cst(&r->looking, 1); /* [R7] */
    barrier_heavy();               /* [R5] [R7] */
    any = r->look(r->arg);
    store_release(&r->looking, 0); /* [R8] */
    return any;
}

/* `vain`: how often there was nothing. */
static unsigned watch(struct relief *r, unsigned vain)
{
    if (look(r))
        return 0;
    if (vain < VAIN_LOOKS)
        return vain + 1;
    store_seq_cst(&r->watching, 0); /* [R5]; one more look, behind that */
    if (look(r))
        store_seq_cst(&r->watching, 1); /* [R5] */
    return 0;
}

/* `vain`: how often there was no need. */
static unsigned stand_in(struct relief *r, unsigned vain)
{
    if (r->stand_in(r->arg, ++r->rounds)) {
        (void)r->attend(r->arg, false); /* who is told is to have his turn */
        return 0;
    }
    if (vain < VAIN_LOOKS / 4)
        return vain + 1;
    store_seq_cst(&r->stands_in, 0); /* [U4]; one more look, behind that */
    if (r->stand_in(r->arg, 0))
        store_seq_cst(&r->stands_in, 1); /* [U4] */
    return 0;
}

static void attend(struct relief *r, int64_t now)
{
    if (now < r->attend_at)
        return;
    r->attend_at = now + ATTEND_NS;
    if (r->attend(r->arg, true))
        return;
    store_seq_cst(&r->attends, 0); /* [R11]; one more look, behind that */
    if (r->attend(r->arg, false))
        store_seq_cst(&r->attends, 1); /* [R11] */
}

/* When to look again for other reasons than timers. */
static int64_t look_by(struct relief *r, int64_t now)
{
    int64_t by = CLOCK_NEVER;
    bool watches = load_seq_cst(&r->watching) != 0; /* [R5] */

    if (watches)
        by = now + WATCH_NS;
    else if (load_seq_cst(&r->stands_in) != 0) /* [U4] */
        by = now + STAND_NS;
    if (load_seq_cst(&r->attends) != 0 && r->attend_at < by) /* [R11] */
        by = r->attend_at;
    return by;
}

static void fire_timers(struct relief *r, int64_t now)
{
    timers_fire(r->timers, now);
    (void)r->attend(r->arg, false); /* who is woken is to have his turn */
}

static void keep_time(void *arg)
{
    struct relief *r = arg;
    int64_t at, now, until;
    unsigned vain = 0, unneeded = 0;

    while (load_acquire(&r->over) == 0) { /* [R3] */
        at = timers_earliest(r->timers);
        now = clock_now();
        if (plus(at, LEAVE_NS) <= now)
            fire_timers(r, now);
        if (load_seq_cst(&r->watching) != 0) /* [R5] */
            vain = watch(r, vain);
        if (load_seq_cst(&r->stands_in) != 0) /* [U4] */
            unneeded = stand_in(r, unneeded);
        if (load_seq_cst(&r->attends) != 0) /* [R11] */
            attend(r, now);
        until = next_look(timers_earliest(r->timers), now);
        store_seq_cst(&r->until, until); /* [R1] */
        if (look_by(r, now) < until)
            until = look_by(r, now);
        if (next_look(timers_earliest(r->timers), now) >= until)
            (void)parker_park(&r->parker, until);
    }
}

void relief_init(struct relief *r, struct timers *timers, bool can_watch,
                 bool (*look_at)(void *arg), void *arg)
{
    r->timers = timers;
    r->look = look_at;
    r->arg = arg;
    lock_init(&r->lock);
    r->started = r->stopping = false;
    r->can_watch = can_watch && clock_ticks_even();
    r->base = clock_pair();
    parker_init(&r->parker);
    store_relaxed(&r->until, CLOCK_NEVER); /* nobody knows it yet */
    store_relaxed(&r->over, 0);
    store_relaxed(&r->watching, 0);
    store_relaxed(&r->looking, 0);
    store_relaxed(&r->stands_in, 0);
    store_relaxed(&r->attends, 0);
    r->rounds = 0;
    r->attend_at = 0;
}

static bool start(struct relief *r)
{
    bool started;

    lock_acquire(&r->lock);
    if (!r->started && !r->stopping)
        r->started = thread_start(&r->thread, "thrum/relief", RELIEF_STACK,
                                  keep_time, r) == 0;
    started = r->started;
    lock_release(&r->lock);
    tsan_promise(r); /* to who stops */
    return started;
}

void relief_ask(struct relief *r, int64_t at)
{
    if (load_seq_cst(&r->until) <= plus(at, LEAVE_NS + PERIOD_NS)) /* [R1] */
        return;
    (void)start(r);
    parker_unpark(&r->parker);
}

void relief_watch(struct relief *r)
{
    if (!start(r)) /* the next one tries again */
        return;
    store_seq_cst(&r->watching, 1); /* [R4] */
    parker_unpark(&r->parker);
}

void relief_begin_to_stand_in(struct relief *r)
{
    if (!start(r)) /* as above */
        return;
    store_seq_cst(&r->stands_in, 1); /* [U3] */
    parker_unpark(&r->parker);
}

void relief_begin_to_attend(struct relief *r)
{
    if (!start(r)) /* as above */
        return;
    store_seq_cst(&r->attends, 1); /* [R10] */
    parker_unpark(&r->parker);
}

void relief_stop(struct relief *r)
{
    bool started;

    lock_acquire(&r->lock);
    r->stopping = true;
    started = r->started;
    lock_release(&r->lock);
    store_release(&r->over, 1); /* [R2] */
    parker_unpark(&r->parker);
    if (started)
        thread_join(&r->thread);
}
