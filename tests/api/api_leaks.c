/* Does LeakSanitizer see what only a waiting task points to, and still find what
 * nobody does? In a process of its own, where many tasks wait with pointers in
 * their frames and in their forks, it is asked for leaks: none, or those planted.
 * Without AddressSanitizer there is nothing to ask. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thrum.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#define WITH_LSAN 1
#else
#define WITH_LSAN                          0
#define __lsan_do_recoverable_leak_check() 0
#endif

enum { TASKS = 40, FORKS = 600, PLANTED = 20, BLOCKS = 3 };

static atomic_int waiting, forgotten, over;

static thrum_err *hold(void *unused)
{
    char *block[BLOCKS];

    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = malloc(50 + i);
        memset(block[i], 1, 50);
    }
    atomic_fetch_add(&waiting, 1);
    while (!atomic_load(&over))
        THRUM_TRY(thrum_rc(thrum_sleep(THRUM_MS(1))));
    for (int i = 0; i < BLOCKS; i++)
        free(block[i]);
    return unused;
}

static thrum_err *let_go(void *block)
{
    free(block);
    return NULL;
}

static thrum_err *forget(void *unused)
{
    char *volatile block = malloc(77);

    block[0] = 1;
    block = NULL;
    atomic_fetch_add(&forgotten, 1);
    return unused;
}

static int leaks;

static thrum_err *ask(void *planted)
{
    int plants = planted ? PLANTED : 0;
    thrum_task t[FORKS];

    for (int i = 0; i < TASKS; i++)
        THRUM_TRY(thrum_rc(thrum_spawn(NULL, hold, NULL, 0)));
    for (int i = 0; i < FORKS; i++) /* only their slots point to these */
        thrum_fork(&t[i], let_go, malloc(33));
    for (int i = 0; i < plants; i++)
        THRUM_TRY(thrum_rc(thrum_spawn(NULL, forget, NULL, 0)));
    while (atomic_load(&waiting) < TASKS || atomic_load(&forgotten) < plants)
        THRUM_TRY(thrum_rc(thrum_sleep(THRUM_MS(1))));
    /* A stack that is just being switched is not seen: not the same one each
     * time. What nobody points to is found always. */
    for (int i = 0; i < 5 && (i == 0 || leaks != 0); i++)
        leaks = __lsan_do_recoverable_leak_check();
    atomic_store(&over, 1);
    for (int i = FORKS - 1; i >= 0; i--)
        THRUM_TRY(thrum_join(&t[i]));
    return NULL;
}

/* What a child found: 0 or 1. It says so on stderr as well. */
static int leaks_found(const char *what)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        setenv("ASAN_OPTIONS", "detect_stack_use_after_return=1", 1);
        if (freopen("/dev/null", "w", stderr) != NULL)
            execl("/proc/self/exe", "api_leaks", what, (char *)NULL);
        _exit(9);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    return WEXITSTATUS(status);
}

static void what_waiting_tasks_point_to_is_not_leaked(void **state)
{
    (void)state;
    if (!WITH_LSAN)
        skip();
    assert_int_equal(leaks_found("none"), 0);
}

static void what_nobody_points_to_is(void **state)
{
    (void)state;
    if (!WITH_LSAN)
        skip();
    assert_int_equal(leaks_found("planted"), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waiting_tasks_point_to_is_not_leaked),
        cmocka_unit_test(what_nobody_points_to_is),
    };
    thrum_opts opts = {.workers = 2};

    if (argc != 2)
        return cmocka_run_group_tests(tests, NULL, NULL);
    thrum_report(thrum_run(&opts, ask,
                           strcmp(argv[1], "planted") == 0 ? argv[1] : NULL));
    _exit(leaks); /* and not what the end of a process asks for */
}
