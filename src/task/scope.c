#include <errno.h>

#include "base/alloc.h"
#include "base/sanitize.h"
#include "sched/fork.h"
#include "task/scope.h"
#include "task/record.h"

enum { OWN_MOST = 1024 }; /* not added to the word */

#define CHILD (UINT64_C(1) << 32 | 1) /* spawned, and alive */

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

static struct scope *innermost(struct stack *stack)
{
    return stack == NULL ? thread_scope() : scope_on(stack);
}

/* newest: the fork that was it when the inner of the two scopes was opened. */
static void set_innermost(struct stack *stack, const struct thrum_job_ *newest,
                          struct scope *s)
{
    if (stack == NULL)
        set_thread_scope(s);
    else
        deque_set_scope(&stack->deque, newest, scope_public(s));
}

struct scope *scope_current(void)
{
    return innermost(worker_current());
}

/* A fork that was called in place since s was opened. */
static struct thrum_here_ *called_since(struct stack *stack,
                                        const struct scope *s)
{
    struct thrum_here_ *here = stack == NULL ? NULL : stack->deque.here;

    return s == NULL || s->here == here ? NULL : here;
}

bool scope_is_borrowed(void)
{
    struct stack *stack = worker_current();
    struct scope *s = innermost(stack);

    return s != NULL && (s->stack != stack || called_since(stack, s) != NULL);
}

struct scope *scope_adopt(struct scope *s)
{
    struct scope *before = thread_scope();

    set_thread_scope(s);
    return before;
}

/* ------------------------------------------------------------------ opening */

inlined void init(struct scope *s, struct scope *parent, struct stack *stack,
                  bool shield)
{
    bool hears = parent != NULL && !shield;

    store_relaxed(&s->seen,
                  hears ? scope_seen(parent) : load_relaxed(&thrum_cancels_));
    s->parent = parent;
    s->around = innermost(stack);
    s->here = stack == NULL ? NULL : stack->deque.here;
    s->stack = stack;
    s->of_task = s->framed = s->in_place = false;
    s->shield = shield;
    s->policy = THRUM_ALL;
    s->limited = s->has_grace = s->has_trace = s->supervised = false;
    s->generates = s->noted = s->ending = false;
    s->alarm = ALARM_OFF;
    s->alarm_ended = s->alarm_used = s->alarm_rang = false;
    s->defers_inline = 0;
    s->generators = 0;
    store_relaxed(&s->timed, 0);       /* nobody else knows it yet */
    store_relaxed(&s->stops, 0);       /* likewise */
    store_relaxed(&s->children, BODY); /* likewise */
    store_relaxed(&s->own, 0);
    store_relaxed(&s->calls, 0);
    store_relaxed(&s->lock.held, 0);
    store_relaxed(&s->linked, 0);
    s->inner = NULL;
    s->waits = NULL;
    store_relaxed(&s->bound, NULL);
    s->errors = (struct error_sink){0};
    s->forks_from = stack == NULL ? NULL : deque_newest(&stack->deque);
}

void scope_open_task(struct scope *s, struct scope *parent, struct stack *stack,
                     const struct thrum_site_ *site)
{
    s->name = site->name;
    s->where = site->where;
    s->sched = stack != NULL ? stack->worker->sched : parent->sched;
    if (stack == NULL)
        store_relaxed(&s->alone, false); /* nobody else knows it yet */
    init(s, parent, stack, false);
    s->of_task = s->framed = true;
    set_innermost(stack, s->forks_from, s);
}

void scope_open_root(struct scope *s, struct sched *sched, const char *name)
{
    s->name = name;
    s->where = "thrum_start";
    s->sched = sched;
    store_relaxed(&s->alone, false); /* nobody else knows it yet */
    init(s, NULL, NULL, true);
    s->around = NULL;
}

/* Volatile: the caller has just written them one by one, and a vector that spans
 * two such stores has to wait until both are in the cache. */
static void name(struct scope *s, const volatile thrum_scope_opts *o)
{
    s->name = o->name;
    s->where = o->where;
}

static void apply(struct scope *s, const thrum_scope_opts *opts)
{
    s->policy = (uint8_t)opts->policy;
    if (opts->max_errors != 0)
        error_sink_init(&s->errors, opts->max_errors);
    s->limited = opts->limit != 0;
    if (s->limited)
        permits_init(&s->permits, opts->limit);
    s->grace = opts->grace;
    s->has_grace = opts->grace > 0;
    s->has_trace = (opts->trace.hi | opts->trace.lo) != 0;
    if (s->has_trace)
        s->trace = opts->trace;
    if (opts->timeout != 0 || opts->deadline != 0 || opts->slow > 0)
        alarm_open(s, opts);
}

/* By a thread that is no worker. A call in the blocking pool is its task's, or its
 * scope's, and where it has spawned what it opens goes there, too. */
static cold void open_outside(struct scope *s)
{
    struct scope *around = s->around;
    bool alone = around == NULL
                     ? s->sched == NULL
                     : scope_is_alone(around) || sched_is_gone(around->sched);

    if (s->sched == NULL)
        s->sched = alone ? sched_default() : around->sched;
    store_relaxed(&s->alone, alone); /* nobody else knows it yet */
    if (alone)
        store_relaxed(&s->seen, SEEN_NEVER); /* likewise */
}

static inline void open_here(struct scope *s, struct stack *stack,
                             struct sched *sched, bool shield)
{
    s->sched = sched == NULL && stack != NULL ? stack->worker->sched : sched;
    init(s, innermost(stack), stack, shield);
    set_innermost(stack, s->forks_from, s);
    if (unlikely(stack == NULL))
        open_outside(s);
}

void scope_open(struct scope *s, const thrum_scope_opts *opts,
                struct sched *sched)
{
    name(s, opts);
    open_here(s, worker_current(), sched, opts->shield);
    apply(s, opts);
}

struct scope *scope_own(void)
{
    static const struct thrum_site_ site = {NULL, "a fork", "thrum_join"};
    struct stack *stack = worker_current();
    struct scope *around = innermost(stack), *s = NULL;
    struct thrum_here_ *here = called_since(stack, around);

    if (here != NULL)
        s = alloc(sizeof *s);
    if (s == NULL)
        return around;
    scope_open_task(s, around, stack, &site);
    s->framed = false;
    here->around |= THRUM_OWN_;
    return s;
}

struct scope *scope_given(thrum_scope *scope, const char *func)
{
    struct scope *s = scope == NULL ? scope_own() : scope_of(scope);

    REQUIRE_OF(func, s != NULL, "no scope is open here");
    return s;
}

/* ----------------------------------------------------------------- children */

/* Those of the opener, as they are added to the word: by itself. */
static uint64_t take_own(struct scope *s)
{
    uint64_t own = load_relaxed(&s->own); /* ours */

    store_relaxed(&s->own, 0); /* a hint to others */
    return own * CHILD;
}

uint32_t scope_enter(struct scope *s, struct stack *here)
{
    uint64_t before;
    uint32_t own = load_relaxed(&s->own); /* ours, or a hint */

    /* Who calls holds one of the live: nothing to order yet. */
    if (here == NULL || here != s->stack) {
        before = add_relaxed(&s->children, CHILD);
        return (uint32_t)(before >> 32) + own;
    }
    if (unlikely(own >= OWN_MOST)) {
        (void)add_relaxed(&s->children, take_own(s));
        own = 0;
    }
    store_relaxed(&s->own, own + 1);
    return (uint32_t)(load_relaxed(&s->children) >> 32) + own;
}

static void end_child(struct scope *s, uint32_t index, thrum_err *err,
                      bool permit)
{
    if (unlikely(s->supervised))
        report_child(s, err);
    else if (unlikely(err != NULL || s->policy > THRUM_SETTLE))
        (void)scope_ended(s, index, err);
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
    if ((uint32_t)sub_acq_rel(&s->children, ended) == ended) /* [C1] */
        (void)wait_wake(s->closer, WAKE_EVENT);
}

/* True: of those that live, but for the body and `called`, there is none. */
static inline bool is_last(const struct scope *s, uint32_t live,
                           uint32_t called)
{
    return live + load_relaxed(&s->own) == BODY + called; /* ours */
}

/* Call the children that are ready here, as a serial program would: the closer
 * has nothing else to do. Where scopes nest, those spawned last are the innermost
 * closer's, so a tree is walked depth first, on one stack. Returns how many; they
 * have not let go. */
static uint32_t call_children(struct scope *s)
{
    struct stack *stack = s->stack;
    const struct thrum_site_ *around;
    struct siblings children = {.scope = scope_public(s), .or_last = true};
    struct thrum_job_ *job;
    uint32_t called = 0;

    /* To ThreadSanitizer it would all be the closer's own doing. */
    if (SANITIZE_NOSYNC || stack == NULL || s->sched != stack->worker->sched)
        return 0;
    children.older = queue_count(&stack->worker->queue);
    around = load_relaxed(&stack->site); /* ours */
    while (worker_has_room(stack) && (worker_give_way(stack), true) &&
           (job = sched_take_child(stack->worker, &children)) != NULL) {
        scope_call(stack, job);
        if (is_last(s, (uint32_t)load_relaxed(&s->children), ++called))
            break; /* a hint: the queue is not asked in vain */
    }
    store_relaxed(&stack->site, around); /* as above */
    return called;
}

static cold void complain(const char *what, const struct scope *s)
{
    die("scope %s, opened at %s: %s", s->name == NULL ? "(no name)" : s->name,
        s->where == NULL ? "(a task's own)" : s->where, what);
}

const struct thrum_awaited_ awaited_children = {"its children", NULL, false};

/* Let go of the body, and of those it called. True: they were the last. */
static bool let_go_of_body(struct scope *s, uint32_t called)
{
    uint32_t live;
    uint64_t mine = BODY + called - take_own(s);

    live = (uint32_t)sub_acq_rel(&s->children, mine); /* [C3] [C2] */
    return live == (uint32_t)mine;
}

static __attribute__((noinline)) void wait_for_children(struct scope *s)
{
    uint32_t called = call_children(s);
    struct wait w;

    if (is_last(s, (uint32_t)load_acquire(&s->children), called)) /* [C2] */
        return;
    if (s->stack == NULL && s->sched != NULL && sched_is_gone(s->sched))
        complain("its tasks are in the process that forked this one", s);
    wait_init(&w);
    s->closer = &w;
    if (!let_go_of_body(s, called))
        (void)wait_sleep(&w, &awaited_children, s);
}

/* A worker of another runtime blocks, too: it may be a guest's, which cannot be let
 * in from within. */
bool scope_join_by(struct scope *s, struct wait *w, int64_t until)
{
    wait_init_on(w, NULL);
    if (worker_current() != NULL)
        w->sched = NULL;
    s->closer = w;
    if (!let_go_of_body(s, 0) && wait_block(w, until) != WAKE_EVENT)
        return false;
    tsan_rely(s);
    return true;
}

static bool is_around(struct scope *s, struct scope *inner)
{
    while (inner != NULL && inner != s)
        inner = inner->parent;
    return inner == s;
}

static cold void check_forks(const struct scope *s)
{
    struct thrum_job_ *fork = fork_open_above(s->stack, s->forks_from);

    if (fork != NULL) {
        const struct thrum_site_ *site = job_site(fork);

        die("fork of %s at %s is not joined when the scope opened at %s is "
            "closed",
            site->name, site->where, s->where == NULL ? "(a task)" : s->where);
    }
}

/* What no close may find. */
static inline void check(struct stack *stack, struct scope *s)
{
    struct scope *inner = innermost(stack);

    if (unlikely(inner != s))
        complain(is_around(s, inner) ? "closed, but an inner one is still open"
                                     : "closed, but it is not open here",
                 s);
    if (unlikely(s->generators != 0))
        complain("closed, but a generator that was opened in it is not", s);
    if (stack != NULL && unlikely(fork_any_above(s->forks_from)))
        check_forks(s);
}

/* ------------------------------------------------------------------ closing */

static inline thrum_err *join(struct scope *s, thrum_err *body)
{
    bool any = !is_last(s, (uint32_t)load_acquire(&s->children), 0); /* [C2] */

    if (any) {
        sched_point(POINT_CALL);
        if (unlikely(body != NULL))
            scope_body_failed(s, body);
        wait_for_children(s);
    }
    tsan_rely(s);                          /* also on those that ended before */
    if (unlikely(load_relaxed(&s->timed))) /* all who set it have gone [C2] */
        alarm_silence(s);
    if (likely(body == NULL && s->policy <= THRUM_SETTLE &&
               error_sink_is_empty(&s->errors)))
        return NULL;
    return scope_fold(s, body, any);
}

thrum_err *scope_join(struct scope *s, thrum_err *body)
{
    return join(s, body);
}

/* By the task on `stack`, which opened it. */
static inline thrum_err *close_here(struct stack *stack, struct scope *s,
                                    thrum_err *body)
{
    thrum_err *err;

    check(stack, s);
    err = join(s, body);
    if (unlikely(s->defers_inline != 0))
        err = defer_run(s, err);
    if (unlikely(load_relaxed(&s->timed))) /* likewise */
        alarm_report(s, err);
    if (unlikely(load_relaxed(&s->linked) != 0)) /* by who is inside */
        scope_unlink(s);
    set_innermost(stack, s->forks_from, s->around);
    return err;
}

thrum_err *scope_close(struct scope *s, thrum_err *body)
{
    struct stack *stack = worker_current();

    if (unlikely(stack != s->stack))
        complain("closed by another task", s);
    return close_here(stack, s, body);
}

void scope_call(struct stack *stack, struct thrum_job_ *job)
{
    struct record *r = record_of(job);
    struct scope *s = scope_of(load_relaxed(&job->scope)), own; /* const */
    const struct thrum_site_ *site = load_relaxed(&job->site);  /* const */
    struct child around = child_begin(stack, s, site);
    uint32_t index = r->index;
    bool permit = r->permit; /* not of the scope, which others write */
    thrum_err *err;

    store_relaxed(&stack->site, site); /* ours; for messages */
    scope_open_task(&own, s, stack, site);
    if (unlikely(r->has_trace)) {
        own.has_trace = true;
        own.trace = r->trace;
    }
    err = job->u.call.fn(job->u.call.arg);
    err = close_here(stack, &own, err);
    child_end(stack, around);
    record_put(stack->worker, r);
    end_child(s, index, err, permit);
}

/* ------------------------------------------------------------ the interface */

void thrum_scope_open_(thrum_scope *s, const thrum_scope_opts *opts)
{
    REQUIRE(s != NULL && opts != NULL, "no scope, or no options");
    REQUIRE((unsigned)opts->policy <= THRUM_FIRST, "an unknown policy");
    scope_open(scope_of(s), opts, NULL);
}

void thrum_scope_open_plain_(thrum_scope *scope, const char *name,
                             const char *where)
{
    struct scope *s = scope_of(scope);

    REQUIRE_OF("thrum_scope_open", s != NULL, "no scope");
    s->name = name;
    s->where = where;
    open_here(s, worker_current(), NULL, false);
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
    REQUIRE((unsigned)opts->policy <= THRUM_FIRST, "an unknown policy");
    scope_open(&s, opts, NULL);
    s.framed = true;
    return scope_close(&s, fn(arg));
}

bool scope_is_open_here(struct scope *s)
{
    struct scope *c = scope_current();

    while (c != NULL && c != s && !c->of_task)
        c = c->parent;
    return c == s && c != NULL;
}

void thrum_scope_abandon_(thrum_scope *scope)
{
    struct scope *s = scope_of(scope), *inner;
    thrum_err *err = NULL;

    if (!scope_is_open_here(s))
        return;
    (void)scope_stop(s, STOP_CANCEL);
    while ((inner = scope_current()) != s)
        err = thrum_err_add(err, scope_close(inner, NULL));
    err = thrum_err_add(err, scope_close(s, NULL));
    thrum_report(thrum_wrap_(s->where, err, &THRUM_ERROR,
                             "scope %s was left open by a return",
                             s->name == NULL ? "" : s->name));
}
