/* Queue, an owner who pushes and pops against thieves: nobody is inside beside
 * another, each job is taken once and in order, and its taker sees what was
 * written into it. With membarrier, and without. */
#include "parts/queue.c"

#include <string.h>

enum { JOBS = 4, TAKERS = 3 };

static struct queue queue;
static struct thrum_job_ jobs[JOBS];
static int taken[JOBS], pushed;
static int newest_of[TAKERS]; /* what the owner, a thief, the other took last */

static void fill(int i)
{
    int id = i;

    memcpy(jobs[i].u.bytes, &id, sizeof id);
}

static struct thrum_scope *const scope = (struct thrum_scope *)(void *)&queue;

static void push_one(void)
{
    fill(pushed);
    queue_push(&queue, &jobs[pushed++]);
}

static int took_any(struct thrum_job_ *job)
{
    int id;

    memcpy(&id, job->u.bytes, sizeof id);
    MODEL_ASSERT(job == &jobs[id]);
    MODEL_ASSERT(taken[id] == 0);
    taken[id]++;
    return id;
}

static void took(int taker, struct thrum_job_ *job)
{
    int id;

    if (job == NULL)
        return;
    id = took_any(job);
    MODEL_ASSERT(id > newest_of[taker]);
    newest_of[taker] = id;
}

static void pop(void)
{
    took(0, queue_pop(&queue));
}

/* ------------------------------------------------------------------ threads */

static void push_two_pop_two(void)
{
    push_one();
    push_one();
    pop();
    pop();
}

static void push_child(void)
{
    store_relaxed(&jobs[pushed].scope, scope);
    push_one();
}

/* Only what was pushed last can be it, or first. */
static void pop_child(void)
{
    struct siblings s = {.scope = scope, .or_last = true};
    struct thrum_job_ *job = queue_pop_child(&queue, &s);

    if (job != NULL)
        MODEL_ASSERT(load_relaxed(&jobs[took_any(job)].scope) == scope);
}

static void push_others_and_children(void)
{
    push_one();
    push_child();
    pop_child();
    push_child();
    push_child();
    pop_child();
    pop_child();
}

static void push_and_pop_in_turn(void)
{
    push_one();
    took(0, queue_pop_child(&queue, &(struct siblings){.scope = NULL}));
    push_one();
    push_one();
    pop();
}

static void push_three_pop_half(void)
{
    struct thrum_job_ *job;

    push_one();
    push_one();
    push_one();
    job = queue_pop_half(&queue, 2);
    while (job != NULL) {
        struct thrum_job_ *next = job->next;

        took(0, job);
        job = next;
    }
    pop();
}

static void push_three_at_once_pop_two(void)
{
    fill(0);
    fill(1);
    fill(2);
    jobs[0].next = &jobs[1];
    jobs[1].next = &jobs[2];
    jobs[2].next = NULL;
    pushed = 3;
    queue_push_all(&queue, &jobs[0]);
    pop();
    pop();
}

static void steal_once(void)
{
    took(1, queue_steal(&queue, 1));
}

static void steal_twice(void)
{
    steal_once();
    steal_once();
}

static void steal_half(void)
{
    struct thrum_job_ *job = queue_steal(&queue, 2);

    while (job != NULL) {
        struct thrum_job_ *next = job->next;

        took(1, job);
        job = next;
    }
}

static void other_steals_twice(void)
{
    took(2, queue_steal(&queue, 1));
    took(2, queue_steal(&queue, 1));
}

/* ---------------------------------------------------------------- scenarios */

static void setup(void)
{
    queue_init(&queue, !barrier_start());
    memset(jobs, 0, sizeof jobs);
    memset(taken, 0, sizeof taken);
    for (int i = 0; i < TAKERS; i++)
        newest_of[i] = -1;
    pushed = 0;
    model_name(&queue, "queue");
    model_name(&queue.jobs.first, "first");
    model_name(&queue.jobs.last, "last");
    model_name(&queue.jobs.count, "count");
    model_name(&queue.inside, "inside");
    model_name(&queue.thief, "thief");
    model_name(jobs, "jobs");
    model_watch(&queue.jobs.first,
                sizeof queue.jobs.first + sizeof queue.jobs.last);
    model_watch(jobs, sizeof jobs);
}

static void each_was_taken_once_or_is_left(void)
{
    struct thrum_job_ *job;
    uint32_t count = queue_count(&queue);

    newest_of[0] = -1;
    while ((job = queue_pop(&queue)) != NULL) {
        took(0, job);
        count--;
    }
    MODEL_ASSERT(count == 0);
    for (int i = 0; i < pushed; i++)
        MODEL_ASSERT(taken[i] == 1);
}

#define SCENARIO(what, barrier, bound, ...)                                    \
    {                                                                          \
        .name = what, .setup = setup, .threads = {__VA_ARGS__},                \
        .check = each_was_taken_once_or_is_left, .preemptions = bound,         \
        .membarrier = barrier, .executions = 300000                            \
    }
#define BOTH(what, bound, ...)                                                 \
    SCENARIO(what, true, bound, __VA_ARGS__),                                  \
        SCENARIO(what "_fenced", false, bound, __VA_ARGS__)

static const struct model_scenario scenarios[] = {
    BOTH("owner_and_thief", 2, {"owner", push_two_pop_two},
         {"thief", steal_once}),
    BOTH("owner_and_two_thieves", 0, {"owner", push_two_pop_two},
         {"thief", steal_twice}, {"thief2", other_steals_twice}),
    BOTH("push_and_pop_in_turn", 0, {"owner", push_and_pop_in_turn},
         {"thief", steal_twice}, {"thief2", other_steals_twice}),
    BOTH("children_are_popped_at_both_ends", 0,
         {"owner", push_others_and_children}, {"thief", steal_twice},
         {"thief2", other_steals_twice}),
    BOTH("half_is_stolen", 0, {"owner", push_three_pop_half},
         {"thief", steal_half}, {"thief2", other_steals_twice}),
    BOTH("half_is_popped", 0, {"owner", push_three_pop_half},
         {"thief", steal_twice}, {"thief2", other_steals_twice}),
    BOTH("push_all", 0, {"owner", push_three_at_once_pop_two},
         {"thief", steal_twice}, {"thief2", other_steals_twice}),
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_queue", scenarios});
}
