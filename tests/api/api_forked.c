/* May a program that has a runtime fork(2), at any moment, and exec or go on? How:
 * children that start runtimes of their own, that use the parent's, and that return
 * into a task; they say how by their exit status. */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/api.h"

/* What a child has done. */
static int status_of(pid_t child)
{
    int status;

    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static bool ended_well(pid_t child)
{
    int status = status_of(child);

    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

THRUM_TASK(long, fib, int, n)
{
    if (n < 2)
        return n;
    THRUM_FORK(fib, n - 1);
    long b = THRUM_CALL(fib, n - 2);
    return THRUM_JOIN(fib) + b;
}

static thrum_err *block_a_little(void *arg)
{
    ++*(int *)arg;
    return NULL;
}

static thrum_err *all_there_is(void *arg)
{
    int calls = 0;

    CHECK(fib(12) == 144);
    CHECK(thrum_sleep(1) == 0);
    expect_ok(thrum_offload(block_a_little, &calls));
    CHECK(calls == 1);
    expect_kind(thrum_with(wait_for_cancel, NULL, .timeout = THRUM_US(50)),
                &THRUM_TIMEOUT);
    return arg;
}

/* --- with descriptors ----------------------------------------------------- */

static int shared[2]; /* a pipe that the parent's tasks wait for */

static thrum_err *wait_for_byte(void *arg)
{
    char byte;

    CHECK(thrum_read(shared[0], &byte, 1) == 1 && byte == 'x');
    return arg;
}

static thrum_err *write_byte(void *arg)
{
    CHECK(thrum_write(shared[1], "x", 1) == 1);
    return arg;
}

static thrum_err *talk(void *arg)
{
    thrum_job both[] = {{.fn = wait_for_byte}, {.fn = write_byte}};

    (void)arg;
    return thrum_gather(both, 2, THRUM_ALL);
}

/* In the child of one whose task, and whose thread, wait for the pipe. */
static _Noreturn void talk_anew(void)
{
    thrum_opts opts = {.workers = 1};

    CHECK(pipe(shared) == 0 || !"no pipe"); /* other numbers */
    expect_ok(thrum_run(&opts, talk, NULL));
    expect_ok(write_byte(NULL)); /* a thread that is no worker */
    expect_ok(wait_for_byte(NULL));
    _exit(0);
}

/* In the child. */
static _Noreturn void live_anew(void)
{
    thrum_opts opts = {.workers = 2};

    for (int i = 0; i < 2; i++)
        expect_ok(thrum_run(&opts, all_there_is, NULL));
    _exit(0);
}

/* --- while others work ---------------------------------------------------- */

static _Atomic unsigned over, turns;

static thrum_err *keep_busy(void *arg)
{
    thrum_scope s;

    (void)arg;
    while (atomic_load(&over) == 0) {
        thrum_scope_open(&s, .timeout = THRUM_SEC(60));
        for (int i = 0; i < 20; i++)
            CHECK(thrum_spawn(&s, all_there_is, NULL, 0) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
        atomic_fetch_add(&turns, 1);
    }
    return NULL;
}

static void *run_busily(void *arg)
{
    thrum_opts opts = {.workers = 3};

    expect_ok(thrum_run(&opts, keep_busy, NULL));
    return arg;
}

static void a_child_starts_anew_whenever_it_was_forked(void **state)
{
    pthread_t thread;

    (void)state;
    atomic_store(&over, 0);
    atomic_store(&turns, 0);
    assert_int_equal(pthread_create(&thread, NULL, run_busily, NULL), 0);
    for (unsigned i = 0; i < 10 + scaled(100); i++) {
        pid_t child;

        block_count(&turns, i / 10);
        child = fork();
        if (child == 0)
            live_anew();
        CHECK(ended_well(child));
    }
    atomic_store(&over, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* --- with a runtime at hand ----------------------------------------------- */

static thrum_err *never(void *arg)
{
    CHECK(!"called in a runtime that is gone");
    return arg;
}

static _Noreturn void use_the_parents(thrum_rt *rt, thrum_scope *s)
{
    thrum_err *e = thrum_call(rt, never, NULL);

    CHECK(thrum_err_errno(e) == ENOTRECOVERABLE);
    thrum_err_drop(e);
    CHECK(thrum_post(rt, never, NULL, 0) == -ENOTRECOVERABLE);
    CHECK(thrum_spawn(s, never, NULL, 0) == -ENOTRECOVERABLE);
    CHECK(thrum_spawn_blocking(s, never, NULL, 0) == -ENOTRECOVERABLE);
    thrum_scope_set_deadline(s, thrum_now() + HOUR);
    e = thrum_stop(rt);
    CHECK(thrum_err_errno(e) == ENOTRECOVERABLE);
    thrum_err_drop(e);
    CHECK(thrum_root() == NULL);
    live_anew();
}

struct parents {
    thrum_rt *rt;
    thrum_scope *scope;
};

static thrum_err *in_a_thread_of_its_own(void *arg)
{
    struct parents *p = arg;
    pid_t child = fork();

    if (child == 0)
        use_the_parents(p->rt, p->scope);
    CHECK(ended_well(child));
    child = fork();
    if (child == 0) {
        thrum_scope_cancel(p->scope, NULL);
        CHECK(thrum_canceled());
        _exit(0);
    }
    CHECK(ended_well(child));
    return NULL;
}

static thrum_err *wait_for_thread(void *arg)
{
    thrum_scope s;
    struct parents p = {arg, &s};

    thrum_scope_open(&s, .name = "the parent's");
    return thrum_scope_close(&s, thrum_offload(in_a_thread_of_its_own, &p));
}

static void the_parents_runtime_is_told_to_be_gone(void **state)
{
    thrum_rt *rt;

    (void)state;
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = 2}), 0);
    expect_ok(thrum_call(rt, all_there_is, NULL));
    expect_ok(thrum_call(rt, wait_for_thread, rt));
    expect_ok(thrum_stop(rt));
}

static void *wait_as_thread(void *arg)
{
    expect_ok(wait_for_byte(NULL));
    return arg;
}

static thrum_err *wait_and_fork(void *arg)
{
    thrum_task t;
    pid_t child;

    (void)arg;
    thrum_fork(&t, wait_for_byte, NULL);
    CHECK(thrum_sleep(THRUM_MS(1)) == 0); /* it waits by now, most likely */
    child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
        _exit(1);
    }
    CHECK(ended_well(child));
    expect_ok(write_byte(NULL));
    return thrum_join(&t);
}

static void who_waits_for_descriptors_is_forgotten(void **state)
{
    pthread_t thread;
    pid_t child;

    (void)state;
    assert_int_equal(pipe(shared), 0);
    expect_ok(thrum_run(&(thrum_opts){.workers = 2}, wait_and_fork, NULL));
    assert_int_equal(pthread_create(&thread, NULL, wait_as_thread, NULL), 0);
    child = fork();
    if (child == 0)
        talk_anew();
    CHECK(ended_well(child));
    expect_ok(write_byte(NULL));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(close(shared[0]) | close(shared[1]), 0);
}

/* --- from a task ---------------------------------------------------------- */

static thrum_err *fork_and_exec(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();

        if (child == 0) {
            execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
            _exit(1);
        }
        CHECK(ended_well(child));
        thrum_yield();
    }
    return NULL;
}

static void a_task_may_fork_and_exec(void **state)
{
    (void)state;
    on_threads(fork_and_exec, NULL);
}

static void expect_line(pid_t child)
{
    int status = status_of(child);

    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* The child says its line; the parent ends likewise, without one. */
static _Noreturn void expect_abort(pid_t child)
{
    expect_line(child);
    abort();
}

static thrum_err *fork_and_wait(void *arg)
{
    pid_t child = fork();

    if (child != 0)
        expect_abort(child);
    CHECK(thrum_sleep(1) == 0);
    return arg;
}

/* Is it in an epoll set of this process? */
static bool is_watched(int fd)
{
    bool is = false;

    for (int i = 0; i < 256; i++) {
        char line[256];
        FILE *info;
        int watched;

        snprintf(line, sizeof line, "/proc/self/fdinfo/%d", i);
        info = fopen(line, "r");
        while (info != NULL && fgets(line, sizeof line, info) != NULL)
            is = is ||
                 (sscanf(line, "tfd: %d", &watched) == 1 && watched == fd);
        if (info != NULL)
            fclose(info);
    }
    return is;
}

/* The child must not have its descriptor put into the parent's epoll set, which
 * both of them have: the parent would be told of what it does not know. */
static thrum_err *fork_and_read(void *arg)
{
    pid_t child;
    char byte;

    CHECK(pipe(shared) == 0);
    expect_ok(talk(arg));
    CHECK(is_watched(shared[0]));
    CHECK(pipe(shared) == 0);
    child = fork();
    if (child == 0)
        CHECK(thrum_read(shared[0], &byte, 1) == 1);
    expect_line(child);
    CHECK(!is_watched(shared[0]));
    abort();
}

static thrum_err *fork_and_return(void *arg)
{
    pid_t child = fork();

    if (child != 0)
        expect_abort(child);
    return arg; /* into the worker's loop */
}

static void wait_in_a_child(void)
{
    expect_ok(thrum_run(&(thrum_opts){.workers = 2}, fork_and_wait, NULL));
}

static void read_in_a_child(void)
{
    expect_ok(thrum_run(&(thrum_opts){.workers = 1}, fork_and_read, NULL));
}

static void return_in_a_child(void)
{
    expect_ok(thrum_run(&(thrum_opts){.workers = 1}, fork_and_return, NULL));
}

static void a_task_that_goes_on_in_the_child_is_stopped(void **state)
{
    (void)state;
    assert_stops(wait_in_a_child, "in the child of a fork", "exec, or _exit");
    assert_stops(read_in_a_child, "in the child of a fork", "exec, or _exit");
    assert_stops(return_in_a_child, "in the child of a fork", "exec, or _exit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_starts_anew_whenever_it_was_forked),
        cmocka_unit_test(the_parents_runtime_is_told_to_be_gone),
        cmocka_unit_test(who_waits_for_descriptors_is_forgotten),
        cmocka_unit_test(a_task_may_fork_and_exec),
        cmocka_unit_test(a_task_that_goes_on_in_the_child_is_stopped),
    };

    if (SANITIZED) {
        puts("skipped: a sanitizer's locks do not survive a fork");
        return 0;
    }
    if (is_emulated()) {
        puts("skipped: an emulator does not survive the fork of threads");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
