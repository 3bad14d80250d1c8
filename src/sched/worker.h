/* worker.h - an OS thread that runs jobs on stacks.
 *
 * A worker runs a loop, on a task stack. Forks and spawns are called right
 * there, on the loop's own stack: no switch, no stack of their own. Only when
 * something must wait does a stack change hands: the waiting stack, with the
 * loop's frame below it, is put away; the worker takes a spare one and goes on
 * with its loop there. The job that resumes a stack puts the idle loop's stack
 * among the spares and switches. So a stack is needed per waiting task only.
 *
 * What holds on a stack across every switch is the stack itself: its deque, and
 * the frames on it. The worker is read from it anew (stack->worker) after each
 * call that may suspend.
 *
 * Knows nothing of scopes, errors or what a job is for.
 */
#ifndef SCHED_WORKER_H
#define SCHED_WORKER_H

#include "os/held.h"
#include "sched/sched.h"

/* The stack that the calling thread stands on; NULL: it is no worker. Not
 * inlined, and read anew on each call: a thread-local address must not live
 * across a switch. */
struct stack *worker_current(void);

/* Of this runtime the worker that runs the caller, or else the first. */
struct worker *worker_near(struct sched *sched);

/* For a guest: worker_move_in runs the loop on the calling thread, until
 * worker_leave, called where it stands on no task. It is let in again by
 * worker_enter, on the same thread. */
void worker_move_in(struct worker *w);
void worker_leave(struct worker *w);
void worker_enter(struct worker *w);

/* The body of a worker's thread, and what runs on each stack (its argument). */
void worker_main(void *worker);
void worker_loop(void *stack);

/* What is run instead of s, which is about to be put away: a stack to switch to.
 * NULL: no memory for one. */
struct stack *worker_next(struct stack *s);

/* Switch from s, which the caller stands on. `after` is called when it is at rest.
 * Returns when somebody has resumed it. */
void worker_switch(struct stack *s, struct stack *to, worker_after *after,
                   void *arg);

/* Suspend: put stack s away and run others. False: no memory for a stack to go on
 * with; nothing happened. Inline, as each return on the way back from a switch is
 * one that the processor did not foresee. */
static inline bool worker_suspend(struct stack *s, worker_after *after,
                                  void *arg)
{
    struct stack *to = worker_next(s);

    if (unlikely(to == NULL))
        return false;
    worker_switch(s, to, after, arg);
    return true;
}

/* Hand the CPU over to a stack that is at rest in worker_swap: put s away, which
 * the caller stands on, and go on there. Who goes on finds s at rest, and is to
 * see to it that it is swapped to again. Returns 0 then: to be the last act of a
 * function (os/ctx.h). */
int worker_swap(struct stack *s, struct stack *to);

/* The same to a spare stack that begins with `job`. -ENOMEM: there is no memory
 * for one. Its last act is worker_swap_end, and then `to` gives it back. */
int worker_swap_new(struct stack *s, struct thrum_job_ *job);
void worker_swap_end(struct stack *s, struct stack *to);
void worker_give_back(struct stack *s, struct stack *ended);

/* In a debug build: die if the task that s runs has a pthread mutex (os/held.h),
 * as it is about to be suspended. */
#if HELD_KNOWN
void worker_require_no_mutex(struct stack *s, const char *what);
#else
static inline void worker_require_no_mutex(struct stack *s, const char *what)
{
    (void)s;
    (void)what;
}
#endif

/* Let the jobs that are ready go first, if there are any. Its forks stay with it,
 * and can be taken once it goes on: were each given a stack here, a recursion that
 * yields now and then would be walked in breadth, and fill the memory. */
void worker_yield(struct stack *s);

/* The same; its forks are among the jobs that are ready. */
void worker_yield_to_forks(struct stack *s);

/* Who calls children and forks in place, or the parts of a loop, makes no turn for as
 * long as he likes. If the monitor has seen that jobs wait, those tasks among them
 * that were woken go first, between two such calls; and those that have not begun, if
 * their scope's opener waits for other things than its children, as a server does that
 * accepts. All others stay behind him, or a tree would be walked in breadth. */
static inline bool worker_is_asked(const struct stack *s)
{
    return unlikely(load_relaxed(&s->worker->asked) != 0); /* a hint */
}

cold void worker_let_others(struct stack *s);

static inline void worker_give_way(struct stack *s)
{
    if (worker_is_asked(s))
        worker_let_others(s);
}

/* Is less than half of stack s in use, which the caller stands on? Jobs that are
 * called where one waits nest, one above the other. */
static inline bool worker_has_room(const struct stack *s)
{
    const char *here = __builtin_frame_address(0);

    return here - s->low > (const char *)s - here;
}

/* The stack that a job resumes; NULL: it is a job of another kind. */
struct stack *worker_resumed_by(struct thrum_job_ *job);

void worker_interrupt(enum point point);

/* Here the task may be interrupted, as a thread may be anywhere: by a
 * simulation, and only there. No lock is held. */
static inline void sched_point(enum point point)
{
#ifdef THRUM_MODEL
    (void)point; /* its explorer interrupts everywhere */
#else
    if (unlikely(thrum_is_simulated_()))
        worker_interrupt(point);
#endif
}

/* After worker_suspend said no: run one other job in place, if one is ready
 * that needs no switch: for a stack that cannot be put away for lack of
 * memory. */
bool worker_run_one(struct stack *s);

/* Let a suspended stack go on. From any thread, and from a signal handler (on a
 * stack of its own): takes no lock. `sched`: its runtime. */
void worker_resume(struct sched *sched, struct stack *s);

#endif
