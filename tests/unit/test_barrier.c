/* Does the process know whether it has membarrier, and does it work?
 * Asked in children, since a process asks the kernel only once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/sanitize.h"
#include "os/barrier.h"

enum { YES = 10, NO = 11 };

/* What a process that starts with this wish answers. */
static int answer_with(const char *wish)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        setenv("THRUM_MEMBARRIER", wish, 1);
        _exit(barrier_start() ? YES : NO);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void it_can_be_forbidden(void **state)
{
    (void)state;
    assert_int_equal(answer_with("0"), NO);
}

static void it_is_never_used_where_the_checker_cannot_see_it(void **state)
{
    (void)state;
    if (SANITIZE_THREAD)
        assert_int_equal(answer_with("1"), NO);
}

static void all_calls_answer_the_same(void **state)
{
    bool first = barrier_start();

    (void)state;
    setenv("THRUM_MEMBARRIER", first ? "0" : "1", 1);
    assert_int_equal(barrier_start(), first);
    unsetenv("THRUM_MEMBARRIER");
}

static void it_works_where_it_is_said_to(void **state)
{
    int status;
    pid_t child;

    (void)state;
    if (!barrier_start())
        skip();
    barrier_heavy();

    child = fork(); /* a child need not ask again */
    if (child == 0) {
        barrier_heavy();
        _exit(YES);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == YES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_can_be_forbidden),
        cmocka_unit_test(it_is_never_used_where_the_checker_cannot_see_it),
        cmocka_unit_test(all_calls_answer_the_same),
        cmocka_unit_test(it_works_where_it_is_said_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
