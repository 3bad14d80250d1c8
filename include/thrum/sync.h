/* thrum/sync.h - what tasks share: mutex, condition, semaphore, event, rwlock,
 * once, barrier, latch.
 *
 * Each is usable by tasks, of any runtime, and by other threads, all at once: a
 * task that has to wait is suspended, another thread blocks. Each is small, lies
 * in the caller's storage, and needs no destroying. All zero is a free lock, an
 * event that is not set, a semaphore without permits; where a number is needed
 * there is an initialiser.
 *
 *     static thrum_mutex lock;
 *     static thrum_sem connections = THRUM_SEM_INIT(10);
 *
 * Time: none of these takes a timeout. A wait ends at the deadline of the scope
 * that it is in, as every wait does:
 *
 *     thrum_scope_open(&s, .timeout = THRUM_MS(100));
 *     e = thrum_scope_close(&s, thrum_rc(thrum_event_wait(&done)));
 *
 * Cancellation: a wait that can be canceled says -ECANCELED below, and does so at
 * once if the task already is, even if it need not wait. It then has done nothing:
 * no lock, no permit was taken. Where success and cancel meet, success is told.
 * Taking a mutex or an rwlock is no such wait, unless its name says so: clean-up
 * code has to be able to.
 *
 * Order: who takes, or is let through, sees what came before in those who
 * released, set, arrived, or counted down.
 *
 * End of life: the storage may be used for something else as soon as every call
 * on it has returned. Of a mutex, a semaphore, an event, a latch it is enough that
 * the last one who takes, waits, or is let through has returned: who released or
 * set touches it no more.
 *
 * A task that waits while it holds a lock still holds it. In a fork that is
 * joined, and a scope that is closed, under a lock, nothing may want that lock:
 * as in a serial program.
 */
#ifndef THRUM_SYNC_H
#define THRUM_SYNC_H

#include <thrum/err.h>
#include <thrum/fork.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------- mutex */

/* One at a time. A task may hold it across any wait, and release it on whatever
 * thread it is then.
 *
 * A mutex that is released is free for whoever comes first, which keeps a busy
 * one fast; but who was woken in vain a few times is given it next, so nobody
 * waits for ever. Not recursive: who locks it twice waits for himself. */
typedef struct thrum_mutex {
    THRUM_ATOMIC_(uint32_t) state_; /* [MU1] [MU2] */
    uint32_t lock_;
    void *line_;
} thrum_mutex;

/* Take it; wait while another has it. Not a cancellation point.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   while another has it, after a short look whether he is about to
 *             release it.
 * Cost:       no allocation; one compare-and-swap when it is free.
 */
THRUM_SUSPENDS static inline void thrum_mutex_lock(thrum_mutex *m);

/* The same, as a cancellation point.
 *
 * Call from:  as thrum_mutex_lock.
 * Suspends:   as thrum_mutex_lock.
 * Returns:    0: the caller has it
 *             -ECANCELED: he has not
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_mutex_lock_cancelable(thrum_mutex *m);

/* Take it if that is possible at once.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 * Returns:    true: the caller has it
 */
THRUM_API THRUM_NODISCARD bool thrum_mutex_trylock(thrum_mutex *m);

/* Release it.
 *
 * Call from:  the task or thread that has it. One that nobody has is a mistake
 *             that ends the program with a line that says so; one that another
 *             has is not noticed.
 * Suspends:   never.
 * Cost:       one compare-and-swap when nobody waits.
 */
static inline void thrum_mutex_unlock(thrum_mutex *m);

/* --------------------------------------------------------------- condition */

/* To wait, under a mutex, until something that it guards is so:
 *
 *     thrum_mutex_lock(&m);
 *     while (rc == 0 && queue_is_empty(&q))
 *         rc = thrum_cond_wait(&filled, &m);
 *
 * Nobody is woken without a signal; but others may come between the signal and
 * the woken one, so the question is asked again. */
typedef struct thrum_cond {
    uint32_t lock_, unused_;
    void *line_;
} thrum_cond;

/* Release m and wait for a signal that comes after; take m again.
 *
 * Call from:  who has m. If nobody has it, the program is ended with a line that
 *             says so.
 * Suspends:   until there is a signal, then as thrum_mutex_lock.
 * Returns:    0: signaled
 *             -ECANCELED: not, and no signal is lost to the others. At once, m
 *             not released meanwhile, if the task already was canceled.
 *             In both cases the caller has m.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_cond_wait(thrum_cond *c,
                                                             thrum_mutex *m);

/* Wake the one that has waited longest; nobody if none waits. All.
 *
 * Call from:  anywhere but a signal handler, with m or without.
 * Suspends:   never.
 */
THRUM_API void thrum_cond_signal(thrum_cond *c);
THRUM_API void thrum_cond_broadcast(thrum_cond *c);

/* --------------------------------------------------------------- semaphore */

/* So many permits. Who waits gets them in the order in which they came; nobody
 * overtakes. Any task or thread may release.
 *
 * One permit at a time: two who each need several could have half of them each
 * and wait for ever. */
typedef struct thrum_sem {
    uint32_t lock_, left_;
    void *line_;
} thrum_sem;

#define THRUM_SEM_INIT(n)                                                      \
    {                                                                          \
        0, (n), 0                                                              \
    }

/* Make one with n permits.
 *
 * Call from:  anywhere, while no other knows it.
 * Suspends:   never.
 */
THRUM_API void thrum_sem_init(thrum_sem *s, unsigned n);

/* Take a permit; wait while there is none.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   while there is none.
 * Returns:    0: the caller has one
 *             -ECANCELED: he has none
 * Cost:       no allocation.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_sem_acquire(thrum_sem *s);

/* Take one if that is possible at once.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 * Returns:    true: the caller has one
 */
THRUM_API THRUM_NODISCARD bool thrum_sem_try_acquire(thrum_sem *s);

/* Give one back, or a new one: to who has waited longest. More than UINT_MAX are a
 * mistake that ends the program with a line that says so.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 */
THRUM_API void thrum_sem_release(thrum_sem *s);

/* ------------------------------------------------------------------- event */

/* Something that happens: once, or, with thrum_event_reset, again and again. The
 * one of these that a signal handler may use, and the bridge from callbacks of
 * other libraries: the callback sets it, a task waits. */
typedef struct thrum_event {
    THRUM_ATOMIC_(uintptr_t) word_; /* [V1] */
    uint32_t lock_, unused_;
} thrum_event;

/* It has happened: wake all who wait. It stays so; who waits later need not.
 *
 * Call from:  anywhere: any thread, a task of any runtime, a signal handler
 *             (installed with SA_ONSTACK, as all must be in a program that has
 *             tasks).
 * Suspends:   never. Takes no lock.
 * Cost:       one exchange, and what each wake-up costs.
 */
THRUM_API void thrum_event_set(thrum_event *e);

/* It has not happened since: from here on, who waits does so for the next time.
 * Who was waiting when it was set is not held back.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 * Order:      sees what came before a thrum_event_set that it undoes.
 */
THRUM_API void thrum_event_reset(thrum_event *e);

/* Has it happened?
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Returns:    true: what came before thrum_event_set is seen
 */
THRUM_API bool thrum_event_is_set(thrum_event *e);

/* Wait until it has happened.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   while it is not set.
 * Returns:    0
 *             -ECANCELED: who sets it may be about to; the storage must last until
 *             he has
 * Cost:       no allocation. A wait that is canceled alone, by a deadline of its own
 *             say, walks past all who wait for the same event.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_event_wait(thrum_event *e);

/* ------------------------------------------------------------------ rwlock */

/* Many readers, or one writer. In the order in which they came: a reader who
 * comes after a writer that waits does wait, too, so neither starves. Hence who
 * reads already must not begin to read once more. Over INT32_MAX readers are a
 * mistake that ends the program with a line that says so. */
typedef struct thrum_rwlock {
    uint32_t lock_, held_;
    void *line_;
} thrum_rwlock;

/* Begin to read, or to write; wait while that cannot be. Not cancellation points.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   while others write, or read, or came before.
 * Cost:       no allocation.
 */
THRUM_API THRUM_SUSPENDS void thrum_rwlock_rdlock(thrum_rwlock *l);
THRUM_API THRUM_SUSPENDS void thrum_rwlock_wrlock(thrum_rwlock *l);

/* The same, as cancellation points.
 *
 * Call from:  as above.
 * Suspends:   as above.
 * Returns:    0: the caller reads, or writes
 *             -ECANCELED: he does not
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_rwlock_rdlock_cancelable(thrum_rwlock *l);
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_rwlock_wrlock_cancelable(thrum_rwlock *l);

/* The same, if that is possible at once.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 * Returns:    true: the caller reads, or writes
 */
THRUM_API THRUM_NODISCARD bool thrum_rwlock_tryrdlock(thrum_rwlock *l);
THRUM_API THRUM_NODISCARD bool thrum_rwlock_trywrlock(thrum_rwlock *l);

/* End reading, or writing.
 *
 * Call from:  who reads, or writes. If nobody does, the program is ended with a
 *             line that says so.
 * Suspends:   never.
 */
THRUM_API void thrum_rwlock_rdunlock(thrum_rwlock *l);
THRUM_API void thrum_rwlock_wrunlock(thrum_rwlock *l);

/* -------------------------------------------------------------------- once */

/* Something to be made at its first use. */
typedef struct thrum_once {
    THRUM_ATOMIC_(uint32_t) state_; /* [ON1] [ON2] */
    uint32_t lock_;
    void *line_;
} thrum_once;

/* Call fn(arg), unless such a call has succeeded before; wait while one is under
 * way. If fn fails that was no call, and the next of those who wait calls his.
 *
 * Call from:  a task; a thread that is no worker, which then blocks. Not from fn
 *             on the same o: it would wait for itself.
 * Suspends:   while another calls fn; and as fn does.
 * Returns:    NULL: it has been made, and what the call did is visible. So too if
 *             the task is canceled.
 *             fn's error
 *             THRUM_CANCELED: it has not been made, and was not waited for
 * Cost:       one load when it has been made.
 */
THRUM_SUSPENDS THRUM_NODISCARD static inline thrum_err *
thrum_once_call(thrum_once *o, thrum_fn *fn, void *arg);

/* ----------------------------------------------------------------- barrier */

/* So many meet, again and again: none goes on before all have come. */
typedef struct thrum_barrier {
    uint32_t lock_, all_, here_, unused_;
    void *line_;
} thrum_barrier;

#define THRUM_BARRIER_INIT(n)                                                  \
    {                                                                          \
        0, (n), 0, 0, 0                                                        \
    }

/* Make one for n.
 *
 * Call from:  anywhere, while no other knows it.
 * Suspends:   never.
 * Returns:    0, or -EINVAL if n is 0
 */
THRUM_API THRUM_NODISCARD int thrum_barrier_init(thrum_barrier *b, unsigned n);

/* Arrive, and wait for the others.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   until n have come.
 * Returns:    1 to the one who came last, 0 to the others
 *             -ECANCELED: the caller counts as not having come
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_barrier_wait(thrum_barrier *b);

/* ------------------------------------------------------------------- latch */

/* A number of things that are to be done, and those who wait until they are:
 * across scopes, where closing one would wait for other things, too. */
typedef struct thrum_latch {
    uint32_t lock_, count_;
    void *line_;
} thrum_latch;

#define THRUM_LATCH_INIT(n) THRUM_SEM_INIT(n)

/* Make one of n things.
 *
 * Call from:  anywhere, while no other knows it.
 * Suspends:   never.
 */
THRUM_API void thrum_latch_init(thrum_latch *l, unsigned n);

/* n more; before those are done that there are, or who waits may be gone. More than
 * UINT_MAX in all end the program with a line that says so.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 */
THRUM_API void thrum_latch_add(thrum_latch *l, unsigned n);

/* One is done; the last one lets all go on. More than there are is a mistake that
 * ends the program with a line that says so.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 */
THRUM_API void thrum_latch_done(thrum_latch *l);

/* Wait until all are done. It may then be used again, with thrum_latch_add.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   while some are not.
 * Returns:    0, or -ECANCELED
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_latch_wait(thrum_latch *l);

/* ---------------------------------------------------------------------------
 * The fast paths. src/sync/mutex.c and src/sync/once.c tell how they work. */

#ifdef __cplusplus
#define thrum_load_acquire_(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define thrum_cas_acquire_(p, expected, desired)                               \
    __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_ACQUIRE, \
                                __ATOMIC_RELAXED)
#define thrum_cas_release_(p, expected, desired)                               \
    __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_RELEASE, \
                                __ATOMIC_RELAXED)
#elif defined(THRUM_MODEL)
#define thrum_load_acquire_(p) load_acquire(p)
#define thrum_cas_acquire_(p, expected, desired)                               \
    cas_acquire(p, expected, desired)
#define thrum_cas_release_(p, expected, desired)                               \
    cas_release(p, expected, desired)
#else
#define thrum_load_acquire_(p) atomic_load_explicit(p, memory_order_acquire)
#define thrum_cas_acquire_(p, expected, desired)                               \
    atomic_compare_exchange_strong_explicit(                                   \
        p, expected, desired, memory_order_acquire, memory_order_relaxed)
#define thrum_cas_release_(p, expected, desired)                               \
    atomic_compare_exchange_strong_explicit(                                   \
        p, expected, desired, memory_order_release, memory_order_relaxed)
#endif

enum { THRUM_LOCKED_ = 1, THRUM_WAKE_ = 2, THRUM_COMING_ = 4, THRUM_MADE_ = 1 };

/* Who takes a lock, to be kept in its word above four flags, for reports: 28 bits
 * that tell his stack from others. 0: a thread. */
static inline uint32_t thrum_taker_(void)
{
#ifdef THRUM_MODEL
    return 0;
#else
    return (uint32_t)((uintptr_t)thrum_self_() >> 15) << 4;
#endif
}

THRUM_API THRUM_COLD_ void thrum_mutex_lock_slow_(thrum_mutex *m);
THRUM_API THRUM_COLD_ void thrum_mutex_unlock_slow_(thrum_mutex *m);
THRUM_API THRUM_COLD_ THRUM_NODISCARD thrum_err *
thrum_once_slow_(thrum_once *o, thrum_fn *fn, void *arg);

/* Each first guesses the word, as nobody waits: a load would have to wait for the
 * store before it. The second try is for when somebody is on his way. */
static inline void thrum_mutex_lock(thrum_mutex *m)
{
    uint32_t seen = 0, mine = THRUM_LOCKED_ | thrum_taker_();

    if (__builtin_expect(
            !thrum_is_simulated_() &&
                thrum_cas_acquire_(&m->state_, &seen, mine), /* [MU2] */
            1))
        return;
    if (seen == 0 || (seen & THRUM_LOCKED_) != 0 ||
        !thrum_cas_acquire_(&m->state_, &seen, seen | mine)) /* [MU2] */
        thrum_mutex_lock_slow_(m);
}

static inline void thrum_mutex_unlock(thrum_mutex *m)
{
    uint32_t mine = THRUM_LOCKED_ | thrum_taker_(), seen = mine;

    if (__builtin_expect(
            !thrum_is_simulated_() &&
                thrum_cas_release_(&m->state_, &seen, 0), /* [MU1] */
            1))
        return;
    if (seen == mine ||
        (seen & (THRUM_LOCKED_ | THRUM_WAKE_)) != THRUM_LOCKED_ ||
        !thrum_cas_release_(&m->state_, &seen,
                            seen & THRUM_COMING_)) /* [MU1] */
        thrum_mutex_unlock_slow_(m);
}

static inline thrum_err *thrum_once_call(thrum_once *o, thrum_fn *fn, void *arg)
{
    if (__builtin_expect(thrum_load_acquire_(&o->state_) ==
                             THRUM_MADE_, /* [ON2] */
                         1))
        return 0;
    return thrum_once_slow_(o, fn, arg);
}

#ifdef __cplusplus
}
#endif
#endif
