/* Sched, with all its parts: workers, their queues and deques, and the inbox, as
 * the library has them. No job lies anywhere while a worker sleeps that could
 * run it: jobs that block their workers until all of them run together find a
 * wake-up that was lost. With membarrier, and without. */
#include "model_workers.h"

/* ------------------------------------------------------------- the root job */

static void push_children(void)
{
    for (int id = 1; id < WORKERS; id++)
        sched_push(here(), job_of_id(id, &meeting));
}

/* Pushed to be called by whoever pushed them, who then keeps his worker. */
static void root_pushes_own(struct thrum_job_ *job)
{
    for (int id = 1; id < (int)expected; id++)
        sched_push_child(here(), job_of_id(id, &meeting));
    meet_and_end(job);
}

static void root_pushes(struct thrum_job_ *job)
{
    push_children();
    meet_and_end(job);
}

static void root_submits(struct thrum_job_ *job)
{
    for (int id = 1; id < WORKERS; id++)
        sched_submit(&sched, job_of_id(id, &meeting));
    meet_and_end(job);
}

static const struct thrum_site_ short_job = {just_end, "short", ""};

static void root_pushes_among_others(struct thrum_job_ *job)
{
    sched_push(here(), job_of_id(WORKERS, &short_job));
    root_pushes(job);
}

/* As the inline code and sched/fork.c do it. */
static void root_forks(struct thrum_job_ *job)
{
    struct thrum_deque_ *self = &stacks[model_thread()]->deque;
    struct thrum_job_ *slot = deque_newest(self);

    for (int id = 1; id < WORKERS; id++) {
        memcpy((slot + 1)->u.bytes, &id, sizeof id);
        slot = thrum_publish_(self, slot + 1, &meeting);
    }
    meet();
    for (int id = WORKERS - 1; id > 0; id--) {
        MODEL_ASSERT(deque_take_back(slot, &slot) == TAKE_STOLEN);
        while (load_acquire(&slot->site) != &done)
            cpu_relax();
        deque_forget(slot--);
    }
    just_end(job);
}

struct thrum_job_ *thrum_publish_slow_(struct thrum_job_ *slot)
{
    sched_share(stack_of(thrum_deque_of_(slot)->first));
    return slot;
}

static struct timer soon;

static void submit_on_time(struct timer *t)
{
    MODEL_ASSERT(t == &soon);
    sched_submit(&sched, job_of_id(1, &meeting));
}

/* A task that pushes another and goes to sleep. Its worker runs the other, which
 * waits for what the timer brings: somebody else must keep the time. */
static void root_arms_a_timer(struct thrum_job_ *job)
{
    sched_push(here(), job_of_id(2, &meeting));
    sched_arm(here(), &soon, clock_now() + 1000000, submit_on_time);
    just_end(job);
}

static void root_arms_an_earlier_timer(struct thrum_job_ *job)
{
    sched_arm(here(), &soon, clock_now() + 1000000, submit_on_time);
    meet_and_end(job);
}

static const struct thrum_site_ roots[] = {
    {root_pushes, "root pushes", ""},
    {root_pushes_among_others, "root pushes", ""},
    {root_submits, "root submits", ""},
    {root_forks, "root forks", ""},
    {root_arms_a_timer, "root arms", ""},
    {root_arms_an_earlier_timer, "root arms", ""},
    {root_pushes_own, "root pushes", ""},
};

/* ------------------------------------------------------------------ threads */

static void submit_root(int which)
{
    sched_submit(&sched, job_of_id(0, &roots[which]));
}

static void submit_pusher(void)
{
    submit_root(0);
}

static void submit_busy_pusher(void)
{
    submit_root(1);
}

static void submit_submitter(void)
{
    submit_root(2);
}

static void submit_forker(void)
{
    submit_root(3);
}

static void submit_armer(void)
{
    submit_root(4);
}

static void submit_late_and_soon(void)
{
    sched_submit(&sched, job_of_id(3, &late_sleeper));
    submit_root(4);
}

/* The second when somebody keeps the time for the first. */
static void submit_late_then_soon(void)
{
    sched_submit(&sched, job_of_id(2, &late_sleeper));
    while (load_relaxed(&sched.keeper) == IDLE_NOBODY)
        model_yield();
    submit_root(5);
}

static void submit_own_pusher(void)
{
    submit_root(6);
}

static void submit_all(void)
{
    for (int id = 0; id < WORKERS; id++)
        sched_submit(&sched, job_of_id(id, &meeting));
}

static void submit_third(void)
{
    sched_submit(&sched, job_of_id(2, &meeting));
}

static void submit_first(void)
{
    sched_submit(&sched, job_of_id(0, &meeting));
}

static void submit_second(void)
{
    sched_submit(&sched, job_of_id(1, &meeting));
}

static void submit_both(void)
{
    submit_first();
    submit_second();
}

/* ---------------------------------------------------------------- scenarios */

static void two_workers(void)
{
    prepare_for(2, 2);
}

static void two_workers_a_job_more(void)
{
    prepare_for(2, 3);
}

static void two_workers_two_jobs_more(void)
{
    prepare_for(2, 4);
}

static void three_workers(void)
{
    prepare_for(3, 3);
}

static void three_workers_a_job_more(void)
{
    prepare_for(3, 4);
}

static const struct model_scenario scenarios[] = {
    BOTH("one_outsider", two_workers, TWO, {"outsider", submit_both}),
    BOTH("two_outsiders", two_workers, TWO, {"outsider", submit_first},
         {"outsider2", submit_second}),
    BOTH("three_from_outside", three_workers, THREE, {"outsider", submit_all}),
    BOTH("three_outsiders", three_workers, THREE, {"outsider", submit_first},
         {"outsider2", submit_second}, {"outsider3", submit_third}),
    BOTH("submitted_by_a_job", three_workers, THREE,
         {"outsider", submit_submitter}),
    BOTH("pushed", three_workers, THREE, {"outsider", submit_pusher}),
    BOTH("a_child_pushed", two_workers, TWO, {"outsider", submit_own_pusher}),
    BOTH("children_pushed", three_workers, THREE,
         {"outsider", submit_own_pusher}),
    BOTH("pushed_among_others", three_workers_a_job_more, THREE,
         {"outsider", submit_busy_pusher}),
    BOTH("forked", three_workers, THREE, {"outsider", submit_forker}),
    BOTH("timer", two_workers_a_job_more, TWO, {"outsider", submit_armer}),
    BOTH("two_timers", two_workers_two_jobs_more, TWO,
         {"outsider", submit_late_and_soon}),
    BOTH("earlier_timer", two_workers_a_job_more, TWO,
         {"outsider", submit_late_then_soon}),
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_sched", scenarios});
}
