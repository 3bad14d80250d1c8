/* Do tasks go on when the kernel has no more memory for their stacks, and is it
 * told? How: child processes whose address space is bounded once the runtime runs;
 * every task must end, and after the bound is lifted all is as before. */
#include "lib/sweep.h"

#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

THRUM_KIND(Expected, THRUM_ERROR);

enum { CHILD_SECONDS = 60, SLACK_KIB = 512 };

/* --- the bound ------------------------------------------------------------ */

static size_t address_space(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    size_t pages = 0;

    CHECK(file != NULL && fscanf(file, "%zu", &pages) == 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void set_bound(rlim_t bytes)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = bytes;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* What is mapped now, and room for some records. */
static void bound(void)
{
    set_bound(address_space() + SLACK_KIB * 1024);
}

static void unbound(void)
{
    set_bound(RLIM_INFINITY);
}

/* --- children ------------------------------------------------------------- */

static int end_of(void (*act)(void), char *said, size_t room)
{
    size_t length = 0;
    int ends[2], status;
    ssize_t got;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        alarm(CHILD_SECONDS);
        act();
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], said + length, room - 1 - length)) > 0)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    return status;
}

static void assert_lives(void (*act)(void))
{
    char said[2048];
    int status;

    if (SANITIZED)
        skip(); /* they map as they go */
    status = end_of(act, said, sizeof said);
    if (status != 0)
        print_error("status %#x, said: %s\n", (unsigned)status, said);
    assert_int_equal(status, 0);
}

/* --- what tasks do -------------------------------------------------------- */

static _Atomic unsigned ended, parts;

static thrum_err *note_part(void *arg)
{
    atomic_fetch_add(&parts, 1);
    return arg;
}

/* Waits in many ways, and uses its scope and forks before, between and after. */
static thrum_err *wait_about(void *arg)
{
    unsigned i = *(unsigned *)arg;
    thrum_task a, b;
    thrum_scope s;

    thrum_fork(&a, note_part, NULL);
    thrum_scope_open(&s, .name = "inner");
    CHECK(thrum_sleep(THRUM_US(i % 7 * 100)) == 0);
    thrum_fork(&b, note_part, NULL);
    CHECK(thrum_spawn(NULL, note_part, NULL, 0) == 0);
    thrum_yield();
    CHECK(thrum_join(&b) == NULL);
    CHECK(thrum_scope_close(&s, NULL) == NULL);
    CHECK(thrum_spawn(NULL, note_part, NULL, 0) == 0);
    CHECK(thrum_sleep(THRUM_US(50)) == 0);
    CHECK(thrum_join(&a) == NULL);
    atomic_fetch_add(&ended, 1);
    return i % 10 == 3 ? thrum_fail(&Expected, "%u", i) : NULL;
}

static unsigned tasks;

static thrum_err *many_wait(void *arg)
{
    thrum_scope s;
    thrum_err *e;

    atomic_store(&ended, 0);
    atomic_store(&parts, 0);
    thrum_scope_open(&s, .name = "many", .policy = THRUM_SETTLE);
    for (unsigned i = 0; i < tasks; i++)
        CHECK(thrum_spawn(&s, wait_about, &i, sizeof i) == 0);
    e = thrum_scope_close(&s, NULL);
    CHECK(atomic_load(&ended) == tasks && atomic_load(&parts) == 4 * tasks);
    CHECK(thrum_err_count(e) == tasks / 10 && thrum_err_index(e) == 3);
    thrum_err_drop(e);
    return arg;
}

static thrum_err *meet(void *arg)
{
    _Atomic unsigned *here = arg;

    atomic_fetch_add(here, 1);
    while (atomic_load(here) < 100)
        thrum_yield();
    return NULL;
}

static thrum_err *hundred_meet(void *arg)
{
    _Atomic unsigned here = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "meet");
    for (int i = 0; i < 100; i++)
        CHECK(thrum_spawn(&s, meet, &here, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static thrum_err *nothing(void *arg)
{
    return arg;
}

/* Let the C library have some memory, for the records of tasks. */
static void keep_heap(void)
{
    enum { BLOCKS = 10000 };
    static void *block[BLOCKS];

    CHECK(mallopt(M_ARENA_MAX, 1) == 1);
    CHECK(mallopt(M_TRIM_THRESHOLD, INT_MAX) == 1);

    for (int i = 0; i < BLOCKS; i++)
        CHECK((block[i] = malloc(256)) != NULL);
    for (int i = 0; i < BLOCKS; i++)
        free(block[i]);
}

static void wait_bounded(unsigned count, size_t stack_size)
{
    for (workers = 1; workers <= 4; workers *= 2) {
        thrum_opts opts = {.workers = workers, .stack_size = stack_size};
        thrum_rt *rt;

        tasks = count;
        keep_heap();
        CHECK(thrum_start(&rt, &opts) == 0);
        CHECK(thrum_call(rt, nothing, NULL) == NULL);
        bound();
        CHECK(thrum_call(rt, many_wait, NULL) == NULL);
        CHECK(thrum_call(rt, many_wait, NULL) == NULL);
        unbound();
        CHECK(thrum_call(rt, hundred_meet, NULL) == NULL);
        CHECK(thrum_stop(rt) == NULL);
    }
}

static void some_tasks(void)
{
    wait_bounded(100, 1 << 20);
}

static void many_tasks(void)
{
    wait_bounded(1000, 1 << 20);
}

static void tasks_go_on_without_memory_for_stacks(void **state)
{
    (void)state;
    assert_lives(some_tasks);
}

static void a_thousand_tasks_go_on_so_too(void **state)
{
    (void)state;
    assert_lives(many_tasks);
}

/* --- what is told --------------------------------------------------------- */

enum { WAITERS = 100 };

static thrum_event lifted;

static thrum_err *wait_for_it(void *arg)
{
    (void)arg;
    return thrum_rc(thrum_event_wait(&lifted));
}

static thrum_err *let_many_wait(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "waiters");
    for (int i = 0; i < WAITERS; i++)
        CHECK(thrum_spawn(&s, wait_for_it, NULL, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

/* Until it says what is expected of it. */
static void await_dump(thrum_rt *rt, int file, const char *expected)
{
    static char text[65536];
    ssize_t n;

    do {
        CHECK(ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0);
        thrum_dump(rt, file);
        n = pread(file, text, sizeof text - 1, 0);
        text[n < 0 ? 0 : n] = '\0';
    } while (strstr(text, expected) == NULL);
}

static void wait_and_dump(void)
{
    thrum_opts opts = {.workers = 2, .stack_size = 1 << 20};
    int file = fileno(tmpfile());
    thrum_rt *rt;

    keep_heap();
    CHECK(thrum_start(&rt, &opts) == 0);
    CHECK(thrum_call(rt, nothing, NULL) == NULL);
    bound();
    CHECK(thrum_post(rt, let_many_wait, NULL, 0) == 0);
    await_dump(rt, file, "no memory for one more stack");
    unbound();
    thrum_event_set(&lifted);
    CHECK(thrum_stop(rt) == NULL);
}

static void who_waits_without_a_stack_is_told_of_once(void **state)
{
    char said[2048], *line;

    (void)state;
    if (SANITIZED || is_emulated())
        skip(); /* they map as they go, or know no limit */
    assert_int_equal(end_of(wait_and_dump, said, sizeof said), 0);
    line = strstr(said, "thrum: no memory for one more stack");
    assert_non_null(line);
    assert_null(strstr(line + 1, "thrum:"));
}

/* --- offload, sleeping workers -------------------------------------------- */

static thrum_err *short_call(void *arg)
{
    atomic_fetch_add(&parts, 1);
    return arg;
}

static thrum_err *offload_a_few(void *arg)
{
    for (int i = 0; i < 5; i++)
        CHECK(thrum_offload(short_call, NULL) == NULL);
    atomic_fetch_add(&ended, 1);
    return arg;
}

static thrum_err *many_offload(void *arg)
{
    thrum_scope s;

    atomic_store(&ended, 0);
    atomic_store(&parts, 0);
    thrum_scope_open(&s, .name = "offload");
    for (unsigned i = 0; i < tasks; i++)
        CHECK(thrum_spawn(&s, offload_a_few, NULL, 0) == 0);
    CHECK(thrum_scope_close(&s, NULL) == NULL);
    CHECK(atomic_load(&ended) == tasks && atomic_load(&parts) == 5 * tasks);
    return arg;
}

static void offload_bounded(void)
{
    for (workers = 1; workers <= 4; workers *= 2) {
        thrum_opts opts = {
            .workers = workers, .stack_size = 1 << 20, .max_blocking = 2};
        thrum_rt *rt;

        keep_heap();
        CHECK(thrum_start(&rt, &opts) == 0);
        tasks = 4;
        CHECK(thrum_call(rt, many_offload, NULL) == NULL); /* make threads */
        bound();
        tasks = 100;
        CHECK(thrum_call(rt, many_offload, NULL) == NULL);
        unbound();
        CHECK(thrum_stop(rt) == NULL);
    }
}

static void calls_are_offloaded_without_memory_for_stacks(void **state)
{
    (void)state;
    assert_lives(offload_bounded);
}

/* --- segments ------------------------------------------------------------- */

static thrum_err *fork_without_end(void *arg)
{
    enum { FORKS = 100000 };
    thrum_task *task = malloc(FORKS * sizeof *task);

    (void)arg;
    bound();
    for (int i = 0; i < FORKS; i++)
        thrum_fork(&task[i], note_part, NULL);
    for (int i = FORKS; i-- > 0;)
        CHECK(thrum_join(&task[i]) == NULL);
    free(task);
    return NULL;
}

static void fork_bounded(void)
{
    CHECK(thrum_run(&(thrum_opts){.workers = 1}, fork_without_end, NULL) ==
          NULL);
}

static void without_memory_for_forks_the_program_is_told_and_ends(void **state)
{
    char said[2048];
    int status;

    (void)state;
    if (SANITIZED || is_emulated())
        skip(); /* they map as they go, or know no limit */
    status = end_of(fork_bounded, said, sizeof said);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(said, "no memory for a segment of forks"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_go_on_without_memory_for_stacks),
        cmocka_unit_test(calls_are_offloaded_without_memory_for_stacks),
        cmocka_unit_test(a_thousand_tasks_go_on_so_too),
        cmocka_unit_test(who_waits_without_a_stack_is_told_of_once),
        cmocka_unit_test(without_memory_for_forks_the_program_is_told_and_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
