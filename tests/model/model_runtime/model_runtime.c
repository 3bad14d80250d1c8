/* The whole runtime, as it is: its own source, under the explorer's schedules,
 * memory, clock, futexes and threads, in scenarios written as a user would.
 */
#include "runtime.h"

#include <string.h>

enum { CHILDREN = 2 };

static struct meeting meeting;
static int ran[8];

static thrum_err *come(void *arg)
{
    ran[*(int *)arg]++;
    meet(&meeting);
    return NULL;
}

static thrum_err *spawn_who_meet(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "meeting");
    for (int i = 0; i < CHILDREN; i++)
        MODEL_ASSERT(thrum_spawn(&s, come, &i, sizeof i) == 0);
    NO_ERROR(thrum_scope_close(&s, NULL));
    for (int i = 0; i < CHILDREN; i++)
        MODEL_ASSERT(ran[i] == 1);
    return NULL;
}

static void two_meet(void)
{
    runtime_run(2, spawn_who_meet, NULL);
}

static void setup(void)
{
    runtime_reset();
    memset(ran, 0, sizeof ran);
    meeting = (struct meeting){.expected = 2};
    model_watch(ran, sizeof ran);
}

static const struct model_scenario scenarios[] = {
    {.name = "children_meet",
     .setup = setup,
     .threads = {{"main", two_meet}},
     .check = nothing_is_left,
     .executions = 2000,
     .steps = 30000,
     .membarrier = true},
    {.name = "children_meet_fenced",
     .setup = setup,
     .threads = {{"main", two_meet}},
     .check = nothing_is_left,
     .executions = 2000,
     .steps = 30000},
    {0},
};

int main(void)
{
    return model_run(&(struct model){"model_runtime", scenarios});
}
