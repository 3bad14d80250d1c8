#include "sched/crew.h"

#include <errno.h>

#include "base/sanitize.h"
#include "os/clock.h"
#include "parts/idle.h"

/* Who stands by for longer than this goes. */
#define KEEP_NS INT64_C(10000000000)

static void lock_crew(struct crew *c)
{
    lock_acquire(&c->lock);
}

static void unlock_crew(struct crew *c)
{
    lock_release(&c->lock);
    tsan_promise(c); /* to who stops */
}

/* ----------------------------------------------------------- under the lock */

static void count(struct crew *c, uint32_t running)
{
    store_relaxed(&c->running, running); /* locked; hints to others */
    store_relaxed(&c->too_many, running > c->wanted ? running - c->wanted : 0);
}

static uint32_t running(struct crew *c)
{
    return load_relaxed(&c->running); /* locked */
}

static uint32_t aways(struct crew_member *m)
{
    return load_relaxed(&m->aways); /* locked */
}

static void put_on(struct crew_member **list, struct crew_member *m,
                   enum crew_state state)
{
    m->state = state;
    m->next = *list;
    *list = m;
}

static void call_one(struct crew *c)
{
    struct crew_member *m = c->standing;

    c->standing = m->next;
    m->state = CREW_RUNS;
    count(c, running(c) + 1);
    parker_unpark(&m->parker);
}

static void lose(struct crew *c, struct crew_member *m)
{
    put_on(&c->vacant, m, CREW_NO_THREAD);
    c->threads--;
}

static int hire(struct crew *c)
{
    struct crew_member *m = c->vacant;
    int rc;

    if (m != NULL)
        c->vacant = m->next;
    else if ((m = c->hooks->make(c->arg)) == NULL)
        return -ENOMEM;
    if (m->joinable)
        c->hooks->join(m); /* it is about to end */
    rc = c->hooks->start(m);
    m->joinable = rc == 0;
    c->threads++;
    if (rc < 0) {
        lose(c, m);
        return rc;
    }
    m->state = CREW_RUNS;
    count(c, running(c) + 1);
    return 0;
}

static int fill(struct crew *c)
{
    int rc = 0;

    while (rc == 0 && running(c) < c->wanted && !c->stopping) {
        if (c->standing != NULL)
            call_one(c);
        else if (c->threads >= c->most)
            break; /* until one is back */
        else
            rc = hire(c);
    }
    return rc;
}

static void be_away(struct crew *c, struct crew_member *m, bool computes)
{
    m->state = CREW_AWAY;
    m->computes = computes;
    c->computing += computes;
    store_relaxed(&m->aways, 1); /* locked */
    count(c, running(c) - 1);
    (void)fill(c); /* else it is tried again */
}

static void be_here(struct crew *c, struct crew_member *m)
{
    m->state = CREW_RUNS;
    c->computing -= m->computes;
    store_relaxed(&m->aways, 0); /* locked */
    count(c, running(c) + 1);
}

/* -------------------------------------------------------------------- calls */

void crew_init(struct crew *c, const struct crew_hooks *hooks, void *arg)
{
    *c = (struct crew){.hooks = hooks, .arg = arg};
    lock_init(&c->lock);
}

int crew_want(struct crew *c, unsigned n, unsigned spares)
{
    int rc;

    lock_crew(c);
    c->wanted = n;
    c->most = spares > IDLE_MAX - n ? IDLE_MAX : n + spares;
    count(c, running(c));
    rc = fill(c);
    unlock_crew(c);
    return rc;
}

bool crew_fill(struct crew *c)
{
    int rc;

    lock_crew(c);
    rc = fill(c);
    unlock_crew(c);
    return rc == 0;
}

void crew_leave(struct crew *c, struct crew_member *m)
{
    lock_crew(c);
    if (m->state == CREW_RUNS)
        be_away(c, m, false);
    else
        store_relaxed(&m->aways, aways(m) + 1); /* locked */
    unlock_crew(c);
}

void crew_return(struct crew *c, struct crew_member *m)
{
    lock_crew(c);
    if (aways(m) > 1)
        store_relaxed(&m->aways, aways(m) - 1); /* locked */
    else if (aways(m) == 1)
        be_here(c, m);
    unlock_crew(c);
}

bool crew_miss(struct crew *c, struct crew_member *m, bool computes)
{
    bool missed;

    lock_crew(c);
    missed = m->state == CREW_RUNS && (!computes || c->computing < c->wanted);
    if (missed)
        be_away(c, m, computes);
    unlock_crew(c);
    return missed;
}

void crew_be_back(struct crew *c, struct crew_member *m)
{
    lock_crew(c);
    if (m->state == CREW_AWAY)
        be_here(c, m);
    unlock_crew(c);
}

unsigned crew_wanted(struct crew *c)
{
    unsigned n;

    lock_crew(c);
    n = c->wanted;
    unlock_crew(c);
    return n;
}

bool crew_any_away(struct crew *c)
{
    unsigned n;

    lock_crew(c);
    n = c->threads - running(c);
    for (struct crew_member *m = c->standing; m != NULL; m = m->next)
        n--;
    unlock_crew(c);
    return n > 0;
}

bool crew_runs(struct crew *c, struct crew_member *m)
{
    bool runs;

    lock_crew(c);
    runs = m->state == CREW_RUNS;
    unlock_crew(c);
    return runs;
}

static enum crew_state step_aside(struct crew *c, struct crew_member *m)
{
    enum crew_state state;

    lock_crew(c);
    if (m->state == CREW_AWAY)
        be_here(c, m);
    assert_invariant(m->state == CREW_RUNS);
    if (running(c) > c->wanted && !c->stopping) {
        count(c, running(c) - 1);
        put_on(&c->standing, m, CREW_STANDS_BY);
    }
    state = m->state;
    unlock_crew(c);
    return state;
}

static void take_out(struct crew *c, struct crew_member *m)
{
    struct crew_member **at = &c->standing;

    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
}

/* late: if it was not called until now, it goes. */
static enum crew_state wait_over(struct crew *c, struct crew_member *m,
                                 bool late)
{
    enum crew_state state;

    lock_crew(c);
    if (late && m->state == CREW_STANDS_BY) {
        take_out(c, m);
        lose(c, m);
    }
    state = m->state;
    unlock_crew(c);
    return state;
}

bool crew_stand_by(struct crew *c, struct crew_member *m)
{
    enum crew_state state = step_aside(c, m);
    int64_t until = clock_now() + KEEP_NS;

    while (state == CREW_STANDS_BY) /* a token may be of an earlier call */
        state = wait_over(c, m, !parker_park(&m->parker, until));
    return state == CREW_RUNS;
}

void crew_stop(struct crew *c)
{
    lock_crew(c);
    c->stopping = true;
    while (c->standing != NULL)
        call_one(c);
    unlock_crew(c);
}
