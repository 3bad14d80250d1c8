/* Spawned tasks: a record from the worker's spare ones, the argument in it. */

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "task/scope.h"
#include "task/spawn.h"

enum {
    SMALL = 64, /* bytes of argument in a record that is kept */
    /* Spare ones a worker keeps. None that checkers think of as one. */
    RECORDS_HOT = SANITIZE_THREAD || SANITIZE_ADDRESS ? 0 : 1024,
    BURST = 256, /* unstarted jobs before a spawner lets them run */
};

struct spawn {
    struct thrum_job_ job; /* scope: whose child; u.call: what to call */
    uint32_t index;
    bool small;
    union {
        max_align_t align;
        unsigned char bytes[SMALL];
    } copy;
};

static struct spawn *record_get(struct worker *w, size_t copy)
{
    struct spawn *r;

    if (copy > SMALL) {
        r = copy > SIZE_MAX - sizeof *r ? NULL : alloc(sizeof *r + copy);
    } else if (w != NULL && w->records != NULL) {
        r = w->records;
        w->records = r->job.next;
        w->record_count--;
    } else {
        r = alloc(sizeof *r);
    }
    if (r != NULL)
        r->small = copy <= SMALL;
    return r;
}

static void record_put(struct worker *w, struct spawn *r)
{
    if (!r->small || w->record_count + 1 > RECORDS_HOT) {
        release(r);
        return;
    }
    r->job.next = w->records;
    w->records = r;
    w->record_count++;
}

void spawn_records_free(struct worker *w)
{
    while (w->records != NULL) {
        struct spawn *r = w->records;

        w->records = r->job.next;
        release(r);
    }
    w->record_count = 0;
}

void thrum_spawn_run_(struct thrum_job_ *job)
{
    struct spawn *r = container_of(job, struct spawn, job);
    struct stack *stack = worker_current();
    struct scope *parent = scope_of(load_relaxed(&job->scope)); /* const */
    thrum_scope *around;
    uint32_t index = r->index;
    struct scope own;
    thrum_err *err;

    around = load_relaxed(&stack->deque.scope); /* NULL, or a closer's */
    scope_open_task(&own, parent, stack);
    err = job->u.call.fn(job->u.call.arg);
    err = scope_close(&own, err);
    deque_set_scope(&stack->deque, around);
    record_put(stack->worker, r);
    scope_leave(parent, index, err, parent->limited);
}

/* Is the caller a child of s, however deep? */
static bool inside_child(struct scope *s)
{
    bool child = false;

    for (struct scope *c = scope_current(); c != NULL && c != s; c = c->parent)
        child = child || c->of_task;
    return child;
}

/* A permit, or false: the job is to run in place. */
static bool take_permit(struct scope *s)
{
    if (permits_try_take(&s->permits))
        return true;
    if (inside_child(s))
        return false;
    permits_take(&s->permits);
    return true;
}

/* A full scope, and the caller is in one of its children: it may not wait for
 * itself. The child runs as a call, in a scope of its own. */
static int run_in_place(struct scope *s, thrum_fn *fn, const void *arg,
                        size_t copy)
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
    index = scope_enter(s);
    scope_open_task(&own, scope_current(), stack);
    err = scope_close(&own, fn(bytes != NULL ? bytes : (void *)(uintptr_t)arg));
    release(bytes);
    scope_leave(s, index, err, false);
    return 0;
}

static void fill(struct spawn *r, struct scope *s,
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
    r->index = scope_enter(s);
    tsan_promise(&r->job);
}

int spawn_into(struct scope *s, const struct thrum_site_ *site, thrum_fn *fn,
               const void *arg, size_t copy, bool may_wait)
{
    struct stack *stack = worker_current();
    bool here = stack != NULL && stack->worker->sched == s->sched;
    struct spawn *r;

    if (s->limited && !take_permit(s))
        return run_in_place(s, fn, arg, copy);
    stack = worker_current();
    r = record_get(here ? stack->worker : NULL, copy);
    if (r == NULL) {
        if (s->limited)
            permits_give(&s->permits);
        return -ENOMEM;
    }
    fill(r, s, site, fn, arg, copy);
    if (!here) {
        sched_submit(s->sched, &r->job);
        return 0;
    }
    sched_push(stack->worker, &r->job);
    if (may_wait && unlikely(queue_count(&stack->worker->queue) > BURST))
        worker_yield(stack);
    return 0;
}

int thrum_spawn_(thrum_scope *scope, const struct thrum_site_ *site,
                 thrum_fn *fn, const void *arg, size_t copy)
{
    struct scope *s = scope == NULL ? scope_current() : scope_of(scope);

    REQUIRE(s != NULL, "no scope is open here");
    REQUIRE(fn != NULL, "no function");
    REQUIRE(arg != NULL || copy == 0, "bytes to copy, and no argument");
    REQUIRE(s->sched != NULL, "no runtime runs: start one with thrum_run");
    return spawn_into(s, site, fn, arg, copy, true);
}
