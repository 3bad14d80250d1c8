/* Is a process started, waited for and ended also where the kernel gives no
 * descriptor for it, or no thread? How: stories in which the
 * nth of these is refused. */
#include <signal.h>
#include <sys/wait.h>

#include "lib/sweep.h"

static bool start(thrum_process *p, const char *script)
{
    char text[64];
    char *const argv[] = {"sh", "-c", text, NULL};
    int rc;

    snprintf(text, sizeof text, "%s", script);
    rc = thrum_process_start(p, argv);
    CHECK(rc == 0 || (faulty && (rc == -EAGAIN || rc == -ENOMEM)));
    return rc == 0;
}

static thrum_err *ends_story(void *unused)
{
    thrum_process p;
    thrum_err *e;

    (void)unused;
    if (!start(&p, "exit 3"))
        return NULL;
    e = thrum_process_wait(&p);
    CHECK(thrum_err_is(e, &THRUM_EXIT));
    CHECK(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 3);
    thrum_err_drop(e);
    return NULL;
}

static thrum_err *wait_for(void *process)
{
    return thrum_process_wait(process);
}

static thrum_err *canceled_story(void *unused)
{
    thrum_process p;
    thrum_err *e;

    (void)unused;
    if (!start(&p, "exec tail -f /dev/null"))
        return NULL;
    e = thrum_with(wait_for, &p, .timeout = THRUM_MS(5));
    CHECK(thrum_err_is(e, &THRUM_TIMEOUT));
    CHECK(WIFSIGNALED(p.status) && WTERMSIG(p.status) == SIGTERM);
    thrum_err_drop(e);
    return NULL;
}

static void it_ends_without_a_descriptor_for_it(void **state)
{
    (void)state;
    sweep_os(ends_story, FAIL_PIDFD);
    sweep_os(canceled_story, FAIL_PIDFD);
}

static void and_without_a_thread(void **state)
{
    (void)state;
    sweep_os(ends_story, FAIL_THREAD);
    sweep_os(canceled_story, FAIL_THREAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ends_without_a_descriptor_for_it),
        cmocka_unit_test(and_without_a_thread),
    };

    if (is_emulated()) {
        puts("skipped: an emulator cannot tell why a program does not start");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
