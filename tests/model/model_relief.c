/* Who keeps the time when all workers are busy, against those who run: a timeout
 * that is noted on a running stack is seen, however the relief was about to stop
 * watching, or had no thread; so is a worker that wakes up; a scope that is
 * closed is touched by nobody, also
 * if its stack was put away in between; no timer is slept through; and it ends.
 * Relief, alarms and timers are the library's; a thread here is a worker that
 * computes, and one of them the relief's. */
#include "base/heap.c"
#include "parts/parker.c"
#include "parts/timers.c"
#include "sched/relief.c"
#include "task/alarm.c"

#include <errno.h>
#include <string.h>

#include "os/futex.h"

enum { WORKERS = 3, SCOPES = 6 };

/* The relief: not made yet, about to stop watching, or about to stop attending. */
enum { NEW, TIRED, ATTENDING };
enum { NEVER_NEEDED = 2 }; /* its thread */

/* Timeouts: over when the relief looks, or never. */
enum { SHORT = 1 };
static const int64_t ages = INT64_MAX - 1;

static struct sched sched;
static struct worker workers[WORKERS];
static struct stack stacks[WORKERS];
static struct scope scopes[SCOPES];
static struct timer timers[2];
static _Atomic uint32_t rung[2];

static int state;                     /* of the relief, at first */
static int refused;                   /* threads that are not to be had */
static bool without[MODEL_THREADS];   /* whoever had none made for him */
static _Atomic uint32_t begun, ended; /* the relief's thread */
static _Atomic uint32_t at_work;      /* who is not yet done; the last stops */
static _Atomic uint32_t left;         /* a stack was put away */
static _Atomic uint32_t locked;
static _Atomic uint32_t awake, seen_awake; /* a worker is; the relief knows */

/* ------------------------------------------------------ what lies around it */

static uint32_t wait_for(_Atomic uint32_t *word)
{
    uint32_t is;

    while ((is = load_acquire(word)) == 0)
        futex_wait(word, 0, CLOCK_NEVER);
    return is;
}

static void say(_Atomic uint32_t *word, uint32_t what)
{
    store_release(word, what);
    futex_wake(word, MODEL_THREADS);
}

void lock_init(struct lock *l)
{
    (void)l;
    store_relaxed(&locked, 0);
}

void lock_acquire(struct lock *l)
{
    uint32_t is = 0;

    (void)l;
    while (!cas_acquire(&locked, &is, 1)) {
        model_yield();
        is = 0;
    }
}

void lock_release(struct lock *l)
{
    (void)l;
    store_release(&locked, 0);
}

int thread_start(struct thread *t, const char *name, size_t stack_bytes,
                 void (*run)(void *arg), void *arg)
{
    (void)t, (void)name, (void)stack_bytes;
    MODEL_ASSERT(run == keep_time && arg == &sched.relief);
    MODEL_ASSERT(load_relaxed(&begun) == 0); /* one is enough */
    without[model_thread()] = refused > 0;
    if (refused > 0) {
        refused--;
        return -EAGAIN;
    }
    say(&begun, 1);
    return 0;
}

void thread_join(struct thread *t)
{
    (void)t;
    (void)wait_for(&ended);
}

/* The counter stands still: whatever was noted was noted at the beginning. */
bool clock_ticks_even(void)
{
    return true;
}

struct clock_pair clock_pair(void)
{
    return (struct clock_pair){0, clock_now()};
}

int64_t clock_of_ticks(struct clock_pair before, struct clock_pair after,
                       uint64_t ticks)
{
    (void)after, (void)ticks;
    return before.now;
}

/* As sched/sched.c has them, where no worker ever rests. */
void sched_arm_running(struct worker *w, struct timer *t, int64_t deadline,
                       void (*fire)(struct timer *t))
{
    (void)timers_add(&w->timers, t, deadline, fire);
    relief_ask(&sched.relief, deadline);
}

struct worker *worker_near(struct sched *s)
{
    (void)s;
    return &workers[model_thread()];
}

bool sched_look(void *arg)
{
    bool any = false;

    MODEL_ASSERT(arg == &sched);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct stack *stack = load_acquire(&workers[i].stack);

        if (stack != NULL && load_acquire(&stack->deque.pending) != NULL)
            any = alarm_look(stack) || any;
    }
    return any;
}

void report_slow(struct scope *s, int64_t took)
{
    (void)s, (void)took;
}

void report_took(struct scope *s, int64_t took, const thrum_err *err)
{
    (void)s, (void)took, (void)err;
}

struct scope *scope_current(void)
{
    return NULL;
}

struct scope *scope_given(thrum_scope *scope, const char *func)
{
    (void)func;
    return scope_of(scope);
}

/* All scopes here are a task's. */
struct sched *sched_default(void)
{
    return NULL;
}

bool scope_is_open_here(struct scope *s)
{
    return s != NULL;
}

/* Who computes in it learns of it, and may close it before this returns. */
bool scope_stop(struct scope *s, enum stop why)
{
    MODEL_ASSERT(why == STOP_DEADLINE);
    model_plain_read(&s->parent);
    (void)or_acq_rel(&s->stops, why);
    futex_wake(&s->stops, 1);
    return true;
}

/* As sched/monitor.c has it. */
static bool look_who_is_awake(void *arg, bool judge)
{
    bool any = load_seq_cst(&awake) != 0;

    MODEL_ASSERT(arg == &sched);
    if (any && judge)
        say(&seen_awake, 1);
    return any;
}

/* --------------------------------------------------------------- the relief */

/* Looked in vain so often that once more is too often. */
static void tired(void)
{
    if (state == TIRED)
        (void)watch(&sched.relief, VAIN_LOOKS);
}

static void relief(void)
{
    if (wait_for(&begun) == NEVER_NEEDED)
        return;
    tired();
    keep_time(&sched.relief);
    say(&ended, 1);
}

/* The last to leave: nobody else runs. */
static void stop_the_relief(void)
{
    relief_stop(&sched.relief);
    MODEL_ASSERT(!sched.relief.started || load_acquire(&ended) == 1);
    if (!sched.relief.started)
        say(&begun, NEVER_NEEDED);
}

static void be_done(void)
{
    if (sub_acq_rel(&at_work, 1) == 1)
        stop_the_relief();
}

/* ------------------------------------------------------------------- scopes */

static struct stack *my_stack(void)
{
    return &stacks[model_thread()];
}

static struct worker *here(void)
{
    return &workers[model_thread()];
}

static void run_on(struct stack *s)
{
    s->worker = here();
    store_release(&here()->stack, s);
}

static struct scope *open_on(struct stack *stack, int which, int64_t timeout)
{
    struct scope *s = &scopes[which];
    thrum_scope_opts opts = {.timeout = timeout};

    s->parent = NULL;
    s->sched = &sched;
    s->stack = stack;
    s->alarm = ALARM_OFF;
    s->alarm_ended = s->alarm_used = s->alarm_rang = false;
    store_relaxed(&s->stops, 0);
    store_relaxed(&s->lock.held, 0);
    store_relaxed(&s->timed, 0);
    store_relaxed(&s->seen, 0);
    alarm_open(s, &opts);
    return s;
}

static struct scope *open(int which, int64_t timeout)
{
    return open_on(my_stack(), which, timeout);
}

/* Closes it. Who looks at it from here on races with this, or waits for ever. */
static void bury(struct scope *s)
{
    alarm_silence(s);
    MODEL_ASSERT(cas_relaxed(&s->lock.held, &(uint32_t){0}, 1));
    s->parent = NULL;
    s->sched = NULL;
    s->noted = false;
    s->ticks = 0;
    s->timeout = 0;
    s->pending_outer = NULL;
}

/* Computes until it is told to end. */
static void compute(struct scope *s)
{
    (void)wait_for(&s->stops);
    MODEL_ASSERT(load_relaxed(&s->stops) == STOP_DEADLINE);
}

static int my_scope(void)
{
    return 2 * model_thread();
}

/* ------------------------------------------------------------- who computes */

/* Its time is over: it must be told. Without a thread nobody can. */
static void overrun(void)
{
    struct scope *s;

    run_on(my_stack());
    s = open(my_scope(), SHORT);
    if (!without[model_thread()])
        compute(s);
    bury(s);
    be_done();
}

static void overrun_twice(void)
{
    run_on(my_stack());
    for (int i = 0; i < 2; i++) {
        struct scope *s = open(my_scope(), SHORT);

        compute(s);
        bury(s);
    }
    be_done();
}

static void in_time(int64_t timeout)
{
    run_on(my_stack());
    bury(open(my_scope(), timeout));
    bury(open(my_scope(), timeout));
    be_done();
}

static void end_in_time(void)
{
    in_time(ages);
}

static void end_just_in_time(void)
{
    in_time(SHORT);
}

/* The outer one goes on when the inner one is closed. */
static void nested(void)
{
    struct scope *outer, *inner;

    run_on(my_stack());
    outer = open(my_scope(), SHORT);
    inner = open(my_scope() + 1, SHORT);
    bury(inner);
    inner = open(my_scope() + 1, ages);
    bury(inner);
    compute(outer);
    bury(outer);
    be_done();
}

/* It suspends with two open, and goes on where another worker is. */
static void suspend(void)
{
    run_on(my_stack());
    (void)open(my_scope(), ages);
    (void)open(my_scope() + 1, SHORT);
    alarm_settle(my_stack());
    store_release(&here()->stack, NULL);
    say(&left, 1);
}

static void put_away(void)
{
    suspend();
    be_done();
}

static void put_away_for_another(void)
{
    struct stack *other = &stacks[WORKERS - 1];
    struct scope *s;

    suspend();
    run_on(other);
    s = open_on(other, SCOPES - 1, SHORT);
    compute(s);
    bury(s);
    be_done();
}

static void go_on(bool waits)
{
    (void)wait_for(&left);
    run_on(&stacks[0]);
    if (waits)
        compute(&scopes[1]);
    bury(open_on(&stacks[0], my_scope(), SHORT));
    bury(&scopes[1]);
    bury(&scopes[0]);
    be_done();
}

static void go_on_at_once(void)
{
    go_on(false);
}

static void go_on_to_the_end(void)
{
    go_on(true);
}

/* ------------------------------------------------------------------- timers */

static void ring_one(struct timer *t)
{
    say(&rung[t - timers], 1);
}

static void arm(int which, int64_t at)
{
    sched_arm_running(worker_near(&sched), &timers[which], at, ring_one);
}

/* Must ring while we compute. */
static void arm_soon(void)
{
    arm(0, clock_now() + 1000000);
    (void)wait_for(&rung[0]);
    be_done();
}

static void arm_past(void)
{
    arm(1, 1);
    (void)wait_for(&rung[1]);
    be_done();
}

static void arm_late(void)
{
    arm(1, ages);
    be_done();
}

/* It must be seen, whatever it does from then on. */
static void wake_up(void)
{
    store_seq_cst(&awake, 1);
    relief_attend(&sched.relief);
    if (!without[model_thread()])
        (void)wait_for(&seen_awake);
    be_done();
}

/* ---------------------------------------------------------------- scenarios */

static void prepare(int how, unsigned tasks, int refuse)
{
    memset((void *)&sched, 0, sizeof sched);
    memset((void *)workers, 0, sizeof workers);
    memset((void *)stacks, 0, sizeof stacks);
    memset((void *)scopes, 0, sizeof scopes);
    memset((void *)timers, 0, sizeof timers);
    memset(without, 0, sizeof without);
    timers_init(&sched.timers);
    sched.workers = workers;
    relief_init(&sched.relief, &sched.timers, true, sched_look, &sched);
    sched.relief.attend = look_who_is_awake;
    store_relaxed(&awake, 0);
    store_relaxed(&seen_awake, 0);
    for (int i = 0; i < WORKERS; i++) {
        workers[i].sched = &sched;
        timers_join(&sched.timers, &workers[i].timers);
    }
    for (int i = 0; i < 2; i++)
        store_relaxed(&rung[i], 0);
    state = how;
    refused = refuse;
    sched.relief.started = how != NEW;
    store_relaxed(&sched.relief.watching, how == TIRED);
    store_relaxed(&sched.relief.attends, how == ATTENDING);
    store_relaxed(&begun, how != NEW);
    store_relaxed(&ended, 0);
    store_relaxed(&left, 0);
    store_relaxed(&at_work, tasks);
    model_name(&sched.relief.until, "until");
    model_name(&sched.relief.over, "over");
    model_name(&sched.relief.watching, "watching");
    model_name(&sched.relief.looking, "looking");
    model_name(&sched.relief.parker, "parker");
    model_name(&sched.timers.earliest, "earliest");
    model_name(&begun, "begun");
    model_name(&ended, "ended");
    model_name(scopes, "scopes");
    for (int i = 0; i < WORKERS; i++) {
        model_name(&workers[i].stack, "stack");
        model_name(&stacks[i].deque.pending, "pending");
    }
    model_watch(scopes, sizeof scopes);
    model_watch(timers, sizeof timers);
    model_watch(&sched.relief.started, 2);
}

static void one_first(void)
{
    prepare(NEW, 1, 0);
}

static void two_first(void)
{
    prepare(NEW, 2, 0);
}

static void two_first_one_refused(void)
{
    prepare(NEW, 2, 1);
}

static void one(void)
{
    prepare(TIRED, 1, 0);
}

static void two(void)
{
    prepare(TIRED, 2, 0);
}

static void one_wakes(void)
{
    prepare(ATTENDING, 1, 0);
}

static void two_wake(void)
{
    prepare(ATTENDING, 2, 0);
}

static void it_has_ended(void)
{
    MODEL_ASSERT(load_relaxed(&at_work) == 0);
    MODEL_ASSERT(load_relaxed(&sched.relief.looking) == 0);
}

#define SCENARIO(what, prepared, count, ...)                                   \
    {                                                                          \
        .name = what, .setup = prepared,                                       \
        .threads = {__VA_ARGS__, {"relief", relief}}, .check = it_has_ended,   \
        .membarrier = true, .executions = count                                \
    }

static const struct model_scenario scenarios[] = {
    SCENARIO("first_noted", one_first, 4000, {"a", overrun}),
    SCENARIO("two_first_noted", two_first, 6000, {"a", overrun},
             {"b", overrun}),
    SCENARIO("no_thread_at_first", two_first_one_refused, 6000, {"a", overrun},
             {"b", overrun}),
    SCENARIO("noted_as_it_stops_watching", one, 10000, {"a", overrun_twice}),
    SCENARIO("two_noted_as_it_stops_watching", two, 10000, {"a", overrun},
             {"b", overrun}),
    SCENARIO("one_ends_in_time", two, 10000, {"a", overrun},
             {"b", end_in_time}),
    SCENARIO("all_end_in_time", two, 10000, {"a", end_just_in_time},
             {"b", end_in_time}),
    SCENARIO("nested", one, 10000, {"a", nested}),
    SCENARIO("put_away", two, 10000, {"a", put_away}, {"b", go_on_at_once}),
    SCENARIO("put_away_for_another", two, 10000, {"a", put_away_for_another},
             {"b", go_on_at_once}),
    SCENARIO("put_away_too_long", two, 10000, {"a", put_away},
             {"b", go_on_to_the_end}),
    SCENARIO("first_timer", one_first, 4000, {"a", arm_soon}),
    SCENARIO("late_and_earlier_timer", two, 10000, {"a", arm_late},
             {"b", arm_soon}),
    SCENARIO("two_timers", two_first, 6000, {"a", arm_soon}, {"b", arm_past}),
    SCENARIO("noted_and_timer", two, 6000, {"a", overrun}, {"b", arm_soon}),
    SCENARIO("first_awake", one_first, 4000, {"a", wake_up}),
    SCENARIO("awake_without_a_thread", two_first_one_refused, 4000,
             {"a", wake_up}, {"b", wake_up}),
    SCENARIO("awake_as_it_stops_attending", one_wakes, 6000, {"a", wake_up}),
    SCENARIO("two_awake_as_it_stops_attending", two_wake, 6000, {"a", wake_up},
             {"b", wake_up}),
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_relief", scenarios});
}
