/* A stage that keeps the order: tokens wait for the turn of their numbers, one is
 * canceled. Each enters once, in order, sees what the one before did there, and
 * nobody sleeps on whose turn it is. */
#include "base/alloc.c"
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"
#include "task/permits.c"
#include "sync/pipeline.c"

#include "model_tasks.h"

enum { TOKENS = 3 };

static struct run run_;
static struct stage stage;
static struct line turns[TOKENS];
static struct scope scopes[MODEL_THREADS]; /* of each thread */
static int passed;                         /* what the order guards */

/* ----------------------------------------------------- what is not explored */

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
    return &scopes[model_thread()];
}

struct scope *scope_given(thrum_scope *scope)
{
    return scope_of(scope);
}

void thrum_scope_open_(thrum_scope *s, const thrum_scope_opts *opts)
{
    (void)s;
    (void)opts;
}

thrum_err *thrum_scope_close(thrum_scope *s, thrum_err *body)
{
    (void)s;
    return body;
}

int thrum_spawn_(thrum_scope *s, const struct thrum_site_ *site, thrum_fn *fn,
                 const void *arg, size_t copy)
{
    (void)s;
    (void)site;
    (void)fn;
    (void)arg;
    (void)copy;
    return -ENOMEM;
}

void thrum_spawn_run_(struct thrum_job_ *job)
{
    (void)job;
}

thrum_err *thrum_rc(int64_t rc)
{
    (void)rc;
    return NULL;
}

/* -------------------------------------------------------------------- threads */

static __attribute__((noinline)) int enter(uint64_t number)
{
    return wait_for_turn(&run_, &stage, number);
}

/* Who still knows the wait that lay here finds nonsense. */
static __attribute__((noinline)) void scribble(void)
{
    unsigned char scratch[512];

    memset(scratch, 0xee, sizeof scratch);
    __asm__ volatile("" : : "r"(scratch) : "memory");
}

static void take_turn(int number)
{
    MODEL_ASSERT(enter((uint64_t)number) == 0);
    scribble();
    MODEL_ASSERT(passed == number);
    passed = number + 1;
    end_turn(&run_, &stage);
}

static void takes_0_and_3(void)
{
    take_turn(0);
    take_turn(3);
}

static void takes_1_and_4(void)
{
    take_turn(1);
    take_turn(4);
}

static void takes_2(void)
{
    take_turn(2);
}

static void may_take_1(void)
{
    if (enter(1) == 0) {
        MODEL_ASSERT(passed == 1);
        passed = 2;
        end_turn(&run_, &stage);
    }
    scribble();
}

static void takes_0(void)
{
    take_turn(0);
}

static void cancels_first(void)
{
    thrum_scope_cancel(scope_public(&scopes[0]), NULL);
}

/* ------------------------------------------------------------ setup and checks */

static void prepare(unsigned outsiders)
{
    model_tasks_setup(outsiders);
    store_relaxed(&thrum_cancels_, 0);
    for (int i = 0; i < MODEL_THREADS; i++) {
        memset((void *)&scopes[i], 0, sizeof scopes[i]);
        scopes[i].sched = &model_sched;
    }
    memset((void *)turns, 0, sizeof turns);
    memset((void *)&stage, 0, sizeof stage);
    stage.turns = turns;
    run_.tokens = TOKENS;
    passed = 0;
    model_name(&stage, "stage");
    model_name(scopes, "scopes");
    model_watch(&stage, sizeof stage);
    model_watch(turns, sizeof turns);
    model_watch(scopes, sizeof scopes);
    model_watch(&passed, sizeof passed);
}

static void tasks(void)
{
    prepare(0);
}

static void threads(void)
{
    prepare(3);
}

static void nobody_waits(void)
{
    for (int i = 0; i < TOKENS; i++)
        MODEL_ASSERT(!line_any(&turns[i]));
    for (int i = 0; i < MODEL_THREADS; i++)
        MODEL_ASSERT(scopes[i].waits == NULL);
}

static void all_have_passed(void)
{
    nobody_waits();
    MODEL_ASSERT(passed == 5);
}

static const struct model_scenario scenarios[] = {
    {.name = "three_tokens",
     .setup = tasks,
     .threads = {{"a", takes_0_and_3}, {"b", takes_1_and_4}, {"c", takes_2}},
     .check = all_have_passed,
     .executions = 30000,
     .preemptions = 2},
    {.name = "three_threads",
     .setup = threads,
     .threads = {{"a", takes_0_and_3}, {"b", takes_1_and_4}, {"c", takes_2}},
     .check = all_have_passed,
     .executions = 10000},
    {.name = "one_is_canceled",
     .setup = tasks,
     .threads = {{"canceled", may_take_1},
                 {"first", takes_0},
                 {"cancel", cancels_first}},
     .check = nobody_waits,
     .executions = 20000,
     .preemptions = 2},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_pipeline", scenarios});
}
