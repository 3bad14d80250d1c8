/* Do blocking calls run beside the workers, as many as need each other, and come
 * back with their result? How: calls that wait for tasks and for each other. */
#include "lib/api.h"

THRUM_KIND(Said, THRUM_ERROR);

static thrum_err *hand_back(void *arg)
{
    return arg;
}

struct where {
    int thread;
};

static thrum_err *tell_thread(void *arg)
{
    ((struct where *)arg)->thread = thread_id();
    return thrum_fail(&Said, "so");
}

static thrum_err *offload_one(void *arg)
{
    struct where w = {0};
    thrum_err *e;

    (void)arg;
    e = thrum_offload(tell_thread, &w);
    CHECK(w.thread != 0 && w.thread != thread_id());
    CHECK(thrum_err_is(e, &Said));
    CHECK(thrum_offload(hand_back, e) == e);
    CHECK(thrum_offload(hand_back, NULL) == NULL);
    thrum_err_drop(e);
    return NULL;
}

static void an_offloaded_call_runs_on_another_thread(void **state)
{
    (void)state;
    on_threads(offload_one, NULL);
}

static void on_a_thread_that_is_no_worker_it_is_a_call(void **state)
{
    struct where w = {0};
    thrum_err *e = thrum_offload(tell_thread, &w);

    (void)state;
    assert_int_equal(w.thread, thread_id());
    assert_true(thrum_err_is(e, &Said));
    thrum_err_drop(e);
}

/* --- beside the workers --------------------------------------------------- */

static thrum_err *block_until(void *arg)
{
    block_count(arg, 1);
    return NULL;
}

static thrum_err *raise_flag(void *arg)
{
    atomic_fetch_add(*(_Atomic unsigned **)arg, 1);
    return NULL;
}

static thrum_err *run_beside(void *arg)
{
    _Atomic unsigned flag = 0, *at = &flag;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "beside");
    CHECK(thrum_spawn(&s, raise_flag, &at, sizeof at) == 0);
    expect_ok(thrum_offload(block_until, &flag));
    return thrum_scope_close(&s, NULL);
}

static void tasks_run_while_a_call_blocks(void **state)
{
    (void)state;
    on_runtimes(run_beside, NULL);
}

static thrum_err *meet_blocking(void *arg)
{
    gate_block(arg);
    return NULL;
}

static thrum_err *offload_to_meet(void *arg)
{
    return thrum_offload(meet_blocking, *(struct gate **)arg);
}

static thrum_err *calls_meet(void *arg)
{
    unsigned n = SCALE == 50 ? 12 : 100;
    struct gate g, *at = &g;
    thrum_scope s;

    (void)arg;
    for (int turn = 0; turn < 3; turn++) {
        gate_init(&g, n);
        thrum_scope_open(&s, .name = "meeting");
        for (unsigned i = 0; i < n; i++)
            CHECK(thrum_spawn(&s, offload_to_meet, &at, sizeof at) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
    }
    return NULL;
}

static void calls_that_block_for_each_other_all_run(void **state)
{
    (void)state;
    on_threads(calls_meet, NULL);
}

struct crowd {
    _Atomic unsigned now, most, calls;
};

static thrum_err *count_crowd(void *arg)
{
    struct crowd *c = arg;
    unsigned now = atomic_fetch_add(&c->now, 1) + 1;
    unsigned most = atomic_load(&c->most);

    while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
        ;
    atomic_fetch_add(&c->calls, 1);
    atomic_fetch_sub(&c->now, 1);
    return NULL;
}

static thrum_err *offload_crowd(void *arg)
{
    struct crowd *c = *(struct crowd **)arg;

    for (size_t i = 0; i < scaled(200) + 4; i++)
        expect_ok(thrum_offload(count_crowd, c));
    return NULL;
}

static thrum_err *spawn_crowd(void *arg)
{
    struct crowd c = {0}, *at = &c;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "crowd");
    for (int i = 0; i < 40; i++)
        CHECK(thrum_spawn(&s, offload_crowd, &at, sizeof at) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&c.calls) == 40 * (scaled(200) + 4));
    CHECK(atomic_load(&c.most) <= 3);
    return NULL;
}

static void there_are_no_more_blocking_threads_than_asked_for(void **state)
{
    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        thrum_opts opts = {.workers = workers, .max_blocking = 3};
        thrum_rt *rt;

        assert_int_equal(thrum_start(&rt, &opts), 0);
        expect_ok(thrum_call(rt, spawn_crowd, NULL));
        expect_ok(thrum_stop(rt));
    }
}

static thrum_err *offload_inside_offload(void *arg)
{
    struct where *outer = arg, inner = {0};
    thrum_err *e;

    outer->thread = thread_id();
    e = thrum_offload(tell_thread, &inner);
    CHECK(inner.thread == outer->thread); /* a thread that is no worker */
    return e;
}

static thrum_rt *runtime;

static thrum_err *call_back(void *arg)
{
    CHECK(thrum_sleep(THRUM_US(10)) == 0);
    thrum_yield();
    return thrum_call(runtime, hand_back, arg);
}

static thrum_err *offload_what_calls(void *arg)
{
    struct where w = {0};
    thrum_err *e = thrum_offload(offload_inside_offload, &w);

    CHECK(thrum_err_is(e, &Said));
    CHECK(thrum_offload(call_back, e) == e);
    thrum_err_drop(e);
    return arg;
}

static void an_offloaded_call_may_call_the_library(void **state)
{
    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        assert_int_equal(
            thrum_start(&runtime, &(thrum_opts){.workers = workers}), 0);
        expect_ok(thrum_call(runtime, offload_what_calls, NULL));
        expect_ok(thrum_stop(runtime));
    }
}

/* What it did is seen, and it sees what came before: plain variables. */
static thrum_err *add_one(void *arg)
{
    ++*(unsigned *)arg;
    return NULL;
}

static thrum_err *add_in_turn(void *arg)
{
    unsigned n = 0;

    for (unsigned i = 0; i < scaled(1000) + 10; i++) {
        CHECK(n == 2 * i);
        expect_ok(thrum_offload(add_one, &n));
        n++;
    }
    return arg;
}

static void variables_go_there_and_back(void **state)
{
    (void)state;
    on_runtimes(add_in_turn, NULL);
}

/* --- in numbers ----------------------------------------------------------- */

struct flood {
    _Atomic unsigned calls;    /* made */
    _Atomic unsigned returned; /* their tasks have gone on */
};

struct drop {
    struct flood *flood;
    size_t index;
    bool held;
};

static thrum_err *fall(void *arg)
{
    struct drop *d = arg;

    atomic_fetch_add(&d->flood->calls, 1);
    return d->index % 7 == 0 ? thrum_fail(&Said, "%zu", d->index) : NULL;
}

/* Keeps its thread until the tasks of all calls before it have gone on: no
 * result may wait for this call to end. */
static thrum_err *fall_after_all(void *arg)
{
    struct drop *d = arg;
    unsigned before = atomic_load(&d->flood->calls);

    block_count(&d->flood->returned, before);
    return fall(arg);
}

static thrum_err *offload_drop(void *arg)
{
    struct drop *d = arg;
    thrum_err *e = thrum_offload(d->held ? fall_after_all : fall, d);

    CHECK((e != NULL) == (d->index % 7 == 0));
    thrum_err_drop(e);
    atomic_fetch_add(&d->flood->returned, 1);
    return NULL;
}

static size_t hold_each; /* so manieth call; 0: none */

static thrum_err *flood(void *arg)
{
    size_t n = scaled(20000) + 20;
    struct flood f = {0, 0};
    thrum_scope s;

    thrum_scope_open(&s, .name = "flood");
    for (size_t i = 0; i < n; i++) {
        struct drop d = {&f, i, hold_each != 0 && i % hold_each == 0};

        CHECK(thrum_spawn(&s, offload_drop, &d, sizeof d) == 0);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&f.calls) == n && atomic_load(&f.returned) == n);
    return arg;
}

static void many_at_once_each_get_their_own_result(void **state)
{
    (void)state;
    hold_each = 0;
    on_threads(flood, NULL);
}

static void a_result_does_not_wait_for_another_call(void **state)
{
    (void)state;
    hold_each = 50;
    for (workers = 1; workers <= 4; workers *= 2) {
        thrum_opts opts = {.workers = workers, .max_blocking = 1};
        thrum_rt *rt;

        assert_int_equal(thrum_start(&rt, &opts), 0);
        expect_ok(thrum_call(rt, flood, NULL));
        expect_ok(thrum_stop(rt));
    }
}

/* Between short ones, when all expect short ones. */
static thrum_err *meet_in_a_flood(void *arg)
{
    unsigned n = SCALE == 50 ? 5 : 20;
    struct flood f = {0, 0};
    struct gate g, *at = &g;
    thrum_scope s;

    gate_init(&g, n);
    thrum_scope_open(&s, .name = "meeting in a flood");
    for (size_t i = 0; i < 100 * (size_t)n; i++) {
        struct drop d = {&f, i, false};

        if (i % 100 == 99)
            CHECK(thrum_spawn(&s, offload_to_meet, &at, sizeof at) == 0);
        CHECK(thrum_spawn(&s, offload_drop, &d, sizeof d) == 0);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&f.returned) == 100 * n);
    return arg;
}

static void calls_that_block_in_a_flood_all_run(void **state)
{
    (void)state;
    on_threads(meet_in_a_flood, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offloaded_call_runs_on_another_thread),
        cmocka_unit_test(on_a_thread_that_is_no_worker_it_is_a_call),
        cmocka_unit_test(tasks_run_while_a_call_blocks),
        cmocka_unit_test(calls_that_block_for_each_other_all_run),
        cmocka_unit_test(there_are_no_more_blocking_threads_than_asked_for),
        cmocka_unit_test(an_offloaded_call_may_call_the_library),
        cmocka_unit_test(variables_go_there_and_back),
        cmocka_unit_test(many_at_once_each_get_their_own_result),
        cmocka_unit_test(a_result_does_not_wait_for_another_call),
        cmocka_unit_test(calls_that_block_in_a_flood_all_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
