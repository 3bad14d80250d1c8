/* What tasks share, and hand each other. */
#include <errno.h>

#include "soak.h"

/* A scope that ends in time, or before. */
static void open_for(thrum_scope *s, struct rng *r)
{
    thrum_time timeout = rng_below(r, 3) == 0 ? THRUM_US(rng_below(r, 300)) : 0;

    thrum_scope_open(s, .timeout = timeout);
}

/* --- channels ------------------------------------------------------------- */

enum { STALLS = 2, MANY = 8 };

struct market {
    thrum_chan stalls[STALLS];
    _Atomic uint32_t sellers, names;
    uint64_t seed;
};

/* To or from any that is not closed. -EPIPE: all are. */
static int deal(thrum_chan **open, thrum_direction op)
{
    thrum_case cases[STALLS];
    uint64_t item = 0;
    int i;

    for (;;) {
        for (i = 0; i < STALLS; i++)
            cases[i] = (thrum_case){.ch = open[i], .op = op, .item = &item};
        if (open[0] == NULL && open[1] == NULL)
            return -EPIPE;
        i = thrum_select(cases, STALLS, true);
        if (i < 0 || cases[i].rc == 0)
            return i < 0 ? i : 0;
        open[i] = NULL;
    }
}

static void sell_some(struct market *m, struct rng *r)
{
    thrum_chan *open[STALLS] = {&m->stalls[0], &m->stalls[1]};
    uint64_t items[MANY] = {0};
    int64_t n = 1;

    for (uint32_t i = rng_below(r, 20); i > 0 && n > 0; i--) {
        if (rng_below(r, 4) == 0)
            n = thrum_chan_send_many(open[i % STALLS], items, MANY);
        else
            n = deal(open, THRUM_SEND) == 0 ? 1 : -ECANCELED;
        begun(ITEMS, n > 0 ? (uint64_t)n : 0);
    }
}

static thrum_err *sell(void *market)
{
    struct market *m = market;
    struct rng r;

    rng_init(&r, m->seed + add_relaxed(&m->names, 1)); /* any number */
    sell_some(m, &r);
    if (sub_acq_rel(&m->sellers, 1) == 1)
        for (int i = 0; i < STALLS; i++)
            thrum_chan_close(&m->stalls[i]);
    return NULL;
}

/* All that comes to one. */
static thrum_err *buy(void *stall)
{
    uint64_t items[MANY];
    int64_t n;

    while ((n = thrum_chan_recv_many(stall, items, MANY)) > 0)
        ended(ITEMS, (uint64_t)n);
    return n == -EPIPE ? NULL : thrum_rc(n);
}

static thrum_err *buy_anywhere(void *market)
{
    struct market *m = market;
    thrum_chan *open[STALLS] = {&m->stalls[0], &m->stalls[1]};
    int rc;

    while ((rc = deal(open, THRUM_RECV)) == 0)
        ended(ITEMS, 1);
    return rc == -EPIPE ? NULL : thrum_rc(rc);
}

thrum_err *trade(struct rng *r)
{
    struct market m = {.seed = rng_below(r, UINT32_MAX)};
    uint32_t sellers = 1 + rng_below(r, 3), buyers = rng_below(r, 3);
    thrum_scope s;
    uint64_t item;
    thrum_err *err;

    for (int i = 0; i < STALLS; i++)
        must(thrum_chan_init(&m.stalls[i], sizeof item, rng_below(r, 3) * 5) ==
             0);
    store_relaxed(&m.sellers, sellers); /* nobody runs yet */
    open_for(&s, r);
    while (sellers-- > 0)
        (void)start(&s, sell, &m);
    for (int i = 0; i < STALLS; i++)
        (void)start(&s, buy, &m.stalls[i]);
    while (buyers-- > 0)
        (void)start(&s, buy_anywhere, &m);
    err = thrum_scope_close(&s, NULL);
    for (int i = 0; i < STALLS; i++) {
        while (thrum_chan_try_recv(&m.stalls[i], &item) == 0)
            ended(ITEMS, 1);
        thrum_chan_fini(&m.stalls[i]);
    }
    return err;
}

/* --- locks and the like --------------------------------------------------- */

enum { PERMITS_MOST = 2 };

struct shared {
    thrum_mutex mutex;
    uint64_t guarded;
    thrum_cond turned;
    uint32_t turn, actors;
    thrum_sem sem;
    _Atomic uint32_t inside;
    thrum_rwlock rwlock;
    uint64_t one, same;
    thrum_barrier barrier;
    thrum_latch latch;
    thrum_event event;
    thrum_once once;
    uint32_t made;
    _Atomic uint32_t names;
};

/* In turn, one after the other. */
static int count_in_turn(struct shared *s, uint32_t me)
{
    int rc = 0;

    if (me % 2 == 0)
        thrum_mutex_lock(&s->mutex);
    else if ((rc = thrum_mutex_lock_cancelable(&s->mutex)) != 0)
        return rc;
    begun(LOCKED, 1);
    s->guarded++;
    while (rc == 0 && s->turn % s->actors != me)
        rc = thrum_cond_wait(&s->turned, &s->mutex);
    if (rc == 0) {
        s->turn++;
        thrum_cond_broadcast(&s->turned);
    }
    thrum_mutex_unlock(&s->mutex);
    return rc;
}

static int few_at_once(struct shared *s)
{
    int rc = thrum_sem_acquire(&s->sem);

    if (rc != 0)
        return rc;
    begun(PERMITS, 1);
    must(add_relaxed(&s->inside, 1) < PERMITS_MOST); /* ordered by the sem */
    thrum_yield();
    sub_release(&s->inside, 1);
    ended(PERMITS, 1);
    thrum_sem_release(&s->sem);
    return 0;
}

static int read_or_write(struct shared *s, bool writes)
{
    int rc = writes ? thrum_rwlock_wrlock_cancelable(&s->rwlock)
                    : thrum_rwlock_rdlock_cancelable(&s->rwlock);

    if (rc != 0)
        return rc;
    must(s->one == s->same);
    if (writes) {
        s->one++;
        thrum_yield();
        s->same++;
        thrum_rwlock_wrunlock(&s->rwlock);
    } else {
        thrum_rwlock_rdunlock(&s->rwlock);
    }
    return 0;
}

static thrum_err *make(void *made)
{
    must(++*(uint32_t *)made == 1);
    return NULL;
}

static thrum_err *actor(void *arg)
{
    struct shared *s = arg;
    uint32_t me = add_relaxed(&s->names, 1); /* any number */

    for (uint32_t i = 0; i < 3; i++) {
        THRUM_TRY(count_in_turn(s, me));
        THRUM_TRY(few_at_once(s));
        THRUM_TRY(read_or_write(s, (me + i) % 2 == 0));
        THRUM_TRY(thrum_barrier_wait(&s->barrier));
    }
    THRUM_TRY(thrum_once_call(&s->once, make, &s->made));
    thrum_latch_done(&s->latch);
    THRUM_TRY(thrum_latch_wait(&s->latch));
    if (me == 0)
        thrum_event_set(&s->event);
    return thrum_rc(thrum_event_wait(&s->event));
}

thrum_err *hold(struct rng *r)
{
    struct shared shared = {.actors = 1 + rng_below(r, 4)};
    thrum_scope s;
    thrum_err *err;

    thrum_sem_init(&shared.sem, PERMITS_MOST);
    must(thrum_barrier_init(&shared.barrier, shared.actors) == 0);
    thrum_latch_init(&shared.latch, shared.actors);
    open_for(&s, r);
    for (uint32_t i = 0; i < shared.actors; i++)
        (void)start(&s, actor, &shared);
    err = thrum_scope_close(&s, NULL);
    ended(LOCKED, shared.guarded);
    must(shared.made <= 1 && shared.one == shared.same);
    for (int i = 0; i < PERMITS_MOST; i++)
        must(thrum_sem_try_acquire(&shared.sem));
    return err;
}

/* --- broadcast ------------------------------------------------------------ */

enum { LISTENERS = 3, KEPT = 4 };

static thrum_err *listen_to(void *subscriber)
{
    uint64_t item, missed;
    int rc;

    while ((rc = thrum_subscriber_recv(subscriber, &item, &missed)) == 0)
        ended(NEWS, 1 + missed);
    return rc == -EPIPE ? NULL : thrum_rc(rc);
}

thrum_err *announce(struct rng *r)
{
    thrum_subscriber listeners[LISTENERS];
    uint32_t n = rng_below(r, 30);
    uint64_t item, missed;
    thrum_broadcast news;
    thrum_scope s;
    thrum_err *err;

    must(thrum_broadcast_init(&news, sizeof item, KEPT) == 0);
    open_for(&s, r);
    for (int i = 0; i < LISTENERS; i++) {
        thrum_subscribe(&listeners[i], &news);
        (void)start(&s, listen_to, &listeners[i]);
    }
    for (item = 0; item < n; item++) {
        must(thrum_broadcast_send(&news, &item) == 0);
        if (item % 8 == 7)
            thrum_yield();
    }
    begun(NEWS, (uint64_t)n * LISTENERS);
    thrum_broadcast_close(&news);
    err = thrum_scope_close(&s, NULL);
    for (int i = 0; i < LISTENERS; i++) /* who was canceled had some to come */
        while (thrum_subscriber_try_recv(&listeners[i], &item, &missed) == 0)
            ended(NEWS, 1 + missed);
    thrum_broadcast_fini(&news);
    return err;
}

/* --- generators ----------------------------------------------------------- */

static thrum_err *emit_all(void *count)
{
    for (uint64_t i = 0; i < *(uint32_t *)count; i++) {
        if (i % 16 == 15)
            THRUM_TRY(thrum_sleep(THRUM_US(1)));
        THRUM_TRY(thrum_gen_emit(&i));
        begun(EMITTED, 1);
    }
    return NULL;
}

thrum_err *generate(struct rng *r)
{
    uint32_t n = rng_below(r, 60), wanted = rng_below(r, 60);
    uint64_t item, next = 0;
    thrum_gen g;
    int more = 1;

    thrum_gen_open(&g, emit_all, &n, sizeof item);
    while (next < wanted && (more = thrum_gen_next(&g, &item)) > 0)
        must(item == next++);
    ended(EMITTED, next);
    return thrum_err_add(more < 0 ? thrum_rc(more) : NULL, thrum_gen_close(&g));
}
