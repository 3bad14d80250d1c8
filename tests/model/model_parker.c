/* Parker: no unpark is lost, none counts twice, and what was done before it is
 * seen after the park, although futex_wait may return for no reason. */
#include "parts/parker.c"

#include "os/clock.h"

enum { SOON_NS = 1000000 };

static struct parker parker;
static _Atomic uint32_t first_done, second_done;
static int data;
static struct poll_set set;
static int taken; /* parks that returned true */

static void park_once(void)
{
    MODEL_ASSERT(parker_park(&parker, CLOCK_NEVER));
    MODEL_ASSERT(data == 1);
    taken++;
}

/* Neither unparks for it, so a second token must not be there. */
static void park_twice(void)
{
    park_once();
    if (parker_park(&parker, clock_now() + SOON_NS))
        taken++;
}

static void park_with_deadline(void)
{
    bool got = parker_park(&parker, clock_now() + SOON_NS);

    if (!got)
        got = parker_park(&parker, CLOCK_NEVER);
    MODEL_ASSERT(got && data == 1);
    taken++;
}

/* As a worker does: looks, and parks if there is nothing. */
static void park_until_both_done(void)
{
    while (load_relaxed(&first_done) == 0 || load_relaxed(&second_done) == 0)
        parker_park(&parker, CLOCK_NEVER);
}

static void park_until_first_done(void)
{
    while (load_relaxed(&first_done) == 0)
        if (!parker_park(&parker, clock_now() + SOON_NS))
            cpu_relax();
}

/* With a set of its own making. */
static void poll_once(void)
{
    struct poll_event events[1];
    int told;

    set.epoll = set.wakeup = 0;
    while (!parker_poll(&parker, &set, CLOCK_NEVER, events, 1, &told))
        ;
    MODEL_ASSERT(data == 1);
    taken++;
}

static void unpark_in_set(void)
{
    data = 1;
    parker_unpark_in(&parker, &set);
}

static void unpark(void)
{
    data = 1;
    parker_unpark(&parker);
}

static void do_first(void)
{
    store_relaxed(&first_done, 1);
    parker_unpark(&parker);
}

static void do_second(void)
{
    store_relaxed(&second_done, 1);
    parker_unpark(&parker);
}

static void setup(void)
{
    parker_init(&parker);
    store_relaxed(&first_done, 0);
    store_relaxed(&second_done, 0);
    data = taken = 0;
    model_name(&parker, "parker");
    model_name(&first_done, "first_done");
    model_name(&second_done, "second_done");
    model_name(&data, "data");
    model_watch(&data, sizeof data);
    model_watch(&set, sizeof set);
}

static void one_token_was_taken(void)
{
    MODEL_ASSERT(taken == 1);
    MODEL_ASSERT(load_relaxed(&parker.word) == EMPTY);
}

static void nobody_is_parked(void)
{
    MODEL_ASSERT(load_relaxed(&parker.word) != PARKED);
}

static const struct model_scenario scenarios[] = {
    {.name = "unpark_is_not_lost",
     .setup = setup,
     .threads = {{"owner", park_once}, {"waker", unpark}},
     .check = one_token_was_taken,
     .executions = 20000,
     .preemptions = 4,
     .spurious = true},
    {.name = "one_unpark_is_one_token",
     .setup = setup,
     .threads = {{"owner", park_twice}, {"waker", unpark}},
     .check = one_token_was_taken,
     .preemptions = 4,
     .spurious = true},
    {.name = "token_at_the_deadline_is_kept",
     .setup = setup,
     .threads = {{"owner", park_with_deadline}, {"waker", unpark}},
     .check = one_token_was_taken,
     .preemptions = 4,
     .spurious = true},
    {.name = "one_token_stands_for_two_unparks",
     .setup = setup,
     .threads = {{"owner", park_until_both_done},
                 {"waker", do_first},
                 {"waker2", do_second}},
     .check = nobody_is_parked,
     .preemptions = 3,
     .spurious = true},
    {.name = "unpark_ends_a_poll",
     .setup = setup,
     .threads = {{"owner", poll_once}, {"waker", unpark_in_set}},
     .check = one_token_was_taken,
     .preemptions = 3},
    {.name = "deadlines_against_unpark",
     .setup = setup,
     .threads = {{"owner", park_until_first_done}, {"waker", do_first}},
     .check = nobody_is_parked,
     .executions = 400000,
     .spurious = true},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_parker", scenarios});
}
