/* thrum/scope.h - scopes: what owns tasks, ends them, and collects their errors.
 *
 * A scope is a region of the program. Tasks are spawned into it by whoever has
 * its address while it is open; closing it waits for all of them and folds their
 * errors into one. Every task has a scope of its own, which ends with it.
 *
 *     thrum_scope s;
 *     thrum_scope_open(&s, .name = "import", .timeout = THRUM_SEC(5));
 *     thrum_err *e = read_list(&s);            // spawns into s
 *     return thrum_scope_close(&s, e);         // on every path
 *
 * A scope can be canceled: by thrum_scope_cancel, by its deadline, by its policy
 * when a child fails or wins, or because a scope around it is. That is a level,
 * not an event: from then on every wait in it, and in what is inside it, returns
 * -ECANCELED at once, again and again, until it is closed. Nothing is stopped by
 * force. A scope opened with .shield hears nothing from outside.
 *
 *   Waits that a cancel ends: those that say so under "Returns". "-ECANCELED"
 *   means that nothing has happened; what has happened is a success, and the
 *   cancel is seen at the next wait. A join and a close wait to the end: what
 *   they wait for is canceled too.
 *   What has not begun: forks, jobs of thrum_gather and calls of thrum_each are
 *   left out, as if they had returned the error THRUM_CANCELED. A spawned task
 *   always begins, because its argument was handed over to it.
 *
 * What thrum_scope_close makes of a cancel, in this order:
 *
 *   something failed, not by being canceled     those errors; the cancellations
 *                                               beside them are dropped
 *   something was canceled, and so is a scope   THRUM_CANCELED
 *     around this one
 *   something was canceled, by the deadline     THRUM_TIMEOUT
 *   something was canceled, by                  NULL; for a task's own scope
 *     thrum_scope_cancel                        THRUM_CANCELED, to its joiner
 *   nothing was canceled                        NULL: a late success is kept
 *
 * In this header "s NULL" means the innermost open scope of the running task;
 * when it has opened none, its own.
 */
#ifndef THRUM_SCOPE_H
#define THRUM_SCOPE_H

#include <thrum/err.h>
#include <thrum/fork.h>
#include <thrum/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What an end of a child means to the others, and which error leads.
 *
 *   THRUM_ALL     all shall succeed. The first failure cancels the others; it is
 *                 the primary error, those beside it follow in spawn order.
 *   THRUM_SETTLE  each on its own account: nothing is canceled. The primary
 *                 error is that of the lowest index; for gather: see there.
 *   THRUM_ANY     one shall succeed. The first success cancels the others, and
 *                 their errors are dropped. If all fail: all their errors.
 *   THRUM_FIRST   whoever ends first decides, and cancels the others: their
 *                 errors are dropped.
 *
 * A child that was canceled alone, and comes to THRUM_CANCELED, has not failed:
 * under ALL it cancels nobody.
 *
 * Under ANY and FIRST an error of the body itself is always returned, and a
 * scope that had no child fails: there was nothing to choose from. */
typedef enum { THRUM_ALL, THRUM_SETTLE, THRUM_ANY, THRUM_FIRST } thrum_policy;

/* The caller's storage; nothing in it is the caller's business. */
typedef struct thrum_scope {
    void *opaque_[56];
} thrum_scope;

/* In any order; in C++, by its rules, in this one. */
typedef struct thrum_scope_opts {
    const char *where;    /* filled in by the macros */
    const char *name;     /* for messages and reports; NULL: none */
    thrum_time timeout;   /* cancel it after so long; 0: never */
    thrum_time deadline;  /* or at this instant; 0: never */
    thrum_policy policy;  /* THRUM_ALL */
    unsigned limit;       /* most children at once; 0: no limit */
    unsigned max_errors;  /* how many are kept, at most 4096; the rest is
                           * counted (but not if all are cancellations); 0:
                           * 16 */
    bool shield;          /* cancels from outside are not heard */
    thrum_time slow;      /* tell on_slow when it takes longer; 0: if it is
                           * still open 1 s after it was canceled */
    thrum_time grace;     /* deferred functions are shielded so long; 0, or
                           * negative: 10 s */
    thrum_trace_id trace; /* zero: that of the scope around */
    int _;                /* so that a call without options can be written */
} thrum_scope_opts;

/* void thrum_scope_open(thrum_scope *s, .name = ..., .timeout = ..., ...)
 *
 * Open a scope.
 *
 * Call from:  a task, or any other thread; what that spawns into it runs on the
 *             default runtime, which must run by now (else a spawn stops the
 *             program with a line that says so), and then until it is closed;
 *             so, too, with .slow. (In a call that a task offloads: the task's.)
 * Suspends:   never.
 * Ownership:  s stays in place until it is closed, by the same task, in reverse
 *             order of opening. Option strings live as long.
 * Cost:       no allocation.
 *
 * With both a timeout and a deadline the earlier one counts; a timeout that is
 * negative is over at once.
 */
#define thrum_scope_open(...) THRUM_SCOPE_OPEN_(__VA_ARGS__, ._ = 0)

/* Close the innermost scope: wait for its children, run what was deferred, fold
 * the errors.
 *
 * Call from:  the task or thread that opened it.
 * Suspends:   while children live, and as deferred functions do.
 * Ownership:  takes `body`, the error of the region itself, NULL for none; the
 *             result is the caller's.
 * Order:      what the children did is visible.
 * Returns:    NULL, or one error that has them all, led by the one the policy
 *             says; `body` counts as one that failed now, and ranks last. At
 *             most max_errors are kept, those of the lowest indices whatever the
 *             schedule; thrum_err_count counts all. What becomes of a cancel:
 *             see above.
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

/* A safety net for a scope that an early `return` might leave open:
 *
 *     THRUM_AUTO thrum_scope s;
 *
 * Put it on every scope of a function. One that is still open where its block
 * ends is canceled and closed there, and thrum_report is given its errors and the
 * mistake. (It cannot change what is returned: the value has been computed by
 * then. Close it on every path.) */
#define THRUM_AUTO __attribute__((__cleanup__(thrum_scope_abandon_)))

/* int thrum_spawn(thrum_scope *s, thrum_fn *fn, const void *arg, size_t copy)
 *
 * Start a child of a scope.
 *
 * Call from:  anywhere, while s is open and cannot be closed meanwhile (a child
 *             of s is such a place). s may be NULL.
 * Suspends:   a task, when s has as many children as its limit says, or now and
 *             then to let what it spawned run, so that a long loop of spawns
 *             holds a bounded number of unstarted ones. A child of a full scope
 *             that spawns into it does not wait: the new one runs in place, and
 *             hears the cancels that its spawner hears.
 * Ownership:  copy > 0: that many bytes are copied, fn gets the copy, aligned
 *             for any type; arg may be a compound literal. copy == 0: fn gets arg
 *             itself, and it must live until fn has ended.
 * Order:      fn sees what came before.
 * Returns:    0: fn will be called, whatever happens; in a canceled scope it
 *                meets -ECANCELED at its first wait.
 *             Otherwise it will not, and what arg points to is still the
 *             caller's:
 *             -ENOMEM     no memory
 *             -ECANCELED  the caller was canceled while it waited because of
 *                         the limit
 *             -ENOTRECOVERABLE  this is the child of a fork (thrum/run.h); or s
 *                         is a thread's, and the runtime that ran when it was
 *                         opened has ended
 */
#define thrum_spawn(s, fn, ...)                                                \
    thrum_must_look_(__extension__({                                           \
        static const struct thrum_site_ thrum_site_here_ = {thrum_spawn_run_,  \
                                                            #fn, THRUM_HERE};  \
        thrum_spawn_((s), &thrum_site_here_, (fn), __VA_ARGS__);               \
    }))

/* The background scope of the runtime we are on (on another thread: of the
 * default one). Its children outlive whoever spawns them. The error of each goes
 * to on_error when it ends. When the runtime stops they are canceled, and given
 * thrum_opts.grace to end. They inherit the trace id of who spawned them, and no
 * deadline, no cancel and no bound value.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Returns:    the scope; NULL if no runtime runs. It cannot be closed, and
 *             canceling it is what stopping the runtime does.
 */
THRUM_API thrum_scope *thrum_root(void);

/* ----------------------------------------------------------------- clean-up */

/* Run fn(arg) when s is closed: after its children have ended, last in first
 * out, on every path. Register it right after the acquisition that succeeded.
 *
 * It runs on the closer's stack, in a scope of its own (what it spawns with s
 * NULL is waited for), shielded from all cancels; after the scope's
 * `grace` the shield is lifted. Its error is one of the scope's.
 *
 * Call from:  a task or thread, while s is open and cannot be closed meanwhile.
 *             s may be NULL.
 * Suspends:   never.
 * Ownership:  arg lives until then. In the function that thrum_with calls, and in
 *             that of a task, a local variable does not: the scope is closed
 *             after it has returned. (The program is stopped with a line that
 *             says so.)
 * Cost:       no allocation for the first four of a scope.
 *
 * Without memory for a fifth and later one fn will not be called; s is canceled,
 * and its close returns a THRUM_NOMEM that names the function and the place.
 */
#define thrum_defer(s, fn, arg)                                                \
    thrum_defer_((s), (fn), (arg), #fn " at " THRUM_HERE)

/* In a deferred function: how the scope is ending.
 *
 * Call from:  a deferred function, or what it calls.
 * Suspends:   never.
 * Ownership:  lent until that function returns.
 * Returns:    NULL: with success. Else the error it will return, as far as is
 *             known: later clean-up may add to it. NULL anywhere else too.
 */
THRUM_API const thrum_err *thrum_outcome(void);

/* ------------------------------------------------------ cancel and deadline */

/* Cancel a scope and all that is inside it. Once is enough; it cannot be undone.
 *
 * Call from:  anywhere but a signal handler, while s is open and cannot be
 *             closed meanwhile. s may be NULL.
 * Suspends:   never.
 * Ownership:  why, for messages, lives until s is closed; NULL: no reason.
 * Order:      who sees the cancel sees what came before it.
 * Cost:       no allocation; grows with the number of waits that it ends.
 */
THRUM_API void thrum_scope_cancel(thrum_scope *s, const char *why);

/* Is the running task to stop?
 *
 * Call from:  anywhere; in a job of thrum_offload it asks for the task that waits
 *             for it.
 * Suspends:   never.
 * Returns:    true if a scope it is in was canceled, up to the innermost shield;
 *             false where no scope is open.
 * Cost:       a load and a compare, unless something was canceled somewhere.
 */
THRUM_API bool thrum_canceled(void);

/* For long computations: stop here if canceled, and let others run now and then.
 *
 * Call from:  anywhere.
 * Suspends:   a task, at every 128th call, when others are ready; its own forks
 *             are not among those. And as thrum_join lets others go first.
 * Returns:    0
 *             -ECANCELED  the task is canceled
 * Cost:       as thrum_canceled.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_checkpoint(void);

/* Move the deadline of a scope: a lease that is extended, a timeout that starts
 * anew. One that has passed stays passed.
 *
 * Call from:  anywhere, while s is open and cannot be closed meanwhile. s may
 *             be NULL.
 * Suspends:   never.
 * Returns:    nothing. at <= thrum_now(): it is over at once. INT64_MAX: never.
 */
THRUM_API void thrum_scope_set_deadline(thrum_scope *s, thrum_time at);

/* When the running task will be canceled by a deadline, at the latest: the
 * earliest of the scopes it is in, up to the innermost shield.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Returns:    the instant; INT64_MAX: never.
 */
THRUM_API thrum_time thrum_deadline(void);

/* Has the scope's own deadline canceled it?
 *
 * Call from:  who opened it, also after the close.
 * Suspends:   never.
 * Returns:    whether it has. One that passed while a task computed is noticed some
 *             milliseconds later, and not any more once the scope is closed.
 */
THRUM_API bool thrum_scope_expired(const thrum_scope *s);

/* How long has the scope been open?
 *
 * Call from:  who opened it.
 * Suspends:   never.
 * Returns:    nanoseconds; 0 for a scope without a timeout, a deadline and
 *             `slow`: others do not take the time. (If such a one is canceled, or
 *             given a deadline, it counts from then on.)
 */
THRUM_API thrum_time thrum_scope_elapsed(const thrum_scope *s);

/* ------------------------------------------------------------------------- */

THRUM_API void thrum_scope_open_(thrum_scope *, const thrum_scope_opts *);
THRUM_API void thrum_scope_open_plain_(thrum_scope *, const char *name,
                                       const char *where);
THRUM_API void thrum_scope_abandon_(thrum_scope *);
THRUM_API THRUM_NODISCARD thrum_err *thrum_with_(thrum_fn *, void *,
                                                 const thrum_scope_opts *);
THRUM_API void thrum_spawn_run_(struct thrum_job_ *job);
THRUM_API THRUM_NODISCARD int thrum_spawn_(thrum_scope *,
                                           const struct thrum_site_ *,
                                           thrum_fn *, const void *, size_t);
THRUM_API void thrum_defer_(thrum_scope *, thrum_fn *, void *arg,
                            const char *what);

static inline bool thrum_is_plain_(const thrum_scope_opts *o)
{
    return !o->policy && !o->max_errors && !o->limit && !o->shield &&
           !o->timeout && !o->deadline && !o->slow && !o->grace &&
           !o->trace.hi && !o->trace.lo;
}

/* Most scopes have nothing but a name. Where the compiler sees that, no options
 * are written down and read again. */
static inline void thrum_scope_open_any_(thrum_scope *s,
                                         const thrum_scope_opts *o)
{
    bool plain = thrum_is_plain_(o);

    if (__builtin_constant_p(plain) && plain)
        thrum_scope_open_plain_(s, o->name, o->where);
    else
        thrum_scope_open_(s, o);
}

#ifdef __cplusplus
}
#endif

/* The macros above end their arguments with an option that says nothing, so that
 * there is always one. */
#define THRUM_SCOPE_OPEN_(s, ...)                                              \
    thrum_scope_open_any_((s), THRUM_SCOPE_OPTS_(__VA_ARGS__))
#define THRUM_WITH_(fn, arg, ...)                                              \
    thrum_with_((fn), (arg), THRUM_SCOPE_OPTS_(__VA_ARGS__))
#ifndef __cplusplus
#define THRUM_SCOPE_OPTS_(...)                                                 \
    (&(const thrum_scope_opts){.where = THRUM_HERE, __VA_ARGS__})
#else
#pragma GCC system_header /* an option that is left out is no warning */
#define THRUM_SCOPE_OPTS_(...)                                                 \
    (&static_cast<const thrum_scope_opts &>(                                   \
        __extension__(thrum_scope_opts){.where = THRUM_HERE, __VA_ARGS__}))
#endif
#endif
