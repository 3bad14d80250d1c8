#include "sched/worker.h"

#include <errno.h>

#include "os/cpu.h"

enum { SPARES_HOT = 64 };

/* The only thread-local of the library. initial-exec: no call to find it. */
static _Thread_local struct stack *current
    __attribute__((tls_model("initial-exec")));

__attribute__((noinline)) struct stack *worker_current(void)
{
    struct stack *s = current;

    __asm__ volatile("" : "+r"(s)); /* no two calls are one */
    return s;
}

static __attribute__((noinline)) void set_current(struct stack *s)
{
    current = s;
    __asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) int get_errno(void)
{
    int e = errno;

    __asm__ volatile("" : "+r"(e));
    return e;
}

static __attribute__((noinline)) void set_errno(int e)
{
    errno = e;
    __asm__ volatile("" ::: "memory");
}

/* ---------------------------------------------------------------- switching */

/* First thing on a stack switched to: the one left is at rest now. */
static void arrive(struct stack *self)
{
    struct worker *w = self->worker;

    sanitize_switch_end(&self->fiber,
                        w->left == NULL ? &w->home_fiber : &w->left->fiber);
    if (w->after != NULL)
        w->after(w, w->left, w->after_arg);
}

static void depart(struct worker *w, struct stack *to, struct stack *from,
                   worker_after *after, void *arg)
{
    w->left = from;
    w->after = after;
    w->after_arg = arg;
    to->worker = w;
    set_current(to);
    store_release(&w->stack, to); /* [S6] */
}

/* Not inlined: nothing derived from the thread lives across it. */
static switches_stacks void switch_stacks(struct stack *from, struct stack *to,
                                          worker_after *after, void *arg)
{
    from->saved_errno = get_errno();
    depart(from->worker, to, from, after, arg);
    sanitize_switch_begin(&from->fiber, &to->fiber, false);
    ctx_switch(&from->ctx, &to->ctx);
    arrive(from);
    set_errno(from->saved_errno);
}

/* ------------------------------------------------------------- spare stacks */

static struct stack *spare_get(struct worker *w)
{
    struct stack *s = w->spare;

    if (s == NULL)
        return stack_get(&w->sched->pool);
    w->spare = s->next;
    w->spares--;
    return s;
}

static void spare_put(struct worker *w, struct stack *s)
{
    if (w->spares >= SPARES_HOT ||
        load_relaxed(&s->deque.next) != NULL) { /* ours alone */
        stack_put(&w->sched->pool, s);
        return;
    }
    s->next = w->spare;
    w->spare = s;
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
    s->job = job;
    if (job_is_fork(job))
        s->worker->sched->run_fork(s, job);
    else
        load_relaxed(&job->site)->run(job); /* const since it was made */
    s->job = NULL;
}

/* What a resume job does: leave this loop's stack for the other one. */
static void resume_run(struct thrum_job_ *job)
{
    switch_stacks(worker_current(), stack_of_resume(job), bury, NULL);
}

static const struct thrum_site_ resume_site = {resume_run, "resume", "thrum"};

/* The first and last switch of a thread, from and to the stack the kernel made.
 * Neither is a task's, so nothing is kept across them. */
static switches_stacks void go_home(struct stack *s)
{
    struct worker *w = s->worker;

    w->left = s;
    set_current(NULL);
    sanitize_switch_begin(&s->fiber, &w->home_fiber, true);
    ctx_switch(&s->ctx, &w->home);
}

void worker_loop(void *arg)
{
    struct stack *s = arg;
    struct thrum_job_ *job;

    store_relaxed(&s->resume.site, &resume_site); /* nobody knows it yet */
    arrive(s);
    for (;;) {
        job = s->handed;
        s->handed = NULL;
        if (job == NULL)
            job = sched_find(s->worker->sched, s->worker);
        if (job == NULL)
            break;
        run(s, job);
    }
    go_home(s);
}

switches_stacks void worker_main(void *arg)
{
    struct worker *w = arg;
    struct stack *first = spare_get(w); /* sched_start saw to it */

    if (w->sched->pin)
        (void)cpu_pin(w->index % cpu_allowed());
    sanitize_fiber_adopt(&w->home_fiber);
    depart(w, first, NULL, NULL, NULL);
    sanitize_switch_begin(&w->home_fiber, &first->fiber, false);
    ctx_switch(&w->home, &first->ctx);
    sanitize_switch_end(&w->home_fiber, NULL);
}

/* --------------------------------------------------------------- suspending */

static bool is_resume(const struct thrum_job_ *job)
{
    return load_relaxed(&job->site) == &resume_site; /* const in a queue */
}

/* The stack to go on with: that of `job` if it is a parked one, else a spare
 * one that runs it first, or looks for one if job is NULL. */
static struct stack *stack_for(struct worker *w, struct thrum_job_ *job)
{
    struct stack *s;

    if (job != NULL && is_resume(job))
        return stack_of_resume(job);
    s = spare_get(w);
    if (s != NULL)
        s->handed = job;
    return s;
}

/* A stack that is put away takes its forks out of reach of thieves, who look at
 * the stacks that run: make them ready on the worker. */
static void give_forks(struct stack *s)
{
    struct worker *w = s->worker;
    struct thrum_job_ *job;

    while (deque_any_own(&s->deque))
        if (deque_steal(&s->deque, true, &job) == STEAL_GOT)
            sched_push(w, job);
}

bool worker_suspend(struct stack *s, worker_after *after, void *arg)
{
    struct worker *w = s->worker;
    struct thrum_job_ *job;
    struct stack *to;

    give_forks(s);
    job = sched_take(w->sched, w);
    to = stack_for(w, job);
    if (unlikely(to == NULL)) {
        if (job != NULL)
            sched_push(w, job);
        return false;
    }
    switch_stacks(s, to, after, arg);
    return true;
}

static void push_left(struct worker *w, struct stack *left, void *unused)
{
    (void)unused;
    sched_push(w, &left->resume);
}

void worker_yield(struct stack *s)
{
    struct worker *w = s->worker;
    struct thrum_job_ *job;
    struct stack *to;

    give_forks(s);
    job = sched_take(w->sched, w);
    if (job == NULL)
        return;
    to = stack_for(w, job);
    if (unlikely(to == NULL))
        sched_push(w, job);
    else
        switch_stacks(s, to, push_left, NULL);
}

bool worker_run_one(struct stack *s)
{
    struct worker *w = s->worker;
    struct thrum_job_ *job = sched_take(w->sched, w), *outer = s->job;

    if (job == NULL)
        return false;
    if (is_resume(job))
        switch_stacks(s, stack_of_resume(job), push_left, NULL);
    else
        run(s, job);
    s->job = outer;
    return true;
}

void worker_resume(struct sched *sched, struct stack *s)
{
    struct stack *here = worker_current();

    if (here != NULL && here->worker->sched == sched)
        sched_push(here->worker, &s->resume);
    else
        sched_submit(sched, &s->resume);
}
