/* thrum_fork and thrum_join, beyond what thrum/task.h does inline. */

#include <thrum/task.h>

#include "sched/fork.h"
#include "sched/worker.h"

/* Elsewhere, or in place after all: the result goes into the slot. */
void thrum_fork_run_(struct thrum_job_ *slot)
{
    slot->u.call.err = slot->u.call.fn(slot->u.call.arg);
}

thrum_err *thrum_join_any_(thrum_task *t)
{
    struct stack *s = worker_current();

    REQUIRE(s != NULL, "thrum_join is called from a task only");
    REQUIRE(thrum_deque_of_(t->slot_)->first == &s->deque,
            "thrum_join is called by the task that forked only");
    fork_join(s, t->slot_);
    return t->slot_->u.call.err;
}
