/* thrum/task.h - tasks: fork and join, scopes, gather, loops.
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
 * pthread_mutex_t across one.
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
#include <thrum/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------- fork, join */

/* A fork that is not joined yet: the caller's storage, usually on its stack. */
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

/* thrum_err *thrum_join(thrum_task *t)
 *
 * Wait until the fork has ended.
 *
 * Call from:  the task that forked it, in the scope in which it did, once.
 *             Newest first is fast, any order is allowed.
 * Suspends:   when the fork runs elsewhere. When nobody took it, it is called
 *             here and now.
 * Ownership:  the error is the caller's.
 * Order:      what fn did is visible.
 * Returns:    what fn returned.
 */
#define thrum_join(t) thrum_join_(t)

THRUM_API void thrum_fork_run_(struct thrum_job_ *job);
THRUM_API THRUM_NODISCARD thrum_err *thrum_join_any_(thrum_task *t);

/* The hint is kept as far as this thread's registers reach: a fork sets it to
 * itself, its join to the one before. */
static inline void thrum_hint_(struct thrum_job_ *newest)
{
    struct thrum_deque_ *self = thrum_self_();

    if (self != 0)
        self->head = newest;
}

static inline void thrum_fork_(thrum_task *t, const struct thrum_site_ *site,
                               thrum_fn *fn, void *arg)
{
    struct thrum_job_ *slot = thrum_newest_() + 1;

    slot->u.call.fn = fn;
    slot->u.call.arg = arg;
    t->slot_ = slot;
    thrum_hint_(thrum_publish_(slot, site));
}

THRUM_NODISCARD static inline thrum_err *thrum_join_(thrum_task *t)
{
    struct thrum_job_ *slot = t->slot_;

    if (!thrum_is_newest_(slot))
        return thrum_join_any_(t);
    if (!thrum_take_back_(slot))
        return thrum_join_slow_(slot)->u.call.err;
    thrum_hint_(slot - 1);
    return slot->u.call.fn(slot->u.call.arg);
}

/* -------------------------------------------------------------------- scopes
 *
 * A scope is a region of the program that owns tasks. They may be spawned into
 * it by whoever has its address while it is open; closing it waits for all of
 * them and folds their errors into one. Every task has a scope of its own.
 *
 *     thrum_scope s;
 *     thrum_scope_open(&s, .name = "import");
 *     thrum_err *e = read_list(&s);            // spawns into s
 *     return thrum_scope_close(&s, e);         // on every path
 */

/* What becomes of errors.
 *
 *   THRUM_ALL     every child is expected to succeed. The primary error is the
 *                 one that came first; the others follow in spawn order.
 *   THRUM_SETTLE  children fail on their own account. The primary error is that
 *                 of the lowest index; for gather: see there.
 */
typedef enum { THRUM_ALL, THRUM_SETTLE } thrum_policy;

/* The caller's storage; nothing in it is the caller's business. */
typedef struct thrum_scope {
    void *opaque_[24];
} thrum_scope;

typedef struct thrum_scope_opts {
    const char *where;   /* filled in by the macros */
    const char *name;    /* for messages; NULL: none */
    thrum_policy policy; /* THRUM_ALL */
    unsigned limit;      /* most children at once; 0: no limit */
    unsigned max_errors; /* how many are kept, the rest is counted; 0: 16 */
    int _;               /* so that a call without options can be written */
} thrum_scope_opts;

/* void thrum_scope_open(thrum_scope *s, .name = ..., .policy = ..., ...)
 *
 * Open a scope.
 *
 * Call from:  a task, or any other thread; what that spawns into it runs on the
 *             default runtime, which must run until it is closed.
 * Suspends:   never.
 * Ownership:  s stays in place until it is closed, by the same task, in reverse
 *             order of opening. Option strings live as long.
 * Cost:       no allocation.
 */
#define thrum_scope_open(...) THRUM_SCOPE_OPEN_(__VA_ARGS__, ._ = 0)

/* Close the innermost scope: wait for its children, fold their errors.
 *
 * Call from:  the task or thread that opened it.
 * Suspends:   while children live.
 * Ownership:  takes `body`, the error of the region itself, NULL for none; the
 *             result is the caller's.
 * Order:      what the children did is visible.
 * Returns:    NULL, or one error that has them all, led by the one the policy
 *             says; `body` counts as one that failed now, and ranks last. At
 *             most max_errors are kept, those of the lowest indices whatever the
 *             schedule; thrum_err_count counts all.
 *
 * A fork made in the scope and not joined stops the program with a line that
 * names its place, and so does closing a scope that is not the innermost.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *
thrum_scope_close(thrum_scope *s, thrum_err *body);

/* thrum_err *thrum_with(thrum_fn *fn, void *arg, .name = ..., ...)
 *
 * Open a scope, call fn(arg) in it, close it: no early return can skip the
 * close.
 *
 * Call from:  a task, or any other thread.
 * Suspends:   as thrum_scope_close.
 * Returns:    as thrum_scope_close, with fn's error as the body's.
 */
#define thrum_with(...) THRUM_WITH_(__VA_ARGS__, ._ = 0)

/* int thrum_spawn(thrum_scope *s, thrum_fn *fn, const void *arg, size_t copy)
 *
 * Start a child of a scope.
 *
 * Call from:  anywhere, while s is open and cannot be closed meanwhile (a child
 *             of s is such a place). s NULL: the innermost scope of the running
 *             task.
 * Suspends:   a task, when s has as many children as its limit says, or now and
 *             then to let what it spawned run, so that a long loop of spawns
 *             holds a bounded number of unstarted ones. A child of a full scope
 *             that spawns into it does not wait: the new one runs in place.
 * Ownership:  copy > 0: that many bytes are copied, fn gets the copy, aligned
 *             for any type. copy == 0: fn gets arg itself.
 * Order:      fn sees what came before.
 * Returns:    0: fn will be called, whatever happens.
 *             -ENOMEM: it will not.
 */
#define thrum_spawn(s, fn, arg, copy)                                          \
    __extension__({                                                            \
        static const struct thrum_site_ thrum_site_here_ = {thrum_spawn_run_,  \
                                                            #fn, THRUM_HERE};  \
        thrum_spawn_((s), &thrum_site_here_, (fn), (arg), (copy));             \
    })

THRUM_API void thrum_scope_open_(thrum_scope *, const thrum_scope_opts *);
THRUM_API THRUM_NODISCARD thrum_err *thrum_with_(thrum_fn *, void *,
                                                 const thrum_scope_opts *);
THRUM_API void thrum_spawn_run_(struct thrum_job_ *job);
THRUM_API THRUM_NODISCARD int thrum_spawn_(thrum_scope *,
                                           const struct thrum_site_ *,
                                           thrum_fn *, const void *, size_t);

/* -------------------------------------------------------- many calls at once */

typedef struct thrum_job {
    thrum_fn *fn;
    void *arg;
    thrum_err *err; /* filled in under THRUM_SETTLE, then the caller's */
} thrum_job;

/* Call all jobs in parallel and wait for all of them.
 *
 * Call from:  a task.
 * Suspends:   while jobs run elsewhere or wait.
 * Returns:    THRUM_ALL: NULL if all succeeded, else one error with them all,
 *             the first to happen as its primary, their thrum_err_index the
 *             index into `jobs`.
 *             THRUM_SETTLE: NULL; the errors are in jobs[i].err.
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
 * Returns:    as thrum_scope_close: one error with those of all calls that
 *             failed, indexed by i. All calls are made under either policy.
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

/* The macros above end their arguments with an option that says nothing, so that
 * there is always one. C++ before C++20 has no designated initialisers: there the
 * options are left out. */
#define THRUM_SCOPE_OPEN_(s, ...)                                              \
    thrum_scope_open_((s), THRUM_SCOPE_OPTS_(__VA_ARGS__))
#define THRUM_WITH_(fn, arg, ...)                                              \
    thrum_with_((fn), (arg), THRUM_SCOPE_OPTS_(__VA_ARGS__))
#define THRUM_EACH_I_(n, fn, ctx, ...)                                         \
    thrum_each_((n), (fn), (ctx), THRUM_SCOPE_OPTS_(__VA_ARGS__))
#if !defined(__cplusplus)
#define THRUM_SCOPE_OPTS_(...)                                                 \
    (&(const thrum_scope_opts){.where = THRUM_HERE, __VA_ARGS__})
#elif __cplusplus >= 202002L
#define THRUM_SCOPE_OPTS_(...)                                                 \
    (&static_cast<const thrum_scope_opts &>(                                   \
        thrum_scope_opts{.where = THRUM_HERE, __VA_ARGS__}))
#else
#define THRUM_SCOPE_OPTS_(...)                                                 \
    (&static_cast<const thrum_scope_opts &>(                                   \
        thrum_scope_opts{THRUM_HERE, nullptr, THRUM_ALL, 0, 0, 0}))
#endif
#endif
