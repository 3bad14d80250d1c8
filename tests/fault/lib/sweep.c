#include "sweep.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "base/alloc.h"

bool faulty;
unsigned workers, sweep_max_blocking;
uint64_t faults_met;

void check_failed(const char *what)
{
    fprintf(stderr, "CHECK failed with %u workers: %s\n", workers, what);
    abort();
}

void expect_only(thrum_err *e, int one, int other)
{
    char text[2048];
    int number = thrum_err_errno(e);

    if (e == NULL)
        return;
    if (faulty && (number == one || number == other)) {
        thrum_err_drop(e);
        return;
    }
    (void)thrum_err_format(e, text, sizeof text);
    fprintf(stderr, "not expected: %s\n", text);
    abort();
}

/* --- what a process has --------------------------------------------------- */

struct footprint {
    size_t fds, threads, mappings;
};

static size_t entries_of(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t n = 0;

    CHECK(dir != NULL);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static size_t mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    size_t n = 0;
    int c;

    CHECK(file != NULL);
    while ((c = getc(file)) != EOF)
        n += c == '\n';
    fclose(file);
    return n;
}

static void *say_which(void *tid)
{
    *(pid_t *)tid = gettid();
    return NULL;
}

/* Asked first when nothing has run yet. A sanitizer starts a thread of its own
 * with the program's first one, so that there has to be one. */
static size_t threads_at_rest(void)
{
    static size_t n;
    char name[64];
    pthread_t thread;
    pid_t tid;

    if (n > 0)
        return n;
    CHECK(pthread_create(&thread, NULL, say_which, &tid) == 0 &&
          pthread_join(thread, NULL) == 0);
    snprintf(name, sizeof name, "/proc/self/task/%d", tid);
    while (access(name, F_OK) == 0)
        sched_yield();
    n = entries_of("/proc/self/task");
    return n;
}

/* With no runtime: one thread that was joined may be listed for a moment more. */
static struct footprint footprint(void)
{
    size_t at_rest = threads_at_rest();
    struct footprint f = {.threads = entries_of("/proc/self/task")};

    for (int i = 0; f.threads > at_rest && i < 1000000; i++) {
        sched_yield();
        f.threads = entries_of("/proc/self/task");
    }
    f.fds = entries_of("/proc/self/fd");
    f.mappings = mappings();
    return f;
}

static void expect_nothing_left(struct footprint before)
{
    struct footprint after = footprint();

    CHECK(is_emulated() ||
          (after.threads == before.threads && after.fds == before.fds));
    /* The C library keeps heaps and stacks of threads. */
    CHECK(SANITIZED || is_emulated() || after.mappings <= before.mappings + 16);
}

/* --- kinds of fault ------------------------------------------------------- */

/* Let the nth strike. */
typedef void arm_fn(unsigned n);

static void arm_at(unsigned n)
{
    alloc_fail_at(n);
}

static void arm_from(unsigned n)
{
    alloc_fail_from(n);
}

static void arm_map(unsigned n)
{
    (void)fail_after(FAIL_MAP, n);
}

static void arm_guard(unsigned n)
{
    (void)fail_after(FAIL_GUARD, n);
}

static void arm_thread(unsigned n)
{
    (void)fail_after(FAIL_THREAD, n);
}

static void arm_pidfd(unsigned n)
{
    (void)fail_after(FAIL_PIDFD, n);
}

static void arm_poll(unsigned n)
{
    (void)fail_after(FAIL_POLL, n);
}

static void arm_watch(unsigned n)
{
    (void)fail_after(FAIL_WATCH, n);
}

static void arm_ring(unsigned n)
{
    (void)fail_after(FAIL_RING, n);
}

static arm_fn *const arm_os[FAIL_KINDS] = {
    [FAIL_MAP] = arm_map,       [FAIL_GUARD] = arm_guard,
    [FAIL_THREAD] = arm_thread, [FAIL_PIDFD] = arm_pidfd,
    [FAIL_POLL] = arm_poll,     [FAIL_WATCH] = arm_watch,
    [FAIL_RING] = arm_ring};

/* Whether the nth fault struck. */
static bool with_fault(arm_fn *arm, unsigned n, void (*tell)(void *), void *arg)
{
    bool waits = false, struck;

    alloc_fail_at(0); /* forgets the failures of before, too */
    arm(n);
    faulty = true;
    tell(arg);
    faulty = false;
    for (enum fail kind = 0; kind < FAIL_KINDS; kind++)
        waits = fail_after(kind, 0) != 0 || waits;
    struck = arm == arm_at || arm == arm_from ? alloc_failures() > 0 : !waits;
    alloc_fail_never();
    faults_met += struck;
    return struck && n > 0;
}

/* Each fault on one, two and four workers; on two where all takes long. */
static unsigned first_workers(void)
{
    return SANITIZE_THREAD || is_emulated() ? 2 : 1;
}

static unsigned last_workers(void)
{
    return SANITIZE_THREAD || is_emulated() ? 2 : 4;
}

/* --- on a runtime --------------------------------------------------------- */

struct telling {
    thrum_rt *rt;
    story *tell;
};

static void tell_once(void *arg)
{
    struct telling *t = arg;
    thrum_err *e = thrum_call(t->rt, t->tell, NULL);

    CHECK(e == NULL);
}

static bool tell_on_runtime(arm_fn *arm, unsigned n, story *tell)
{
    thrum_opts opts = {.workers = workers, .max_blocking = sweep_max_blocking};
    struct telling t = {.tell = tell};
    bool failed;

    CHECK(thrum_start(&t.rt, &opts) == 0);
    failed = with_fault(arm, n, tell_once, &t);
    tell_once(&t); /* it is usable after */
    CHECK(thrum_stop(t.rt) == NULL);
    return failed;
}

static void sweep(story *tell, arm_fn *arm)
{
    for (workers = first_workers(); workers <= last_workers(); workers *= 2) {
        struct footprint before;

        (void)footprint();
        (void)tell_on_runtime(arm, 0, tell);
        before = footprint();
        for (unsigned n = 1; tell_on_runtime(arm, n, tell); n++)
            expect_nothing_left(before);
        expect_nothing_left(before);
    }
}

void sweep_allocations(story *tell)
{
    sweep(tell, arm_at);
    sweep(tell, arm_from);
}

void sweep_os(story *tell, enum fail kind)
{
    sweep(tell, arm_os[kind]);
}

/* --- without one ---------------------------------------------------------- */

static void call(void *arg)
{
    void (**tell)(void) = arg;

    (*tell)();
}

void sweep_all_outside(void (*tell)(void))
{
    static arm_fn *const all[] = {arm_at, arm_from, arm_map, arm_guard,
                                  arm_thread};

    for (workers = first_workers(); workers <= last_workers(); workers *= 2)
        for (size_t kind = 0; kind < sizeof all / sizeof *all; kind++) {
            struct footprint before;

            (void)footprint();
            tell();
            before = footprint();
            for (unsigned n = 1; with_fault(all[kind], n, call, &tell); n++) {
                expect_nothing_left(before);
                tell();
            }
            expect_nothing_left(before);
        }
}
