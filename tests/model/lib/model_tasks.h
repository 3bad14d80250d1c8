/* model_tasks.h - stands in for sched/worker.c in programs whose threads sleep
 * as tasks do: a thread is a task, on a stack of its own, and has no worker.
 *
 * A program includes it once, after the sources it explores. A task that is
 * suspended lies on its bed until somebody resumes it, who must be the only one.
 * Threads of which a scenario says that they are outsiders block instead.
 */
#ifndef MODEL_TASKS_H
#define MODEL_TASKS_H

#include "os/clock.h"
#include "sched/worker.h"
#include "task/runtime.h"

static struct stack model_stacks[MODEL_THREADS];
static struct parker model_beds[MODEL_THREADS];
static int model_in_bed[MODEL_THREADS];
static struct worker model_worker;
static struct sched model_sched;
static unsigned model_outsiders; /* bits of threads; of the scenario */

static void model_tasks_setup(unsigned outsiders)
{
    model_outsiders = outsiders;
    model_worker.sched = &model_sched;
    for (int i = 0; i < MODEL_THREADS; i++) {
        model_stacks[i].worker = &model_worker;
        parker_init(&model_beds[i]);
        model_in_bed[i] = 0;
    }
    model_watch(model_in_bed, sizeof model_in_bed);
    model_name(model_beds, "beds");
}

#ifndef MODEL_CALLS
void runtime_sweep_calls(struct sched *sched)
{
    (void)sched;
    MODEL_ASSERT(!"a call in a pool");
}
#endif

struct stack *worker_current(void)
{
    int i = model_thread();

    return i < 0 || (model_outsiders >> i & 1) ? NULL : &model_stacks[i];
}

void worker_resume(struct sched *sched, struct stack *s)
{
    int i = (int)(s - model_stacks);

    MODEL_ASSERT(sched == &model_sched);
    MODEL_ASSERT(model_in_bed[i] == 1);
    model_in_bed[i] = 0;
    parker_unpark(&model_beds[i]);
}

void sched_push(struct worker *w, struct thrum_job_ *job)
{
    worker_resume(w->sched, stack_of_resume(job));
}

void sched_push_chain(struct worker *w, const struct chain *c)
{
    struct thrum_job_ *job, *next;

    for (job = c->first; job != NULL; job = next) {
        next = job->next;
        sched_push(w, job);
    }
}

struct stack *worker_next(struct stack *s)
{
    return s;
}

void worker_switch(struct stack *s, struct stack *to, worker_after *after,
                   void *arg)
{
    int i = (int)(s - model_stacks);

    (void)to;
    model_in_bed[i] = 1;
    after(s->worker, s, arg);
    (void)parker_park(&model_beds[i], CLOCK_NEVER);
}

void worker_yield(struct stack *s)
{
    (void)s;
}

void worker_let_others(struct stack *s)
{
    (void)s;
    MODEL_ASSERT(false); /* nobody asks for it */
}

bool worker_run_one(struct stack *s)
{
    (void)s;
    return false;
}

/* No thread here has a guest. */
struct sched *guest_here(void)
{
    return NULL;
}

bool guest_park(struct sched *s, struct parker *p, int64_t until)
{
    (void)s, (void)p, (void)until;
    MODEL_ASSERT(false);
    return false;
}

#endif
