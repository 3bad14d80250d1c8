/* Is a broken contract met with one line that names it, and the end? How: each
 * one is broken in a process of its own. */
#include "lib/api.h"

#include <pthread.h>

static thrum_opts opts = {.workers = 2};

/* In the child process. */
static void run(thrum_fn *fn)
{
    workers = opts.workers;
    expect_ok(thrum_run(&opts, fn, NULL));
}

static thrum_err *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

/* --- forks ---------------------------------------------------------------- */

THRUM_TASK(int, typed, int, n)
{
    return n;
}

THRUM_TASK(int, typed_leftover, int, n)
{
    THRUM_FORK(typed, n); /* and never joined */
    return n;
}

static void fork_outside(void)
{
    thrum_task task;

    thrum_fork(&task, nothing, NULL);
}

static void typed_outside(void)
{
    (void)typed(1);
}

static void forks_are_made_in_tasks_only(void **state)
{
    (void)state;
    assert_stops(fork_outside, "fork", "task");
    assert_stops(typed_outside, "fork", "task");
}

static thrum_err *leave_fork(void *arg)
{
    thrum_task task;

    (void)arg;
    thrum_fork(&task, nothing, NULL);
    return NULL;
}

static thrum_err *leave_typed_fork(void *arg)
{
    (void)arg;
    (void)typed_leftover(1);
    return NULL;
}

static thrum_err *give_back(void *arg)
{
    return arg;
}

static thrum_err *leave_fork_in_scope(void *arg)
{
    thrum_task a, b;
    thrum_scope s;

    (void)arg;
    thrum_fork(&a, nothing, NULL);
    thrum_scope_open(&s, .name = "s");
    thrum_fork(&b, give_back, NULL);
    expect_ok(thrum_scope_close(&s, NULL));
    expect_ok(thrum_join(&b));
    return thrum_join(&a);
}

static thrum_err *leave_fork_that_ran(void *arg)
{
    _Atomic unsigned ran = 0;
    thrum_task task;

    (void)arg;
    thrum_fork(&task, nothing, NULL);
    while (atomic_fetch_add(&ran, 1) < 10)
        CHECK(thrum_sleep(THRUM_US(100)) == 0);
    return NULL;
}

static thrum_err *spawn_that_leaves_fork(void *arg)
{
    (void)arg;
    CHECK(thrum_spawn(NULL, leave_fork, NULL, 0) == 0);
    return NULL;
}

static void leave_in_main(void)
{
    run(leave_fork);
}

static void leave_typed(void)
{
    run(leave_typed_fork);
}

static void leave_in_scope(void)
{
    run(leave_fork_in_scope);
}

static void leave_what_ran(void)
{
    run(leave_fork_that_ran);
}

static void leave_in_child(void)
{
    run(spawn_that_leaves_fork);
}

static void a_fork_left_over_is_named_with_its_place(void **state)
{
    (void)state;
    assert_stops(leave_in_main, "nothing", "api_contract.c:");
    assert_stops(leave_typed, "typed", "api_contract.c:");
    assert_stops(leave_in_scope, "give_back", "api_contract.c:");
    assert_stops(leave_what_ran, "not joined", "scope");
    assert_stops(leave_in_child, "nothing", "api_contract.c:");
}

/* A fork leaves one of its own; the first is taken by another worker. */
static thrum_err *leave_fork_and_meet(void *arg)
{
    thrum_task task;

    thrum_fork(&task, nothing, NULL);
    gate_block(arg);
    return NULL;
}

static thrum_err *leave_in_a_stolen_one(void *arg)
{
    thrum_task task;
    struct gate g;

    (void)arg;
    gate_init(&g, 2);
    thrum_fork(&task, leave_fork_and_meet, &g);
    gate_block(&g);
    return thrum_join(&task);
}

static void leave_when_stolen(void)
{
    run(leave_in_a_stolen_one);
}

static void a_fork_left_over_by_a_stolen_fork_is_named_too(void **state)
{
    (void)state;
    assert_stops(leave_when_stolen, "nothing", "api_contract.c:");
}

static thrum_err *join_other(void *arg)
{
    return thrum_join((thrum_task *)arg);
}

static thrum_err *let_child_join(void *arg)
{
    thrum_task first, second;

    (void)arg;
    thrum_fork(&first, nothing, NULL);
    thrum_fork(&second, nothing, NULL);
    CHECK(thrum_spawn(NULL, join_other, &first, 0) == 0);
    thrum_yield();
    CHECK(thrum_sleep(THRUM_MS(50)) == 0);
    expect_ok(thrum_join(&second));
    return thrum_join(&first);
}

static void join_by_another(void)
{
    opts.workers = 1;
    run(let_child_join);
}

static void a_fork_is_joined_by_its_forker_only(void **state)
{
    (void)state;
    assert_stops(join_by_another, "thrum_join", "task that forked");
}

/* --- scopes --------------------------------------------------------------- */

static thrum_err *cross(void *arg)
{
    thrum_scope a, b;

    (void)arg;
    thrum_scope_open(&a, .name = "outer");
    thrum_scope_open(&b, .name = "inner");
    expect_ok(thrum_scope_close(&a, NULL));
    return thrum_scope_close(&b, NULL);
}

static thrum_err *leave_open(void *arg)
{
    static thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "left");
    return NULL;
}

/* Called at the join, with a scope of its own below the one it leaves. */
static thrum_err *leave_open_above(void *arg)
{
    CHECK(thrum_spawn(NULL, nothing, NULL, 0) == 0);
    return leave_open(arg);
}

static thrum_err *fork_and_leave_open(void *arg)
{
    thrum_task t;

    thrum_fork(&t, leave_open_above, arg);
    return thrum_join(&t);
}

static thrum_err *close_twice(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "twice");
    expect_ok(thrum_scope_close(&s, NULL));
    return thrum_scope_close(&s, NULL);
}

static thrum_err *close_other(void *arg)
{
    return thrum_scope_close((thrum_scope *)arg, NULL);
}

static thrum_err *let_child_close(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "others");
    CHECK(thrum_spawn(&s, close_other, &s, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static void cross_in_task(void)
{
    run(cross);
}

static void cross_in_thread(void)
{
    expect_ok(cross(NULL));
}

static void leave_open_in_task(void)
{
    run(leave_open);
}

static void leave_open_in_fork(void)
{
    expect_ok(
        thrum_run(&(thrum_opts){.workers = 1}, fork_and_leave_open, NULL));
}

static void close_twice_in_task(void)
{
    run(close_twice);
}

static void close_by_child(void)
{
    run(let_child_close);
}

static void *close_in_thread(void *scope)
{
    expect_ok(close_other(scope));
    return NULL;
}

static void close_by_thread(void)
{
    pthread_t thread;
    thrum_scope s;

    thrum_scope_open(&s, .name = "others");
    CHECK(pthread_create(&thread, NULL, close_in_thread, &s) == 0);
    (void)pthread_join(thread, NULL);
}

static void scopes_are_closed_in_reverse_order_of_opening(void **state)
{
    (void)state;
    assert_stops(cross_in_task, "outer", "api_contract.c:");
    assert_stops(cross_in_thread, "outer", "inner");
    assert_stops(leave_open_in_task, "scope", "open");
    assert_stops(leave_open_in_fork, "scope a fork", "still open");
    assert_stops(close_twice_in_task, "twice", "not open");
}

static void a_scope_is_closed_by_who_opened_it(void **state)
{
    (void)state;
    assert_stops(close_by_child, "others", "closed");
    assert_stops(close_by_thread, "others", "scope");
}

static void open_with_bad_policy(void)
{
    thrum_scope s;

    thrum_scope_open(&s, .policy = (thrum_policy)7);
}

static void spawn_without_scope(void)
{
    CHECK(thrum_spawn(NULL, nothing, NULL, 0) == 0);
}

static void spawn_without_runtime(void)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "s");
    CHECK(thrum_spawn(&s, nothing, NULL, 0) == 0);
}

static thrum_err *spawn_null(void *arg)
{
    (void)arg;
    CHECK(thrum_spawn(NULL, NULL, NULL, 0) == 0);
    return NULL;
}

static thrum_err *spawn_no_bytes(void *arg)
{
    (void)arg;
    CHECK(thrum_spawn(NULL, nothing, NULL, 8) == 0);
    return NULL;
}

static thrum_err *spawn_blocking_no_bytes(void *arg)
{
    (void)arg;
    CHECK(thrum_spawn_blocking(NULL, nothing, NULL, 8) == 0);
    return NULL;
}

static void spawn_blocking_nothing(void)
{
    run(spawn_blocking_no_bytes);
}

static void spawn_no_function(void)
{
    run(spawn_null);
}

static void spawn_copy_of_nothing(void)
{
    run(spawn_no_bytes);
}

static void dial_no_port(void)
{
    CHECK(thrum_dial("127.0.0.1", NULL) >= 0);
}

static void listen_no_port(void)
{
    CHECK(thrum_listen(NULL, NULL) >= 0);
}

static void listen_no_path(void)
{
    CHECK(thrum_listen_unix(NULL) >= 0);
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    assert_stops(open_with_bad_policy, "thrum_scope_open", "policy");
    assert_stops(spawn_without_scope, "thrum_spawn", "scope");
    assert_stops(spawn_without_runtime, "thrum_spawn", "runtime");
    assert_stops(spawn_no_function, "thrum_spawn", "function");
    assert_stops(spawn_blocking_nothing, "thrum_spawn_blocking", "argument");
    assert_stops(spawn_copy_of_nothing, "thrum_spawn", "bytes");
    assert_stops(dial_no_port, "thrum_dial", "port");
    assert_stops(listen_no_port, "thrum_listen", "port");
    assert_stops(listen_no_path, "thrum_listen_unix", "path");
}

/* --- the others ----------------------------------------------------------- */

static void gather_outside(void)
{
    thrum_job job = {.fn = nothing};

    expect_ok(thrum_gather(&job, 1, THRUM_ALL));
}

static thrum_err *part(size_t lo, size_t hi, void *arg)
{
    (void)lo, (void)hi, (void)arg;
    return NULL;
}

static void for_outside(void)
{
    expect_ok(thrum_for(0, 10, 0, part, NULL));
}

static thrum_err *no_item(void *item, void *arg, bool *end)
{
    (void)item, (void)arg;
    *end = true;
    return NULL;
}

static void pipeline_without_runtime(void)
{
    expect_ok(thrum_pipeline_run(&(thrum_pipeline){.source = no_item}));
}

static thrum_err *gather_nothing(void *arg)
{
    thrum_job job = {.fn = NULL};

    (void)arg;
    return thrum_gather(&job, 1, THRUM_ALL);
}

static void gather_no_function(void)
{
    run(gather_nothing);
}

static thrum_err *reduce_nothing(void *arg)
{
    thrum_reduction how = {.size = 0};

    (void)arg;
    return thrum_reduce(0, 1, 0, &how, &how, NULL);
}

static void reduce_no_size(void)
{
    run(reduce_nothing);
}

static void run_no_function(void)
{
    expect_ok(thrum_run(NULL, NULL, NULL));
}

static void list_nothing(void)
{
    struct dirent *e;

    CHECK(thrum_readdir(NULL, &e) == 0);
}

static void open_no_directory(void)
{
    thrum_dir *d;

    CHECK(thrum_opendir(NULL, &d) == 0);
}

static thrum_rt *runtime;

static thrum_err *stop_own(void *arg)
{
    (void)arg;
    return thrum_stop(runtime);
}

static void stop_from_task(void)
{
    CHECK(thrum_start(&runtime, &opts) == 0);
    expect_ok(thrum_call(runtime, stop_own, NULL));
}

static thrum_err *end_thread(void *arg)
{
    (void)arg;
    pthread_exit(NULL);
}

static thrum_err *end_thread_of_the_pool(void *arg)
{
    return thrum_offload(end_thread, arg);
}

static void exit_in_task(void)
{
    run(end_thread);
}

static void exit_in_blocking_call(void)
{
    run(end_thread_of_the_pool);
}

static void a_task_does_not_end_its_thread(void **state)
{
    (void)state;
    if (SANITIZED) /* they say something first */
        skip();
    assert_stops(exit_in_task, "pthread_exit", "thrum/");
    assert_stops(exit_in_blocking_call, "pthread_exit", "thread ");
}

static void calls_from_the_wrong_place_are_refused(void **state)
{
    (void)state;
    assert_stops(gather_outside, "thrum_gather", "task");
    assert_stops(for_outside, "thrum_for", "task");
    assert_stops(pipeline_without_runtime, "thrum_pipeline_run", "runtime");
    assert_stops(gather_no_function, "thrum_gather", "function");
    assert_stops(reduce_no_size, "thrum_reduce", "size");
    assert_stops(run_no_function, "thrum_run", "function");
    assert_stops(open_no_directory, "thrum_opendir", "path");
    assert_stops(list_nothing, "thrum_readdir", "directory");
    assert_stops(stop_from_task, "thrum_stop", "task");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forks_are_made_in_tasks_only),
        cmocka_unit_test(a_fork_left_over_is_named_with_its_place),
        cmocka_unit_test(a_fork_left_over_by_a_stolen_fork_is_named_too),
        cmocka_unit_test(a_fork_is_joined_by_its_forker_only),
        cmocka_unit_test(scopes_are_closed_in_reverse_order_of_opening),
        cmocka_unit_test(a_scope_is_closed_by_who_opened_it),
        cmocka_unit_test(arguments_that_make_no_sense_are_refused),
        cmocka_unit_test(calls_from_the_wrong_place_are_refused),
        cmocka_unit_test(a_task_does_not_end_its_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
