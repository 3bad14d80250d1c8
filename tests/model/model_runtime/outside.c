/* From outside, and to the outside: other threads that call, post, cancel, set
 * and stop; calls that block on the pool's threads. */
#include "runtime.h"

#include <errno.h>

/* -------------------------------------------------------------------- calls */

static thrum_err *count(void *arg)
{
    int i = *(int *)arg;

    MODEL_ASSERT(world.ran[i]++ == 0);
    world.data[i] = i + 1;
    return NULL;
}

static thrum_err *count_main(void *arg)
{
    int i = 0;

    (void)arg;
    return count(&i);
}

static void call_count(void)
{
    int i = 1;

    NO_ERROR(thrum_call(world.rt, count, &i));
    MODEL_ASSERT(world.data[1] == 2);
}

static void calls_other(void)
{
    from_outside(call_count);
}

static void calls_main(void)
{
    main_with(2, 1, count_main);
    MODEL_ASSERT(world.data[0] == 1);
}

/* What was posted is waited for by who stops. */
static void post_count(void)
{
    for (int i = 1; i < 3; i++)
        SUCCESS(thrum_post(world.rt, count, &i, sizeof i));
}

static void posts_other(void)
{
    from_outside(post_count);
}

static void posts_main(void)
{
    main_with(2, 1, count_main);
    MODEL_ASSERT(world.data[1] == 2 && world.data[2] == 3);
}

/* A task does not wait for who posted it; who stops waits for both. */
static thrum_err *tell_and_sleep(void *arg)
{
    (void)arg;
    flag_set(&world.done);
    return thrum_rc(thrum_sleep(THRUM_US(20)));
}

static void post_last(void)
{
    flag_wait(&world.flag);
    SUCCESS(thrum_post(world.rt, tell_and_sleep, NULL, 0));
}

static void stop_after_post(void)
{
    world.rt = runtime_begin(1);
    flag_set(&world.flag);
    flag_wait(&world.done);
    runtime_end(world.rt);
}

/* The default runtime is started by the first, stopped by the last. */
static void run_count(int i)
{
    thrum_opts opts = runtime_opts(1);

    NO_ERROR(thrum_run(&opts, count, &i));
    MODEL_ASSERT(world.data[i] == i + 1);
}

static void run_one(void)
{
    run_count(1);
}

static void run_two(void)
{
    run_count(2);
}

/* ------------------------------------------------------------------ the end */

static thrum_err *sleep_for_ever(void *arg)
{
    (void)arg;
    world.ran[0]++;
    CANCELED(thrum_event_wait(&world.event));
    world.ran[1]++;
    return thrum_rc(-ECANCELED);
}

static thrum_err *leave_behind(void *arg)
{
    (void)arg;
    SUCCESS(thrum_spawn(thrum_root(), sleep_for_ever, NULL, 0));
    return NULL;
}

/* Who is left in the background is canceled. */
static void background_main(void)
{
    runtime_run(2, leave_behind, NULL);
    MODEL_ASSERT(world.ran[0] == 1 && world.ran[1] == 1);
}

/* Nothing to do, and over: at any moment of the start. */
static void nothing_main(void)
{
    runtime_end(runtime_begin(3));
}

static thrum_err *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

static void call_and_stop_main(void)
{
    runtime_run(2, nothing, NULL);
}

/* ----------------------------------------------------------- telling a task */

static thrum_err *wait_for_event(void *arg)
{
    (void)arg;
    SUCCESS(thrum_event_wait(&world.event));
    MODEL_ASSERT(world.data[0] == 9);
    return NULL;
}

static void set_event(void)
{
    world.data[0] = 9;
    thrum_event_set(&world.event);
}

static void event_other(void)
{
    from_outside(set_event);
}

static void event_main(void)
{
    main_with(1, 1, wait_for_event);
}

/* The last that is done to a runtime from outside. */
static void set_last(void)
{
    flag_wait(&world.flag);
    set_event();
}

static void stop_after_event(void)
{
    thrum_rt *rt = runtime_begin(1);

    flag_set(&world.flag);
    NO_ERROR(thrum_call(rt, wait_for_event, NULL));
    runtime_end(rt);
}

/* Two tasks that are always ready keep neither a post nor a sleeper out. */
static thrum_err *yield_until_done(void *arg)
{
    (void)arg;
    while (load_relaxed(&world.done) == 0 || load_relaxed(&world.slept) == 0)
        thrum_yield();
    return NULL;
}

static thrum_err *sleep_and_tell(void *arg)
{
    (void)arg;
    SUCCESS(thrum_sleep(THRUM_US(20)));
    store_relaxed(&world.slept, 1);
    return NULL;
}

static thrum_err *keep_busy(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "busy");
    SUCCESS(thrum_spawn(&s, sleep_and_tell, NULL, 0));
    for (int i = 0; i < 2; i++)
        SUCCESS(thrum_spawn(&s, yield_until_done, NULL, 0));
    return thrum_scope_close(&s, NULL);
}

static void post_to_busy(void)
{
    SUCCESS(thrum_post(world.rt, tell_and_sleep, NULL, 0));
}

static void busy_other(void)
{
    from_outside(post_to_busy);
}

static void busy_main(void)
{
    main_with(1, 1, keep_busy);
}

/* A worker blocks: another one must come for who is told. */
static thrum_err *block(void *arg)
{
    (void)arg;
    meet(&world.meeting);
    return NULL;
}

static thrum_err *wait_and_meet(void *arg)
{
    THRUM_TRY(wait_for_event(arg));
    meet(&world.meeting);
    return NULL;
}

static thrum_err *blocker_and_waiter(void *arg)
{
    thrum_scope s;

    (void)arg;
    world.meeting.expected = 2;
    thrum_scope_open(&s, .name = "told");
    SUCCESS(thrum_spawn(&s, wait_and_meet, NULL, 0));
    SUCCESS(thrum_spawn(&s, block, NULL, 0));
    return thrum_scope_close(&s, NULL);
}

static void event_meets_main(void)
{
    main_with(2, 1, blocker_and_waiter);
}

static thrum_err *lock_and_add(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        thrum_mutex_lock(&world.mutex);
        world.data[0]++;
        thrum_mutex_unlock(&world.mutex);
        thrum_yield();
    }
    return NULL;
}

static void lock_too(void)
{
    NO_ERROR(lock_and_add(NULL));
}

static void mutex_other(void)
{
    from_outside(lock_too);
}

static void mutex_main(void)
{
    main_with(1, 1, lock_and_add);
    MODEL_ASSERT(world.data[0] == 4);
}

/* A scope in which a task waits is canceled by a thread. */
static thrum_err *wait_to_be_canceled(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "canceled");
    world.scope = &s;
    meet(&world.meeting);
    CANCELED(thrum_event_wait(&world.event));
    meet(&world.other);
    return thrum_scope_close(&s, NULL);
}

static void cancel_other(void)
{
    flag_wait(&world.flag);
    meet(&world.meeting);
    thrum_scope_cancel(world.scope, "from outside");
    meet(&world.other);
}

static void cancel_main(void)
{
    world.meeting.expected = world.other.expected = 2;
    flag_set(&world.flag);
    runtime_run(1, wait_to_be_canceled, NULL);
}

/* A scope of a thread, whose children run on the default runtime. */
static thrum_err *scope_of_a_thread(void *arg)
{
    int zero = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "of a thread");
    SUCCESS(thrum_spawn(&s, count, &zero, sizeof zero));
    NO_ERROR(thrum_scope_close(&s, NULL));
    MODEL_ASSERT(world.data[0] == 1);
    return NULL;
}

static thrum_err *be_there(void *arg)
{
    (void)arg;
    flag_set(&world.flag);
    meet(&world.other);
    return NULL;
}

static void thread_scope_main(void)
{
    thrum_opts opts = runtime_opts(2);

    world.other.expected = 2;
    NO_ERROR(thrum_run(&opts, be_there, NULL));
}

static void thread_scope_other(void)
{
    flag_wait(&world.flag);
    NO_ERROR(scope_of_a_thread(NULL));
    meet(&world.other);
}

/* ----------------------------------------------------------- blocking calls */

static thrum_err *block_in_pool(void *arg)
{
    MODEL_ASSERT(world.ran[*(int *)arg]++ == 0);
    meet(&world.meeting);
    world.data[*(int *)arg] = 1;
    return NULL;
}

static thrum_err *offload_one(void *arg)
{
    int i = *(int *)arg;

    NO_ERROR(thrum_offload(block_in_pool, &i));
    MODEL_ASSERT(world.data[i] == 1);
    return NULL;
}

/* Each call needs a thread of its own. */
static thrum_err *offloads(void *arg)
{
    thrum_scope s;

    (void)arg;
    world.meeting.expected = 2;
    thrum_scope_open(&s, .name = "calls");
    for (int i = 0; i < 2; i++)
        SUCCESS(thrum_spawn(&s, offload_one, &i, sizeof i));
    return thrum_scope_close(&s, NULL);
}

static void offloads_main(void)
{
    runtime_run(1, offloads, NULL);
}

static thrum_err *quick_call(void *arg)
{
    MODEL_ASSERT(world.ran[*(int *)arg]++ == 0);
    return NULL;
}

/* It was made, or it was not and never will be. */
static thrum_err *offload_or_not(void *arg)
{
    int i = *(int *)arg;
    thrum_err *e = thrum_offload(quick_call, &i);

    MODEL_ASSERT(e == NULL || thrum_err_is(e, &THRUM_CANCELED));
    MODEL_ASSERT(world.ran[i] == (e == NULL));
    return e;
}

static thrum_err *cancel_the_scope(void *arg)
{
    (void)arg;
    thrum_scope_cancel(world.scope, NULL);
    return NULL;
}

static thrum_err *withdraw(void *arg)
{
    thrum_scope s;

    (void)arg;
    world.scope = &s;
    thrum_scope_open(&s, .name = "canceled");
    for (int i = 0; i < 2; i++)
        SUCCESS(thrum_spawn(&s, offload_or_not, &i, sizeof i));
    SUCCESS(thrum_spawn(&s, cancel_the_scope, NULL, 0));
    return thrum_scope_close(&s, NULL);
}

static void withdraw_main(void)
{
    runtime_run(2, withdraw, NULL);
}

/* A call that is left alone: what it owns is given back once, by somebody. */
static _Atomic uint32_t dropped;

static void drop(void *copy)
{
    (void)copy;
    MODEL_ASSERT(add_relaxed(&dropped, 1) == 0);
}

static thrum_err *own_something(void *copy)
{
    *(int *)copy += 1;
    return NULL;
}

static thrum_err *offload_or_leave(void *arg)
{
    int i = 4;
    thrum_err *e = thrum_offload_ex(own_something, &i, .size = sizeof i,
                                    .drop = drop);

    (void)arg;
    MODEL_ASSERT(e == NULL ? i == 5 : i == 4);
    return e;
}

static thrum_err *abandon(void *arg)
{
    thrum_scope s;

    (void)arg;
    world.scope = &s;
    thrum_scope_open(&s, .name = "abandoned");
    SUCCESS(thrum_spawn(&s, offload_or_leave, NULL, 0));
    SUCCESS(thrum_spawn(&s, cancel_the_scope, NULL, 0));
    return thrum_scope_close(&s, NULL);
}

static void abandon_main(void)
{
    store_relaxed(&dropped, 0);
    runtime_run(2, abandon, NULL);
}

const struct model_scenario outside[] = {
    SCENARIO("calls", {"main", calls_main}, {"other", calls_other}),
    SCENARIO("posts", {"main", posts_main}, {"other", posts_other}),
    SCENARIO("post_last", {"main", stop_after_post}, {"other", post_last}),
    SCENARIO("event_last", {"main", stop_after_event}, {"other", set_last}),
    SCENARIO("busy", {"main", busy_main}, {"other", busy_other}),
    SCENARIO("default", {"one", run_one}, {"two", run_two}),
    SCENARIO("background", {"main", background_main}),
    SCENARIO("nothing", {"main", nothing_main}),
    SCENARIO("call_and_stop", {"main", call_and_stop_main}),
    SCENARIO("event", {"main", event_main}, {"other", event_other}),
    SCENARIO("event_meets", {"main", event_meets_main}, {"other", event_other}),
    SCENARIO("mutex_outside", {"main", mutex_main}, {"other", mutex_other}),
    SCENARIO("cancel_outside", {"main", cancel_main}, {"other", cancel_other}),
    SCENARIO("thread_scope", {"main", thread_scope_main},
             {"other", thread_scope_other}),
    SCENARIO("offloads", {"main", offloads_main}),
    SCENARIO("withdraw", {"main", withdraw_main}),
    SCENARIO("abandon", {"main", abandon_main}),
    {0},
};
