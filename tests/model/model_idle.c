/* Idle, alone: workers that look for jobs and go to sleep, against those who add
 * jobs where all can take them, and those who publish where only a thief with a
 * barrier can. No job is left while a worker sleeps. With membarrier, and
 * without. */
#include "parts/idle.c"
#include "parts/parker.c"

#include "os/barrier.h"
#include "os/clock.h"

enum { WORKERS = 3, PUBLISHERS = 2 };

static struct idle idle;
static struct parker parkers[WORKERS];
static _Atomic int64_t inbox;            /* jobs in it */
static _Atomic uint32_t own[PUBLISHERS]; /* a publisher's job, or 0 */
static _Atomic uint32_t taken;

/* -------------------------------------------------------- those who publish */

static void notify(void)
{
    int worker = idle_notify(&idle);

    if (worker != IDLE_NOBODY)
        parker_unpark(&parkers[worker]);
}

static void add_one(void)
{
    add_seq_cst(&inbox, 1);
    notify();
}

static void publish_one(int publisher)
{
    store_release(&own[publisher], 1);
    if (!idle_published(&idle) || !idle_answer(&idle))
        return;
    if (exchange_acquire(&own[publisher], 0) == 1)
        add_seq_cst(&inbox, 1);
    else
        idle_ask(&idle);
    notify();
}

/* The job stays where it is. */
static void publish_and_keep(void)
{
    store_release(&own[0], 1);
    if (idle_published(&idle) && !idle_any_searching(&idle) &&
        idle_answer(&idle))
        notify();
}

static void publish_first(void)
{
    publish_one(0);
}

static void publish_second(void)
{
    publish_one(1);
}

static void publish_then_add(void)
{
    publish_one(0);
    add_one();
}

/* ------------------------------------------------------------------ workers */

static bool take(void)
{
    int64_t n = load_seq_cst(&inbox);

    if (n > 0 && cas_seq_cst(&inbox, &n, n - 1))
        return true;
    for (int i = 0; i < PUBLISHERS; i++)
        if (load_relaxed(&own[i]) == 1 && exchange_acquire(&own[i], 0) == 1)
            return true;
    return false;
}

static bool any(void)
{
    if (load_seq_cst(&inbox) > 0)
        return true;
    for (int i = 0; i < PUBLISHERS; i++)
        if (load_relaxed(&own[i]) == 1)
            return true;
    return false;
}

/* As sched/sched.c does it. */
static void rest(unsigned worker)
{
    idle_sleep(&idle, worker);
    if (!any() && parker_park(&parkers[worker], CLOCK_NEVER))
        return;
    if (!idle_rouse(&idle, worker))
        parker_park(&parkers[worker], CLOCK_NEVER);
}

static void pass_on(void)
{
    idle_ask(&idle);
    if (any())
        notify();
}

/* The last of them blocks the worker for good: it takes no other. */
static void take_jobs(int n)
{
    unsigned worker = (unsigned)model_thread();

    while (n-- > 0) {
        idle_search(&idle);
        while (!take())
            rest(worker);
        if (idle_found(&idle))
            pass_on();
        add_relaxed(&taken, 1);
    }
}

static void take_one(void)
{
    take_jobs(1);
}

static void take_two(void)
{
    take_jobs(2);
}

/* ---------------------------------------------------------------- scenarios */

static void setup(void)
{
    idle_init(&idle, WORKERS, !barrier_start());
    for (int i = 0; i < WORKERS; i++)
        parker_init(&parkers[i]);
    store_relaxed(&inbox, 0);
    store_relaxed(&own[0], 0);
    store_relaxed(&own[1], 0);
    store_relaxed(&taken, 0);
    model_name(&idle.hungry, "hungry");
    model_name(&idle.searching, "searching");
    model_name(&idle.asleep, "asleep");
    model_name(&inbox, "inbox");
    model_name(&own[0], "own 0");
    model_name(&own[1], "own 1");
    model_name(&taken, "taken");
    model_name(&parkers[0], "parker 0");
    model_name(&parkers[1], "parker 1");
    model_name(&parkers[2], "parker 2");
}

/* That all have ended is what is asked: a worker who sleeps beside a job is a
 * deadlock. */
static void nothing_is_left(void)
{
    MODEL_ASSERT(!any());
    MODEL_ASSERT(load_relaxed(&idle.searching) == 0);
    MODEL_ASSERT(load_relaxed(&idle.asleep[0]) == 0);
}

#define SCENARIO(what, barrier, ...)                                           \
    {                                                                          \
        .name = what, .setup = setup, .threads = {__VA_ARGS__},                \
        .check = nothing_is_left, .membarrier = barrier, .executions = 250000  \
    }
#define BOTH(what, ...)                                                        \
    SCENARIO(what, true, __VA_ARGS__),                                         \
        SCENARIO(what "_fenced", false, __VA_ARGS__)

static const struct model_scenario scenarios[] = {
    BOTH("one_added", {"w0", take_one}, {"adder", add_one}),
    BOTH("two_added", {"w0", take_one}, {"w1", take_one}, {"adder", add_one},
         {"adder2", add_one}),
    BOTH("one_published", {"w0", take_one}, {"publisher", publish_first}),
    BOTH("two_published", {"w0", take_one}, {"w1", take_one},
         {"publisher", publish_first}, {"publisher2", publish_second}),
    BOTH("published_and_added", {"w0", take_one}, {"w1", take_one},
         {"publisher", publish_then_add}),
    BOTH("one_worker_comes_late", {"w0", take_one}, {"w1", take_two},
         {"adder", add_one}, {"adder2", add_one}, {"adder3", add_one}),
    BOTH("one_worker_comes_late_to_what_is_published", {"w0", take_one},
         {"w1", take_two}, {"publisher", publish_first},
         {"publisher2", publish_second}, {"adder", add_one}),
    BOTH("one_kept", {"w0", take_one}, {"publisher", publish_and_keep}),
    BOTH("one_kept_one_published", {"w0", take_one}, {"w1", take_one},
         {"publisher", publish_and_keep}, {"publisher2", publish_second}),
    BOTH("one_kept_one_worker_comes_late", {"w0", take_one}, {"w1", take_two},
         {"publisher", publish_and_keep}, {"publisher2", publish_second},
         {"adder", add_one}),
    BOTH("three_workers", {"w0", take_one}, {"w1", take_one}, {"w2", take_one},
         {"publisher", publish_then_add}, {"adder", add_one}),
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_idle", scenarios});
}
