/* Pipelines: carriers ask a source and pass two stages that keep the order. Each
 * item passes each stage once, in order, sees what the one before did there, and
 * none is left behind when all carriers have ended; whether further ones could be
 * started or not. */
#include "base/alloc.c"
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"
#include "task/permits.c"
#include "sync/pipeline.c"

#include "model_tasks.h"

enum { TOKENS = 3, ITEMS = 4, STAGES = 2, SLOT_BYTES = 64 };

static struct run run_;
static struct stage stages[STAGES];
static struct slot *parked[STAGES][TOKENS];
static _Alignas(ALIGN) char slots[TOKENS][SLOT_BYTES];
static struct scope scopes[MODEL_THREADS]; /* of each thread */
static int made, passed[STAGES]; /* what the source and the order guard */

/* A carrier that was started, until somebody is it. */
static struct spin mailbox_lock;
static struct carrier mailbox;
static bool mailbox_full, nobody_starts;
static _Atomic uint32_t over;

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

struct scope *scope_given(thrum_scope *scope, const char *func)
{
    (void)func;
    return scope_of(scope);
}

void thrum_scope_open_(thrum_scope *s, const thrum_scope_opts *opts)
{
    scope_of(s)->sched = &model_sched;
    (void)opts;
}

void thrum_scope_open_plain_(thrum_scope *s, const char *name,
                             const char *where)
{
    scope_of(s)->sched = &model_sched;
    (void)name;
    (void)where;
}

thrum_err *thrum_scope_close(thrum_scope *s, thrum_err *body)
{
    (void)s;
    return body;
}

int thrum_spawn_(thrum_scope *s, const struct thrum_site_ *site, thrum_fn *fn,
                 const void *arg, size_t copy)
{
    bool taken;

    (void)s;
    (void)site;
    MODEL_ASSERT(fn == carry && copy == sizeof mailbox);
    spin_lock(&mailbox_lock);
    taken = !nobody_starts && !mailbox_full;
    if (taken) {
        memcpy(&mailbox, arg, sizeof mailbox);
        mailbox_full = true;
    }
    spin_unlock(&mailbox_lock);
    return taken ? 0 : -ENOMEM;
}

void thrum_spawn_run_(struct thrum_job_ *job)
{
    (void)job;
}

const thrum_kind THRUM_ERROR = {.name = "THRUM_ERROR"};

thrum_err *thrum_wrap_(const char *where, thrum_err *cause,
                       const thrum_kind *kind, const char *format, ...)
{
    (void)where;
    (void)kind;
    (void)format;
    return cause;
}

bool error_is_canceled(const thrum_err *e)
{
    (void)e;
    return false;
}

thrum_err *thrum_rc(int64_t rc)
{
    (void)rc;
    return NULL;
}

/* -------------------------------------------------------- source and stages */

static thrum_err *make_item(void *item, void *unused, bool *end)
{
    (void)unused;
    *end = made == ITEMS;
    if (!*end)
        *(int *)item = made++;
    return NULL;
}

static thrum_err *pass_stage(void *item, void *ctx)
{
    int *count = ctx, number = *(int *)item;

    MODEL_ASSERT(*count == number);
    model_yield();
    *count = number + 1;
    if (ctx == &passed[STAGES - 1] && number + 1 == ITEMS)
        store_relaxed(&over, 1);
    return NULL;
}

/* ------------------------------------------------------------------ threads */

/* As one that was started and has begun. */
static void carries(void)
{
    MODEL_ASSERT(carry(&(struct carrier){&run_, NULL}) == NULL);
}

/* Whatever is started. */
static void is_started(void)
{
    while (load_relaxed(&over) == 0) {
        struct carrier c;
        bool any;

        spin_lock(&mailbox_lock);
        any = mailbox_full;
        mailbox_full = false;
        c = mailbox;
        spin_unlock(&mailbox_lock);
        if (any)
            MODEL_ASSERT(carry(&c) == NULL);
        model_yield();
    }
}

/* --------------------------------------------------------- setup and checks */

static void prepare(bool alone)
{
    static const thrum_stage what[STAGES] = {
        {.fn = pass_stage, .ctx = &passed[0], .in_order = true},
        {.fn = pass_stage, .ctx = &passed[1], .in_order = true}};
    static const thrum_pipeline pipeline = {
        .source = make_item, .stages = what, .n = STAGES, .item = sizeof(int)};

    model_tasks_setup(0);
    store_relaxed(&thrum_cancels_, 0);
    memset((void *)scopes, 0, sizeof scopes);
    memset((void *)stages, 0, sizeof stages);
    memset((void *)slots, 0, sizeof slots);
    memset((void *)parked, 0, sizeof parked);
    memset((void *)&run_, 0, sizeof run_);
    run_.what = &pipeline;
    run_.tokens = TOKENS;
    run_.stages = stages;
    for (int i = 0; i < STAGES; i++)
        stages[i].parked = parked[i];
    for (int i = 0; i < TOKENS; i++) {
        struct slot *slot = (struct slot *)(void *)slots[i];

        slot->next = run_.free;
        run_.free = slot;
    }
    made = passed[0] = passed[1] = 0;
    mailbox_lock = (struct spin){0};
    mailbox_full = false;
    nobody_starts = alone;
    store_relaxed(&over, 0);
    model_name(&run_, "run");
    model_name(stages, "stages");
    model_watch(&run_, sizeof run_);
    model_watch(stages, sizeof stages);
    model_watch(parked, sizeof parked);
    model_watch(slots, sizeof slots);
    model_watch(&made, sizeof made);
    model_watch(passed, sizeof passed);
}

static void without_memory(void)
{
    prepare(true);
}

static void with_memory(void)
{
    prepare(false);
}

static void all_have_passed(void)
{
    int free_slots = 0;

    for (struct slot *slot = run_.free; slot != NULL; slot = slot->next)
        free_slots++;
    MODEL_ASSERT(made == ITEMS);
    MODEL_ASSERT(passed[0] == ITEMS && passed[1] == ITEMS);
    MODEL_ASSERT(free_slots == TOKENS - 1); /* but for that of the end */
}

static const struct model_scenario scenarios[] = {
    {.name = "one_carrier",
     .setup = without_memory,
     .threads = {{"a", carries}},
     .check = all_have_passed,
     .executions = 10},
    {.name = "two_carriers",
     .setup = without_memory,
     .threads = {{"a", carries}, {"b", carries}},
     .check = all_have_passed,
     .executions = 20000,
     .preemptions = 2},
    {.name = "three_carriers",
     .setup = without_memory,
     .threads = {{"a", carries}, {"b", carries}, {"c", carries}},
     .check = all_have_passed,
     .executions = 20000},
    {.name = "more_are_started",
     .setup = with_memory,
     .threads = {{"a", carries}, {"b", is_started}, {"c", is_started}},
     .check = all_have_passed,
     .executions = 20000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_pipeline", scenarios});
}
