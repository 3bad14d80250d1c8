/* Children of a scope that are called in the blocking pool. Until its turn such a
 * child is a record in the pool's queue; it has no stack but that of the thread. */

#include <thrum/offload.h>

#include <errno.h>

#include "await/pool.h"
#include "base/alloc.h"
#include "task/record.h"
#include "task/spawn.h"

enum {
    /* Before the argument in the record, which is aligned for any type. */
    ROOM = (sizeof(struct offload) + 15) / 16 * 16,
    BURST = 256, /* calls, before a spawner lets the ended ones go */
};

_Static_assert((int)ROOM <= (int)RECORD_SMALL, "its record is kept");

static struct offload *job_in(struct record *r)
{
    return (struct offload *)(void *)r->copy.bytes;
}

static struct record *record_in(struct offload *job)
{
    return (struct record *)(void *)((char *)job -
                                     offsetof(struct record, copy));
}

static struct scope *parent_of(struct record *r)
{
    return scope_of(load_relaxed(&r->job.scope)); /* const */
}

/* --- on a thread of the pool */

void child_run(struct offload *job)
{
    struct record *r = record_in(job);
    struct scope *parent = parent_of(r), own;
    thrum_err *err;

    (void)scope_adopt(parent);
    scope_open_task(&own, parent, NULL, load_relaxed(&r->job.site)); /* const */
    if (r->has_trace) {
        own.has_trace = true;
        own.trace = r->trace;
    }
    scope_link(&own);
    err = scope_canceled(parent) ? thrum_rc(-ECANCELED) : job->fn(job->u.arg);
    job->u.err = scope_close(&own, err);
    (void)scope_adopt(NULL);
}

bool child_is_canceled(struct offload *job)
{
    return scope_is_stopped(parent_of(record_in(job)));
}

/* On any thread. */
void child_over(struct offload *job)
{
    struct stack *here = worker_current();
    struct record *r = record_in(job);
    struct scope *parent = parent_of(r);
    thrum_err *err = job->u.err;
    uint32_t index = r->index;
    bool permit = r->permit;

    if (here != NULL)
        record_put(here->worker, r);
    else
        release(r);
    scope_leave(parent, index, err, permit);
}

/* --- on the caller's */

/* In a simulation there is no pool: as a task. */
static thrum_err *run_as_task(void *head)
{
    struct offload *job = head;

    return thrum_offload(job->fn, job->u.arg);
}

static void push_as_task(struct scope *s, struct record *r)
{
    r->job.u.call.fn = run_as_task;
    r->job.u.call.arg = job_in(r);
    record_push(s, r, true);
}

int thrum_spawn_blocking_(thrum_scope *scope, const struct thrum_site_ *site,
                          thrum_fn *fn, const void *arg, size_t copy)
{
    struct spawned what = {site, fn, arg, copy};
    struct scope *s = spawn_check(scope, &what, __func__);
    struct stack *here = worker_current();
    bool simulated;
    struct pool *p = NULL;
    struct record *r;
    int rc;

    if (here == NULL && !spawn_reaches(s))
        return -ENOTRECOVERABLE;
    simulated = s->sched->sim != NULL;
    if (!simulated && sched_is_gone(s->sched)) /* and who had its locks */
        return -ENOTRECOVERABLE;
    if (!simulated && (p = pool_of(runtime_of(s->sched))) == NULL)
        return -ENOMEM;
    r = spawn_record(s, &what, ROOM, thrum_offload, &rc);
    if (r == NULL)
        return rc;
    offload_init(job_in(r), fn, r->job.u.call.arg, OFFLOAD_CHILD);
    if (simulated) {
        push_as_task(s, r);
        return 0;
    }
    scope_has_calls(s);
    pool_submit(p, job_in(r));
    if (scope_canceled(s))
        pool_sweep(p);
    if (here != NULL && ++here->budget % BURST == 0)
        worker_yield(here);
    return 0;
}
