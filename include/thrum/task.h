/* thrum/task.h - tasks: fork and join, gather, loops. Scopes: thrum/scope.h.
 *
 * A task is a call that may run at the same time as its caller. There are two
 * ways to make one:
 *
 *   fork    for a result soon: the caller joins it, newest first. Costs some
 *           nanoseconds when nobody is free to run it elsewhere, and then runs
 *           in place at the join, as a plain call would.
 *   spawn   for work that belongs to a scope, not to a line of code. The
 *           argument is copied; the scope joins it.
 *
 * Every task may wait anywhere, at any depth, for anything: only the task is
 * suspended, its worker goes on with other work. A task may resume on another
 * thread than the one it was suspended on: do not keep the address of a
 * thread-local or of errno across a call that suspends, and hold no
 * pthread_mutex_t across one. (A library built with DEBUG=1 ends the program if
 * one does, and says which, and where. It must be linked dynamically to libc.) A
 * C++ exception is its task's own, and may be caught around waits and before them,
 * but never leaves the function of a task. The rounding mode of <fenv.h> and the
 * signal mask are the thread's: a task that sets one sets it back before it waits,
 * and what it forks or spawns may run without it.
 *
 * No task outlives its scope: closing one waits for all that was spawned in it.
 * Tasks may thus use the caller's variables.
 *
 * A waiting join or close never runs a stranger's work on the waiting stack:
 * what runs there is what a serial program would have called there.
 */
#ifndef THRUM_TASK_H
#define THRUM_TASK_H

#include <thrum/err.h>
#include <thrum/fork.h>
#include <thrum/scope.h>
#include <thrum/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------- fork, join */

/* A fork that is not joined yet: the caller's storage, usually on its stack. It may
 * be moved, as an array is that grows. */
typedef struct thrum_task {
    struct thrum_job_ *slot_;
} thrum_task;

/* void thrum_fork(thrum_task *t, thrum_fn *fn, void *arg)
 *
 * Let fn(arg) run in parallel with what follows.
 *
 * Call from:  a task.
 * Suspends:   never.
 * Ownership:  t and what arg points to live until the join.
 * Order:      fn sees what came before the fork.
 * Cost:       no allocation but for one segment of 32 KiB when over five hundred
 *             forks of a stack are open; no atomic read-modify-write while
 *             nobody looks for work.
 *
 * Never fails: where memory for a further segment is lacking, the program is
 * stopped with a line that says so.
 */
#define thrum_fork(t, fn, arg)                                                 \
    do {                                                                       \
        static const struct thrum_site_ thrum_site_here_ = {thrum_fork_run_,   \
                                                            #fn, THRUM_HERE};  \
        thrum_fork_((t), &thrum_site_here_, (fn), (arg));                      \
    } while (0)

/* Wait until the fork has ended.
 *
 * Call from:  the task that forked it, in the scope in which it did, once.
 *             Newest first is fast, any order is allowed.
 * Suspends:   when the fork runs elsewhere. When nobody took it, it is called
 *             here and now; but others go first, if the caller's worker was found
 *             to keep them waiting (at a look every 10 ms, and when a timer has
 *             woken somebody): tasks that were woken, and children of a scope
 *             whose opener waits for other things than them.
 * Ownership:  the error is the caller's.
 * Order:      what fn did is visible.
 * Returns:    what fn returned, with the errors of what it spawned. THRUM_CANCELED
 *             if it was not called, because the scope or the fork was canceled
 *             before anybody took it.
 *
 * One that was never forked, is joined already or is another task's: one line that
 * says so, then abort. (But if a later fork has got the place of one that is joined,
 * that is joined instead, and its own join says so.)
 */
THRUM_SUSPENDS THRUM_NODISCARD static inline thrum_err *
thrum_join(thrum_task *t);

/* Cancel one fork: what it waits for returns -ECANCELED. If it has not begun it
 * never will, and its join returns THRUM_CANCELED.
 *
 * Call from:  the task that forked it, before the join.
 * Suspends:   never.
 * Cost:       as thrum_scope_cancel.
 */
THRUM_API void thrum_task_cancel(thrum_task *t);

THRUM_API void thrum_fork_run_(struct thrum_job_ *job);
THRUM_API THRUM_NODISCARD thrum_err *thrum_join_any_(thrum_task *t);
THRUM_API THRUM_COLD_ THRUM_NODISCARD thrum_err *
thrum_join_cold_(struct thrum_job_ *slot, bool mine);
THRUM_API THRUM_COLD_ THRUM_NODISCARD thrum_err *thrum_fork_end_(thrum_err *e);

static inline void thrum_fork_(thrum_task *t, const struct thrum_site_ *site,
                               thrum_fn *fn, void *arg)
{
    struct thrum_deque_ *self = thrum_self_hinted_();
    struct thrum_job_ *slot = self->head + 1;

    thrum_store_two_(&slot->u.call.fn, (uintptr_t)fn, (uintptr_t)arg);
    t->slot_ = slot;
    self->head = thrum_publish_(self, slot, site);
}

/* By the task that forked it, not joined yet, and no later one is open: not even
 * a typed one, which does not move the hint. (After typed forks, and for a segment's
 * last fork, ask the slow path.) */
static inline bool thrum_is_newest_(const struct thrum_deque_ *self,
                                    struct thrum_job_ *slot)
{
    return __builtin_expect(
        self != 0 && self->head == slot && !thrum_in_use_(slot + 1), 1);
}

/* May the fork that was taken back be called right here? */
static inline bool thrum_may_call_(struct thrum_deque_ *self)
{
    return !thrum_may_be_canceled_(thrum_load_relaxed_(&self->scope));
}

static inline thrum_err *thrum_join(thrum_task *t)
{
    struct thrum_job_ *slot = t->slot_;
    struct thrum_deque_ *self = thrum_self_();
    struct thrum_here_ here;
    thrum_err *err;
    bool mine;

    if (!thrum_is_newest_(self, slot))
        return thrum_join_any_(t);
    mine = thrum_take_back_(slot);
    self->head = slot - 1;
    if (__builtin_expect(!mine || !thrum_may_call_(self), 0))
        return thrum_join_cold_(slot, mine);
    here.around = (uintptr_t)self->here;
    self->here = &here;
    err = slot->u.call.fn(slot->u.call.arg);
    if (__builtin_expect((here.around & THRUM_OWN_) != 0 || err != 0, 0))
        err = thrum_fork_end_(err);
    thrum_self_()->here = (struct thrum_here_ *)here.around;
    return err;
}

/* ------------------------------------------------------- many calls at once */

typedef struct thrum_job {
    thrum_fn *fn;
    void *arg;
    thrum_err *err; /* filled in under THRUM_SETTLE, then the caller's */
    bool won;       /* filled in: under THRUM_ANY and THRUM_FIRST, the winner */
} thrum_job;

/* Call all jobs in parallel and wait for all of them.
 *
 * Call from:  a task.
 * Suspends:   while jobs run elsewhere or wait; and between two jobs, as thrum_join.
 * Returns:    THRUM_ALL: NULL if all succeeded, else one error with them all,
 *             the first to happen as its primary, their thrum_err_index the
 *             index into `jobs`.
 *             THRUM_SETTLE: NULL; the errors are in jobs[i].err. If the caller
 *             itself was canceled and jobs were cut short: THRUM_CANCELED, with
 *             the failures of the others behind it, and every jobs[i].err NULL.
 *             THRUM_ANY, THRUM_FIRST: NULL if a job won, else the errors; one
 *             too if there is no job. jobs[i].won is true for the one whose end
 *             decided, and for no other: a loser may have succeeded as well,
 *             before it heard of it. If the first to end has failed, it has won
 *             under THRUM_FIRST, and its error is returned.
 *
 * When a job fails, wins or ends first, as the policy has it, the others are
 * canceled, and those that have not begun are left out. All have ended when it
 * returns. Each job is a task with a scope of its own.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *
thrum_gather(thrum_job *jobs, size_t n, thrum_policy policy);

/* thrum_err *thrum_each(size_t n, fn, void *ctx, .limit = ..., ...)
 *
 * Call fn(i, ctx) for every i in [0, n), in parallel, and wait for all. Any
 * call may wait; at most `limit` are under way at once. Without a limit the
 * range is split as workers ask for work, not into n tasks at once.
 *
 * Call from:  a task.
 * Suspends:   as thrum_gather.
 * Returns:    as thrum_scope_close of a scope with these options whose children
 *             the calls are, indexed by i. Once it is canceled, calls that have
 *             not begun are left out.
 */
#define thrum_each(...) THRUM_EACH_I_(__VA_ARGS__, ._ = 0)

typedef thrum_err *thrum_each_fn(size_t i, void *ctx);

THRUM_API THRUM_NODISCARD thrum_err *
thrum_each_(size_t n, thrum_each_fn *fn, void *ctx, const thrum_scope_opts *);

/* A loop body: the part [lo, hi) of the range. */
typedef thrum_err *thrum_range_fn(size_t lo, size_t hi, void *ctx);

/* A parallel loop: call fn on parts that together make up [lo, hi).
 *
 * Call from:  a task.
 * Suspends:   as thrum_gather.
 * Returns:    NULL, or the errors of the parts that failed, indexed by their
 *             lo. After an error parts that have not begun are left out.
 *             THRUM_CANCELED if parts were left out because the caller was
 *             canceled.
 *
 * grain: the largest part. 0 lets the library choose: parts grow until one
 * takes some ten microseconds, and what is left is split when a worker asks.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *
thrum_for(size_t lo, size_t hi, size_t grain, thrum_range_fn *fn, void *ctx);

/* How to reduce. The accumulator is `size` bytes. */
typedef struct thrum_reduction {
    size_t size;
    /* Make an accumulator that changes nothing when merged. */
    void (*init)(void *acc, void *ctx);
    /* Fold `from`, which came from higher indices, into `into`. */
    void (*merge)(void *into, void *from, void *ctx);
    /* Fold the part [lo, hi) into acc. */
    thrum_err *(*fn)(size_t lo, size_t hi, void *acc, void *ctx);
} thrum_reduction;

/* A parallel reduction of [lo, hi) into acc, which the caller has initialised.
 *
 * Call from:  a task.
 * Suspends:   as thrum_gather.
 * Order:      accumulators are merged in the order of their ranges: merge need
 *             be associative, not commutative.
 * Returns:    as thrum_for; of kind THRUM_NOMEM when a part that was stolen
 *             finds no memory for its accumulator: acc is then as far as it
 *             got.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *
thrum_reduce(size_t lo, size_t hi, size_t grain, const thrum_reduction *how,
             void *acc, void *ctx);

#ifdef __cplusplus
}
#endif

#define THRUM_EACH_I_(n, fn, ctx, ...)                                         \
    thrum_each_((n), (fn), (ctx), THRUM_SCOPE_OPTS_(__VA_ARGS__))
#endif
