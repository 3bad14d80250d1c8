/* Spawned tasks, from the call to the queue and from there to the call. */

#include <errno.h>
#include <string.h>

#include <thrum/local.h>

#include "base/alloc.h"
#include "sched/fork.h"
#include "task/scope.h"
#include "task/record.h"
#include "task/spawn.h"

enum {
    BURST = 256,   /* spawns, before the spawner lets them run */
    TOGETHER = 32, /* children that let go of their scope at once */
};

/* Of a worker's loop. Siblings whose turn is next come along: the counter, which
 * all workers share, is changed once. A closer who waits for those that have
 * ended waits for the one that runs, too. */
void thrum_spawn_run_(struct thrum_job_ *job)
{
    struct stack *stack = worker_current();
    struct scope *parent = scope_of(load_relaxed(&job->scope)); /* const */
    struct siblings siblings = {
        .scope = scope_public(parent),
        .older = queue_count(&stack->worker->queue),
    };
    uint32_t ended = 0;

    do {
        scope_call(stack, job);
        ended++;
        job = SANITIZE_NOSYNC || ended == TOGETHER || worker_is_asked(stack)
                  ? NULL
                  : sched_take_child(stack->worker, &siblings);
    } while (job != NULL);
    scope_let_go(parent, ended);
}

/* Is the caller a child of s, however deep? Those that run in place nest as deep
 * as the program likes, so the innermost of them answers. */
static bool inside_child(struct scope *s)
{
    struct scope *c = scope_current();
    bool child = false;

    for (; c != NULL && c != s; c = c->parent) {
        if (c->in_place && c->instead_of == s)
            return true;
        child = child || c->of_task;
    }
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

/* Such calls nest, as the children of one who spawns one more each do. Where
 * the stack is half full the next one gets another, and is waited for. */
static bool put_elsewhere(struct scope *own, struct stack *stack,
                          const struct spawned *what, void *arg)
{
    struct spawned there = {what->site, what->fn, arg, 0};

    return stack != NULL && !worker_has_room(stack) &&
           spawn_into(own, &there, false) == 0;
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
    own.in_place = true;
    own.instead_of = s;
    if (call == NULL && put_elsewhere(&own, stack, what, arg))
        err = NULL;
    else
        err = call != NULL ? call(what->fn, arg) : what->fn(arg);
    err = scope_close(&own, err);
    if (what->copy > 0)
        release(arg);
    scope_leave(s, index, err, false);
    return 0;
}

bool spawn_apart(struct thrum_job_ *job)
{
    struct scope *s = scope_of(load_relaxed(&job->scope)); /* const */
    const struct thrum_awaited_ *kind;

    if (s->stack == NULL)
        return s->supervised;
    kind = load_relaxed(&s->stack->deque.waits_for); /* a hint */
    return kind != NULL && kind != &awaited_children && kind != &awaited_fork;
}

bool spawn_made_on(struct thrum_job_ *job, const void *stack)
{
    return scope_of(load_relaxed(&job->scope))->stack == stack; /* const */
}

inlined void fill(struct record *r, struct scope *s, const struct spawned *what,
                  size_t room)
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

/* A full scope, or one with room again. True: with a permit of it. *rc: if not. */
static cold bool enter_limited(struct scope *s, struct spawned what,
                               thrum_err *(*call)(thrum_fn *, void *), int *rc)
{
    enum permit permit = take_permit(s);

    if (permit == PERMIT_CANCELED)
        *rc = -ECANCELED;
    else if (permit == PERMIT_IN_PLACE)
        *rc = run_in_place(s, &what, call);
    return permit == PERMIT_TAKEN;
}

cold bool spawn_reaches(struct scope *s)
{
    bool alone = s->stack == NULL && load_relaxed(&s->alone); /* a hint */

    if (alone && s->sched == sched_default())
        alarm_keep(s);
    else if (alone)
        return false;
    return !sched_is_gone(s->sched);
}

inlined struct record *make(struct scope *s, struct stack *stack,
                            const struct spawned *what, size_t room,
                            thrum_err *(*call)(thrum_fn *, void *), int *rc)
{
    bool here = stack != NULL && stack->worker->sched == s->sched;
    struct record *r = NULL;

    *rc = -ENOTRECOVERABLE;
    if (!here && !spawn_reaches(s))
        return NULL;
    if (s->limited && !enter_limited(s, *what, call, rc))
        return NULL;
    if (likely(what->copy <= SIZE_MAX - room))
        r = record_get(here ? stack->worker : NULL, room + what->copy);
    if (unlikely(r == NULL)) {
        if (s->limited)
            permits_give(&s->permits);
        *rc = -ENOMEM;
        return NULL;
    }
    fill(r, s, what, room);
    r->index = scope_enter(s, stack);
    *rc = 0;
    return r;
}

inlined void push(struct scope *s, struct stack *stack, struct record *r,
                  bool may_wait)
{
    tsan_promise(&r->job);
    if (stack == NULL || stack->worker->sched != s->sched) {
        sched_submit(s->sched, &r->job);
        return;
    }
    sched_push_child(stack->worker, &r->job);
    sched_point(POINT_CALL);
    /* Not each who spawns a few among many: his stack costs more than records. */
    if (may_wait && unlikely(++stack->budget % BURST == 0) &&
        queue_count(&stack->worker->queue) > BURST / 2 &&
        scope_live(s) >= BURST)
        worker_yield(stack);
}

struct record *spawn_record(struct scope *s, const struct spawned *what,
                            size_t room, thrum_err *(*call)(thrum_fn *, void *),
                            int *rc)
{
    return make(s, worker_current(), what, room, call, rc);
}

void record_push(struct scope *s, struct record *r, bool may_wait)
{
    push(s, worker_current(), r, may_wait);
}

inlined int start(struct scope *s, const struct spawned *what, bool may_wait)
{
    struct stack *stack = worker_current();
    struct record *r;
    int rc;

    r = make(s, stack, what, 0, NULL, &rc);
    if (likely(r != NULL))
        push(s, stack, r, may_wait);
    return rc;
}

int spawn_into(struct scope *s, const struct spawned *what, bool may_wait)
{
    return start(s, what, may_wait);
}

inlined struct scope *check(thrum_scope *scope, const struct spawned *what,
                            const char *func)
{
    struct scope *s = scope == NULL ? scope_own() : scope_of(scope);

    REQUIRE_OF(func, s != NULL, "no scope is open here");
    REQUIRE_OF(func, what->fn != NULL, "no function");
    REQUIRE_OF(func, !s->ending,
               "a scope that is closing takes no more children: in a clean-up "
               "give NULL");
    REQUIRE_OF(func, what->arg != NULL || what->copy == 0,
               "bytes to copy, and no argument");
    REQUIRE_OF(func, s->sched != NULL,
               "no runtime ran when the scope was opened (see thrum_run)");
    return s;
}

struct scope *spawn_check(thrum_scope *scope, const struct spawned *what,
                          const char *func)
{
    return check(scope, what, func);
}

int thrum_spawn_(thrum_scope *scope, const struct thrum_site_ *site,
                 thrum_fn *fn, const void *arg, size_t copy)
{
    struct spawned what = {site, fn, arg, copy};

    return start(check(scope, &what, __func__), &what, true);
}
