/* Scopes and forks: who runs what, and who waits for whom. */
#include "runtime.h"

#include <errno.h>

/* ----------------------------------------------------------------- spawning */

/* A child of a number: its argument is a copy. */
static int number(void *arg)
{
    int i = *(int *)arg;

    MODEL_ASSERT(world.ran[i]++ == 0);
    return i;
}

static thrum_err *run_once(void *arg)
{
    world.data[number(arg)] = 1;
    return NULL;
}

static thrum_err *come(void *arg)
{
    world.data[number(arg)] = 1;
    meet(&world.meeting);
    return NULL;
}

static void spawn(thrum_scope *s, thrum_fn *fn, int i)
{
    SUCCESS(thrum_spawn(s, fn, &i, sizeof i));
}

static void close_and_see(thrum_scope *s, int n)
{
    NO_ERROR(thrum_scope_close(s, NULL));
    for (int i = 0; i < n; i++)
        MODEL_ASSERT(world.data[i] == 1);
}

static thrum_err *children_meet(void *arg)
{
    thrum_scope s;

    (void)arg;
    world.meeting.expected = 2;
    thrum_scope_open(&s, .name = "meeting");
    for (int i = 0; i < 2; i++)
        spawn(&s, come, i);
    close_and_see(&s, 2);
    return NULL;
}

static thrum_err *three_meet(void *arg)
{
    thrum_scope s;

    (void)arg;
    world.meeting.expected = 3;
    thrum_scope_open(&s, .name = "meeting");
    for (int i = 0; i < 3; i++)
        spawn(&s, come, i);
    close_and_see(&s, 3);
    return NULL;
}

/* Who spawned them blocks, too. */
static thrum_err *parent_meets(void *arg)
{
    thrum_scope s;

    (void)arg;
    world.meeting.expected = 3;
    thrum_scope_open(&s, .name = "meeting");
    spawn(&s, come, 0);
    spawn(&s, come, 1);
    meet(&world.meeting);
    close_and_see(&s, 2);
    return NULL;
}

static thrum_err *spawn_two(void *arg)
{
    int first = number(arg) * 2 + 2;

    spawn(NULL, run_once, first);
    spawn(NULL, run_once, first + 1);
    world.data[first / 2 - 1] = 1;
    return NULL;
}

static thrum_err *grandchildren(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "tree");
    spawn(&s, spawn_two, 0);
    spawn(&s, spawn_two, 1);
    close_and_see(&s, 6);
    return NULL;
}

/* Into the scope that it is in, while who opened that does the same. */
static thrum_err *bring_others(void *arg)
{
    int first = number(arg) * 2 + 2;

    spawn(world.scope, run_once, first);
    spawn(world.scope, run_once, first + 1);
    world.data[first / 2 - 1] = 1;
    return NULL;
}

static thrum_err *siblings(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "siblings");
    world.scope = &s;
    spawn(&s, bring_others, 0);
    spawn(&s, bring_others, 1);
    close_and_see(&s, 6);
    return NULL;
}

/* Each is let in when another has ended. */
static thrum_err *one_at_a_time(void *arg)
{
    int i = number(arg);

    MODEL_ASSERT(world.data[15]++ == 0);
    thrum_yield();
    MODEL_ASSERT(--world.data[15] == 0);
    world.data[i] = 1;
    return NULL;
}

static thrum_err *limit(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .limit = 1);
    for (int i = 0; i < 3; i++)
        spawn(&s, one_at_a_time, i);
    close_and_see(&s, 3);
    return NULL;
}

/* ------------------------------------------------------- failing, canceling */

static const thrum_kind Broken = {"Broken", NULL, 0};

static thrum_err *fail(void *arg)
{
    (void)number(arg);
    return thrum_fail(&Broken, "broken");
}

/* Nobody sets it. */
static thrum_err *wait_long(void *arg)
{
    int i = number(arg);

    CANCELED(thrum_event_wait(&world.event));
    world.data[i] = 1;
    return thrum_rc(-ECANCELED);
}

/* The first failure ends the others' waits; it is the error that is told. */
static thrum_err *one_fails(void *arg)
{
    thrum_scope s;
    thrum_err *e;

    (void)arg;
    thrum_scope_open(&s, .name = "all");
    spawn(&s, wait_long, 0);
    spawn(&s, fail, 1);
    spawn(&s, wait_long, 2);
    e = thrum_scope_close(&s, NULL);
    MODEL_ASSERT(thrum_err_is(e, &Broken) && thrum_err_count(e) == 1);
    thrum_err_drop(e);
    MODEL_ASSERT(world.data[0] == 1 && world.data[2] == 1);
    return NULL;
}

static thrum_err *first_wins(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .policy = THRUM_ANY);
    spawn(&s, wait_long, 0);
    spawn(&s, run_once, 1);
    spawn(&s, wait_long, 2);
    NO_ERROR(thrum_scope_close(&s, NULL));
    MODEL_ASSERT(world.data[0] == 1 && world.data[1] == 1 &&
                 world.data[2] == 1);
    return NULL;
}

static thrum_err *cancel_it(void *arg)
{
    (void)number(arg);
    world.data[14] = 7; /* who sees the cancel sees this */
    thrum_scope_cancel(world.scope, NULL);
    return NULL;
}

static thrum_err *see_the_cancel(void *arg)
{
    int i = number(arg);

    if (thrum_canceled())
        MODEL_ASSERT(world.data[14] == 7);
    world.data[i] = 1;
    return NULL;
}

/* While its children end, sleep, and begin. */
static thrum_err *cancel_against_end(void *arg)
{
    thrum_scope s;

    (void)arg;
    world.scope = &s;
    thrum_scope_open(&s, .name = "canceled");
    spawn(&s, see_the_cancel, 0);
    spawn(&s, cancel_it, 1);
    spawn(&s, wait_long, 2);
    NO_ERROR(thrum_scope_close(&s, NULL));
    MODEL_ASSERT(world.data[0] == 1 && world.data[2] == 1);
    MODEL_ASSERT(world.ran[0] + world.ran[1] + world.ran[2] == 3);
    return NULL;
}

/* ------------------------------------------------------------------ forking */

static thrum_err *fib(void *arg)
{
    int *n = arg, less[2] = {*n - 1, *n - 2};
    thrum_task t;
    thrum_err *e;

    if (*n < 2)
        return NULL;
    thrum_fork(&t, fib, &less[0]);
    e = fib(&less[1]);
    e = thrum_err_add(e, thrum_join(&t));
    *n = less[0] + less[1];
    return e;
}

static thrum_err *fork_join(void *arg)
{
    (void)arg;
    world.data[0] = 5;
    NO_ERROR(fib(&world.data[0]));
    MODEL_ASSERT(world.data[0] == 5);
    return NULL;
}

static thrum_err *fork_meets(void *arg)
{
    int numbers[] = {0, 1};
    thrum_task t[2];

    (void)arg;
    world.meeting.expected = 3;
    for (int i = 0; i < 2; i++)
        thrum_fork(&t[i], come, &numbers[i]);
    meet(&world.meeting);
    for (int i = 1; i >= 0; i--)
        NO_ERROR(thrum_join(&t[i]));
    MODEL_ASSERT(world.data[0] == 1 && world.data[1] == 1);
    return NULL;
}

/* Forks of a stack that is put away go to the queue. */
static thrum_err *fork_and_sleep(void *arg)
{
    int zero = 0, one = 1;
    thrum_task t, u;

    (void)arg;
    thrum_fork(&t, run_once, &zero);
    thrum_fork(&u, run_once, &one);
    SUCCESS(thrum_sleep(THRUM_US(50)));
    NO_ERROR(thrum_join(&t));
    NO_ERROR(thrum_join(&u));
    MODEL_ASSERT(world.data[0] == 1 && world.data[1] == 1);
    return NULL;
}

static thrum_err *set_event(void *arg)
{
    (void)arg;
    thrum_event_set(&world.event);
    return NULL;
}

/* Who joins it later waits for what it does: it must be in somebody's reach. */
static thrum_err *fork_sets_event(void *arg)
{
    thrum_task t;

    (void)arg;
    thrum_fork(&t, set_event, NULL);
    SUCCESS(thrum_event_wait(&world.event));
    NO_ERROR(thrum_join(&t));
    return NULL;
}

/* What a fork spawns without a scope is its own, wherever it is called. */
static thrum_err *fork_spawns(void *arg)
{
    int zero = 0;
    thrum_task t;

    (void)arg;
    thrum_fork(&t, spawn_two, &zero);
    NO_ERROR(thrum_join(&t));
    for (int i = 0; i < 4; i++)
        MODEL_ASSERT(world.data[i] == (i != 1));
    return NULL;
}

/* Before it begins, or while it waits. */
static thrum_err *fork_cancel(void *arg)
{
    int zero = 0, one = 1;
    thrum_task t, u;
    thrum_err *e;

    (void)arg;
    thrum_fork(&t, wait_long, &zero);
    thrum_fork(&u, run_once, &one);
    thrum_yield();
    thrum_task_cancel(&t);
    NO_ERROR(thrum_join(&u));
    e = thrum_join(&t);
    MODEL_ASSERT(thrum_err_is(e, &THRUM_CANCELED));
    MODEL_ASSERT(world.ran[0] == world.data[0]);
    thrum_err_drop(e);
    MODEL_ASSERT(world.data[1] == 1);
    return NULL;
}

/* Before it begins, or while it runs, or when it has ended. */
static thrum_err *fork_cancel_any_time(void *arg)
{
    int zero = 0;
    thrum_task t;
    thrum_err *e;

    (void)arg;
    thrum_fork(&t, run_once, &zero);
    thrum_yield();
    thrum_task_cancel(&t);
    e = thrum_join(&t);
    MODEL_ASSERT((e == NULL) == (world.data[0] == 1));
    thrum_err_drop(e);
    return NULL;
}

static thrum_err *cancel_current(void *arg)
{
    int i = number(arg);

    thrum_scope_cancel(NULL, NULL);
    CANCELED(thrum_sleep(1));
    world.data[i] = 1;
    return NULL;
}

/* It cancels its own scope, not that of who forked it. */
static thrum_err *fork_cancels_itself(void *arg)
{
    int zero = 0;
    thrum_task t;

    (void)arg;
    thrum_fork(&t, cancel_current, &zero);
    MODEL_ASSERT(!thrum_canceled());
    thrum_err_drop(thrum_join(&t));
    MODEL_ASSERT(world.data[0] == 1 && !thrum_canceled());
    return NULL;
}

static thrum_err *part(size_t from, size_t to, void *ctx)
{
    (void)ctx;
    for (size_t i = from; i < to; i++)
        world.data[i]++;
    return NULL;
}

static thrum_err *loop(void *arg)
{
    (void)arg;
    NO_ERROR(thrum_for(0, 4, 1, part, NULL));
    for (int i = 0; i < 4; i++)
        MODEL_ASSERT(world.data[i] == 1);
    return NULL;
}

MAIN(2, children_meet)
MAIN(3, three_meet)
MAIN(3, parent_meets)
MAIN(2, grandchildren)
MAIN(2, siblings)
MAIN(2, limit)
MAIN(2, one_fails)
MAIN(2, first_wins)
MAIN(2, cancel_against_end)
MAIN(3, fork_join)
MAIN(3, fork_meets)
MAIN(2, fork_and_sleep)
MAIN(2, fork_spawns)
MAIN(1, fork_sets_event)
MAIN(2, fork_cancel)
MAIN(2, fork_cancel_any_time)
MAIN(2, fork_cancels_itself)
MAIN(2, loop)

const struct model_scenario trees[] = {
    TASK(children_meet),
    TASK(three_meet),
    TASK(parent_meets),
    TASK(grandchildren),
    TASK(siblings),
    TASK(limit),
    TASK(one_fails),
    TASK(first_wins),
    TASK(fork_join),
    TASK(cancel_against_end),
    TASK(fork_meets),
    TASK(fork_spawns),
    TASK(fork_and_sleep),
    TASK(fork_cancels_itself),
    TASK(fork_cancel),
    TASK(fork_cancel_any_time),
    TASK(fork_sets_event),
    TASK(loop),
    {0},
};
