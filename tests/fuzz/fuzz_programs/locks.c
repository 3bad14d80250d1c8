/* Mutexes with a condition each, rwlocks, a semaphore, events. */
#include <errno.h>
#include <string.h>

#include "things.h"

/* waiting: not signaled yet; owed: signaled, not yet returned. unsure: whether it
 * was who waits, or another whose wait was canceled. */
static struct {
    thrum_mutex mutex;
    thrum_cond cond;
    const struct task *owner;
    int waiting, owed;
    bool unsure;
} mutexes[MUTEXES];

static struct {
    thrum_rwlock lock;
    const struct task *writer;
    unsigned readers, writes;
} rwlocks[RWLOCKS];

/* begun, done: how often it was set. unsure: it was set and reset at once. */
static struct {
    thrum_event event;
    bool set, unsure, was_reset;
    unsigned begun, done;
} events[EVENTS];

static thrum_sem sem;
static unsigned inside;

static struct {
    unsigned locked[MUTEXES], written[RWLOCKS], inside;
    bool set[EVENTS];
} told;

/* --------------------------------------------------- mutexes and conditions */

static thrum_err *hold(struct task *t, struct step *s)
{
    unsigned m = s->which % MUTEXES;
    struct attempt a = attempt(t, s);
    thrum_err *err = NULL;
    int64_t rc = 0;

    if (s->op == OP_LOCK) {
        rc = attempted(a, thrum_mutex_lock_cancelable(&mutexes[m].mutex));
    } else {
        thrum_mutex_lock(&mutexes[m].mutex);
        t->pending = NULL;
    }
    must(rc == 0 || rc == -ECANCELED);
    if (rc != 0)
        return thrum_rc(rc);
    must(mutexes[m].owner == NULL);
    mutexes[m].owner = t;
    told.locked[m]++;
    if (s->op == OP_LOCK)
        err = run_steps(t, s->body);
    else
        thrum_yield();
    must(mutexes[m].owner == t);
    mutexes[m].owner = NULL;
    thrum_mutex_unlock(&mutexes[m].mutex);
    return err;
}

static thrum_err *wait_for_signal(struct task *t, struct step *s)
{
    unsigned m = s->which;
    struct attempt a = attempt(t, s);
    int64_t rc;

    mutexes[m].owner = NULL;
    mutexes[m].waiting++;
    rc = attempted(a, thrum_cond_wait(&mutexes[m].cond, &mutexes[m].mutex));
    must(mutexes[m].owner == NULL);
    mutexes[m].owner = t;
    told.locked[m]++;
    if (rc == 0) {
        must(mutexes[m].owed-- > 0);
        return NULL;
    }
    must(rc == -ECANCELED);
    mutexes[m].unsure = mutexes[m].unsure || mutexes[m].owed > 0;
    if (mutexes[m].waiting > 0)
        mutexes[m].waiting--;
    else
        mutexes[m].owed--;
    return thrum_rc(rc);
}

/* It is held: who waits does so since before. */
static thrum_err *signal_one(struct step *s)
{
    unsigned m = s->which;
    int woken = s->op == OP_BROADCAST    ? mutexes[m].waiting
                : mutexes[m].waiting > 0 ? 1
                                         : 0;

    mutexes[m].waiting -= woken;
    mutexes[m].owed += woken;
    if (s->op == OP_BROADCAST)
        thrum_cond_broadcast(&mutexes[m].cond);
    else
        thrum_cond_signal(&mutexes[m].cond);
    return NULL;
}

/* ------------------------------------------------------------------ rwlocks */

static bool writes(const struct step *s)
{
    return s->op == OP_LOCK_WRITE;
}

static int64_t enter(struct task *t, struct step *s, thrum_rwlock *l)
{
    struct attempt a = attempt(t, s);

    if (s->tries) {
        t->pending = NULL;
        return (writes(s) ? thrum_rwlock_trywrlock(l)
                          : thrum_rwlock_tryrdlock(l))
                   ? 0
                   : -EAGAIN;
    }
    if (!s->firm)
        return attempted(a, writes(s) ? thrum_rwlock_wrlock_cancelable(l)
                                      : thrum_rwlock_rdlock_cancelable(l));
    if (writes(s))
        thrum_rwlock_wrlock(l);
    else
        thrum_rwlock_rdlock(l);
    t->pending = NULL;
    return 0;
}

static thrum_err *share(struct task *t, struct step *s)
{
    unsigned l = s->which % RWLOCKS;
    thrum_err *err;

    rwlocks[l].readers++;
    must(rwlocks[l].writer == NULL && told.written[l] == rwlocks[l].writes);
    err = run_steps(t, s->body);
    thrum_yield();
    must(rwlocks[l].writer == NULL && told.written[l] == rwlocks[l].writes);
    rwlocks[l].readers--;
    thrum_rwlock_rdunlock(&rwlocks[l].lock);
    return err;
}

static thrum_err *have_alone(struct task *t, struct step *s)
{
    unsigned l = s->which % RWLOCKS;
    thrum_err *err;

    must(rwlocks[l].writer == NULL && rwlocks[l].readers == 0);
    rwlocks[l].writer = t;
    told.written[l] = ++rwlocks[l].writes;
    err = run_steps(t, s->body);
    thrum_yield();
    must(rwlocks[l].writer == t && rwlocks[l].readers == 0);
    rwlocks[l].writer = NULL;
    thrum_rwlock_wrunlock(&rwlocks[l].lock);
    return err;
}

static thrum_err *read_or_write(struct task *t, struct step *s)
{
    int64_t rc = enter(t, s, &rwlocks[s->which % RWLOCKS].lock);

    must(rc == 0 || (rc == -ECANCELED && !s->firm) ||
         (rc == -EAGAIN && s->tries));
    if (rc == -EAGAIN)
        return NULL;
    if (rc != 0)
        return thrum_rc(rc);
    return writes(s) ? have_alone(t, s) : share(t, s);
}

/* Readers wait for who writes, and behind who waits to. */
static bool rwlock_blocks(const struct step *s)
{
    unsigned l = s->which % RWLOCKS;
    bool before = writes(s);

    for (int i = 0; i < program.task_count; i++) {
        const struct step *other = program.tasks[i].pending;

        before = before || (other != NULL && writes(other) &&
                            other->which % RWLOCKS == l);
    }
    return rwlocks[l].writer != NULL || (rwlocks[l].readers > 0 && before);
}

/* ---------------------------------------------------------- permits, events */

static thrum_err *with_permit(struct task *t, struct step *s)
{
    struct attempt a = attempt(t, s);
    int64_t rc = attempted(a, thrum_sem_acquire(&sem));
    thrum_err *err;

    must(rc == 0 || rc == -ECANCELED);
    if (rc != 0)
        return thrum_rc(rc);
    must(++inside <= program.permits);
    if (program.permits == 1)
        told.inside++;
    err = run_steps(t, s->body);
    inside--;
    thrum_sem_release(&sem);
    return err;
}

static thrum_err *set(struct step *s)
{
    unsigned e = s->which % EVENTS;

    if (events[e].begun++ == 0)
        told.set[e] = true;
    events[e].set = true;
    thrum_event_set(&events[e].event);
    events[e].done++;
    return NULL;
}

/* Who comes from here on waits; who waited when it was set does not. */
static thrum_err *reset(struct step *s)
{
    unsigned e = s->which % EVENTS, before = events[e].done;

    events[e].was_reset = true;
    thrum_event_reset(&events[e].event);
    if (events[e].begun == before)
        events[e].set = false;
    else
        events[e].unsure = true;
    return NULL;
}

static thrum_err *await(struct task *t, struct step *s)
{
    unsigned e = s->which % EVENTS;
    struct attempt a = attempt(t, s);
    bool was = events[e].set || events[e].unsure;
    unsigned before = events[e].begun;
    int64_t rc = attempted(a, thrum_event_wait(&events[e].event));

    must(rc == 0 || rc == -ECANCELED);
    if (rc == 0) {
        must(was || events[e].begun > before);
        must(events[e].was_reset || told.set[e]);
    }
    return thrum_rc(rc);
}

/* -------------------------------------------------------------- all of them */

static thrum_err *do_step(struct task *t, struct step *s)
{
    switch ((unsigned)s->op) {
    case OP_LOCK:
    case OP_LOCK_FIRM:
        return hold(t, s);
    case OP_WAIT:
        return wait_for_signal(t, s);
    case OP_SIGNAL:
    case OP_BROADCAST:
        return signal_one(s);
    case OP_ACQUIRE:
        return with_permit(t, s);
    case OP_SET:
        return (s->options & 3) == 3 ? reset(s) : set(s);
    case OP_AWAIT:
        return await(t, s);
    default:
        return read_or_write(t, s);
    }
}

static bool is_right(const struct step *s)
{
    unsigned m = s->which % MUTEXES;

    switch ((unsigned)s->op) {
    case OP_LOCK:
    case OP_LOCK_FIRM:
        return mutexes[m].owner != NULL;
    case OP_WAIT:
        return mutexes[m].owed == 0 || mutexes[m].owner != NULL ||
               mutexes[m].unsure;
    case OP_ACQUIRE:
        return inside == program.permits;
    case OP_AWAIT:
        return !events[s->which % EVENTS].set ||
               events[s->which % EVENTS].unsure;
    default:
        return rwlock_blocks(s);
    }
}

static void make(void)
{
    NOTED(mutexes);
    NOTED(rwlocks);
    NOTED(events);
    NOTED(inside);
    memset(mutexes, 0, sizeof mutexes);
    memset(rwlocks, 0, sizeof rwlocks);
    memset(events, 0, sizeof events);
    memset(&told, 0, sizeof told);
    thrum_sem_init(&sem, program.permits);
    inside = 0;
}

static void end(void)
{
    for (int i = 0; i < MUTEXES; i++)
        must(mutexes[i].waiting + mutexes[i].owed == 0 &&
             thrum_mutex_trylock(&mutexes[i].mutex));
    for (int i = 0; i < RWLOCKS; i++)
        must(rwlocks[i].readers == 0 &&
             thrum_rwlock_trywrlock(&rwlocks[i].lock));
    for (unsigned i = 0; i < program.permits; i++)
        must(thrum_sem_try_acquire(&sem));
    must(!thrum_sem_try_acquire(&sem));
}

const struct things locks = {make, end, do_step, is_right};
