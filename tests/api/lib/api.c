#include "api.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_SECONDS = 60 };

unsigned workers;

void check_failed(const char *what)
{
    fprintf(stderr, "CHECK failed with %u workers: %s\n", workers, what);
    abort();
}

void expect_ok(thrum_err *e)
{
    char text[4096];

    if (e == NULL)
        return;
    (void)thrum_err_format(e, text, sizeof text);
    fprintf(stderr, "with %u workers: not expected: %s\n", workers, text);
    abort();
}

void expect_kind(thrum_err *e, const thrum_kind *kind)
{
    char text[4096];

    if (e != NULL && kind != NULL && thrum_err_kind(e) == kind &&
        thrum_err_count(e) == 1) {
        thrum_err_drop(e);
        return;
    }
    if (e == NULL && kind == NULL)
        return;
    (void)thrum_err_format(e, text, sizeof text);
    fprintf(stderr, "with %u workers: expected %s, not: %s\n", workers,
            kind == NULL ? "no error" : kind->name,
            e == NULL ? "no error" : text);
    abort();
}

void expect_indices(thrum_err *e, size_t count, const size_t *indices)
{
    const thrum_err *leaf;
    size_t i = 0;

    for (; (leaf = thrum_err_at(e, i)) != NULL; i++) {
        CHECK(i < count);
        CHECK(thrum_err_index(leaf) == indices[i]);
    }
    CHECK(i == count);
    thrum_err_drop(e);
}

void on_threads(thrum_fn *fn, void *arg)
{
    for (workers = 1; workers <= 4; workers *= 2) {
        thrum_opts opts = {.workers = workers};
        thrum_rt *rt;

        assert_int_equal(thrum_start(&rt, &opts), 0);
        expect_ok(thrum_call(rt, fn, arg));
        expect_ok(thrum_stop(rt));
    }
    workers = 0;
}

void on_runtimes(thrum_fn *fn, void *arg)
{
    thrum_sim_opts sim = {.rounds = SCALE == 1 ? 20 : SCALE == 10 ? 3 : 1};

    on_threads(fn, arg);
    workers = 2; /* as with several, nobody knows who is first */
    expect_ok(thrum_sim(&sim, fn, arg));
    workers = 0;
}

void on_each_io(thrum_fn *fn, void *arg)
{
    on_runtimes(fn, arg);
    setenv("THRUM_IO", "epoll", 1);
    on_threads(fn, arg);
    unsetenv("THRUM_IO");
}

/* ------------------------------------------------------------------ rounds */

static _Atomic unsigned long rounds;

static void say_rounds(void)
{
    printf("%lu rounds simulated\n", (unsigned long)rounds);
}

struct counted {
    thrum_fn *fn;
    void *arg;
};

static thrum_err *run_counted(void *arg)
{
    struct counted *c = arg;

    if (rounds++ == 0)
        atexit(say_rounds);
    return c->fn(c->arg);
}

thrum_err *counted_sim(const thrum_sim_opts *opts, thrum_fn *fn, void *arg)
{
    struct counted c = {fn, arg};

    return (thrum_sim)(opts, run_counted, &c);
}

/* ---------------------------------------------------------------- meeting */

void await_count(_Atomic unsigned *count, unsigned wanted)
{
    while (atomic_load(count) < wanted)
        thrum_yield();
}

void block_count(_Atomic unsigned *count, unsigned wanted)
{
    while (atomic_load(count) < wanted)
        sched_yield();
}

void await_cancel(void)
{
    while (!thrum_canceled())
        thrum_yield();
}

thrum_err *wait_for_cancel(void *arg)
{
    _Atomic unsigned *count = arg;

    if (count != NULL)
        atomic_fetch_add(count, 1);
    CHECK(thrum_sleep(HOUR) == -ECANCELED);
    return thrum_rc(-ECANCELED);
}

void gate_meet(struct gate *g)
{
    atomic_fetch_add(&g->here, 1);
    await_count(&g->here, g->all);
}

void gate_block(struct gate *g)
{
    atomic_fetch_add(&g->here, 1);
    block_count(&g->here, g->all);
}

int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

/* ------------------------------------------------------- ends of processes */

static _Noreturn void be_child(int out, void (*act)(void))
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    dup2(out, STDERR_FILENO);
    close(out);
    /* cmocka and sanitizers have handlers of their own. */
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    alarm(CHILD_SECONDS);
    act();
    _exit(0);
}

struct end end_of(void (*act)(void))
{
    struct end end = {0};
    size_t length = 0;
    char *emulator;
    ssize_t got;
    int ends[2];
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        be_child(ends[1], act);
    }
    close(ends[1]);
    while ((got = read(ends[0], end.said + length,
                       sizeof end.said - 1 - length)) > 0)
        length += (size_t)got;
    close(ends[0]);
    waitpid(child, &end.status, 0);

    emulator = strstr(end.said, "qemu: uncaught target signal");
    if (emulator != NULL)
        *emulator = '\0'; /* its last words are not ours */
    return end;
}

/* Whether the line begins with no name, or one that is in a manual. */
static bool names_what_was_called(const char *line)
{
    const char *name = line + strlen("thrum: ");
    size_t length = strcspn(name, ": ");

    return name[length] != ':' || length == 0 ||
           strncmp(name, "pthread_", 8) == 0 ||
           (strncmp(name, "thrum_", 6) == 0 && name[length - 1] != '_');
}

void assert_stops(void (*act)(void), const char *text, const char *more)
{
    struct end end = end_of(act);
    char *line_end = strchr(end.said, '\n');

    if (!WIFSIGNALED(end.status) || WTERMSIG(end.status) != SIGABRT)
        print_error("status %#x, said: %s\n", (unsigned)end.status, end.said);
    assert_true(WIFSIGNALED(end.status));
    assert_int_equal(WTERMSIG(end.status), SIGABRT);
    if (strstr(end.said, text) == NULL || strstr(end.said, more) == NULL)
        print_error("said: %s\n", end.said);
    assert_non_null(strstr(end.said, text));
    assert_non_null(strstr(end.said, more));
    assert_non_null(line_end); /* one line, and a whole one */
    assert_int_equal(line_end[1], '\0');
    assert_true(names_what_was_called(end.said));
}

void assert_lives(void (*act)(void))
{
    struct end end = end_of(act);

    if (end.status != 0)
        print_error("status %#x, said: %s\n", (unsigned)end.status, end.said);
    assert_int_equal(end.status, 0);
}

/* ------------------------------------------------------- what a process has */

static size_t entries_of(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t n = 0;

    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        n += d->d_name[0] != '.';
    closedir(dir);
    return n;
}

static size_t lines_of(const char *name)
{
    FILE *file = fopen(name, "re");
    size_t n = 0;
    int c;

    assert_non_null(file);
    while ((c = getc(file)) != EOF)
        n += c == '\n';
    fclose(file);
    return n;
}

static size_t resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    size_t pages = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

struct footprint footprint(void)
{
    return (struct footprint){
        .fds = entries_of("/proc/self/fd"),
        .threads = entries_of("/proc/self/task"),
        .mappings = lines_of("/proc/self/maps"),
        .resident_kib = resident_kib(),
    };
}

static size_t threads_at_start;

static void *say_which(void *tid)
{
    *(pid_t *)tid = gettid();
    return NULL;
}

/* A sanitizer starts a thread of its own with the program's first one. */
__attribute__((constructor)) static void count_threads(void)
{
    char name[64];
    pthread_t thread;
    pid_t tid;

    if (pthread_create(&thread, NULL, say_which, &tid) != 0 ||
        pthread_join(thread, NULL) != 0)
        return;
    snprintf(name, sizeof name, "/proc/self/task/%d", tid);
    while (access(name, F_OK) == 0)
        sched_yield();
    threads_at_start = entries_of("/proc/self/task");
}

struct footprint footprint_at_rest(void)
{
    for (int i = 0; i < 1000000; i++) {
        if (entries_of("/proc/self/task") <= threads_at_start)
            break;
        sched_yield();
    }
    return footprint();
}
