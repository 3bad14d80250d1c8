/* Are other programs started as asked for, talked to, waited for, and ended with
 * their task? How: small shell scripts. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/api.h"

#define SH(script) ((char *const[]){"sh", "-c", (script), NULL})

/* All that comes out of fd; it is closed. */
static size_t read_all(int fd, char *text, size_t room)
{
    size_t n = 0;
    ssize_t rc;

    while ((rc = thrum_read(fd, text + n, room - 1 - n)) > 0)
        n += (size_t)rc;
    CHECK(rc == 0);
    text[n] = '\0';
    CHECK(thrum_close(fd) == 0);
    return n;
}

static bool says(int fd, const char *wanted)
{
    char text[256];

    (void)read_all(fd, text, sizeof text);
    if (strcmp(text, wanted) != 0)
        fprintf(stderr, "it says: %s\n", text);
    return strcmp(text, wanted) == 0;
}

/* --- how it ends ---------------------------------------------------------- */

static thrum_err *ends(void *arg)
{
    thrum_process p;

    (void)arg;
    CHECK(thrum_process_start(&p, SH("exit 0")) == 0);
    CHECK(p.pid > 0 && p.in == -1 && p.out == -1 && p.err == -1);
    expect_ok(thrum_process_wait(&p));
    CHECK(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 0);

    CHECK(thrum_process_start(&p, SH("exit 3")) == 0);
    expect_kind(thrum_process_wait(&p), &THRUM_EXIT);
    CHECK(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 3);

    CHECK(thrum_process_start(&p, SH("kill -USR1 $$; exit 0")) == 0);
    expect_kind(thrum_process_wait(&p), &THRUM_EXIT);
    CHECK(WIFSIGNALED(p.status) && WTERMSIG(p.status) == SIGUSR1);

    CHECK(thrum_process_start(&p, SH("exec tail -f /dev/null")) == 0);
    CHECK(thrum_process_signal(&p, SIGKILL) == 0);
    CHECK(thrum_process_signal(&p, 12345) == -EINVAL);
    expect_kind(thrum_process_wait(&p), &THRUM_EXIT);
    CHECK(WIFSIGNALED(p.status) && WTERMSIG(p.status) == SIGKILL);
    return NULL;
}

static void its_end_is_told(void **state)
{
    (void)state;
    on_threads(ends, NULL);
    expect_ok(ends(NULL)); /* a thread that is no worker */
}

static thrum_err *cannot(void *arg)
{
    thrum_process p;

    (void)arg;
    CHECK(thrum_process_start(&p, ((char *const[]){"/no/such", NULL}),
                              .out = THRUM_PIPE) == -ENOENT);
    CHECK(p.out == -1);
    CHECK(thrum_process_start(&p, ((char *const[]){"/etc/passwd", NULL})) ==
          -EACCES);
    CHECK(thrum_process_start(&p, SH("exit 0"), .dir = "/no/such") < 0);
    CHECK(thrum_process_start(&p, SH("exit 0"), .out = 9999) == -EBADF);
    return NULL;
}

static void what_cannot_be_started_says_why(void **state)
{
    struct footprint before = footprint();

    (void)state;
    on_threads(cannot, NULL);
    assert_int_equal(footprint().fds, before.fds);
}

/* --- its streams ---------------------------------------------------------- */

static thrum_err *streams(void *arg)
{
    char *const env[] = {"WORD=there", "PATH=/bin:/usr/bin", NULL};
    thrum_process p;
    int ends_of[2];

    (void)arg;
    CHECK(thrum_process_start(&p, SH("read a b; echo \"$b, $a\""),
                              .in = THRUM_PIPE, .out = THRUM_PIPE) == 0);
    CHECK(thrum_write(p.in, "world hello\n", 12) == 12);
    CHECK(thrum_close(p.in) == 0);
    CHECK(says(p.out, "hello, world\n"));
    expect_ok(thrum_process_wait(&p));

    CHECK(thrum_process_start(&p, SH("echo $WORD; pwd; cat; echo too >&2"),
                              .in = THRUM_NULL, .out = THRUM_PIPE,
                              .err = THRUM_TO_OUT, .env = env,
                              .dir = "/") == 0);
    CHECK(says(p.out, "there\n/\ntoo\n"));
    expect_ok(thrum_process_wait(&p));

    CHECK(pipe(ends_of) == 0);
    CHECK(thrum_process_start(&p, SH("echo quiet; echo loud >&2"),
                              .out = THRUM_NULL, .err = ends_of[1]) == 0);
    CHECK(close(ends_of[1]) == 0);
    CHECK(says(ends_of[0], "loud\n"));
    expect_ok(thrum_process_wait(&p));

    return NULL;
}

static void its_streams_are_as_asked_for(void **state)
{
    struct footprint before = footprint();

    (void)state;
    on_threads(streams, NULL);
    assert_int_equal(footprint().fds, before.fds);
}

enum { MUCH = 1 << 20 };

struct cat {
    thrum_process p;
    char *there, *back;
};

static thrum_err *feed(void *arg)
{
    struct cat *c = arg;
    size_t done;
    int rc = thrum_write_full(c->p.in, c->there, MUCH, &done);

    CHECK(thrum_close(c->p.in) == 0);
    return thrum_rc(rc);
}

static thrum_err *drain(void *arg)
{
    struct cat *c = arg;

    CHECK(read_all(c->p.out, c->back, MUCH + 1) == MUCH);
    return NULL;
}

static thrum_err *through_cat(void *arg)
{
    struct cat c = {.there = malloc(MUCH), .back = malloc(MUCH + 1)};
    thrum_job both[] = {{.fn = feed, .arg = &c}, {.fn = drain, .arg = &c}};
    char *const argv[] = {"cat", NULL};

    (void)arg;
    CHECK(c.there != NULL && c.back != NULL);
    for (size_t i = 0; i < MUCH; i++)
        c.there[i] = (char)('a' + i % 23);
    CHECK(thrum_process_start(&c.p, argv, .in = THRUM_PIPE,
                              .out = THRUM_PIPE) == 0);
    expect_ok(thrum_gather(both, 2, THRUM_ALL));
    CHECK(memcmp(c.there, c.back, MUCH) == 0);
    free(c.there);
    free(c.back);
    return thrum_process_wait(&c.p);
}

static void much_goes_there_and_back(void **state)
{
    (void)state;
    on_threads(through_cat, NULL);
}

/* --- with its task -------------------------------------------------------- */

static thrum_err *wait_for(void *process)
{
    return thrum_process_wait(process);
}

static thrum_err *run_stubborn(void *arg)
{
    thrum_process *p = arg;
    char ready[8];

    CHECK(thrum_process_start(p, SH("trap '' TERM; echo ready; read forever"),
                              .in = THRUM_PIPE, .out = THRUM_PIPE,
                              .grace = THRUM_MS(1)) == 0);
    CHECK(thrum_read(p->out, ready, sizeof ready) > 0);
    thrum_scope_cancel(NULL, "it is ready");
    return thrum_process_wait(p);
}

static thrum_err *run_polite(void *arg)
{
    thrum_process *p = arg;
    char ready[8];

    CHECK(thrum_process_start(
              p, SH("trap 'exit 7' TERM; echo ready; while :; do read x; done"),
              .in = THRUM_PIPE, .out = THRUM_PIPE,
              .grace = THRUM_SEC(60)) == 0);
    CHECK(thrum_read(p->out, ready, sizeof ready) > 0);
    thrum_scope_cancel(NULL, "it is ready");
    return thrum_process_wait(p);
}

static thrum_err *told_to_end(void *arg)
{
    thrum_process p;
    thrum_task t;

    (void)arg;
    CHECK(thrum_process_start(&p, SH("exec tail -f /dev/null")) == 0);
    expect_kind(thrum_with(wait_for, &p, .timeout = THRUM_MS(20)),
                &THRUM_TIMEOUT);
    CHECK(WIFSIGNALED(p.status) && WTERMSIG(p.status) == SIGTERM);

    thrum_fork(&t, run_stubborn, &p);
    expect_kind(thrum_join(&t), &THRUM_CANCELED);
    CHECK(WIFSIGNALED(p.status) && WTERMSIG(p.status) == SIGKILL);
    CHECK(thrum_close(p.in) == 0 && thrum_close(p.out) == 0);

    thrum_fork(&t, run_polite, &p);
    expect_kind(thrum_join(&t), &THRUM_CANCELED);
    CHECK(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 7);
    CHECK(thrum_close(p.in) == 0 && thrum_close(p.out) == 0);
    return NULL;
}

static void it_ends_with_its_task(void **state)
{
    (void)state;
    on_threads(told_to_end, NULL);
}

static thrum_err *run_one(void *arg)
{
    thrum_process p;

    (void)arg;
    CHECK(thrum_process_start(&p, SH("exit 0")) == 0);
    return thrum_process_wait(&p);
}

static thrum_err *many(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .limit = 8);
    for (int i = 0; i < 50; i++)
        CHECK(thrum_spawn(&s, run_one, NULL, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static void many_run_at_once(void **state)
{
    struct footprint before = footprint();

    (void)state;
    on_threads(many, NULL);
    assert_int_equal(footprint().fds, before.fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_end_is_told),
        cmocka_unit_test(what_cannot_be_started_says_why),
        cmocka_unit_test(its_streams_are_as_asked_for),
        cmocka_unit_test(much_goes_there_and_back),
        cmocka_unit_test(it_ends_with_its_task),
        cmocka_unit_test(many_run_at_once),
    };

    if (is_emulated()) {
        puts("skipped: an emulator cannot tell why a program does not start");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
