/* A blocking call against the cancel of its task: it is called once or never, its
 * task is told which, arguments are let go by both sides before they are gone, and
 * nobody sleeps on. And children that are calls: a cancel has those looked for that
 * lie in the queue. Queue and sweep are slots here. */
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"

#include "base/alloc.h"

static void gone(void *p);

#define release(p) gone(p)

#include "await/job.c"

#include <string.h>

#define MODEL_CALLS
#include "model_tasks.h"

enum { SCRATCH = 512, CHILDREN = 2 };

static struct scope scope, outer;
static struct waited heap; /* where one lies that no stack holds */
static _Atomic(struct offload *) queue;
static _Atomic uint32_t ends; /* of the thread, the sweeper */
static struct offload children[CHILDREN];
static _Atomic(struct offload *) slots[CHILDREN];
static int swept[CHILDREN];
static int opened; /* the scope of a private one */
static int argument, calls, finished, freed, abandoned;
static bool canceled;
static bool fails; /* no thread is to be had */

/* ----------------------------------------------------- what is not explored */

_Atomic uint64_t alloc_countdown;

bool alloc_is_to_fail(void)
{
    return false;
}

void alarm_late(struct scope *s)
{
    (void)s;
}

thrum_time thrum_deadline(void)
{
    return CLOCK_NEVER;
}

struct scope *scope_current(void)
{
    return NULL;
}

struct scope *scope_given(thrum_scope *s, const char *func)
{
    (void)func;
    return scope_of(s);
}

static void gone(void *p)
{
    MODEL_ASSERT(p == &heap);
    memset((void *)&heap, 0xee, sizeof heap);
    freed++;
}

/* ------------------------------------------------------------------ threads */

static thrum_err *call_out(void *arg)
{
    calls++;
    ++*(int *)arg;
    return (thrum_err *)arg;
}

static struct offload *take(void)
{
    return exchange_acq_rel(&queue, NULL);
}

/* What the pool's lock does between who fills the queue and who empties it. */
static void put(struct offload *job)
{
    store_release(&queue, job);
}

static void sweep(void)
{
    struct offload *job = take();

    if (job == NULL)
        return;
    if (offload_is_canceled(job))
        offload_skip(job);
    else
        put(job);
}

static __attribute__((noinline)) void scribble(void)
{
    unsigned char scratch[SCRATCH];

    memset(scratch, 0xee, sizeof scratch);
    __asm__ volatile("" : : "r"(scratch) : "memory");
}

static __attribute__((noinline)) void offload(void)
{
    struct waited w;
    struct wait again;

    offload_init(&w.job, call_out, &argument, (uintptr_t)&scope);
    wait_init(&w.wait.wait);
    wait_tell(&w.wait, NULL, NULL);
    put(&w.job);
    if (scope_sleep(&scope, &w.wait) != WAKE_EVENT) {
        wait_init(&again);
        if (offload_withdraw(&w.job, &scope, &again)) {
            sweep();
            (void)wait_sleep(&again, NULL, NULL);
            canceled = true;
            return;
        }
        if (offload_wait_again(&w.job, &again))
            (void)wait_sleep(&again, NULL, NULL);
    }
    MODEL_ASSERT(fails ||
                 (w.job.u.err == (thrum_err *)&argument && argument == 1));
}

static void task(void)
{
    offload();
    scribble();
    finished++;
    argument = -1; /* it is gone */
}

static void task_of_private(void)
{
    offload_init(&heap.job, call_out, &argument, 0);
    wait_init(&heap.wait.wait);
    wait_tell(&heap.wait, NULL, NULL);
    put(&heap.job);
    if (scope_sleep(&scope, &heap.wait) != WAKE_EVENT) {
        if (offload_withdraw(&heap.job, NULL, NULL)) {
            sweep();
            canceled = true;
        } else {
            MODEL_ASSERT(fails || opened == 1);
            abandoned = offload_abandon(&heap.job);
        }
    }
    if (!canceled && !abandoned) {
        MODEL_ASSERT(fails || argument == 1);
        gone(&heap);
    }
    finished++;
}

static struct offload *wait_for_job(void)
{
    struct offload *job;

    while ((job = take()) == NULL) {
        if (load_acquire(&ends) != 0)
            return NULL;
        model_yield();
    }
    return job;
}

static void thread(void)
{
    struct offload *job = wait_for_job();
    struct scope *s = NULL;

    if (job == NULL)
        return;
    opened = 1;
    if (fails) {
        job->u.err = (thrum_err *)&argument;
    } else if (!offload_begin(job, &s)) {
        offload_skip(job);
        return;
    } else {
        MODEL_ASSERT(s == &scope || job == &heap.job);
        job->u.err = job->fn(job->u.arg);
    }
    if (!offload_end(job)) {
        MODEL_ASSERT(job == &heap.job);
        gone(job);
    }
}

/* --- children. Each access to a slot is one to the pool's, under its lock. */

static void sweep_children(void)
{
    for (int i = 0; i < CHILDREN; i++) {
        struct offload *job = exchange_acq_rel(&slots[i], NULL);

        if (job == NULL)
            continue;
        MODEL_ASSERT(offload_is_child(job));
        if (scope_is_stopped(&scope))
            swept[i]++;
        else
            (void)exchange_acq_rel(&slots[i], job);
    }
}

void runtime_sweep_calls(struct sched *sched)
{
    MODEL_ASSERT(sched == &model_sched);
    sweep_children();
}

static void spawn(int i)
{
    offload_init(&children[i], call_out, &argument, OFFLOAD_CHILD);
    scope_has_calls(&scope);
    (void)exchange_acq_rel(&slots[i], &children[i]);
    if (scope_canceled(&scope))
        sweep_children();
}

static void cancel_outside(void)
{
    thrum_scope_cancel(scope_public(&outer), NULL);
}

static void spawn_one(void)
{
    spawn(0);
}

static void spawn_other(void)
{
    spawn(1);
}

static void none_is_left(void)
{
    for (int i = 0; i < CHILDREN; i++)
        MODEL_ASSERT(swept[i] == 1);
}

static void cancel(void)
{
    thrum_scope_cancel(scope_public(&scope), NULL);
}

static void end(void)
{
    store_release(&ends, 1);
}

static void then_end(void (*body)(void))
{
    body();
    end();
}

static void task_and_end(void)
{
    then_end(task);
}

static void task_of_private_and_end(void)
{
    then_end(task_of_private);
}

/* --------------------------------------------------------- setup and checks */

static void prepare(void)
{
    model_tasks_setup(0);
    store_relaxed(&thrum_cancels_, 0);
    memset((void *)&scope, 0, sizeof scope);
    memset((void *)&outer, 0, sizeof outer);
    outer.sched = &model_sched;
    memset((void *)&heap, 0, sizeof heap);
    scope.sched = &model_sched;
    store_relaxed(&queue, NULL);
    for (int i = 0; i < CHILDREN; i++)
        store_relaxed(&slots[i], NULL);
    memset((void *)children, 0, sizeof children);
    memset(swept, 0, sizeof swept);
    model_name(slots, "slots");
    model_watch(children, sizeof children);
    store_relaxed(&ends, 0);
    opened = argument = calls = finished = freed = abandoned = 0;
    canceled = fails = false;
    model_name(&queue, "queue");
    model_name(&scope, "scope");
    model_name(&thrum_cancels_, "number");
    model_watch(&scope, sizeof scope);
    model_watch(&heap, sizeof heap);
    model_watch(&argument, sizeof argument);
    model_watch(&opened, sizeof opened);
    model_watch(&calls, sizeof calls);
    model_watch(&freed, sizeof freed);
}

static void inside_another(void)
{
    prepare();
    scope.parent = &outer;
}

static void no_thread(void)
{
    prepare();
    fails = true;
}

static void called_or_canceled(void)
{
    MODEL_ASSERT(finished == 1 && freed == 0);
    MODEL_ASSERT(load_relaxed(&scope.seen) <= 1 || /* it is no wait */
                 load_relaxed(&scope.seen) == SEEN_CANCELED);
    MODEL_ASSERT(calls == (canceled || fails ? 0 : 1));
}

static void freed_once(void)
{
    MODEL_ASSERT(finished == 1 && freed == 1);
    MODEL_ASSERT(calls == (canceled || fails ? 0 : 1));
}

static const struct model_scenario scenarios[] = {
    {.name = "no_cancel",
     .setup = prepare,
     .threads = {{"task", task_and_end}, {"thread", thread}},
     .check = called_or_canceled,
     .executions = 5000},
    {.name = "borrowed",
     .setup = prepare,
     .threads = {{"task", task_and_end},
                 {"thread", thread},
                 {"cancel", cancel}},
     .check = called_or_canceled,
     .executions = 40000},
    {.name = "private",
     .setup = prepare,
     .threads = {{"task", task_of_private_and_end},
                 {"thread", thread},
                 {"cancel", cancel}},
     .check = freed_once,
     .executions = 40000},
    {.name = "no_thread_to_be_had",
     .setup = no_thread,
     .threads = {{"task", task_and_end},
                 {"thread", thread},
                 {"cancel", cancel}},
     .check = called_or_canceled,
     .executions = 20000},
    {.name = "private_and_no_thread",
     .setup = no_thread,
     .threads = {{"task", task_of_private_and_end},
                 {"thread", thread},
                 {"cancel", cancel}},
     .check = freed_once,
     .executions = 20000},
    {.name = "children",
     .setup = inside_another,
     .threads = {{"one", spawn_one},
                 {"other", spawn_other},
                 {"cancel", cancel_outside}},
     .check = none_is_left,
     .executions = 40000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_job", scenarios});
}
