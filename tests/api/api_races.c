/* Does ThreadSanitizer find the races of tasks, and no others? Each case is run
 * in a process of its own, on one worker and on three: those with a race must be
 * reported, those without must not. On one worker, where tasks run one after the
 * other, only a build with TSAN_NOSYNC=1 can tell. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thrum.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#else
#define WITH_TSAN 0
#endif

enum { TASKS = 8, EXIT_OF_TSAN = 66 };

static int shared;

/* -------------------------------------------------------------- with a race */

static thrum_err *add_one(void *unused)
{
    shared++;
    return unused;
}

static thrum_err *add_one_late(void *unused)
{
    thrum_yield();
    return add_one(unused);
}

static thrum_err *siblings(void *unused)
{
    for (int i = 0; i < TASKS; i++)
        THRUM_TRY(thrum_rc(thrum_spawn(NULL, add_one, NULL, 0)));
    return unused;
}

static thrum_err *siblings_that_yield(void *unused)
{
    for (int i = 0; i < TASKS; i++)
        THRUM_TRY(thrum_rc(thrum_spawn(NULL, add_one_late, NULL, 0)));
    return unused;
}

static thrum_err *parent_and_child(void *unused)
{
    THRUM_TRY(thrum_rc(thrum_spawn(NULL, add_one, NULL, 0)));
    thrum_yield();
    shared++;
    return unused;
}

static thrum_err *fork_and_forker(void *unused)
{
    thrum_task t;
    thrum_err *e;

    thrum_fork(&t, add_one, NULL);
    thrum_yield(); /* somebody takes it */
    shared++;
    e = thrum_join(&t);
    return e == NULL ? unused : e;
}

/* A flag that says when, but carries nothing. */
static int flag;

static thrum_err *set_shared(void *unused)
{
    shared = 1;
    __atomic_store_n(&flag, 1, __ATOMIC_RELAXED);
    return unused;
}

static thrum_err *relaxed_flag(void *unused)
{
    THRUM_TRY(thrum_rc(thrum_spawn(NULL, set_shared, NULL, 0)));
    while (!__atomic_load_n(&flag, __ATOMIC_RELAXED))
        thrum_yield();
    shared++;
    return unused;
}

/* ----------------------------------------------------------- without a race */

static thrum_err *add_to(void *arg)
{
    ++*(int *)arg;
    return NULL;
}

static thrum_err *add_to_late(void *arg)
{
    thrum_yield();
    return add_to(arg);
}

static thrum_err *scopes_order(void *unused)
{
    int local = 0;

    for (int i = 0; i < TASKS; i++) {
        thrum_scope s;

        local++;
        thrum_scope_open(&s, .name = "one by one");
        THRUM_TRY(
            thrum_rc(thrum_spawn(&s, i % 2 ? add_to : add_to_late, &local, 0)));
        THRUM_TRY(thrum_scope_close(&s, NULL));
    }
    return local == 2 * TASKS ? unused : thrum_fail(&THRUM_ERROR, "lost");
}

static thrum_err *joins_order(void *unused)
{
    int local[TASKS] = {0};
    thrum_task t[TASKS];

    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < TASKS; i++)
            thrum_fork(&t[i], add_to_late, &local[i]);
        thrum_yield();
        for (int i = TASKS - 1; i >= 0; i--) {
            THRUM_TRY(thrum_join(&t[i]));
            local[i]++;
        }
    }
    return local[0] == 6 ? unused : thrum_fail(&THRUM_ERROR, "lost");
}

static thrum_err *read_copy(void *arg)
{
    int *copy = arg, sum = 0;

    for (int i = 0; i < 8; i++)
        sum += copy[i]++;
    return sum == 8 ? NULL : thrum_fail(&THRUM_ERROR, "%d", sum);
}

static thrum_err *copies_are_their_own(void *unused)
{
    int numbers[8] = {1, 1, 1, 1, 1, 1, 1, 1};

    for (int i = 0; i < 10 * TASKS; i++)
        THRUM_TRY(
            thrum_rc(thrum_spawn(NULL, read_copy, numbers, sizeof numbers)));
    return unused;
}

static thrum_err *offloads_and_errors(void *unused)
{
    int local = 1;
    thrum_err *e;

    THRUM_TRY(thrum_offload(add_to, &local));
    local++;
    THRUM_TRY(thrum_offload(add_to_late, &local));
    e = local == 4 ? unused : thrum_fail(&THRUM_ERROR, "lost");
    return e;
}

static thrum_err *add_range(size_t lo, size_t hi, void *acc, void *ctx)
{
    const int *numbers = ctx;

    for (size_t i = lo; i < hi; i++)
        *(long *)acc += numbers[i];
    return NULL;
}

static void start_sum(void *acc, void *ctx)
{
    (void)ctx;
    *(long *)acc = 0;
}

static void add_sums(void *into, void *from, void *ctx)
{
    (void)ctx;
    *(long *)into += *(long *)from;
}

static thrum_err *reductions(void *unused)
{
    static const thrum_reduction how = {sizeof(long), start_sum, add_sums,
                                        add_range};
    static int numbers[500];
    long sum = 0;

    for (int i = 0; i < 500; i++)
        numbers[i] = i;
    THRUM_TRY(thrum_reduce(0, 500, 7, &how, &sum, numbers));
    return sum == 124750 ? unused : thrum_fail(&THRUM_ERROR, "lost");
}

THRUM_TASK(long, fib, int, n)
{
    if (n < 2)
        return n;
    THRUM_FORK(fib, n - 1);
    if (n % 5 == 0)
        thrum_yield();
    long b = THRUM_CALL(fib, n - 2);
    return THRUM_JOIN(fib) + b;
}

static thrum_err *typed_forks(void *unused)
{
    return fib(12) == 144 ? unused : thrum_fail(&THRUM_ERROR, "wrong");
}

static thrum_err *fail_with_number(size_t i, void *unused)
{
    (void)unused;
    return thrum_fail(&THRUM_ERROR, "number %d", (int)i);
}

static thrum_err *errors_travel(void *unused)
{
    thrum_err *e = thrum_each(TASKS, fail_with_number, NULL, .limit = 3,
                              .policy = THRUM_SETTLE);
    size_t n = thrum_err_count(e), length = strlen(thrum_err_msg(e));

    thrum_err_drop(e);
    return n == TASKS && length == 8 ? unused
                                     : thrum_fail(&THRUM_ERROR, "lost");
}

/* ---------------------------------------------------------------- the cases */

static const struct race_case {
    thrum_fn *fn;
    const char *name;
    bool race;
} cases[] = {
    {siblings, "siblings", true},
    {siblings_that_yield, "siblings_that_yield", true},
    {parent_and_child, "parent_and_child", true},
    {fork_and_forker, "fork_and_forker", true},
    {relaxed_flag, "relaxed_flag", true},
    {scopes_order, "scopes_order", false},
    {joins_order, "joins_order", false},
    {copies_are_their_own, "copies_are_their_own", false},
    {offloads_and_errors, "offloads_and_errors", false},
    {reductions, "reductions", false},
    {typed_forks, "typed_forks", false},
    {errors_travel, "errors_travel", false},
};

enum { CASES = sizeof cases / sizeof *cases };

static int run_case(const char *name, const char *workers)
{
    thrum_opts opts = {.workers = (unsigned)atoi(workers)};
    thrum_err *e = NULL;

    for (int i = 0; i < CASES; i++)
        if (strcmp(cases[i].name, name) == 0)
            e = thrum_run(&opts, cases[i].fn, NULL);
    thrum_report(e);
    return e == NULL ? 0 : 1;
}

/* Whether it was reported; what it says goes nowhere. */
static bool is_reported(const char *name, const char *workers)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        setenv("TSAN_OPTIONS", "exitcode=66:report_signal_unsafe=0", 1);
        if (freopen("/dev/null", "w", stderr) != NULL)
            execl("/proc/self/exe", "api_races", name, workers, (char *)NULL);
        _exit(9);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 ||
                WEXITSTATUS(status) == EXIT_OF_TSAN);
    return WEXITSTATUS(status) == EXIT_OF_TSAN;
}

static void check_cases(bool race, const char *workers)
{
    for (int i = 0; i < CASES; i++) {
        bool found;

        if (cases[i].race != race)
            continue;
        found = is_reported(cases[i].name, workers);
        if (found != race)
            fail_msg("%s on %s: %s", cases[i].name, workers,
                     found ? "a race was reported" : "no race was reported");
    }
}

static bool knows_promises(void)
{
    const char *nosync = getenv("TSAN_NOSYNC");

    return WITH_TSAN && nosync != NULL && nosync[0] != '\0';
}

static void races_are_reported_on_one_worker(void **state)
{
    (void)state;
    if (!knows_promises())
        skip();
    check_cases(true, "1");
}

static void races_are_reported_on_several(void **state)
{
    (void)state;
    if (!knows_promises())
        skip();
    check_cases(true, "3");
}

static void what_the_library_orders_is_no_race(void **state)
{
    const char *emulator = getenv("RUN");

    (void)state;
    if (emulator != NULL && strstr(emulator, "qemu") != NULL)
        skip(); /* an emulated program cannot start itself again */
    check_cases(false, "1");
    check_cases(false, "3");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(races_are_reported_on_one_worker),
        cmocka_unit_test(races_are_reported_on_several),
        cmocka_unit_test(what_the_library_orders_is_no_race),
    };

    if (argc == 3)
        return run_case(argv[1], argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
