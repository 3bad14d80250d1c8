/* Spawned tasks, from the call to the queue and from there to the call. */

#include <errno.h>
#include <string.h>

#include <thrum/local.h>

#include "base/alloc.h"
#include "task/scope.h"
#include "task/record.h"
#include "task/spawn.h"

enum {
    BURST = 256,   /* unstarted jobs, its own, before a spawner lets them run */
    TOGETHER = 32, /* children that let go of their scope at once */
};

/* Of a worker's loop. Siblings whose turn is next come along: the counter, which
 * all workers share, is changed once. A closer who waits for those that have
 * ended waits for the one that runs, too. */
void thrum_spawn_run_(struct thrum_job_ *job)
{
    struct stack *stack = worker_current();
    struct scope *parent = scope_of(load_relaxed(&job->scope)); /* const */
    uint32_t ended = 0;

    do {
        scope_call(stack, job);
        ended++;
        job = SANITIZE_NOSYNC || ended == TOGETHER
                  ? NULL
                  : sched_take_child(stack->worker, scope_public(parent),
                                     false);
    } while (job != NULL);
    scope_let_go(parent, ended);
}

/* Is the caller a child of s, however deep? */
static bool inside_child(struct scope *s)
{
    struct scope *c = scope_current();
    bool child = false;

    for (; c != NULL && c != s; c = c->parent)
        child = child || c->of_task;
    return child && c == s;
}

enum permit { PERMIT_TAKEN, PERMIT_IN_PLACE, PERMIT_CANCELED };

static enum permit take_permit(struct scope *s)
{
    if (permits_try_take(&s->permits))
        return PERMIT_TAKEN;
    if (inside_child(s))
        return PERMIT_IN_PLACE;
    return permits_take(&s->permits, scope_current(),
                        AWAITED("a permit of a limited scope"))
               ? PERMIT_TAKEN
               : PERMIT_CANCELED;
}

/* A full scope, and the caller is in one of its children: it may not wait for
 * itself. The child runs as a call, in a scope of its own. */
static int run_in_place(struct scope *s, const struct thrum_site_ *site,
                        thrum_fn *fn, const void *arg, size_t copy)
{
    struct stack *stack = worker_current();
    struct scope own;
    void *bytes = NULL;
    uint32_t index;
    thrum_err *err;

    if (copy > 0) {
        bytes = alloc(copy);
        if (bytes == NULL)
            return -ENOMEM;
        memcpy(bytes, arg, copy);
    }
    index = scope_enter(s, stack);
    scope_open_task(&own, scope_current(), stack, site);
    err = scope_close(&own, fn(bytes != NULL ? bytes : (void *)(uintptr_t)arg));
    release(bytes);
    scope_leave(s, index, err, false);
    return 0;
}

static void fill(struct record *r, struct scope *s,
                 const struct thrum_site_ *site, thrum_fn *fn, const void *arg,
                 size_t copy)
{
    store_relaxed(&r->job.site, site); /* nobody else knows it yet */
    store_relaxed(&r->job.scope, scope_public(s));
    r->job.taken = NULL;
    r->job.u.call.fn = fn;
    r->job.u.call.arg = (void *)(uintptr_t)arg;
    if (copy > 0) {
        memcpy(r->copy.bytes, arg, copy);
        r->job.u.call.arg = r->copy.bytes;
    }
    r->has_trace = false;
    if (unlikely(s->supervised)) {
        r->trace = thrum_trace_id_current();
        r->has_trace = (r->trace.hi | r->trace.lo) != 0;
    }
    r->permit = s->limited;
}

int spawn_into(struct scope *s, const struct thrum_site_ *site, thrum_fn *fn,
               const void *arg, size_t copy, bool may_wait)
{
    struct stack *stack = worker_current();
    bool here = stack != NULL && stack->worker->sched == s->sched;
    struct record *r;

    if (!here && sched_is_gone(s->sched))
        return -ENOTRECOVERABLE;
    if (s->limited) {
        enum permit permit = take_permit(s);

        if (permit == PERMIT_CANCELED)
            return -ECANCELED;
        if (permit == PERMIT_IN_PLACE)
            return run_in_place(s, site, fn, arg, copy);
    }
    r = record_get(here ? stack->worker : NULL, copy);
    if (r == NULL) {
        if (s->limited)
            permits_give(&s->permits);
        return -ENOMEM;
    }
    fill(r, s, site, fn, arg, copy);
    r->index = scope_enter(s, stack);
    tsan_promise(&r->job);
    if (!here) {
        sched_submit(s->sched, &r->job);
        return 0;
    }
    sched_push_child(stack->worker, &r->job);
    sched_point(POINT_CALL);
    if (may_wait && unlikely(queue_count(&stack->worker->queue) > BURST) &&
        scope_live(s) > BURST)
        worker_yield(stack);
    return 0;
}

int thrum_spawn_(thrum_scope *scope, const struct thrum_site_ *site,
                 thrum_fn *fn, const void *arg, size_t copy)
{
    struct scope *s = scope == NULL ? scope_own() : scope_of(scope);

    REQUIRE(s != NULL, "no scope is open here");
    REQUIRE(fn != NULL, "no function");
    REQUIRE(!s->ending, "a scope that is closing takes no more children: in a "
                        "clean-up give NULL");
    REQUIRE(arg != NULL || copy == 0, "bytes to copy, and no argument");
    REQUIRE(s->sched != NULL, "no runtime runs: start one with thrum_run");
    return spawn_into(s, site, fn, arg, copy, true);
}
