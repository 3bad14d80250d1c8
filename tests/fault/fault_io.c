/* Is it told when what waiting for descriptors needs is not to be had, and nothing
 * hung? How: stories in which the nth epoll instance, eventfd, epoll_ctl, thread or
 * allocation is refused; who was refused tries again, and nothing was lost. */
#include "lib/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

enum { ROUNDS = 20 };

/* A result, or the world said no: then it is asked for again. */
static bool again(int64_t rc)
{
    if (rc >= 0)
        return false;
    CHECK(faulty);
    CHECK(rc == -EMFILE || rc == -ENOSPC || rc == -ENOMEM || rc == -EAGAIN);
    return true;
}

static thrum_err *count_up(void *arg)
{
    int *ends = arg;

    for (char i = 0; i < ROUNDS; i++) {
        char byte = -1;
        ssize_t rc;

        while (again(rc = thrum_read(ends[0], &byte, 1)))
            ;
        CHECK(rc == 1 && byte == i);
        while (again(rc = thrum_write(ends[3], &byte, 1)))
            ;
    }
    return NULL;
}

/* Two tasks and two pipes. */
static thrum_err *pipe_story(void *arg)
{
    thrum_scope s;
    int ends[4];

    (void)arg;
    CHECK(pipe(&ends[0]) == 0 && pipe(&ends[2]) == 0);
    thrum_scope_open(&s);
    while (again(thrum_spawn(&s, count_up, ends, 0)))
        ;
    for (char i = 0; i < ROUNDS; i++) {
        char byte = -1;

        while (again(thrum_write(ends[1], &i, 1)))
            ;
        while (again(thrum_wait_fd(ends[2], POLLIN)))
            ;
        while (again(thrum_read(ends[2], &byte, 1)))
            ;
        CHECK(byte == i);
    }
    CHECK(thrum_scope_close(&s, NULL) == NULL);
    for (int i = 0; i < 4; i++)
        CHECK(thrum_close(ends[i]) == 0);
    return NULL;
}

static void a_wait_that_is_refused_says_so_and_may_be_repeated(void **state)
{
    (void)state;
    sweep_os(pipe_story, FAIL_POLL);
    sweep_os(pipe_story, FAIL_WATCH);
    sweep_os(pipe_story, FAIL_THREAD);
    sweep_os(pipe_story, FAIL_MAP);
}

static thrum_err *accept_one(void *arg)
{
    int *fds = arg;

    while (again(fds[1] = thrum_accept(fds[0], NULL, NULL)))
        ;
    return NULL;
}

static int dial(void)
{
    char path[20];
    int fd;

    snprintf(path, sizeof path, "@thrum-%d", getpid());
    while (again(fd = thrum_dial_unix(path)))
        ;
    return fd;
}

static thrum_err *accept_story(void *arg)
{
    char path[20];
    thrum_scope s;
    int fds[2], fd;

    (void)arg;
    snprintf(path, sizeof path, "@thrum-%d", getpid());
    while (again(fds[0] = thrum_listen_unix(path)))
        ;
    thrum_scope_open(&s);
    while (again(thrum_spawn(&s, accept_one, fds, 0)))
        ;
    thrum_yield();
    fd = dial();
    CHECK(thrum_scope_close(&s, NULL) == NULL);
    CHECK(thrum_close(fd) == 0);
    CHECK(thrum_close(fds[0]) == 0 && thrum_close(fds[1]) == 0);
    return NULL;
}

static void so_does_an_accept(void **state)
{
    (void)state;
    sweep_os(accept_story, FAIL_POLL);
    sweep_os(accept_story, FAIL_WATCH);
}

static thrum_err *file_story(void *arg)
{
    char path[] = "/tmp/thrum-fault-XXXXXX", byte = 0;
    struct stat st = {0};
    ssize_t rc;
    int fd;

    (void)arg;
    close(mkstemp(path));
    while (again(fd = thrum_open(path, O_RDWR, 0)))
        ;
    while (again(rc = thrum_pwrite(fd, "x", 1, 0)))
        ;
    CHECK(rc == 1);
    while (again(rc = thrum_pread(fd, &byte, 1, 0)))
        ;
    CHECK(rc == 1 && byte == 'x');
    while (again(thrum_stat(path, &st)))
        ;
    CHECK(st.st_size == 1);
    CHECK(thrum_close(fd) == 0 && unlink(path) == 0);
    return NULL;
}

static thrum_err *dir_story(void *arg)
{
    struct dirent *e;
    thrum_dir *d;
    int rc, n = 0;

    (void)arg;
    if (again(thrum_opendir("/proc/self/task", &d)))
        return NULL;
    while ((rc = thrum_readdir(d, &e)) > 0)
        n++;
    CHECK(n > 0 && !again(rc)); /* it was read when it was opened */
    thrum_closedir(d);
    return NULL;
}

static void so_does_a_directory(void **state)
{
    (void)state;
    sweep_os(dir_story, FAIL_THREAD);
    sweep_allocations(dir_story);
}

/* If the ring is refused, or does not take a call, nobody hears of it. */
static void so_does_a_call_on_a_file(void **state)
{
    (void)state;
    sweep_os(file_story, FAIL_RING);
    sweep_os(file_story, FAIL_POLL);
    sweep_os(file_story, FAIL_WATCH);
    sweep_os(file_story, FAIL_THREAD);
}

/* First: what such threads need is made only once. */
static void a_thread_that_is_no_worker_is_told_too(void **state)
{
    static const struct {
        enum fail kind;
        unsigned nth;
        int rc;
    } faults[] = {{FAIL_POLL, 1, -EMFILE},
                  {FAIL_POLL, 2, -EMFILE},
                  {FAIL_WATCH, 1, -ENOSPC},
                  {FAIL_THREAD, 1, -EAGAIN},
                  {FAIL_WATCH, 1, -ENOSPC}};
    thrum_scope s;
    char byte;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    alloc_fail_at(1); /* the table */
    assert_int_equal(thrum_read(ends[0], &byte, 1), -ENOMEM);
    assert_int_equal(alloc_failures(), 1);
    alloc_fail_never();
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        (void)fail_after(faults[i].kind, faults[i].nth);
        assert_int_equal(thrum_read(ends[0], &byte, 1), faults[i].rc);
        assert_int_equal(fail_after(faults[i].kind, 0), 0);
    }
    thrum_scope_open(&s, .timeout = THRUM_MS(1));
    assert_int_equal(thrum_read(ends[0], &byte, 1), -ECANCELED);
    thrum_err_drop(thrum_scope_close(&s, NULL));
    assert_int_equal(thrum_close(ends[0]), 0);
    assert_int_equal(thrum_close(ends[1]), 0);
}

/* The lowest that is free. */
static int next_number(void)
{
    int fd = dup(STDIN_FILENO);

    close(fd);
    return fd;
}

/* Each thing that a guest needs is refused once; or it can do without. */
static void a_guest_that_does_not_start_leaves_nothing_behind(void **state)
{
    static const enum fail kinds[] = {FAIL_POLL, FAIL_WATCH, FAIL_MAP};
    int before = next_number();

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        unsigned nth = 0, refused = 0;
        bool struck;

        do {
            thrum_rt *rt;
            int rc;

            (void)fail_after(kinds[i], ++nth);
            rc = thrum_start(&rt, &(thrum_opts){.guest = true});
            struck = fail_after(kinds[i], 0) == 0;
            if (rc == 0)
                assert_null(thrum_stop(rt));
            assert_true(rc == 0 || rc == -EMFILE || rc == -ENOSPC ||
                        rc == -ENOMEM);
            assert_int_equal(next_number(), before);
            refused += rc < 0;
        } while (struck);
        assert_true(refused >= 1);
    }
}

static void faults_were_met(void **state)
{
    (void)state;
    print_message("           %llu faults struck\n",
                  (unsigned long long)faults_met);
    assert_true(faults_met > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_is_no_worker_is_told_too),
        cmocka_unit_test(a_wait_that_is_refused_says_so_and_may_be_repeated),
        cmocka_unit_test(so_does_an_accept),
        cmocka_unit_test(so_does_a_call_on_a_file),
        cmocka_unit_test(so_does_a_directory),
        cmocka_unit_test(a_guest_that_does_not_start_leaves_nothing_behind),
        cmocka_unit_test(faults_were_met),
    };

    if (is_emulated()) {
        puts("skipped: an emulator's descriptors are not only ours");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
