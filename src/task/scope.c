#include "task/scope.h"

#include "sched/fork.h"
#include "task/record.h"

enum { LIVE = 1 };

#define SPAWNED UINT64_C(0x100000000)

_Static_assert(sizeof(struct scope) <= sizeof(thrum_scope),
               "the public type has room for a scope");

/* The scopes of a thread that is no worker. Never used across a switch. */
static _Thread_local struct scope *of_thread
    __attribute__((tls_model("initial-exec")));

static __attribute__((noinline)) struct scope *thread_scope(void)
{
    struct scope *s = of_thread;

    __asm__ volatile("" : "+r"(s)); /* no two calls are one */
    return s;
}

static __attribute__((noinline)) void set_thread_scope(struct scope *s)
{
    of_thread = s;
    __asm__ volatile("" ::: "memory");
}

static struct scope *scope_on(struct stack *stack)
{
    if (stack == NULL)
        return thread_scope();
    return scope_of(load_relaxed(&stack->deque.scope)); /* its owner's */
}

static void set_current(struct stack *stack, struct scope *s)
{
    if (stack == NULL)
        set_thread_scope(s);
    else
        deque_set_scope(&stack->deque, scope_public(s));
}

struct scope *scope_current(void)
{
    return scope_on(worker_current());
}

struct scope *scope_adopt(struct scope *s)
{
    struct scope *before = thread_scope();

    set_thread_scope(s);
    return before;
}

static void init(struct scope *s, struct scope *parent, struct stack *stack)
{
    s->parent = parent;
    s->stack = stack;
    s->limited = false;
    s->settle = false;
    s->closer = NULL;
    s->errors = (struct error_sink){0};
    store_relaxed(&s->children, LIVE); /* the body; nobody else knows it yet */
    s->forks_from = stack == NULL ? NULL : deque_newest(&stack->deque);
    set_current(stack, s);
}

void scope_open_task(struct scope *s, struct scope *parent, struct stack *stack)
{
    s->name = NULL;
    s->where = NULL;
    s->of_task = true;
    s->sched = stack == NULL ? parent->sched : stack->worker->sched;
    init(s, parent, stack);
}

void scope_open(struct scope *s, const thrum_scope_opts *opts,
                struct sched *sched)
{
    struct stack *stack = worker_current();

    s->name = opts->name;
    s->where = opts->where;
    s->of_task = false;
    s->sched = sched != NULL   ? sched
               : stack != NULL ? stack->worker->sched
                               : sched_default();
    init(s, scope_on(stack), stack);
    s->settle = opts->policy == THRUM_SETTLE;
    if (opts->max_errors != 0)
        error_sink_init(&s->errors, opts->max_errors);
    s->limited = opts->limit != 0;
    if (s->limited)
        permits_init(&s->permits, opts->limit);
}

uint32_t scope_enter(struct scope *s)
{
    /* Who calls holds one of the live: nothing to order yet. */
    return (uint32_t)(add_relaxed(&s->children, SPAWNED + LIVE) >> 32);
}

static void end_child(struct scope *s, uint32_t index, thrum_err *err,
                      bool permit)
{
    if (unlikely(err != NULL))
        (void)error_sink_add(&s->errors, index, err);
    if (permit) /* after that: who comes in next fails later */
        permits_give(&s->permits);
}

void scope_leave(struct scope *s, uint32_t index, thrum_err *err, bool permit)
{
    end_child(s, index, err, permit);
    scope_let_go(s, 1);
}

void scope_let_go(struct scope *s, uint32_t ended)
{
    tsan_promise(s);
    if ((uint32_t)sub_acq_rel(&s->children, ended * LIVE) ==
        ended * LIVE) /* [C1] */
        (void)wait_wake(s->closer, WAKE_EVENT);
}

void scope_call(struct stack *stack, struct thrum_job_ *job)
{
    struct record *r = record_of(job);
    struct scope *s = scope_of(load_relaxed(&job->scope)), own; /* const */
    thrum_scope *around;
    uint32_t index = r->index;
    bool permit = r->permit; /* not of the scope, which others write */
    thrum_err *err;

    stack->site = load_relaxed(&job->site);     /* const since it was made */
    around = load_relaxed(&stack->deque.scope); /* NULL, or a closer's */
    scope_open_task(&own, s, stack);
    err = job->u.call.fn(job->u.call.arg);
    err = scope_close(&own, err);
    deque_set_scope(&stack->deque, around);
    record_put(stack->worker, r);
    end_child(s, index, err, permit);
}

/* Call the children that are ready here, as a serial program would: the closer
 * has nothing else to do. Where scopes nest, those spawned last are the innermost
 * closer's, so a tree is walked depth first, on one stack. Returns how many; they
 * have not let go. */
static uint32_t call_children(struct scope *s)
{
    struct stack *stack = s->stack;
    const struct thrum_site_ *around;
    struct thrum_job_ *job;
    uint32_t called = 0;

    /* To ThreadSanitizer it would all be the closer's own doing. */
    if (SANITIZE_NOSYNC || stack == NULL || s->sched != stack->worker->sched)
        return 0;
    around = stack->site;
    while (worker_has_room(stack) &&
           (job = sched_take_child(stack->worker, scope_public(s), true)) !=
               NULL) {
        scope_call(stack, job);
        called++;
    }
    stack->site = around;
    return called;
}

static void wait_for_children(struct scope *s)
{
    uint32_t mine = (1 + call_children(s)) * LIVE; /* the body, and those */
    struct wait w;

    if ((uint32_t)load_acquire(&s->children) == mine) /* [C2] nobody else */
        return;
    wait_init(&w);
    s->closer = &w;
    if ((uint32_t)sub_acq_rel(&s->children, mine) != mine) /* [C3] [C2] */
        (void)wait_sleep(&w);
}

static cold void complain(const char *what, const struct scope *s)
{
    die("scope %s, opened at %s: %s", s->name == NULL ? "(no name)" : s->name,
        s->where == NULL ? "(a task's own)" : s->where, what);
}

static bool is_around(struct scope *s, struct scope *inner)
{
    while (inner != NULL && inner != s)
        inner = inner->parent;
    return inner == s;
}

/* What no close may find. */
static void check(struct scope *s)
{
    struct scope *inner = scope_on(s->stack);
    struct thrum_job_ *fork;

    if (unlikely(worker_current() != s->stack))
        complain("closed by another task", s);
    if (unlikely(inner != s))
        complain(is_around(s, inner) ? "closed, but an inner one is still open"
                                     : "closed, but it is not open here",
                 s);
    if (s->stack == NULL || likely(!fork_any_above(s->forks_from)))
        return;
    fork = fork_open_above(s->stack, s->forks_from);
    if (unlikely(fork != NULL)) {
        const struct thrum_site_ *site = job_site(fork);

        die("fork of %s at %s is not joined when the scope opened at %s is "
            "closed",
            site->name, site->where, s->where == NULL ? "(a task)" : s->where);
    }
}

thrum_err *scope_join(struct scope *s, thrum_err *body)
{
    wait_for_children(s);
    tsan_rely(s);
    if (likely(body == NULL && error_sink_is_empty(&s->errors)))
        return NULL;
    if (unlikely(body != NULL))
        (void)error_sink_add(&s->errors, ERROR_NO_INDEX, body);
    return error_sink_fold(
        &s->errors, s->settle ? PRIMARY_LOWEST : PRIMARY_FIRST, CANCELED_KEEP);
}

thrum_err *scope_close(struct scope *s, thrum_err *body)
{
    thrum_err *err;

    check(s);
    err = scope_join(s, body);
    set_current(s->stack, s->parent);
    return err;
}

/* -------------------------------------------------------------- the interface */

void thrum_scope_open_(thrum_scope *s, const thrum_scope_opts *opts)
{
    REQUIRE(s != NULL && opts != NULL, "no scope, or no options");
    REQUIRE(opts->policy == THRUM_ALL || opts->policy == THRUM_SETTLE,
            "an unknown policy");
    scope_open(scope_of(s), opts, NULL);
}

thrum_err *thrum_scope_close(thrum_scope *s, thrum_err *body)
{
    REQUIRE(s != NULL, "no scope");
    return scope_close(scope_of(s), body);
}

thrum_err *thrum_with_(thrum_fn *fn, void *arg, const thrum_scope_opts *opts)
{
    struct scope s;

    REQUIRE(fn != NULL && opts != NULL, "no function, or no options");
    scope_open(&s, opts, NULL);
    return scope_close(&s, fn(arg));
}
