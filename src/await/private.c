/* Calls that block and may be left alone: with copies of their arguments, and a
 * scope of their own, as that of their task may be gone before they end. */

#include <thrum/local.h>
#include <thrum/offload.h>

#include <errno.h>
#include <string.h>

#include "await/pool.h"
#include "base/alloc.h"
#include "base/sanitize.h"

struct private_call {
    struct waited w;
    void (*drop)(void *copy);
    struct permits *permits; /* of which it has one; NULL: none */
    const char *name, *where;
    uint32_t index; /* in the runtime's root scope, once it was abandoned */
    struct thrum_rt *rt;
    struct scope own; /* open while it is called */
    thrum_trace_id trace;
    _Alignas(CACHE_LINE) unsigned char copy[]; /* as any variable may be */
};

static struct private_call *call_of(struct offload *job)
{
    return container_of(job, struct private_call, w.job);
}

/* A semaphore is that (sync/sem.c). */
static struct permits *permits_of(const thrum_offload_opts *opts)
{
    return (struct permits *)(void *)opts->sem;
}

static struct private_call *call_new(thrum_fn *fn, const void *arg,
                                     const thrum_offload_opts *opts)
{
    struct private_call *c = NULL;
    size_t bytes = sizeof *c + CACHE_LINE - 1;

    if (opts->size <= SIZE_MAX - bytes)
        c = alloc_aligned(CACHE_LINE,
                          (bytes + opts->size) & ~(size_t)(CACHE_LINE - 1));
    if (c == NULL)
        return NULL;
    c->drop = opts->drop;
    c->permits = permits_of(opts);
    c->name = opts->name != NULL ? opts->name : opts->where;
    c->where = opts->where;
    c->rt = runtime_of(worker_current()->worker->sched);
    c->trace = thrum_trace_id_current();
    memcpy(c->copy, arg, opts->size);
    offload_init(&c->w.job, fn, c->copy, 0);
    wait_init(&c->w.wait.wait);
    wait_tell(&c->w.wait, AWAITED_OUTSIDE("a blocking call"), NULL);
    return c;
}

/* --- on a thread of the pool */

bool private_run(struct offload *job)
{
    struct private_call *c = call_of(job);
    struct scope *none;
    bool begun;

    scope_open(&c->own,
               &(thrum_scope_opts){
                   .name = c->name, .where = c->where, .trace = c->trace},
               &c->rt->sched);
    begun = offload_begin(job, &none);
    job->u.err = scope_close(&c->own, begun ? job->fn(job->u.arg) : NULL);
    if (!begun)
        offload_skip(job);
    return begun;
}

/* It counts as a task of the background: reported if it failed, and waited for
 * when the runtime stops. */
void private_end(struct offload *job)
{
    struct private_call *c = call_of(job);
    struct scope *root = &c->rt->root;
    struct permits *permits;
    uint32_t index;
    thrum_err *err;

    tsan_rely(c);
    err = job->u.err;
    index = c->index;
    if (err != NULL)
        err = thrum_wrap_(c->where, err, thrum_err_kind(err),
                          "%s, abandoned by a task that was canceled", c->name);
    if (c->drop != NULL)
        c->drop(c->copy);
    permits = c->permits;
    release(c);
    if (permits != NULL)
        permits_give(permits);
    scope_leave(root, index, err, false);
}

/* --- by the task */

/* False: it is done after all. *called: else, it was called. */
static bool leave(struct pool *p, struct private_call *c, bool *called)
{
    struct scope *root = &c->rt->root;

    if (offload_withdraw(&c->w.job, NULL, NULL)) {
        pool_sweep(p);
        return true;
    }
    if (offload_is_done(&c->w.job)) /* never begun, perhaps: no thread */
        return false;
    c->index = scope_enter(root, NULL);
    scope_tell(&c->own, STOP_CANCEL); /* for who asks thrum_canceled */
    tsan_promise(c);
    *called = offload_abandon(&c->w.job);
    if (*called)
        return true;
    scope_leave(root, c->index, NULL, false);
    return false;
}

/* *left: the thread has it now, and its permit. */
static thrum_err *call_private(thrum_fn *fn, void *arg,
                               const thrum_offload_opts *opts, bool *left)
{
    struct scope *scope = scope_current();
    struct pool *p = pool_here();
    struct private_call *c = p == NULL ? NULL : call_new(fn, arg, opts);
    thrum_err *err;

    if (c == NULL)
        return thrum_rc(-ENOMEM);
    pool_submit(p, &c->w.job);
    if (scope_sleep(scope, &c->w.wait) == WAKE_CANCEL && leave(p, c, left))
        return thrum_rc(-ECANCELED);
    tsan_rely(&c->w.job);
    err = c->w.job.u.err;
    memcpy(arg, c->copy, opts->size);
    release(c);
    return err;
}

thrum_err *thrum_offload_ex_(thrum_fn *fn, void *arg,
                             const thrum_offload_opts *opts)
{
    struct scope *scope = scope_current();
    struct stack *here = worker_current();
    bool left = false;
    thrum_err *err;

    REQUIRE(fn != NULL && opts != NULL, "no function, or no options");
    REQUIRE(arg != NULL || opts->size == 0, "bytes to copy, and no argument");
    REQUIRE(opts->drop == NULL || opts->size > 0,
            "nothing that can be dropped");
    if (scope != NULL && scope_canceled(scope))
        return thrum_rc(-ECANCELED);
    if (opts->sem != NULL &&
        !permits_take(permits_of(opts), scope, AWAITED("a semaphore")))
        return thrum_rc(-ECANCELED);
    if (here == NULL || opts->size == 0 || here->worker->sched->sim != NULL)
        err = thrum_offload(fn, arg);
    else
        err = call_private(fn, arg, opts, &left);
    if (opts->sem != NULL && !left)
        permits_give(permits_of(opts));
    return err;
}
