/* thrum_fork and thrum_join, beyond what thrum/task.h does inline. */

#include <thrum/task.h>

#include <errno.h>

#include "base/alloc.h"
#include "sched/fork.h"
#include "sched/worker.h"
#include "task/scope.h"

/* A fork that runs elsewhere, for its forker to find. On the stack it runs on,
 * in a list of the forker's, and in its slot: there is no function any more, and
 * `prev` is it, or NULL when it has ended. */
struct taken {
    struct thrum_job_ *slot;
    struct scope *own;
    struct taken *next, *prev; /* lock: the forker's taken_lock */
};

static thrum_err *is_canceled(void *arg)
{
    (void)arg;
    return thrum_rc(-ECANCELED);
}

static struct stack *forker_of(struct thrum_job_ *slot)
{
    return stack_of(thrum_deque_of_(slot)->first);
}

/* Under the lock of its forker. NULL: it has not begun, or it has ended. */
static struct taken *taken_of(struct thrum_job_ *slot)
{
    return slot->u.call.fn != NULL ? NULL
                                   : (struct taken *)(void *)slot->u.call.prev;
}

static void set_taken(struct thrum_job_ *slot, struct taken *t)
{
    slot->u.call.fn = NULL;
    slot->u.call.prev = (struct thrum_job_ *)(void *)t;
}

/* What to call; whoever forked it can find it from here on. */
static thrum_fn *begin(struct taken *t, struct thrum_job_ *slot,
                       struct scope *own)
{
    struct stack *forker = forker_of(slot);
    struct taken *first;
    thrum_fn *fn;

    *t = (struct taken){.slot = slot, .own = own};
    spin_lock(&forker->taken_lock);
    fn = slot->u.call.fn;
    set_taken(slot, t);
    t->next = first = forker->deque.taken;
    if (first != NULL)
        first->prev = t;
    forker->deque.taken = t;
    spin_unlock(&forker->taken_lock);
    return fn;
}

static void end(struct taken *t)
{
    struct stack *forker = forker_of(t->slot);

    spin_lock(&forker->taken_lock);
    set_taken(t->slot, NULL);
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        forker->deque.taken = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    spin_unlock(&forker->taken_lock);
}

struct stack *fork_runner(struct stack *forker, const void *slot)
{
    struct stack *stack = NULL;

    spin_lock(&forker->taken_lock);
    for (struct taken *t = forker->deque.taken; t != NULL; t = t->next)
        if (t->slot == slot)
            stack = t->own->stack;
    spin_unlock(&forker->taken_lock);
    return stack;
}

/* While its forker may do something else: in a scope of its own. */
static thrum_err *run_elsewhere(struct thrum_job_ *slot, struct stack *stack,
                                struct scope *parent)
{
    const struct thrum_site_ *site = /* ours; the slot's may be joined */
        load_relaxed(&stack->site);
    struct child around = child_begin(stack, parent, site);
    struct scope own;
    struct taken t;
    thrum_fn *fn;
    thrum_err *err;

    scope_open_task(&own, parent, stack, site);
    fn = begin(&t, slot, &own);
    err = fn(slot->u.call.arg);
    end(&t);
    err = scope_close(&own, err);
    child_end(stack, around);
    return err;
}

/* At the join, after all. */
static thrum_err *run_here(struct thrum_job_ *slot, struct stack *stack)
{
    struct thrum_here_ here;

    scope_here_begin(stack, &here);
    return scope_here_end(stack, &here, slot->u.call.fn(slot->u.call.arg));
}

/* The result goes into the slot. */
void thrum_fork_run_(struct thrum_job_ *slot)
{
    struct stack *stack = worker_current();
    struct scope *parent = scope_on(stack);

    if (scope_canceled(parent))
        slot->u.call.err = is_canceled(NULL);
    else if (forker_of(slot) == stack)
        slot->u.call.err = run_here(slot, stack);
    else
        slot->u.call.err = run_elsewhere(slot, stack, parent);
}

thrum_err *thrum_join_any_(thrum_task *t)
{
    struct stack *s = worker_current();

    REQUIRE_OF("thrum_join", s != NULL, "called from a task only");
    REQUIRE_OF("thrum_join", t->slot_ != NULL, "no fork");
    REQUIRE_OF("thrum_join", forker_of(t->slot_) == s,
               "called by the task that forked only");
    REQUIRE_OF("thrum_join", fork_is_open(t->slot_), "joined already");
    fork_join(s, t->slot_);
    return t->slot_->u.call.err;
}

/* It was taken; or it is ours, and there was a cancel somewhere. */
thrum_err *thrum_join_cold_(struct thrum_job_ *slot, bool mine)
{
    if (!mine)
        return thrum_join_slow_(slot)->u.call.err;
    if (scope_canceled(scope_current()))
        return is_canceled(NULL);
    return run_here(slot, worker_current());
}

thrum_err *thrum_fork_end_(thrum_err *err)
{
    struct stack *stack = worker_current();
    struct thrum_here_ *here = stack->deque.here;
    struct scope *own = scope_on(stack);

    if ((here->around & THRUM_OWN_) == 0) /* it has failed */
        return scope_fold_alone(own, err);
    while (own->around != NULL && own->around->here == here)
        own = own->around; /* one is left open: the close says so */
    here->around &= ~(uintptr_t)THRUM_OWN_;
    err = scope_close(own, err);
    release(own);
    return err;
}

void thrum_task_cancel(thrum_task *task)
{
    struct stack *s = worker_current();
    struct taken *t;

    REQUIRE(task != NULL && task->slot_ != NULL, "no fork");
    REQUIRE(s != NULL && forker_of(task->slot_) == s,
            "called by the task that forked only");
    spin_lock(&s->taken_lock);
    t = taken_of(task->slot_);
    if (t != NULL)
        scope_cancel(t->own, NULL);
    else if (task->slot_->u.call.fn != NULL) /* it has not begun */
        task->slot_->u.call.fn = is_canceled;
    spin_unlock(&s->taken_lock);
}
