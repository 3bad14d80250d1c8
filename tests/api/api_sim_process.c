/* Are processes played in a simulation: started, talked to, signaled, waited for as
 * real ones (api_process), and in its time? */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sims.h"

#define ARGV(...) ((char *const[]){__VA_ARGS__, NULL})

/* --- the programs --------------------------------------------------------- */

/* What comes in goes out, in capitals. */
static int shout(thrum_sim_process *p)
{
    char some[16];
    ssize_t n;

    while ((n = thrum_read(p->in, some, sizeof some)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            some[i] = (char)(some[i] >= 'a' ? some[i] - 'a' + 'A' : some[i]);
        n = thrum_write_full(p->out, some, (size_t)n, NULL);
        if (n < 0)
            break;
    }
    return (int)n;
}

/* exit N, after some time */
static int leave(thrum_sim_process *p)
{
    int rc = thrum_sleep(THRUM_SEC(1));

    return rc < 0 ? rc : atoi(p->argv[1]);
}

static int say(thrum_sim_process *p)
{
    int rc = thrum_write_full(p->out, p->user, strlen(p->user), NULL);

    CHECK(p->in == STDIN_FILENO);
    return rc < 0 ? rc : thrum_write_full(p->err, "!", 1, NULL);
}

static int wait_for_ever(thrum_sim_process *p)
{
    (void)p;
    return thrum_sleep(INT64_MAX);
}

static int catch_it(thrum_sim_process *p)
{
    return wait_for_ever(p) == -ECANCELED ? 7 : 0;
}

static thrum_err *sleep_shielded(void *unused)
{
    return thrum_rc(thrum_sleep(INT64_MAX)) ? unused : NULL;
}

static int be_stubborn(thrum_sim_process *p)
{
    (void)p;
    thrum_err_drop(thrum_with(sleep_shielded, NULL, .shield = true));
    return 0; /* not if it was killed */
}

static const thrum_sim_program programs[] = {
    {.name = "shout", .main = shout},
    {.name = "leave", .main = leave},
    {.name = "say", .main = say, .user = "hello"},
    {.name = "wait", .main = wait_for_ever},
    {.name = "catch", .main = catch_it},
    {.name = "stubborn", .main = be_stubborn},
    {0}};

static void passes(thrum_fn *fn, unsigned rounds)
{
    thrum_sim_opts o = {
        .rounds = sim_rounds(rounds), .twice = true, .programs = programs};
    struct footprint before = footprint();

    expect_ok(thrum_sim(&o, fn, NULL));
    assert_int_equal(footprint().fds, before.fds);
}

/* --- how it ends ---------------------------------------------------------- */

static thrum_err *ends(void *unused)
{
    thrum_time start = thrum_now();
    thrum_process p;

    (void)unused;
    CHECK(thrum_process_start(&p, ARGV("leave", "0")) == 0);
    CHECK(p.pid > 0 && kill(p.pid, 0) < 0 && p.in == -1 && p.out == -1);
    expect_ok(thrum_process_wait(&p));
    CHECK(thrum_now() - start >= THRUM_SEC(1));
    CHECK(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 0);

    CHECK(thrum_process_start(&p, ARGV("leave", "3")) == 0);
    expect_kind(thrum_process_wait(&p), &THRUM_EXIT);
    CHECK(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 3);

    CHECK(thrum_process_start(&p, ARGV("wait")) == 0);
    CHECK(thrum_process_signal(&p, SIGWINCH) == 0);
    CHECK(thrum_process_signal(&p, SIGUSR1) == 0);
    CHECK(thrum_process_signal(&p, 12345) == -EINVAL);
    expect_kind(thrum_process_wait(&p), &THRUM_EXIT);
    CHECK(WIFSIGNALED(p.status) && WTERMSIG(p.status) == SIGUSR1);

    CHECK(thrum_process_start(&p, ARGV("catch")) == 0);
    CHECK(thrum_sleep(THRUM_SEC(1)) == 0); /* it has begun */
    CHECK(thrum_process_signal(&p, SIGINT) == 0);
    expect_kind(thrum_process_wait(&p), &THRUM_EXIT);
    CHECK(WIFEXITED(p.status) && WEXITSTATUS(p.status) == 7);

    CHECK(thrum_process_start(&p, ARGV("stubborn")) == 0);
    CHECK(thrum_process_signal(&p, SIGKILL) == 0);
    expect_kind(thrum_process_wait(&p), &THRUM_EXIT);
    CHECK(WIFSIGNALED(p.status) && WTERMSIG(p.status) == SIGKILL);
    return NULL;
}

static void its_end_is_told(void **state)
{
    (void)state;
    passes(ends, 100);
}

static thrum_err *cannot(void *unused)
{
    thrum_process p;

    (void)unused;
    CHECK(thrum_process_start(&p, ARGV("sort"), .out = THRUM_PIPE) == -ENOENT);
    CHECK(p.out == -1);
    return NULL;
}

static thrum_err *none(void *unused)
{
    thrum_process p;

    (void)unused;
    CHECK(thrum_process_start(&p, ARGV("leave", "0")) == -ENOSYS);
    return NULL;
}

static void what_cannot_be_started_says_why(void **state)
{
    (void)state;
    passes(cannot, 10);
    expect_ok(thrum_sim(&(thrum_sim_opts){.rounds = 2}, none, NULL));
}

/* --- its streams ---------------------------------------------------------- */

enum { MUCH = 3000 };

static thrum_err *feed(void *arg)
{
    thrum_process *p = arg;
    unsigned char all[MUCH];
    int rc;

    memset(all, 'x', sizeof all);
    rc = thrum_write_full(p->in, all, sizeof all, NULL);
    CHECK(thrum_close(p->in) == 0);
    return thrum_rc(rc);
}

static thrum_err *drain(void *arg)
{
    thrum_process *p = arg;
    unsigned char all[MUCH + 1];
    size_t done;

    CHECK(thrum_read_full(p->out, all, sizeof all, &done) == -ENODATA);
    CHECK(done == MUCH);
    for (size_t i = 0; i < done; i++)
        CHECK(all[i] == 'X');
    return thrum_rc(thrum_close(p->out));
}

static thrum_err *streams(void *unused)
{
    thrum_process p;
    thrum_job both[] = {{.fn = feed, .arg = &p}, {.fn = drain, .arg = &p}};
    char said[16] = "";

    (void)unused;
    CHECK(thrum_process_start(&p, ARGV("shout"), .in = THRUM_PIPE,
                              .out = THRUM_PIPE) == 0);
    expect_ok(thrum_gather(both, 2, THRUM_ALL));
    expect_ok(thrum_process_wait(&p));

    CHECK(thrum_process_start(&p, ARGV("say"), .out = THRUM_PIPE,
                              .err = THRUM_TO_OUT) == 0);
    CHECK(thrum_read_full(p.out, said, sizeof said, NULL) == -ENODATA);
    CHECK(strcmp(said, "hello!") == 0 && thrum_close(p.out) == 0);
    expect_ok(thrum_process_wait(&p));

    CHECK(thrum_process_start(&p, ARGV("say"), .out = THRUM_PIPE,
                              .err = THRUM_NULL) == 0);
    CHECK(thrum_close(p.out) == 0); /* perhaps it comes too late */
    thrum_err_drop(thrum_process_wait(&p));
    CHECK(p.status == 0 || WTERMSIG(p.status) == SIGPIPE);
    return NULL;
}

static void it_is_written_to_and_read_from(void **state)
{
    (void)state;
    passes(streams, 100);
}

/* --- with its task -------------------------------------------------------- */

static thrum_err *run_one(void *argv)
{
    thrum_process p;
    thrum_err *e;

    CHECK(thrum_process_start(&p, argv, .grace = THRUM_SEC(5)) == 0);
    e = thrum_process_wait(&p);
    if (thrum_err_is(e, &THRUM_CANCELED))
        CHECK(strcmp(*(char **)argv, "stubborn") == 0
                  ? p.status == SIGKILL
                  : p.status == SIGTERM || p.status == 7 << 8);
    return e;
}

static thrum_time how_long(const char *name)
{
    thrum_time start = thrum_now();
    char *const argv[] = {(char *)(uintptr_t)name, NULL};

    expect_kind(
        thrum_with(run_one, (void *)(uintptr_t)argv, .timeout = THRUM_SEC(1)),
        &THRUM_TIMEOUT);
    return thrum_now() - start;
}

static thrum_err *told_to_end(void *unused)
{
    (void)unused;
    CHECK(how_long("wait") == THRUM_SEC(1));
    CHECK(how_long("catch") == THRUM_SEC(1));
    CHECK(how_long("stubborn") == THRUM_SEC(6));
    return NULL;
}

static void it_ends_with_its_task(void **state)
{
    thrum_sim_opts o = {
        .rounds = sim_rounds(50), .io_delay = -1, .programs = programs};

    (void)state;
    expect_ok(thrum_sim(&o, told_to_end, NULL));
}

/* --- what goes wrong ------------------------------------------------------ */

static unsigned refused;

static thrum_err *ask_again(void *unused)
{
    thrum_process p;
    int rc;

    (void)unused;
    while ((rc = thrum_process_start(&p, ARGV("leave", "0"))) != 0) {
        CHECK(rc == -EAGAIN || rc == -ENOMEM);
        refused++;
    }
    return thrum_process_wait(&p);
}

static void a_start_may_fail(void **state)
{
    thrum_sim_opts o = {
        .rounds = 50, .io_fault = 0.3, .fault = 0.1, .programs = programs};

    (void)state;
    refused = 0;
    expect_ok(thrum_sim(&o, ask_again, NULL));
    assert_true(refused > 10);
}

static thrum_err *wait_for_it(void *unused)
{
    thrum_process p;

    (void)unused;
    CHECK(thrum_process_start(&p, ARGV("shout"), .in = THRUM_PIPE) == 0);
    thrum_err_drop(thrum_process_wait(&p)); /* it waits for the end of `in` */
    CHECK(thrum_close(p.in) == 0);
    return NULL;
}

static void who_waits_for_each_other_is_told(void **state)
{
    thrum_sim_opts o = {.rounds = 5, .quiet = true, .programs = programs};
    thrum_err *e = thrum_sim(&o, wait_for_it, NULL);

    (void)state;
    assert_true(thrum_err_is(e, &THRUM_DEADLOCK));
    thrum_err_drop(e);
}

static thrum_process forgotten;

static thrum_err *forget_it(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_process_start(&forgotten, ARGV("wait")));
}

static void who_is_not_waited_for_is_told_of(void **state)
{
    thrum_sim_opts o = {.rounds = 1, .quiet = true, .programs = programs};
    thrum_err *e = thrum_sim(&o, forget_it, NULL);

    (void)state;
    assert_non_null(e);
    assert_non_null(
        strstr(thrum_err_msg(thrum_err_cause(e)), "left in the background"));
    thrum_err_drop(e);
    expect_kind(thrum_process_wait(&forgotten), &THRUM_EXIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_end_is_told),
        cmocka_unit_test(what_cannot_be_started_says_why),
        cmocka_unit_test(it_is_written_to_and_read_from),
        cmocka_unit_test(it_ends_with_its_task),
        cmocka_unit_test(a_start_may_fail),
        cmocka_unit_test(who_waits_for_each_other_is_told),
        cmocka_unit_test(who_is_not_waited_for_is_told_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
