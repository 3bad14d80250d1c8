/* Who is canceled at the very moment at which he is given something: is it his, or the
 * next one's, and never lost nor given twice? How: in simulations, users whose
 * deadlines are at the instants at which others give, and whom others cancel between
 * two calls, try until each has had his share. What is lost is a deadlock. */
#include "lib/game.h"

/* --- locks and permits ---------------------------------------------------- */

enum { PERMITS = 2 };

struct locked {
    struct game game;
    thrum_mutex mutex;
    thrum_rwlock rwlock;
    thrum_sem sem;
    _Atomic unsigned inside, writers;
};

static struct locked *locked_of(struct user *u)
{
    return (struct locked *)(void *)u->game;
}

static int lock(struct user *u)
{
    return thrum_mutex_lock_cancelable(&locked_of(u)->mutex);
}

static void unlock(struct user *u)
{
    thrum_mutex_unlock(&locked_of(u)->mutex);
}

static int acquire(struct user *u)
{
    return thrum_sem_acquire(&locked_of(u)->sem);
}

static void release(struct user *u)
{
    thrum_sem_release(&locked_of(u)->sem);
}

static bool writes(const struct user *u)
{
    return u->number % 2 == 1;
}

static int enter(struct user *u)
{
    return writes(u) ? thrum_rwlock_wrlock_cancelable(&locked_of(u)->rwlock)
                     : thrum_rwlock_rdlock_cancelable(&locked_of(u)->rwlock);
}

static void leave(struct user *u)
{
    if (writes(u))
        thrum_rwlock_wrunlock(&locked_of(u)->rwlock);
    else
        thrum_rwlock_rdunlock(&locked_of(u)->rwlock);
}

struct lock {
    int (*take)(struct user *);
    void (*give)(struct user *);
    unsigned most;
};

static const struct lock locks[] = {
    {lock, unlock, 1}, {acquire, release, PERMITS}, {enter, leave, USERS}};

/* While one writes that is all there is. */
static void be_inside(struct user *u, const struct lock *l)
{
    struct locked *g = locked_of(u);
    bool alone = l->take == enter && writes(u);

    CHECK(atomic_fetch_add(&g->inside, 1) < (alone ? 1 : l->most));
    CHECK(atomic_fetch_add(&g->writers, alone) == 0);
    nap(u);
    atomic_fetch_sub(&g->writers, alone);
    atomic_fetch_sub(&g->inside, 1);
}

static const struct lock *chosen;

static thrum_err *use_lock(void *user)
{
    struct user *u = user;

    for (unsigned turns = 0; turns < TURNS;)
        if (trial(u, chosen->take) == 0) {
            be_inside(u, chosen);
            hand_over(u, chosen->give);
            turns++;
        }
    return NULL;
}

static thrum_err *locking(void *l)
{
    struct locked g = {.inside = 0};

    chosen = l;
    thrum_sem_init(&g.sem, PERMITS);
    play(&g.game, use_lock);
    CHECK(thrum_mutex_trylock(&g.mutex) && thrum_rwlock_trywrlock(&g.rwlock));
    for (unsigned i = 0; i < PERMITS; i++)
        CHECK(thrum_sem_try_acquire(&g.sem));
    CHECK(!thrum_sem_try_acquire(&g.sem));
    return NULL;
}

static void locks_and_permits_are_handed_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof locks / sizeof *locks; i++)
        sim_passes(locking, (void *)&locks[i], ROUNDS);
}

/* --- the permits of a scope, and of blocking calls ------------------------ */

struct permitted {
    struct game game;
    thrum_scope scope;
    thrum_sem sem;
    _Atomic unsigned inside, ran, spawned;
};

static struct permitted *permitted_of(struct user *u)
{
    return (struct permitted *)(void *)u->game;
}

static thrum_err *run_child(void *user)
{
    struct user *u = user;
    struct permitted *p = permitted_of(u);

    CHECK(atomic_fetch_add(&p->inside, 1) < PERMITS);
    CHECK(thrum_sleep(THRUM_US(1)) == 0);
    atomic_fetch_sub(&p->inside, 1);
    atomic_fetch_add(&p->ran, 1);
    return NULL;
}

static int spawn_child(struct user *u)
{
    return thrum_spawn(&permitted_of(u)->scope, run_child, u, 0);
}

static thrum_err *call(void *user)
{
    struct user *u = *(struct user **)user;
    struct permitted *p = permitted_of(u);

    CHECK(atomic_fetch_add(&p->inside, 1) < PERMITS);
    thrum_yield();
    atomic_fetch_sub(&p->inside, 1);
    atomic_fetch_add(&p->ran, 1);
    return NULL;
}

static int call_elsewhere(struct user *u)
{
    thrum_err *e = thrum_offload_ex(call, &u, .size = sizeof u,
                                    .sem = &permitted_of(u)->sem);
    int rc = -thrum_err_errno(e);

    thrum_err_drop(e);
    return rc;
}

static thrum_err *use_permits(void *user)
{
    struct user *u = user;
    struct permitted *p = permitted_of(u);
    int (*take)(struct user *) = chosen->take;

    for (unsigned turns = 0; turns < TURNS;) {
        if (trial(u, take) == 0) {
            atomic_fetch_add(&p->spawned, 1);
            turns++;
        }
        cancel_another(u);
        nap(u);
    }
    return NULL;
}

static thrum_err *permitting(void *l)
{
    struct permitted p = {.ran = 0};

    chosen = l;
    thrum_sem_init(&p.sem, PERMITS);
    thrum_scope_open(&p.scope, .limit = PERMITS);
    play(&p.game, use_permits);
    expect_ok(thrum_scope_close(&p.scope, NULL));
    CHECK(atomic_load(&p.ran) == USERS * TURNS);
    CHECK(atomic_load(&p.ran) == atomic_load(&p.spawned));
    for (unsigned i = 0; i < PERMITS; i++)
        CHECK(thrum_sem_try_acquire(&p.sem));
    CHECK(!thrum_sem_try_acquire(&p.sem));
    return NULL;
}

static void permits_of_scopes_and_calls_are_handed_on(void **state)
{
    static const struct lock uses[] = {{.take = spawn_child},
                                       {.take = call_elsewhere}};

    (void)state;
    for (unsigned i = 0; i < sizeof uses / sizeof *uses; i++)
        sim_passes(permitting, (void *)&uses[i], ROUNDS);
}

/* --- conditions ----------------------------------------------------------- */

/* Two who produce one at a time, each time when the last one is gone; one who takes
 * them, come what may; and others, until they are canceled: then they leave without
 * one, even if it is there. */
struct market {
    struct game game;
    thrum_mutex mutex;
    thrum_cond filled, taken;
    bool full;              /* mutex */
    unsigned made, sellers; /* mutex */
};

static struct market *market_of(struct user *u)
{
    return (struct market *)(void *)u->game;
}

static int take_one(struct user *u)
{
    struct market *m = market_of(u);
    int rc = 0;

    thrum_mutex_lock(&m->mutex);
    while (rc == 0 && !m->full && m->sellers > 0)
        rc = thrum_cond_wait(&m->filled, &m->mutex);
    if (rc == 0 && m->full) {
        m->full = false;
        m->made--;
        thrum_cond_signal(&m->taken);
        rc = 1;
    }
    thrum_mutex_unlock(&m->mutex);
    return rc;
}

static void sell(struct user *u)
{
    struct market *m = market_of(u);

    m->full = true;
    m->made++;
    if (draw(u, 4) == 0)
        thrum_cond_broadcast(&m->filled);
    else
        thrum_cond_signal(&m->filled);
}

static thrum_err *sell_all(struct user *u)
{
    struct market *m = market_of(u);

    for (unsigned i = 0; i < TURNS; i++) {
        nap(u);
        thrum_mutex_lock(&m->mutex);
        while (m->full)
            CHECK(thrum_cond_wait(&m->taken, &m->mutex) == 0);
        hand_over(u, sell);
        thrum_mutex_unlock(&m->mutex);
        cancel_another(u);
    }
    thrum_mutex_lock(&m->mutex);
    if (--m->sellers == 0)
        thrum_cond_broadcast(&m->filled);
    thrum_mutex_unlock(&m->mutex);
    return NULL;
}

static thrum_err *visit_market(void *user)
{
    struct user *u = user;

    if (u->number < 2)
        return sell_all(u);
    if (u->number == 2)
        while (take_one(u) > 0)
            ;
    else
        while (trial(u, take_one) > 0)
            ;
    return NULL;
}

static thrum_err *trading(void *arg)
{
    struct market m = {.sellers = 2};

    (void)arg;
    play(&m.game, visit_market);
    CHECK(m.made == 0 && !m.full);
    return NULL;
}

static void no_signal_ends_with_who_is_canceled(void **state)
{
    (void)state;
    sim_passes(trading, NULL, ROUNDS);
}

/* --- those that wait for all, or for something to be so ------------------- */

struct meeting {
    struct game game;
    thrum_barrier barrier;
    thrum_latch latch;
    thrum_event event;
    thrum_once once;
    _Atomic unsigned passed[USERS], lasts, done, making;
    _Atomic bool set, made;
};

static struct meeting *meeting_of(struct user *u)
{
    return (struct meeting *)(void *)u->game;
}

static int arrive(struct user *u)
{
    return thrum_barrier_wait(&meeting_of(u)->barrier);
}

static thrum_err *meet_often(void *user)
{
    struct user *u = user;
    struct meeting *m = meeting_of(u);

    for (unsigned turns = 0; turns < TURNS;) {
        int rc = trial(u, arrive);

        if (rc < 0) {
            cancel_another(u);
            continue;
        }
        atomic_fetch_add(&m->lasts, (unsigned)rc);
        turns++;
        atomic_fetch_add(&m->passed[u->number], 1);
        for (unsigned i = 0; i < USERS; i++)
            CHECK(atomic_load(&m->passed[i]) + 1 >= turns);
        nap(u);
    }
    return NULL;
}

static int await_latch(struct user *u)
{
    return thrum_latch_wait(&meeting_of(u)->latch);
}

static void finish_one(struct user *u)
{
    atomic_fetch_add(&meeting_of(u)->done, 1);
    thrum_latch_done(&meeting_of(u)->latch);
}

static thrum_err *finish_or_await(void *user)
{
    struct user *u = user;

    for (unsigned i = 0; u->number < 2 && i < TURNS; i++) {
        nap(u);
        hand_over(u, finish_one);
    }
    while (trial(u, await_latch) < 0)
        cancel_another(u);
    CHECK(atomic_load(&meeting_of(u)->done) == 2 * TURNS);
    return NULL;
}

static int await_event(struct user *u)
{
    return thrum_event_wait(&meeting_of(u)->event);
}

static void set_event(struct user *u)
{
    atomic_store(&meeting_of(u)->set, true);
    thrum_event_set(&meeting_of(u)->event);
}

static thrum_err *set_or_await(void *user)
{
    struct user *u = user;

    if (u->number == 0) {
        nap(u);
        nap(u);
        hand_over(u, set_event);
    }
    while (trial(u, await_event) < 0)
        cancel_another(u);
    CHECK(atomic_load(&meeting_of(u)->set));
    return NULL;
}

/* Who is canceled while he makes it leaves that to the next. */
static thrum_err *make(void *user)
{
    struct user *u = user;
    struct meeting *m = meeting_of(u);
    int rc;

    CHECK(!atomic_load(&m->made) && atomic_fetch_add(&m->making, 1) == 0);
    rc = thrum_sleep(draw(u, 3) * THRUM_US(1));
    cancel_another(u);
    atomic_fetch_sub(&m->making, 1);
    atomic_store(&m->made, rc == 0);
    return thrum_rc(rc);
}

static int have_made(struct user *u)
{
    thrum_err *e = thrum_once_call(&meeting_of(u)->once, make, u);
    int rc = -thrum_err_errno(e);

    thrum_err_drop(e);
    return rc;
}

static thrum_err *make_once(void *user)
{
    struct user *u = user;

    while (trial(u, have_made) < 0)
        cancel_another(u);
    CHECK(atomic_load(&meeting_of(u)->made));
    return NULL;
}

static thrum_fn *waits;

static thrum_err *meet(void *arg)
{
    struct meeting m = {.set = false};

    CHECK(thrum_barrier_init(&m.barrier, USERS) == 0);
    thrum_latch_init(&m.latch, 2 * TURNS);
    play(&m.game, waits);
    CHECK(atomic_load(&m.lasts) == (waits == meet_often ? TURNS : 0));
    return arg;
}

static void who_waits_for_the_others_is_told_once(void **state)
{
    static thrum_fn *const all[] = {meet_often, finish_or_await, set_or_await,
                                    make_once};

    (void)state;
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        waits = all[i];
        sim_passes(meet, NULL, ROUNDS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locks_and_permits_are_handed_on),
        cmocka_unit_test(permits_of_scopes_and_calls_are_handed_on),
        cmocka_unit_test(no_signal_ends_with_who_is_canceled),
        cmocka_unit_test(who_waits_for_the_others_is_told_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
