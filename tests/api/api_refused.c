/* Is it told what the kernel, or a container's filter, refuses? Each such call is
 * refused in a child process. */
#include "lib/api.h"
#include "lib/fds.h"
#include "lib/refuse.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- what a socket says is told ------------------------------------------- */

static thrum_err *send_some(void *unused)
{
    struct iovec v = {"some", 4};
    int fds[2];

    (void)unused;
    fds_open(STREAM, fds);
    CHECK(thrum_write(fds[0], "some", 4) == -EPERM);
    CHECK(thrum_writev(fds[0], &v, 1) == -EPERM);
    fds_close(fds);
    return NULL;
}

/* As a firewall does, but to all sockets. Not so write(2), were it tried. */
static void with_a_firewall(void)
{
    static const int sends[] = {SYS_sendto, SYS_sendmsg};

    refuse(sends, 2, EPERM);
    expect_ok(thrum_run(NULL, send_some, NULL));
}

static void skip_without_filters(const struct end *end)
{
    if (WIFEXITED(end->status) && WEXITSTATUS(end->status) == REFUSE_CANNOT)
        skip();
}

static void a_socket_that_says_eperm_is_no_file(void **state)
{
    struct end end;

    (void)state;
    if (is_emulated())
        skip();
    end = end_of(with_a_firewall);
    skip_without_filters(&end);
    if (end.status != 0)
        fail_msg("%s", end.said);
}

/* --- what may be refused, and what is said otherwise ---------------------- */

static int number; /* of the call that is refused */

static thrum_err *nap(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(THRUM_US(300)));
}

static thrum_err *write_late(void *fd)
{
    THRUM_TRY(nap(NULL));
    return thrum_rc((int)thrum_write(*(int *)fd, "late", 4));
}

/* More stacks, threads and descriptors than are kept. */
static thrum_err *wait_in_all_ways(void *unused)
{
    thrum_scope s;
    int fds[2];
    char in[4];

    (void)unused;
    fds_open(PIPE, fds);
    thrum_scope_open(&s, .name = "naps");
    for (int i = 0; i < 500; i++)
        THRUM_TRY(thrum_spawn(&s, nap, NULL, 0));
    THRUM_TRY(thrum_spawn_blocking(&s, nap, NULL, 0));
    THRUM_TRY(thrum_spawn(&s, write_late, &fds[1], sizeof fds[1]));
    CHECK(thrum_read(fds[0], in, sizeof in) == 4);
    THRUM_TRY(thrum_scope_close(&s, NULL));
    fds_close(fds);
    return NULL;
}

static void run_without(void)
{
    thrum_sim_opts sim = {.rounds = 2};

    refuse(&number, 1, EPERM);
    for (unsigned n = 1; n <= 2; n++) {
        thrum_opts o = {.workers = n};

        expect_ok(thrum_run(&o, wait_in_all_ways, NULL));
    }
    expect_ok(thrum_sim(&sim, wait_in_all_ways, NULL));
}

/* The sanitizers' own run times cannot do without. */
static struct end end_without(int refused)
{
    struct end end;

    if (is_emulated() || SANITIZED)
        skip();
    number = refused;
    end = end_of(run_without);
    skip_without_filters(&end);
    return end;
}

static void lives_without(const char *name, int refused)
{
    struct end end = end_without(refused);

    if (end.status != 0)
        fail_msg("without %s: %s", name, end.said);
}

static void some_that_are_refused_are_not_missed(void **state)
{
    (void)state;
    lives_without("munmap", SYS_munmap);
    lives_without("sigaltstack", SYS_sigaltstack);
    lives_without("rt_sigaction", SYS_rt_sigaction);
}

/* By its name, with the kernel's reason. */
static void assert_told(const struct end *end, const char *what)
{
    assert_true(WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGABRT);
    if (strstr(end->said, what) == NULL)
        fail_msg("not \"%s\", but: %s", what, end->said);
}

static void one_that_is_needed_is_told(void **state)
{
    struct end end = end_without(SYS_epoll_pwait);

    (void)state;
    assert_told(&end, "thrum: epoll_pwait: Operation not permitted");
}

static void wait_in_vain(void)
{
    static thrum_event never;

    refuse(&number, 1, EPERM);
    CHECK(thrum_event_wait(&never) == 0);
}

static void so_is_the_one_to_sleep_in(void **state)
{
    struct end end;

    (void)state;
    if (is_emulated() || SANITIZED)
        skip();
    number = SYS_futex;
    end = end_of(wait_in_vain);
    skip_without_filters(&end);
    assert_told(&end, "thrum: futex: Operation not permitted");
}

/* --- by a filter that comes when all is running --------------------------- */

static thrum_err *refuse_advice(void *unused)
{
    static const int late[] = {SYS_madvise, SYS_munmap};

    refuse(late, 2, EPERM);
    return wait_in_all_ways(unused);
}

static void run_until_refused(void)
{
    expect_ok(thrum_run(NULL, refuse_advice, NULL));
}

static void stacks_are_given_back_without_advice(void **state)
{
    struct end end;

    (void)state;
    if (is_emulated() || SANITIZED)
        skip();
    end = end_of(run_until_refused);
    skip_without_filters(&end);
    if (end.status != 0)
        fail_msg("%s", end.said);
}

static thrum_err *say_so(void *begun)
{
    atomic_store((_Atomic bool *)begun, true);
    return NULL;
}

/* Until one is not handed over as it is forked, but has to be stolen. */
static thrum_err *have_one_stolen(void *unused)
{
    static const int late[] = {SYS_membarrier};

    (void)unused;
    refuse(late, 1, EPERM);
    for (;;) {
        _Atomic bool begun = false;
        thrum_task task;

        thrum_fork(&task, say_so, &begun);
        while (!atomic_load(&begun))
            ;
        THRUM_TRY(thrum_join(&task));
    }
}

static void steal_until_refused(void)
{
    thrum_opts two = {.workers = 2};

    expect_ok(thrum_run(&two, have_one_stolen, NULL));
}

static void so_is_a_barrier_that_is_refused_later(void **state)
{
    struct end end;

    (void)state;
    if (is_emulated() || SANITIZED || getenv("THRUM_MEMBARRIER") != NULL ||
        syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) <= 0)
        skip();
    end = end_of(steal_until_refused);
    skip_without_filters(&end);
    assert_told(&end, "thrum: membarrier: Operation not permitted");
}

/* --- and a wake-up -------------------------------------------------------- */

static thrum_event woken;
static _Atomic int sleeper;

static void *sleep_until_woken(void *unused)
{
    (void)unused;
    atomic_store(&sleeper, thread_id());
    CHECK(thrum_event_wait(&woken) == 0);
    return NULL;
}

/* As /proc tells: "7 (name) S ...". */
static bool sleeps(int tid)
{
    char name[64], state = '?';
    FILE *file;

    snprintf(name, sizeof name, "/proc/self/task/%d/stat", tid);
    file = fopen(name, "r");
    if (file == NULL)
        return false;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = '?';
    fclose(file);
    return state == 'S';
}

static void wake_without(void)
{
    pthread_t thread;
    int tid;

    CHECK(pthread_create(&thread, NULL, sleep_until_woken, NULL) == 0);
    while ((tid = atomic_load(&sleeper)) == 0 || !sleeps(tid))
        sched_yield();
    refuse(&number, 1, EPERM);
    thrum_event_set(&woken); /* and not: he sleeps for ever */
    _exit(0);
}

static void so_is_the_one_to_wake_with(void **state)
{
    struct end end;

    (void)state;
    if (is_emulated() || SANITIZED)
        skip();
    number = SYS_futex;
    end = end_of(wake_without);
    skip_without_filters(&end);
    assert_told(&end, "thrum: futex: Operation not permitted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_that_says_eperm_is_no_file),
        cmocka_unit_test(some_that_are_refused_are_not_missed),
        cmocka_unit_test(one_that_is_needed_is_told),
        cmocka_unit_test(so_is_the_one_to_sleep_in),
        cmocka_unit_test(so_is_a_barrier_that_is_refused_later),
        cmocka_unit_test(so_is_the_one_to_wake_with),
        cmocka_unit_test(stacks_are_given_back_without_advice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
