/* scope.h - a region that owns tasks, and what becomes of their errors.
 *
 * The word `children` is (how many were ever spawned << 32 | how many live, plus
 * one for the body while the scope is open). Each child holds one of the live;
 * children that one worker runs together are let go at once, the closer's with
 * the body. Who lets go of the last one wakes the closer. As the body lets go
 * only in close, that can only be when the closer waits.
 *
 * The place of what comes with cancellation and deadlines: a state word here,
 * set down the tree of `parent`; the closer's wait is already one that can be
 * woken for several reasons (sched/wait.h).
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

#include <thrum/task.h>

#include "sched/wait.h"
#include "task/error_sink.h"
#include "task/permits.h"

struct scope {
    /* const while open */
    struct scope *parent;
    struct sched *sched;
    struct stack *stack; /* NULL: opened by a thread that is no worker */
    struct thrum_job_ *forks_from; /* the newest fork when it was opened */
    const char *name, *where;
    bool settle;  /* THRUM_SETTLE */
    bool of_task; /* a task's own */
    bool limited;

    _Atomic uint64_t children; /* [C1] [C2] [C3] */
    struct wait *closer;       /* written before [C3] */
    struct permits permits;    /* of a limited scope */
    struct error_sink errors;
};

/* The innermost open scope of the running task, or of this thread. */
struct scope *scope_current(void);

/* A thread that is no worker runs code of scope s from here on, or of none. Its
 * scope before. */
struct scope *scope_adopt(struct scope *s);

/* sched NULL: the opening task's, else that of the default runtime. */
void scope_open(struct scope *s, const thrum_scope_opts *opts,
                struct sched *sched);
thrum_err *scope_close(struct scope *s, thrum_err *body);

/* The part of closing that waits for the children and folds the errors. */
thrum_err *scope_join(struct scope *s, thrum_err *body);

/* A task's own scope, on stack `stack` (NULL: a thread), inside `parent`. */
void scope_open_task(struct scope *s, struct scope *parent,
                     struct stack *stack);

/* One more child. Its index. The scope cannot be closed meanwhile. */
uint32_t scope_enter(struct scope *s);

/* How many children live, and the body: a hint, they may end meanwhile. */
static inline uint32_t scope_live(struct scope *s)
{
    return (uint32_t)load_relaxed(&s->children);
}

/* A child has ended with err, which is consumed. permit: it had one of a limited
 * scope, to be given back. */
void scope_leave(struct scope *s, uint32_t index, thrum_err *err, bool permit);

/* Call a spawned child on this stack, which the caller stands on. It ends, but
 * its scope is not let go yet. */
void scope_call(struct stack *stack, struct thrum_job_ *job);

/* Let go of it, for so many children that have ended. */
void scope_let_go(struct scope *s, uint32_t ended);

static inline thrum_scope *scope_public(struct scope *s)
{
    return (thrum_scope *)(void *)s;
}

static inline struct scope *scope_of(thrum_scope *s)
{
    return (struct scope *)(void *)s;
}

#endif
