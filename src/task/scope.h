/* scope.h - a region that owns tasks, ends them, and collects their errors.
 *
 * The word `children` is (how many were ever spawned << 32 | how many live, plus
 * BODY while the scope is open). Each child holds one of the live; children that
 * one worker runs together are let go at once, the closer's with the body. Who
 * lets go of the last one wakes the closer. As the body lets go only in close,
 * that can only be when the closer waits.
 *
 * Most children are spawned by who opened the scope. It counts them by itself, in
 * `own`, without a locked instruction, and adds them to the word when it lets go
 * of the body. Until then the word is that much too low, but never near 0.
 *
 * One scope, several files: scope.c opens, joins, closes; fold.c is what becomes
 * of errors; cancel.c is the tree; permits.c the limit; alarm.c the deadline and
 * `slow`; defer.c the clean-up; report.c what the program is told; local.c what
 * is bound.
 *
 * Invariants
 *   I1  A scope is open from scope_open to scope_close, by one task; scopes of a
 *       task nest.
 *   I2  Nobody touches a scope after it has let go, but its closer.
 *
 * Ordering
 *   [C1] a child lets go -> [C2] the closer   what the child did, its error
 *   [C3] the closer lets go -> [C1] the last child   where the closer waits
 */
#ifndef TASK_SCOPE_H
#define TASK_SCOPE_H

#include <thrum/run.h>
#include <thrum/task.h>

#include "os/spin.h"
#include "sched/wait.h"
#include "task/error_sink.h"
#include "task/line.h"

struct scope_wait;
struct deferred_block;

/* Why a scope is canceled; several may be true. */
enum stop {
    STOP_CANCEL = 1,   /* thrum_scope_cancel */
    STOP_DEADLINE = 2, /* its own */
    STOP_FAILED = 4,   /* a child, under THRUM_ALL */
    STOP_WON = 8,      /* a child, under THRUM_ANY and THRUM_FIRST */
    STOP_COUNTED = 16, /* in thrum_cancels_ */
};

/* How many children may live at once; who is too many waits, in order: a permit
 * that is given back goes to the one who has waited longest. */
struct permits {
    struct spin lock;
    uint32_t left;    /* lock */
    struct line line; /* lock: who waits; then left is 0 */
};

enum alarm { ALARM_OFF, ALARM_SET, ALARM_RINGS };

enum { DEFERRED_INLINE = 4 };

/* What clean-ups of a scope, and background tasks of a runtime, get to end. */
#define GRACE_DEFAULT THRUM_SEC(10)

struct deferred {
    thrum_fn *fn;
    void *arg;
};

struct scope {
    _Atomic uint64_t seen; /* cancel.c; first: thrum/fork.h reads it */

    /* const while open */
    struct scope *around;     /* the innermost one here, when it was opened */
    struct thrum_here_ *here; /* and the fork that was called in place */
    struct sched *sched;
    struct stack *stack; /* NULL: opened by a thread that is no worker */
    struct thrum_job_ *forks_from; /* the newest fork when it was opened */
    const char *name, *where;

    /* The tree, cancel.c: lock is this one's, next and prev are the parent's. Side
     * by side is all that a cancel looks at on its way down. */
    struct scope *parent; /* const, as the rest before */
    struct scope *next, *prev;
    struct scope *inner;
    struct scope_wait *waits; /* lock */
    struct spin lock;
    _Atomic uint32_t linked; /* [K4] [K5] */
    int32_t ahead;           /* the parent's lock: fetch_ahead */
    _Atomic uint32_t stops;  /* enum stop [K1] */
    _Atomic uint16_t calls;  /* lock: some are the blocking pool's */
    _Atomic uint16_t timed;  /* the fields of alarm.c are set [K8] [K9] */

    bool shield;   /* const, as the next */
    bool of_task;  /* a task's own */
    bool framed;   /* the library's frame, that of who calls the body */
    bool in_place; /* of a child that a full scope runs in place */

    /* Zero at first, and side by side, as one store is enough then. */
    uint8_t policy;        /* const: thrum_policy */
    bool limited;          /* const */
    bool has_grace;        /* const: `grace` is set */
    bool has_trace;        /* const: `trace` is */
    bool supervised;       /* const: a root; errors are told as they come */
    bool generates;        /* const: a generator's body runs in it */
    bool noted;            /* const: by `ticks` and `timeout`, not `opened` */
    bool ending;           /* its deferred functions run: `outcome` tells how */
    uint8_t alarm;         /* lock: enum alarm */
    bool alarm_ended;      /* lock */
    bool alarm_used;       /* lock: it was set once */
    bool alarm_rang;       /* lock: by who rings, before he sets it anew */
    uint8_t defers_inline; /* lock */
    _Atomic bool alone;    /* lock, a hint to others: scope_is_alone */
    uint16_t generators;   /* its task's: opened in it, and not closed */

    _Atomic(struct thrum_binding *) bound; /* [K6] [K7] */
    struct error_sink errors;

    /* Far from what children read: it is written at each spawn. */
    _Atomic uint64_t children; /* [C1] [C2] [C3] */
    struct wait *closer;       /* written before [C3] */
    _Atomic uint32_t own;      /* by who opened it: not in `children` yet */

    /* set if the flag before says so */
    union {
        struct permits permits;   /* limited */
        struct scope *instead_of; /* in_place: whose child it is; const */
    };
    thrum_trace_id trace;
    struct deferred defers[DEFERRED_INLINE]; /* lock */
    struct deferred_block *defers_more;      /* lock: set with the first */
    const thrum_err *outcome;
    const char *why;    /* lock: of STOP_CANCEL */
    int64_t grace;      /* const */
    struct timer timer; /* lock, and these */
    uint64_t ticks;
    int64_t timeout;
    struct scope *pending_outer; /* the next in the list of the stack */
    int64_t opened, slow, slow_at;
    _Atomic int64_t deadline; /* written with the lock; a hint to readers */
};

static inline thrum_scope *scope_public(struct scope *s)
{
    return (thrum_scope *)(void *)s;
}

static inline struct scope *scope_of(thrum_scope *s)
{
    return (struct scope *)(void *)s;
}

/* The innermost open scope of the task that runs on `stack`. */
static inline struct scope *scope_on(struct stack *stack)
{
    return scope_of(load_relaxed(&stack->deque.scope)); /* its owner's */
}

/* The innermost open scope of the running task, or of this thread. */
struct scope *scope_current(void);

/* As scope_current; in a fork that was called in place, and has no scope of its
 * own yet, one is made. (Without memory it is the scope around.) */
struct scope *scope_own(void);

/* What the caller gave to `func`: NULL stands for the innermost. Dies if there is
 * none. */
struct scope *scope_given(thrum_scope *s, const char *func);

/* The innermost scope is not of the running task, but of one that it works for:
 * a job of thrum_offload, a part of a loop. */
bool scope_is_borrowed(void);

/* A thread that is no worker runs code of scope s from here on, or of none. Its
 * scope before. */
struct scope *scope_adopt(struct scope *s);

/* Is it one that the running task, or this thread, opened and has not closed? */
bool scope_is_open_here(struct scope *s);

/* sched NULL: the opening task's, else that of the default runtime. */
void scope_open(struct scope *s, const thrum_scope_opts *opts,
                struct sched *sched);
thrum_err *scope_close(struct scope *s, thrum_err *body);

/* To close a scope, which is the thing. */
extern const struct thrum_awaited_ awaited_children;

/* A scope that no task opens and closes: a runtime's root. Its end: wait for the
 * children and fold the errors. */
void scope_open_root(struct scope *s, struct sched *sched, const char *name);
thrum_err *scope_join(struct scope *s, thrum_err *body);

/* Wait until `until` for the children of a root, and block the thread: with w, which
 * lives as long as they. False: some go on. */
bool scope_join_by(struct scope *s, struct wait *w, int64_t until);

/* A task's own scope, on stack `stack`, inside `parent`. NULL: the child runs on a
 * thread that is no worker, whose scope is `parent`. */
void scope_open_task(struct scope *s, struct scope *parent, struct stack *stack,
                     const struct thrum_site_ *site);

/* For reports: a child of `parent`, made at `site`, runs on this stack until
 * child_end, which is given what ran there before. */
struct child {
    void *of;
    const struct thrum_site_ *site;
};

static inline struct child child_begin(struct stack *stack,
                                       struct scope *parent,
                                       const struct thrum_site_ *site)
{
    struct child around = {load_relaxed(&stack->child_of), /* ours to write */
                           load_relaxed(&stack->child_site)};

    store_relaxed(&stack->child_site, site);
    store_relaxed(&stack->child_of, parent);
    return around;
}

static inline void child_end(struct stack *stack, struct child around)
{
    store_relaxed(&stack->child_of, around.of);
    store_relaxed(&stack->child_site, around.site);
}

/* What is called between begin and end, on the caller's stack, is a task of the
 * innermost scope: as thrum_join does for a fork that nobody took. */
static inline void scope_here_begin(struct stack *stack,
                                    struct thrum_here_ *here)
{
    here->around = (uintptr_t)stack->deque.here;
    stack->deque.here = here;
}

static inline thrum_err *
scope_here_end(struct stack *stack, struct thrum_here_ *here, thrum_err *err)
{
    if (unlikely((here->around & THRUM_OWN_) != 0))
        err = thrum_fork_end_(err);
    stack->deque.here = (struct thrum_here_ *)here->around;
    return err;
}

/* The stack that the fork in `slot` runs on, by task/fork.c; NULL: it has not
 * begun there, or has ended. forker: whose it is. */
struct stack *fork_runner(struct stack *forker, const void *slot);

/* One more child, spawned on stack `here`, or NULL. Its index. The scope cannot be
 * closed meanwhile. */
uint32_t scope_enter(struct scope *s, struct stack *here);

enum { BODY = 1 << 30 }; /* in the word: more than there will be children */

/* How many children live, and the body: a hint, they may end meanwhile. */
static inline uint32_t scope_live(struct scope *s)
{
    uint32_t live = (uint32_t)load_relaxed(&s->children);

    return live < BODY / 2 ? live : live + load_relaxed(&s->own) - BODY + 1;
}

/* A child has ended with err, which is consumed. permit: it had one of a limited
 * scope, to be given back. */
void scope_leave(struct scope *s, uint32_t index, thrum_err *err, bool permit);

/* Call a spawned child on this stack, which the caller stands on. It ends, but
 * its scope is not let go yet. */
void scope_call(struct stack *stack, struct thrum_job_ *job);

/* Let go of it, for so many children that have ended. */
void scope_let_go(struct scope *s, uint32_t ended);

/* --- fold.c --------------------------------------------------------------- */

/* What a child's end means to the others, as the policy has it; consumes err.
 * True: it has won. */
bool scope_ended(struct scope *s, size_t index, thrum_err *err);

/* The body has failed while children are at work. */
void scope_body_failed(struct scope *s, thrum_err *body);

/* What all of it comes to, the body's error with it; had_children: that was given
 * to scope_body_failed, if there was one. */
thrum_err *scope_fold(struct scope *s, thrum_err *body, bool had_children);

/* The error of a task that got no scope of its own, as that would have folded
 * it. `around`: the one it ran in. */
thrum_err *scope_fold_alone(struct scope *around, thrum_err *err);

/* --- cancel.c ------------------------------------------------------------- */

/* Is it for its opener, a thread that is no worker, to keep its time? So it is while
 * nothing was spawned in it: the runtime may end before it is closed. And of one
 * that was open when the process forked: in the child nobody else does. */
static inline bool scope_is_alone(const struct scope *s)
{
    return s->stack == NULL &&
           (load_relaxed(&s->alone) || sched_is_gone(s->sched)); /* a hint */
}

/* In `seen`. Ask the clock each time: no runtime keeps its deadline, or one's
 * around it. And: it is canceled, or one around it is. */
#define SEEN_NEVER    UINT64_MAX
#define SEEN_CANCELED (UINT64_MAX - 1)

/* For a scope that begins in this one, and hears what that hears: what is known. */
static inline uint64_t scope_seen(struct scope *parent)
{
    return load_acquire(&parent->seen); /* [K11] */
}

/* A wait that a cancel ends. */
struct scope_wait {
    struct wait wait;
    struct scope_wait *next, *prev; /* the scope's lock */
    bool listed;                    /* the scope's lock */
    bool deaf;                      /* const: a cancel does not end it */

    /* for who looks on; const while it is listed */
    const struct thrum_awaited_ *kind;
    const void *thing;
};

/* Before it sleeps: for what. */
static inline void wait_tell(struct scope_wait *w,
                             const struct thrum_awaited_ *kind,
                             const void *thing)
{
    w->kind = kind;
    w->thing = thing;
}

/* Wait in scope s, the running task's innermost, or NULL for none. WAKE_CANCEL:
 * it is canceled, and no wait_wake of the source has won or will. */
enum wake scope_sleep(struct scope *s, struct scope_wait *w);

/* Wait whatever is canceled; in s for who looks on. */
void scope_sleep_deaf(struct scope *s, struct scope_wait *w);

/* The same as scope_sleep, at place p in a line. False: it is canceled; it was not
 * called, and has left the line. */
bool scope_sleep_in(struct scope *s, struct scope_wait *w, struct line *l,
                    struct spin *lock, struct line_place *p);

/* A thread that is no worker: the same, until it wakes itself (WAKE_DEADLINE). */
enum wake scope_block(struct scope *s, struct scope_wait *w, int64_t until);

/* The same, and no cancel ends the wait, which is not one of the scope: meanwhile
 * the thread keeps the time of its scopes that are alone, for what is inside. */
enum wake scope_watch(struct scope *s, struct wait *w, int64_t until);

bool scope_ask_canceled(struct scope *s);

/* Is s canceled, or one around it? */
static inline bool scope_canceled(struct scope *s)
{
    return unlikely(load_relaxed(&s->seen) !=
                    load_relaxed(&thrum_cancels_)) && /* a hint; [K3] decides */
           scope_ask_canceled(s);
}

/* Is one around it canceled, that it hears of? */
bool scope_canceled_outside(struct scope *s);

/* Cancel it, and all inside. False: that had been said before. */
bool scope_stop(struct scope *s, enum stop why);

/* STOP_CANCEL, for this reason; NULL: none. */
void scope_cancel(struct scope *s, const char *why);

/* As scope_stop, of one that may be closing just now, and is then still there: nobody
 * is told if it takes long to end. */
void scope_tell(struct scope *s, enum stop why);

/* From here on a cancel of s, or of one around it, has the blocking pool look for
 * children that need not be called any more. */
void scope_has_calls(struct scope *s);

/* Is s canceled, or one around it? Has no effect, and asks no clock. */
bool scope_is_stopped(const struct scope *s);

/* Let who looks on find s, which waits for nothing. */
void scope_link(struct scope *s);

/* Let the waiters of a scope that is linked be found no more: the last act of a
 * close. */
void scope_unlink(struct scope *s);

/* --- permits.c ------------------------------------------------------------ */

void permits_init(struct permits *p, uint32_t n);
bool permits_try_take(struct permits *p);

/* Suspends the task, or blocks the thread, while there is none. False: `scope`,
 * where the caller is, was canceled, and none was taken. */
bool permits_take(struct permits *p, struct scope *scope,
                  const struct thrum_awaited_ *kind);
void permits_give(struct permits *p);

/* --- alarm.c: the scope's own deadline, and `slow` ------------------------ */

void alarm_open(struct scope *s, const thrum_scope_opts *opts);

/* From here on its runtime, which it has, keeps the time of s, and of those around
 * it that are alone and have the same. */
void alarm_keep(struct scope *s);

/* The hooks of the scheduler: a stack is put away; it runs. */
void alarm_settle(struct stack *stack);
bool alarm_look(struct stack *stack);

/* It was canceled: tell if it takes long to end. */
void alarm_late(struct scope *s);

/* From here on it is silent, and time changes nothing any more. */
void alarm_silence(struct scope *s);

/* It ends with err: tell if that took too long. */
void alarm_report(struct scope *s, const thrum_err *err);

/* --- defer.c -------------------------------------------------------------- */

/* Is arg a variable of a function that returns before s is closed? */
bool defer_is_local(const struct scope *s, const void *arg);

/* Run what was deferred; the outcome from `err` on, which is consumed. */
thrum_err *defer_run(struct scope *s, thrum_err *err);

/* --- report.c: what the program is told ----------------------------------- */

/* A child of a root scope has ended with err, or NULL; consumes it. */
void report_child(struct scope *root, thrum_err *err);

/* It has been open for `took`, which is long: tell who is still at work. */
void report_slow(struct scope *s, int64_t took);

/* It took that long, and ends with err. */
void report_took(struct scope *s, int64_t took, const thrum_err *err);

/* The children of s that are known to be at work, as text. */
void report_children(struct scope *s, char *text, size_t bytes);

/* Where the hooks of a runtime are found: told once, at start. NULL asks for the
 * default one. */
void report_set_finder(thrum_opts (*of)(struct sched *sched));

/* --- local.c -------------------------------------------------------------- */

struct error_context;

/* Where the caller is, or one that is in this scope: for errors (task/error.h). */
void local_context(struct error_context *context);
void local_context_of(const struct scope *s, struct error_context *context);

#endif
