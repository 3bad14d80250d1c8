#include "sched/worker.h"

#include <errno.h>

#include "os/cpu.h"
#include "sched/fetch.h"

enum {
    SPARES_HOT = 64,
    SPARES_LEAST = SANITIZE_NOSYNC ? 32 : 1, /* see run_elsewhere */
};

/* The deque of the stack that this thread runs. Read inline by thrum/fork.h, in
 * the library by worker_current only. initial-exec: no call to find it. */
__thread struct thrum_deque_ *thrum_current_
    __attribute__((tls_model("initial-exec")));

__attribute__((noinline)) struct stack *worker_current(void)
{
    struct thrum_deque_ *deque = thrum_current_;

    __asm__ volatile("" : "+r"(deque)); /* no two calls are one */
    return deque == NULL ? NULL : stack_of(deque);
}

struct worker *worker_near(struct sched *sched)
{
    struct stack *here = worker_current();

    return here != NULL && here->worker->sched == sched ? here->worker
                                                        : sched->workers;
}

/* What a switch writes is found by way of the worker, which is read anew. */
static __attribute__((noinline)) void find_locals(struct worker *w)
{
    w->current_at = &thrum_current_;
    w->errno_at = &errno;
    w->unwinding_at = unwinding_here();
}

/* ---------------------------------------------------------------- switching */

/* First thing on a stack switched to: the one left is at rest now. */
static void arrive(struct stack *self)
{
    struct worker *w = self->worker;

    sanitize_switch_end(&self->fiber,
                        w->left == NULL ? &w->home_fiber : &w->left->fiber);
    tsan_rely(w);
    if (w->after != NULL)
        w->after(w, w->left, w->after_arg);
}

/* For who arrives there. */
static inline void leave(struct worker *w, struct stack *from,
                         worker_after *after, void *arg)
{
    w->left = from;
    w->after = after;
    w->after_arg = arg;
}

static inline void stand_on(struct worker *w, struct stack *to)
{
    to->worker = w;
    *w->current_at = &to->deque;
    store_release(&w->stack, to); /* [S6] */
}

/* With exceptions at work. */
static cold void switch_unwinding(struct stack *from, struct stack *to,
                                  worker_after *after, void *arg)
{
    struct unwinding mine = unwinding_take(from->worker->unwinding_at);

    worker_switch(from, to, after, arg);
    unwinding_put(from->worker->unwinding_at, mine);
}

/* Not inlined: nothing derived from the thread lives across it. */
switches_stacks void worker_switch(struct stack *from, struct stack *to,
                                   worker_after *after, void *arg)
{
    /* Costs less than to have a frame pointer. Not so with a fake stack. */
    const char here = 0, *sp = &here;

    if (SANITIZE_ADDRESS)
        sp = __builtin_frame_address(0);
    if (unlikely(sp < from->low))
        stack_check_below(from, sp);
    if (unwinding_any(from->worker->unwinding_at)) {
        switch_unwinding(from, to, after, arg);
        return;
    }
    from->saved_errno = *from->worker->errno_at;
    leave(from->worker, from, after, arg);
    stand_on(from->worker, to);
    sanitize_switch_begin(&from->fiber, &to->fiber, false);
    ctx_switch(&from->ctx, &to->ctx);
    arrive(from);
    *from->worker->errno_at = from->saved_errno;
}

/* ------------------------------------------------------------- spare stacks */

static struct stack *spare_get(struct worker *w)
{
    struct stack *s = w->spare;

    if (w->spares < SPARES_LEAST) {
        void *self = sanitize_aside(&w->home_fiber);

        s = stack_get(&w->sched->pool);
        sanitize_back(self);
        return s;
    }
    w->spare = s->next;
    w->spares--;
    return s;
}

static void spare_put(struct worker *w, struct stack *s)
{
    struct stack **at = &w->spare;

    stack_check(s);
    if (w->spares >= SPARES_HOT ||
        load_relaxed(&s->deque.next) != NULL) { /* ours alone */
        stack_put(&w->sched->pool, s);
        return;
    }
    if (SANITIZE_NOSYNC)
        while (*at != NULL)
            at = &(*at)->next;
    s->next = *at;
    *at = s;
    w->spares++;
}

static void bury(struct worker *w, struct stack *left, void *unused)
{
    (void)unused;
    spare_put(w, left);
}

/* ----------------------------------------------------------------- the loop */

static void run(struct stack *s, struct thrum_job_ *job)
{
    const struct thrum_site_ *site;

    tsan_rely(job);
    if (job_is_fork(job)) {
        s->worker->sched->run_fork(s, job);
    } else {
        site = load_relaxed(&job->site); /* const since it was made */
        store_relaxed(&s->site, site);   /* for messages */
        site->run(job);
    }
    store_relaxed(&s->site, NULL); /* as above */
}

/* What a resume job does: leave this loop's stack for the other one. */
static void resume_run(struct thrum_job_ *job)
{
    struct stack *s = worker_current();

    tsan_promise(s); /* to whom its further segments go */
    fetch_next(s->worker, stack_of_resume(job));
    worker_switch(s, stack_of_resume(job), bury, NULL);
}

static const struct thrum_site_ resume_site = {resume_run, "resume", "thrum"};

static bool is_resume(const struct thrum_job_ *job)
{
    return load_relaxed(&job->site) == &resume_site; /* const in a queue */
}

/* The stack to go on with: that of `job` if it is a parked one, else a spare
 * one that runs it first, or looks for one if job is NULL. */
static struct stack *stack_for(struct worker *w, struct thrum_job_ *job)
{
    struct stack *s;

    if (job != NULL && is_resume(job)) {
        s = stack_of_resume(job);
        fetch_next(w, s);
        return s;
    }
    s = spare_get(w);
    if (s != NULL)
        s->handed = job;
    return s;
}

/* The first and last switch of a thread, from and to the stack the kernel made.
 * Neither is a task's, so nothing is kept across them. Returns when the stack is
 * used again. */
static switches_stacks void go_home(struct stack *s)
{
    struct worker *w = s->worker;

    tsan_promise(w);
    w->left = s;
    *w->current_at = NULL;
    sanitize_switch_begin(&s->fiber, &w->home_fiber, false);
    ctx_switch(&s->ctx, &w->home);
    arrive(s);
}

static switches_stacks void leave_home(struct worker *w, struct stack *to)
{
    struct unwinding mine = unwinding_take(
        w->unwinding_at); /* a guest's host's */

    tsan_promise(w); /* what this thread has done so far */
    leave(w, NULL, NULL, NULL);
    stand_on(w, to);
    sanitize_switch_begin(&w->home_fiber, &to->fiber, false);
    ctx_switch(&w->home, &to->ctx);
    sanitize_switch_end(&w->home_fiber, NULL);
    tsan_rely(w);
    unwinding_put(w->unwinding_at, mine);
}

/* The thread ends; the stack is a spare one from then on. */
static void end_thread(struct stack *s)
{
    store_release(&s->worker->stack, NULL); /* [S6] */
    go_home(s);
}

/* What a worker does that is one too many. */
static void retire_run(struct thrum_job_ *job)
{
    struct stack *s = worker_current();
    struct worker *w = s->worker;

    (void)job;
    sched_give_all(w);
    if (crew_stand_by(&w->sched->crew, &w->member))
        sched_begin(w);
    else
        end_thread(s);
}

static const struct thrum_site_ retire_site = {retire_run, "retire", "thrum"};

/* For ThreadSanitizer, that all jobs are not one: to each the stack that was not
 * used for longest. False: there is no memory for that. */
static bool run_elsewhere(struct stack *s, struct thrum_job_ *job)
{
    struct stack *to = stack_for(s->worker, job);

    if (to == NULL)
        return false;
    tsan_promise(s);
    worker_switch(s, to, bury, NULL);
    return true;
}

void worker_loop(void *arg)
{
    struct stack *s = arg;
    struct thrum_job_ *job;

    store_relaxed(&s->resume.site, &resume_site); /* nobody knows it yet */
    arrive(s);
    for (;;) {
        bool handed = s->handed != NULL;

        job = s->handed;
        s->handed = NULL;
        if (job == NULL)
            job = sched_find(s->worker->sched, s->worker);
        if (job == NULL)
            break;
        if (!SANITIZE_NOSYNC || handed || !run_elsewhere(s, job))
            run(s, job);
        if (unlikely(load_relaxed(&s->deque.next) != NULL)) /* ours alone */
            stack_shed(&s->worker->sched->pool, s);
    }
    end_thread(s);
}

/* Of a thread that ends: its worker may have another later. */
static void give_spares(struct worker *w)
{
    struct stack *s;

    spare_put(w, w->left);
    while (w->spares > 1) {
        s = w->spare;
        w->spare = s->next;
        w->spares--;
        stack_put(&w->sched->pool, s);
    }
}

void worker_move_in(struct worker *w)
{
    sched_begin(w);
    if (w->index < w->sched->pinned)
        (void)cpu_pin(w->index % cpu_allowed());
    store_relaxed(&w->retire.site, &retire_site); /* read by itself only */
    sanitize_fiber_adopt(&w->home_fiber);
    find_locals(w);
    sanitize_thread_local(w->errno_at, sizeof *w->errno_at);
    leave_home(w, spare_get(w)); /* sched/start saw to it */
}

void worker_main(void *arg)
{
    worker_move_in(arg);
    give_spares(arg);
}

void worker_enter(struct worker *w)
{
    leave_home(w, load_relaxed(&w->stack)); /* its own */
}

void worker_leave(struct worker *w)
{
    go_home(load_relaxed(&w->stack)); /* its own */
}

/* --------------------------------------------------------------- suspending */

/* A stack that is put away takes its forks out of reach of thieves, who look at
 * the stacks that run: make them ready on the worker. */
static cold void give_them(struct stack *s)
{
    struct worker *w = s->worker;
    struct thrum_job_ *job;

    while (deque_any_own(&s->deque))
        if (deque_steal(&s->deque, true, 1, &job) == STEAL_GOT)
            sched_push(w, job);
}

static inline void give_forks(struct stack *s)
{
    if (unlikely(deque_any_own(&s->deque)))
        give_them(s);
}

static inline void settle(struct stack *s)
{
    if (unlikely(load_relaxed(&s->deque.pending) != NULL)) /* its own */
        s->worker->sched->hooks.settle(s);
}

/* Its own, to retire, is found again. */
static cold void put_back(struct worker *w, struct thrum_job_ *job)
{
    if (job != NULL && job != &w->retire)
        sched_push(w, job);
}

/* NULL: there is no memory for a stack to run the job on. */
static inline struct stack *stack_or_back(struct worker *w,
                                          struct thrum_job_ *job)
{
    struct stack *to = stack_for(w, job);

    if (unlikely(to == NULL))
        put_back(w, job);
    return to;
}

struct stack *worker_next(struct stack *s)
{
    settle(s);
    give_forks(s);
    return stack_or_back(s->worker, sched_take(s->worker->sched, s->worker));
}

/* All that is to be done after the switch is done before it: who goes on does not
 * arrive. What is of the other stack is read first: it may look to the processor
 * like what was just written on this one, which lies alike. */
static inline int swap(struct stack *s, struct stack *to)
{
    struct worker *w = s->worker;
    int *at = w->errno_at, theirs = to->saved_errno;

    if (SANITIZE_STACKS) {
        worker_switch(s, to, NULL, NULL);
        return 0;
    }
    s->saved_errno = *at;
    *at = theirs;
    stand_on(w, to);
    return ctx_swap(&s->ctx, &to->ctx);
}

/* Apart, so that the way without it needs no frame. */
static cold int settle_and_swap(struct stack *s, struct stack *to)
{
    struct unwinding mine = unwinding_take(s->worker->unwinding_at);
    int rc;

    settle(s);
    give_forks(s);
    rc = swap(s, to);
    unwinding_put(s->worker->unwinding_at, mine);
    return rc;
}

int worker_swap(struct stack *s, struct stack *to)
{
    if (unlikely(load_relaxed(&s->deque.pending) != NULL || /* its own */
                 thrum_in_use_(deque_first_slot(&s->deque)) ||
                 unwinding_any(s->worker->unwinding_at)))
        return settle_and_swap(s, to);
    return swap(s, to);
}

int worker_swap_new(struct stack *s, struct thrum_job_ *job)
{
    struct stack *to = stack_for(s->worker, job);

    if (to == NULL)
        return -ENOMEM;
    leave(s->worker, s, NULL, NULL);
    return worker_swap(s, to);
}

void worker_swap_end(struct stack *s, struct stack *to)
{
    *s->worker->errno_at = to->saved_errno;
    worker_switch(s, to, NULL, NULL);
}

void worker_give_back(struct stack *s, struct stack *ended)
{
    spare_put(s->worker, ended);
}

static void push_left(struct worker *w, struct stack *left, void *unused)
{
    (void)unused;
    sched_push(w, stack_yielded(left));
}

#if HELD_KNOWN
void worker_require_no_mutex(struct stack *s, const char *what)
{
    const struct thrum_site_ *site = load_relaxed(&s->child_site); /* ours */
    char where[512];
    const void *mutex = held_mutex(where, sizeof where);

    if (unlikely(mutex != NULL))
        die("task %s, started at %s, is suspended, for %s, with a pthread "
            "mutex, at %p, taken at %s: use a thrum_mutex, or release it "
            "before",
            site == NULL ? "?" : site->name, site == NULL ? "?" : site->where,
            what, mutex, where);
}
#endif

void worker_yield(struct stack *s)
{
    struct worker *w = s->worker;
    struct thrum_job_ *job;
    struct stack *to;

    worker_require_no_mutex(s, "others to run");
    settle(s);
    job = sched_take(w->sched, w);
    if (job == NULL && !sched_must_leave(w->sched))
        return;
    to = stack_or_back(w, job);
    if (likely(to != NULL))
        worker_switch(s, to, push_left, NULL);
}

/* What it has spawned goes along, to a chain on it. Else that would be among others'
 * when it goes on, and not the next one to call: it would wait for all of them. */
static void push_behind(struct worker *w, struct stack *left, void *spawned)
{
    queue_take_along(&w->queue, spawned, w->sched->hooks.made_on, left);
    sched_push_behind(w, stack_woken(left));
}

cold void worker_let_others(struct stack *s)
{
    struct worker *w = s->worker;
    struct chain spawned = {0};
    struct thrum_job_ *job;
    struct stack *to;

    worker_require_no_mutex(s, "others to run");
    settle(s);
    job = sched_take_other(w);
    if (job == NULL)
        return;
    to = stack_or_back(w, job);
    if (unlikely(to == NULL))
        return;
    worker_switch(s, to, push_behind, &spawned);
    sched_push_chain(s->worker, &spawned);
}

void worker_yield_to_forks(struct stack *s)
{
    give_forks(s);
    worker_yield(s);
}

/* ---------------------------------------------------------- in a simulation */

_Atomic uint32_t thrum_simulations_;

struct stack *worker_resumed_by(struct thrum_job_ *job)
{
    return is_resume(job) ? stack_of_resume(job) : NULL;
}

/* Its forks stay where they are: it does not wait. */
static void preempt(struct stack *s)
{
    struct worker *w = s->worker;
    struct thrum_job_ *job = sched_take(w->sched, w);
    struct stack *to = job == NULL ? NULL : stack_or_back(w, job);

    if (to != NULL)
        worker_switch(s, to, push_left, NULL);
}

cold void worker_interrupt(enum point point)
{
    struct stack *s = worker_current();
    struct sched_sim *sim = s == NULL ? NULL : s->worker->sched->sim;

    if (sim != NULL && sim->at(sim, s, point))
        preempt(s);
    while (sim != NULL && sim->is_over(sim)) /* for good */
        (void)worker_suspend(s, NULL, NULL);
}

/* -------------------------------------------------------- without memory */

/* Resumes need none, and those that wait for nothing little. */
static bool may_run(const struct stack *s, const struct thrum_job_ *job)
{
    return job != &s->worker->retire &&
           (is_resume(job) || job_is_short(job) || worker_has_room(s));
}

bool worker_run_one(struct stack *s)
{
    struct worker *w = s->worker;
    struct thrum_job_ *job = sched_take(w->sched, w);
    struct thrum_scope *scope = load_relaxed(&s->deque.scope); /* ours */
    const struct thrum_site_ *site = load_relaxed(&s->site);   /* ours */
    struct thrum_here_ *here = s->deque.here;

    if (job == NULL)
        return false;
    if (!may_run(s, job)) { /* one that ends will free a stack */
        put_back(w, job);
        return false;
    }
    s->deque.here = NULL;
    if (is_resume(job))
        worker_switch(s, stack_of_resume(job), push_left, NULL);
    else
        run(s, job);
    deque_set_scope(&s->deque, deque_newest(&s->deque), scope);
    s->deque.here = here;
    store_relaxed(&s->site, site); /* ours */
    return true;
}

/* Or in a signal handler that has interrupted this worker anywhere, in a push or
 * a switch, and has a stack of its own? */
static bool stands_on(const struct stack *s)
{
    const char *here = __builtin_frame_address(0);

    return here >= s->low && here < (const char *)s;
}

void worker_resume(struct sched *sched, struct stack *s)
{
    struct stack *here = worker_current();

    if (here != NULL && here->worker->sched == sched && stands_on(here))
        sched_push(here->worker, stack_woken(s));
    else
        sched_submit(sched, stack_woken(s));
}
