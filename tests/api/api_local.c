/* Does a bound value follow into all that runs inside its scope, and nowhere else?
 * And the trace id? How: children, forks, jobs and threads that look it up, at
 * every depth. */
#include "lib/api.h"

#include <thrum/local.h>

static const thrum_key USER = {.name = "user"};
static const thrum_key TENANT = {.name = "tenant"};
static const thrum_key CONNECTION = {.name = "connection", .private_ = true};

static const char alice[] = "alice", bob[] = "bob", acme[] = "acme";

/* --- where a value is seen ------------------------------------------------ */

static thrum_err *user_is(void *who)
{
    CHECK(thrum_get(&USER) == who);
    return NULL;
}

static thrum_err *user_is_in_part(size_t lo, size_t hi, void *who)
{
    (void)lo, (void)hi;
    return user_is(who);
}

static thrum_err *user_is_in_call(size_t i, void *who)
{
    if (i % 3 == 0)
        thrum_yield();
    return user_is(who);
}

static void no_accumulator(void *acc, void *ctx)
{
    (void)acc, (void)ctx;
}

static void no_merge(void *into, void *from, void *ctx)
{
    (void)into, (void)from, (void)ctx;
}

static thrum_err *user_is_in_fold(size_t lo, size_t hi, void *acc, void *who)
{
    (void)lo, (void)hi, (void)acc;
    return user_is(who);
}

static void user_is_in_loops(void *who)
{
    static const thrum_reduction how = {1, no_accumulator, no_merge,
                                        user_is_in_fold};
    thrum_job jobs[20];
    char acc;

    for (int i = 0; i < 20; i++)
        jobs[i] = (thrum_job){.fn = user_is, .arg = who};
    expect_ok(thrum_gather(jobs, 20, THRUM_ALL));
    expect_ok(thrum_each(50, user_is_in_call, who));
    expect_ok(thrum_each(50, user_is_in_call, who, .limit = 3));
    expect_ok(thrum_for(0, 50, 1, user_is_in_part, who));
    expect_ok(thrum_reduce(0, 50, 1, &how, &acc, who));
}

struct visitor {
    void *who;
    unsigned depth;
};

/* Everywhere inside: in scopes, children, forks in place and taken, loops, jobs
 * of offload, also after it has waited and may run on another thread. */
static thrum_err *visit(void *arg)
{
    struct visitor *v = arg, below = {v->who, v->depth - 1};
    thrum_scope s;
    thrum_task t;

    expect_ok(user_is(v->who));
    CHECK(thrum_sleep(1) == 0);
    expect_ok(user_is(v->who));
    if (v->depth == 0)
        return NULL;
    CHECK(thrum_spawn(NULL, visit, &below, sizeof below) == 0);
    thrum_scope_open(&s, .name = "inside", .shield = v->depth % 2);
    expect_ok(user_is(v->who));
    CHECK(thrum_spawn(&s, visit, &below, sizeof below) == 0);
    thrum_fork(&t, visit, &below);
    if (v->depth % 2)
        thrum_yield();
    expect_ok(thrum_join(&t));
    user_is_in_loops(v->who);
    expect_ok(thrum_offload(user_is, v->who));
    expect_ok(thrum_scope_close(&s, NULL));
    return user_is(v->who);
}

static thrum_err *bind_and_visit(void *arg)
{
    struct visitor v = {(void *)(uintptr_t)alice, 2};
    thrum_binding b;
    thrum_scope s;

    (void)arg;
    CHECK(thrum_get(&USER) == NULL);
    thrum_scope_open(&s, .name = "request");
    thrum_bind(&s, &b, &USER, alice);
    expect_ok(thrum_with(visit, &v, .name = "visit"));
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(thrum_get(&USER) == NULL);
    return NULL;
}

static void all_that_runs_inside_sees_it(void **state)
{
    (void)state;
    on_runtimes(bind_and_visit, NULL);
}

static thrum_err *hide(void *arg)
{
    struct visitor v = {(void *)(uintptr_t)bob, 1};
    thrum_binding a, b, c, d;
    thrum_scope outer, inner;

    (void)arg;
    thrum_scope_open(&outer, .name = "outer");
    thrum_bind(&outer, &a, &USER, alice);
    thrum_bind(&outer, &b, &TENANT, acme);
    thrum_scope_open(&inner, .name = "inner");
    CHECK(thrum_get(&USER) == alice && thrum_get(&TENANT) == acme);
    thrum_bind(NULL, &c, &USER, bob);
    CHECK(thrum_get(&USER) == bob && thrum_get(&TENANT) == acme);
    expect_ok(thrum_with(visit, &v, .name = "visit"));
    thrum_bind(&inner, &d, &USER, NULL); /* hides it, too */
    CHECK(thrum_get(&USER) == NULL && thrum_get(&TENANT) == acme);
    v.who = NULL;
    expect_ok(thrum_with(visit, &v, .name = "visit"));
    expect_ok(thrum_scope_close(&inner, NULL));
    CHECK(thrum_get(&USER) == alice);
    expect_ok(thrum_scope_close(&outer, NULL));
    return NULL;
}

static void the_innermost_binding_hides_the_others(void **state)
{
    (void)state;
    on_runtimes(hide, NULL);
}

static thrum_err *bind_own(void *who)
{
    thrum_binding b;
    thrum_scope s;

    CHECK(thrum_get(&USER) == alice);
    thrum_scope_open(&s, .name = "own"); /* closed before b goes */
    thrum_bind(NULL, &b, &USER, who);
    for (int i = 0; i < 3; i++) {
        CHECK(thrum_get(&USER) == who);
        thrum_yield();
    }
    CHECK(thrum_spawn(NULL, user_is, who, 0) == 0);
    user_is_in_loops(who);
    return thrum_scope_close(&s, thrum_offload(user_is, who));
}

/* Siblings do not see what one of them binds, wherever they run. */
static thrum_err *bind_in_tasks(void *arg)
{
    void *names[2] = {(void *)(uintptr_t)bob, (void *)(uintptr_t)acme};
    thrum_job jobs[2] = {{.fn = bind_own, .arg = names[0]},
                         {.fn = bind_own, .arg = names[1]}};
    thrum_task t[2];
    thrum_binding b;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "s");
    thrum_bind(&s, &b, &USER, alice);
    for (int round = 0; round < 4; round++) {
        thrum_fork(&t[0], bind_own, names[0]);
        thrum_fork(&t[1], bind_own, names[1]);
        CHECK(thrum_spawn(&s, bind_own, names[round % 2], 0) == 0);
        if (round % 2)
            thrum_yield();
        expect_ok(thrum_join(&t[1]));
        CHECK(thrum_get(&USER) == alice);
        expect_ok(thrum_join(&t[0]));
        CHECK(thrum_get(&USER) == alice);
        expect_ok(thrum_gather(jobs, 2, THRUM_ALL));
        CHECK(thrum_get(&USER) == alice);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static void what_a_task_binds_is_its_own(void **state)
{
    (void)state;
    on_runtimes(bind_in_tasks, NULL);
}

/* --- private keys --------------------------------------------------------- */

static thrum_err *no_connection(void *unused)
{
    CHECK(thrum_get(&CONNECTION) == NULL);
    CHECK(thrum_get(&USER) == alice);
    return unused;
}

static thrum_err *no_connection_in_call(size_t i, void *unused)
{
    (void)i;
    return no_connection(unused);
}

static thrum_err *has_connection(void *unused)
{
    CHECK(thrum_get(&CONNECTION) == acme);
    return unused;
}

static thrum_err *bind_private(void *arg)
{
    thrum_job jobs[2] = {{.fn = no_connection}, {.fn = no_connection}};
    thrum_binding a, b;
    thrum_scope s, inner;
    thrum_task t;

    (void)arg;
    thrum_scope_open(&s, .name = "s");
    thrum_bind(&s, &a, &USER, alice);
    thrum_bind(&s, &b, &CONNECTION, acme);
    for (int round = 0; round < 4; round++) {
        thrum_fork(&t, no_connection, NULL);
        CHECK(thrum_spawn(&s, no_connection, NULL, 0) == 0);
        if (round % 2)
            thrum_yield();
        expect_ok(thrum_join(&t));
        expect_ok(has_connection(NULL));
        thrum_scope_open(&inner, .name = "a scope of the same task");
        expect_ok(has_connection(NULL));
        CHECK(thrum_spawn(NULL, no_connection, NULL, 0) == 0);
        expect_ok(thrum_gather(jobs, 2, THRUM_ALL));
        expect_ok(thrum_each(20, no_connection_in_call, NULL));
        expect_ok(thrum_offload(no_connection, NULL));
        expect_ok(thrum_scope_close(&inner, NULL));
        expect_ok(thrum_with(has_connection, NULL, .name = "a call"));
    }
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static void a_private_one_is_not_seen_by_other_tasks(void **state)
{
    (void)state;
    on_runtimes(bind_private, NULL);
}

/* --- threads -------------------------------------------------------------- */

static void a_thread_that_is_no_worker_may_bind(void **state)
{
    thrum_binding b, c;
    thrum_scope s, inner;
    thrum_rt *rt;

    (void)state;
    assert_null(thrum_get(&USER));
    thrum_scope_open(&s, .name = "of a thread");
    thrum_bind(&s, &b, &USER, alice);
    thrum_bind(&s, &c, &CONNECTION, acme);
    assert_ptr_equal(thrum_get(&USER), alice);
    thrum_scope_open(&inner, .name = "inner");
    expect_ok(has_connection(NULL));

    for (workers = 1; workers <= 4; workers *= 2) {
        assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = workers}),
                         0);
        expect_ok(thrum_call(rt, no_connection, NULL)); /* it is a task */
        expect_ok(thrum_stop(rt));
    }
    expect_ok(thrum_scope_close(&inner, NULL));
    expect_ok(thrum_scope_close(&s, NULL));
    assert_null(thrum_get(&USER));
}

static void bind_twice(void)
{
    thrum_binding b;
    thrum_scope s;

    thrum_scope_open(&s, .name = "request");
    thrum_bind(&s, &b, &USER, alice);
    thrum_bind(&s, &b, &USER, bob);
    expect_ok(thrum_scope_close(&s, NULL));
}

static void a_binding_is_bound_once(void **state)
{
    (void)state;
    assert_stops(bind_twice, "thrum_bind", "already");
}

/* --- the trace id --------------------------------------------------------- */

static const thrum_trace_id one = {1, 2}, two = {3, 0}, none;

static bool is_same(thrum_trace_id a, thrum_trace_id b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

static thrum_err *trace_is(void *id)
{
    CHECK(is_same(thrum_trace_id_current(), *(const thrum_trace_id *)id));
    CHECK(thrum_sleep(1) == 0);
    CHECK(is_same(thrum_trace_id_current(), *(const thrum_trace_id *)id));
    return NULL;
}

static void trace_holds(const thrum_trace_id *wanted)
{
    void *id = (void *)(uintptr_t)wanted;
    thrum_job job = {.fn = trace_is, .arg = id};
    thrum_task t;

    expect_ok(trace_is(id));
    CHECK(thrum_spawn(NULL, trace_is, id, 0) == 0);
    thrum_fork(&t, trace_is, id);
    expect_ok(thrum_join(&t));
    expect_ok(thrum_gather(&job, 1, THRUM_ALL));
    expect_ok(thrum_offload(trace_is, id));
    expect_ok(thrum_with(trace_is, id, .name = "none given"));
}

static thrum_err *traces(void *arg)
{
    thrum_scope outer, inner;

    (void)arg;
    trace_holds(&none);
    thrum_scope_open(&outer, .name = "outer", .trace = one);
    trace_holds(&one);
    thrum_scope_open(&inner, .name = "inner", .trace = two);
    trace_holds(&two);
    expect_ok(thrum_scope_close(&inner, NULL));
    trace_holds(&one);
    expect_ok(thrum_scope_close(&outer, NULL));
    CHECK(is_same(thrum_trace_id_current(), none));
    return NULL;
}

static void the_trace_id_is_that_of_the_innermost_scope_with_one(void **state)
{
    (void)state;
    on_runtimes(traces, NULL);
    assert_true(is_same(thrum_trace_id_current(), none));
}

/* --- into the background -------------------------------------------------- */

static _Atomic unsigned seen;

static thrum_err *in_background(void *id)
{
    thrum_task t;

    CHECK(thrum_get(&USER) == NULL && thrum_get(&CONNECTION) == NULL);
    CHECK(thrum_deadline() == INT64_MAX && !thrum_canceled());
    expect_ok(trace_is(id));
    thrum_fork(&t, trace_is, id);
    expect_ok(thrum_join(&t));
    CHECK(thrum_get(&USER) == NULL);
    atomic_fetch_add(&seen, 1);
    return NULL;
}

static thrum_err *to_background(void *arg)
{
    thrum_binding a, b;
    thrum_scope s;

    (void)arg;
    atomic_store(&seen, 0);
    CHECK(thrum_spawn(thrum_root(), in_background, (void *)(uintptr_t)&none,
                      0) == 0);
    thrum_scope_open(&s, .name = "s", .trace = one, .timeout = HOUR);
    thrum_bind(&s, &a, &USER, alice);
    thrum_bind(&s, &b, &CONNECTION, acme);
    thrum_scope_cancel(&s, NULL);
    CHECK(thrum_spawn(thrum_root(), in_background, (void *)(uintptr_t)&one,
                      0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    await_count(&seen, 2);
    return NULL;
}

static void to_the_background_goes_only_the_trace_id(void **state)
{
    (void)state;
    on_runtimes(to_background, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_runs_inside_sees_it),
        cmocka_unit_test(the_innermost_binding_hides_the_others),
        cmocka_unit_test(what_a_task_binds_is_its_own),
        cmocka_unit_test(a_private_one_is_not_seen_by_other_tasks),
        cmocka_unit_test(a_thread_that_is_no_worker_may_bind),
        cmocka_unit_test(a_binding_is_bound_once),
        cmocka_unit_test(the_trace_id_is_that_of_the_innermost_scope_with_one),
        cmocka_unit_test(to_the_background_goes_only_the_trace_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
