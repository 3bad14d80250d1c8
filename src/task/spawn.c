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
static int run_in_place(struct scope *s, const struct spawned *what,
                        thrum_err *(*call)(thrum_fn *, void *))
{
    struct stack *stack = worker_current();
    void *arg = (void *)(uintptr_t)what->arg;
    struct scope own;
    uint32_t index;
    thrum_err *err;

    if (what->copy > 0) {
        arg = alloc(what->copy);
        if (arg == NULL)
            return -ENOMEM;
        memcpy(arg, what->arg, what->copy);
    }
    index = scope_enter(s, stack);
    scope_open_task(&own, scope_current(), stack, what->site);
    err = call != NULL ? call(what->fn, arg) : what->fn(arg);
    err = scope_close(&own, err);
    if (what->copy > 0)
        release(arg);
    scope_leave(s, index, err, false);
    return 0;
}

static inline void fill(struct record *r, struct scope *s,
                        const struct spawned *what, size_t room)
{
    store_relaxed(&r->job.site, what->site); /* nobody else knows it yet */
    store_relaxed(&r->job.scope, scope_public(s));
    r->job.taken = NULL;
    r->job.u.call.fn = what->fn;
    r->job.u.call.arg = (void *)(uintptr_t)what->arg;
    if (what->copy > 0)
        r->job.u.call.arg = memcpy(r->copy.bytes + room, what->arg, what->copy);
    r->has_trace = false;
    if (unlikely(s->supervised)) {
        r->trace = thrum_trace_id_current();
        r->has_trace = (r->trace.hi | r->trace.lo) != 0;
    }
    r->permit = s->limited;
}

static inline struct record *make(struct scope *s, const struct spawned *what,
                                  size_t room,
                                  thrum_err *(*call)(thrum_fn *, void *),
                                  int *rc)
{
    struct stack *stack = worker_current();
    bool here = stack != NULL && stack->worker->sched == s->sched;
    struct record *r;

    if (!here && sched_is_gone(s->sched)) {
        *rc = -ENOTRECOVERABLE;
        return NULL;
    }
    if (s->limited) {
        enum permit permit = take_permit(s);

        if (permit != PERMIT_TAKEN) {
            *rc = permit == PERMIT_CANCELED ? -ECANCELED
                                            : run_in_place(s, what, call);
            return NULL;
        }
    }
    r = what->copy > SIZE_MAX - room
            ? NULL
            : record_get(here ? stack->worker : NULL, room + what->copy);
    if (r == NULL) {
        if (s->limited)
            permits_give(&s->permits);
        *rc = -ENOMEM;
        return NULL;
    }
    fill(r, s, what, room);
    r->index = scope_enter(s, stack);
    return r;
}

static inline void push(struct scope *s, struct record *r, bool may_wait)
{
    struct stack *stack = worker_current();

    tsan_promise(&r->job);
    if (stack == NULL || stack->worker->sched != s->sched) {
        sched_submit(s->sched, &r->job);
        return;
    }
    sched_push_child(stack->worker, &r->job);
    sched_point(POINT_CALL);
    if (may_wait && unlikely(queue_count(&stack->worker->queue) > BURST) &&
        scope_live(s) > BURST)
        worker_yield(stack);
}

struct record *spawn_record(struct scope *s, const struct spawned *what,
                            size_t room, thrum_err *(*call)(thrum_fn *, void *),
                            int *rc)
{
    return make(s, what, room, call, rc);
}

void record_push(struct scope *s, struct record *r, bool may_wait)
{
    push(s, r, may_wait);
}

int spawn_into(struct scope *s, const struct spawned *what, bool may_wait)
{
    int rc = 0;
    struct record *r = make(s, what, 0, NULL, &rc);

    if (r != NULL)
        push(s, r, may_wait);
    return rc;
}

static inline void demand(bool holds, const char *called, const char *what)
{
    if (unlikely(!holds))
        die("%s: %s", called, what);
}

struct scope *spawn_check(thrum_scope *scope, const struct spawned *what,
                          const char *called)
{
    struct scope *s = scope == NULL ? scope_own() : scope_of(scope);

    demand(s != NULL, called, "no scope is open here");
    demand(what->fn != NULL, called, "no function");
    demand(!s->ending, called,
           "a scope that is closing takes no more children: in a clean-up give "
           "NULL");
    demand(what->arg != NULL || what->copy == 0, called,
           "bytes to copy, and no argument");
    demand(s->sched != NULL, called,
           "no runtime runs: start one with thrum_run");
    return s;
}

int thrum_spawn_(thrum_scope *scope, const struct thrum_site_ *site,
                 thrum_fn *fn, const void *arg, size_t copy)
{
    struct spawned what = {site, fn, arg, copy};

    return spawn_into(spawn_check(scope, &what, "thrum_spawn"), &what, true);
}
