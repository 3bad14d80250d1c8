/* Does all work where the kernel, or a container's filter, refuses what is new?
 * Each such call is refused in a child process, in both ways that filters have. */
#include "lib/api.h"
#include "lib/fds.h"
#include "lib/refuse.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *name;
    int number;
} newer[] = {
    {"epoll_pwait2", SYS_epoll_pwait2},
    {"getrandom", SYS_getrandom},
    {"io_uring_enter", SYS_io_uring_enter},
    {"io_uring_register", SYS_io_uring_register},
    {"io_uring_setup", SYS_io_uring_setup},
    {"madvise", SYS_madvise},
    {"membarrier", SYS_membarrier},
    {"pidfd_open", SYS_pidfd_open},
    {"preadv2", SYS_preadv2},
    {"pwritev2", SYS_pwritev2},
};

enum { NEWER = sizeof newer / sizeof *newer, ALL = NEWER };

static int refused; /* which of them */
static int answer;

static void refuse_them(void)
{
    int numbers[NEWER];
    unsigned n = 0;

    for (int i = 0; i < NEWER; i++)
        if (refused == ALL || refused == i)
            numbers[n++] = newer[i].number;
    refuse(numbers, n, answer);
}

/* --- some of everything --------------------------------------------------- */

static thrum_err *fib(void *arg)
{
    long *n = arg, one = *n - 1, two = *n - 2;
    thrum_task other;

    if (*n < 2)
        return NULL;
    thrum_fork(&other, fib, &one);
    THRUM_TRY(fib(&two));
    THRUM_TRY(thrum_join(&other));
    *n = one + two;
    return NULL;
}

static thrum_err *nap(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(THRUM_US(300)));
}

static thrum_err *blocking_call(void *done)
{
    *(int *)done = 1;
    return NULL;
}

static thrum_err *write_late(void *fd)
{
    THRUM_TRY(thrum_sleep(THRUM_US(300)));
    return thrum_rc((int)thrum_write(*(int *)fd, "late", 4));
}

static thrum_err *talk(enum kind kind)
{
    char in[8];
    thrum_scope s;
    int fds[2];

    fds_open(kind, fds);
    thrum_scope_open(&s, .name = "talk");
    THRUM_TRY(thrum_spawn(&s, write_late, &fds[1], sizeof fds[1]));
    CHECK(thrum_read(fds[0], in, sizeof in) == 4);
    THRUM_TRY(thrum_scope_close(&s, NULL));
    fds_close(fds);
    return NULL;
}

static thrum_err *write_a_file(void)
{
    char path[] = "/tmp/thrum-old-XXXXXX", in[8];
    struct stat st;
    int fd;

    close(mkstemp(path));
    fd = thrum_open(path, O_RDWR, 0);
    CHECK(thrum_pwrite(fd, "file", 4, 0) == 4);
    CHECK(thrum_pread(fd, in, sizeof in, 0) == 4);
    CHECK(thrum_stat(path, &st) == 0 && st.st_size == 4);
    CHECK(thrum_close(fd) == 0 && unlink(path) == 0);
    return NULL;
}

static thrum_err *some_of_everything(void *unused)
{
    char *const argv[] = {"true", NULL};
    thrum_process p;
    long n = 15;
    int done = 0;
    thrum_scope s;
    thrum_err *e;

    (void)unused;
    THRUM_TRY(fib(&n));
    thrum_scope_open(&s, .name = "naps");
    for (int i = 0; i < 50; i++)
        THRUM_TRY(thrum_spawn(&s, nap, NULL, 0));
    THRUM_TRY(thrum_scope_close(&s, NULL));
    e = thrum_with(wait_for_cancel, NULL, .timeout = THRUM_MS(2));
    CHECK(thrum_err_is(e, &THRUM_TIMEOUT));
    thrum_err_drop(e);
    THRUM_TRY(thrum_offload(blocking_call, &done));
    CHECK(done == 1);
    THRUM_TRY(write_a_file());
    THRUM_TRY(talk(PIPE));
    THRUM_TRY(talk(STREAM));
    THRUM_TRY(thrum_process_start(&p, argv));
    return thrum_process_wait(&p);
}

static void run(void)
{
    refuse_them();
    for (unsigned n = 1; n <= 2; n++) {
        thrum_opts o = {.workers = n};

        expect_ok(thrum_run(&o, some_of_everything, NULL));
    }
}

static void works_with(int which)
{
    static const int answers[] = {ENOSYS, EPERM};

    for (int i = 0; i < 2; i++) {
        struct end end;

        refused = which;
        answer = answers[i];
        end = end_of(run);
        if (WIFEXITED(end.status) && WEXITSTATUS(end.status) == REFUSE_CANNOT)
            skip();
        if (end.status != 0)
            fail_msg("without %s (%s): %s",
                     which == ALL ? "all of them" : newer[which].name,
                     strerror(answer), end.said);
    }
}

static void a_new_call_may_be_refused(void **state)
{
    (void)state;
    if (is_emulated())
        skip();
    for (int i = 0; i < NEWER; i++)
        works_with(i);
}

static void so_may_all_of_them(void **state)
{
    (void)state;
    if (is_emulated())
        skip();
    works_with(ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_call_may_be_refused),
        cmocka_unit_test(so_may_all_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
