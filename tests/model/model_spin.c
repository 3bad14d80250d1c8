/* Spin lock: one thread at a time is inside, and sees what the one before it
 * did there. */
#include "os/spin.h"

static struct spin lock;
static int inside, count;

static void enter_twice(void)
{
    for (int i = 0; i < 2; i++) {
        spin_lock(&lock);
        MODEL_ASSERT(inside == 0);
        inside = 1;
        model_yield();
        inside = 0;
        count++;
        spin_unlock(&lock);
    }
}

static void setup(void)
{
    lock = (struct spin){0};
    inside = count = 0;
    model_name(&lock, "lock");
    model_name(&inside, "inside");
    model_name(&count, "count");
    model_watch(&inside, sizeof inside);
    model_watch(&count, sizeof count);
}

static void two_counted(void)
{
    MODEL_ASSERT(count == 4);
}

static void three_counted(void)
{
    MODEL_ASSERT(count == 6);
}

static const struct model_scenario scenarios[] = {
    {.name = "two_threads",
     .setup = setup,
     .threads = {{"a", enter_twice}, {"b", enter_twice}},
     .check = two_counted,
     .executions = 20000,
     .preemptions = 3},
    {.name = "three_threads",
     .setup = setup,
     .threads = {{"a", enter_twice}, {"b", enter_twice}, {"c", enter_twice}},
     .check = three_counted,
     .executions = 400000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_spin", scenarios});
}
