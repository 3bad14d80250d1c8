/* Does a runtime leave the process as it was, rest when it has nothing to do, and
 * get along with others and with fork and exec? How: the process's threads,
 * descriptors, mappings and memory are counted. */
#include "lib/api.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static thrum_err *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

THRUM_PROC(leaf, _Atomic unsigned *, sum)
{
    atomic_fetch_add(sum, 1);
}

THRUM_TASK(unsigned, many_forks, unsigned, n)
{
    _Atomic unsigned sum = 0;

    for (unsigned i = 0; i < n; i++)
        THRUM_FORK(leaf, &sum);
    for (unsigned i = 0; i < n; i++)
        THRUM_JOIN(leaf);
    return atomic_load(&sum);
}

static thrum_err *meet(void *arg)
{
    gate_meet(*(struct gate **)arg);
    return NULL;
}

/* A bit of everything: stacks, segments, timers, blocking threads. */
static thrum_err *live_a_little(void *arg)
{
    struct gate g, *at = &g;
    thrum_scope s;

    (void)arg;
    CHECK(many_forks(3000) == 3000);
    gate_init(&g, 40);
    thrum_scope_open(&s, .name = "s");
    for (int i = 0; i < 40; i++)
        CHECK(thrum_spawn(&s, meet, &at, sizeof at) == 0);
    CHECK(thrum_sleep(THRUM_US(10)) == 0);
    expect_ok(thrum_offload(nothing, NULL));
    return thrum_scope_close(&s, NULL);
}

static void live(unsigned count)
{
    thrum_rt *rt;

    assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = count}), 0);
    expect_ok(thrum_call(rt, live_a_little, NULL));
    assert_int_equal(thrum_post(rt, live_a_little, NULL, 0), 0);
    expect_ok(thrum_stop(rt));
}

static void two_hundred_lives_leave_nothing(void **state)
{
    struct footprint before, after;
    size_t turns = scaled(200) + 4;

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        live(i % 4 + 1); /* what the C library keeps, it keeps now */
    before = footprint_at_rest();
    for (unsigned i = 0; i < turns; i++)
        live(i % 4 + 1);
    after = footprint_at_rest();
    assert_int_equal(after.threads, before.threads);
    assert_int_equal(after.fds, before.fds);
    if (SANITIZED || is_emulated())
        return; /* they map and keep as they like */
    assert_in_range(after.mappings, 0, before.mappings + 8);
    assert_in_range(after.resident_kib, 0, before.resident_kib + 2048);
}

/* --- several -------------------------------------------------------------- */

enum { RUNTIMES = 5 };

static thrum_rt *others[RUNTIMES];

static thrum_err *call_along(void *arg)
{
    unsigned i = *(unsigned *)arg + 1;

    expect_ok(live_a_little(NULL));
    return i == RUNTIMES ? NULL : thrum_call(others[i], call_along, &i);
}

/* Tasks of each runtime wait for calls into the next. */
static void runtimes_call_each_other(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RUNTIMES; i++)
        assert_int_equal(
            thrum_start(&others[i], &(thrum_opts){.workers = i % 3 + 1}), 0);
    for (int turn = 0; turn < 5; turn++) {
        unsigned zero = 0;

        for (int k = 0; k < 4; k++)
            assert_int_equal(
                thrum_post(others[0], call_along, &zero, sizeof zero), 0);
        expect_ok(thrum_call(others[0], call_along, &zero));
    }
    for (unsigned i = 0; i < RUNTIMES; i++)
        expect_ok(thrum_stop(others[i]));
}

static thrum_err *wait_for_the_end(void *arg)
{
    (void)arg;
    CHECK(thrum_sleep(THRUM_SEC(3600)) == -ECANCELED);
    return NULL;
}

static thrum_err *leave_one_behind(void *arg)
{
    return thrum_rc(thrum_spawn(thrum_root(), wait_for_the_end, arg, 0));
}

static thrum_err *start_and_stop(void *arg)
{
    thrum_rt *rt;

    for (int i = 0; i < 5; i++) {
        CHECK(thrum_start(&rt, &(thrum_opts){.workers = 2}) == 0);
        CHECK(thrum_post(rt, live_a_little, NULL, 0) == 0);
        expect_ok(thrum_call(rt, leave_one_behind, arg));
        expect_ok(thrum_stop(rt));
    }
    return NULL;
}

static void a_task_may_have_a_runtime_of_its_own(void **state)
{
    (void)state;
    on_threads(start_and_stop, NULL);
}

/* --- resting -------------------------------------------------------------- */

static long switches(void)
{
    struct rusage usage;

    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_nvcsw;
}

/* No worker wakes by itself, so the switches are ours: one, and what the workers
 * need to come to rest, whenever the machine lets them: then hardly any. */
static void an_idle_runtime_uses_no_cpu(void **state)
{
    long before, most = SANITIZED ? 40 : 8, made = most + 1;
    thrum_rt *rt;

    (void)state;
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = 4}), 0);
    expect_ok(thrum_call(rt, live_a_little, NULL));
    for (int i = 0; i < 50 && made > most; i++) {
        before = switches();
        CHECK(thrum_sleep(THRUM_MS(100)) == 0); /* this thread only */
        made = switches() - before;
    }
    assert_in_range(made, 0, most);
    expect_ok(thrum_stop(rt));
}

static thrum_err *sleep_long(void *arg)
{
    (void)arg;
    CHECK(thrum_sleep(THRUM_MS(100)) == 0);
    return NULL;
}

static void a_runtime_whose_tasks_sleep_uses_no_cpu(void **state)
{
    thrum_rt *rt;
    long before;

    (void)state;
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = 4}), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(thrum_post(rt, sleep_long, NULL, 0), 0);
    before = switches();
    expect_ok(thrum_stop(rt));
    assert_in_range(switches() - before, 0, 200);
}

/* --- fork and exec -------------------------------------------------------- */

static thrum_err *exec_true(void *arg)
{
    int status = -1;
    pid_t child = fork();

    (void)arg;
    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
        _exit(9);
    }
    thrum_yield();
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    return NULL;
}

static thrum_err *exec_some(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "programs");
    for (int i = 0; i < 10; i++)
        CHECK(thrum_spawn(&s, exec_true, NULL, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static void a_task_may_fork_and_exec(void **state)
{
    (void)state;
    on_runtimes(exec_some, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_lives_leave_nothing),
        cmocka_unit_test(runtimes_call_each_other),
        cmocka_unit_test(a_task_may_have_a_runtime_of_its_own),
        cmocka_unit_test(an_idle_runtime_uses_no_cpu),
        cmocka_unit_test(a_runtime_whose_tasks_sleep_uses_no_cpu),
        cmocka_unit_test(a_task_may_fork_and_exec),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
