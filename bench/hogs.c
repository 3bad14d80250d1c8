/* How late are others while tasks compute without a pause?
 *
 * Sixteen tasks sleep for a millisecond, over and over; a sample is by how much
 * one woke late. quiet, the floor: nobody computes. some: all workers but one
 * compute meanwhile, in one piece. all: all of them. forks: all of them, in trees of
 * forks, which never wait. begun: as forks; a task sleeps, then spawns a child, over
 * and over, and a sample is how late that begins. pipe: as all; a task reads from a
 * pipe what a thread writes there every millisecond, and a sample is how late it has
 * it. woken: a task wakes another, and computes then; a sample is how soon that runs,
 * elsewhere. offload: the blocking pool is full of calls that sleep, and more of them
 * wait.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include <thrum.h>

#include "bench.h"

enum {
    SLEEPERS = 16,
    PERIOD_NS = 1000000,
    WAKES = 10,
    CALLS = 300, /* more than the pool has threads */
    SAMPLES_MAX = 1 << 20,
};

static int64_t span; /* ns: how long they compute */
static int64_t end;  /* when all is over */
static double samples[SAMPLES_MAX];
static atomic_int taken;

static void sample(int64_t late)
{
    int i = atomic_fetch_add(&taken, 1);

    if (i < SAMPLES_MAX)
        samples[i] = (double)late / 1000;
}

static void add_all(void)
{
    int n = atomic_exchange(&taken, 0);

    if (n == 0)
        bench_fail("nothing was measured");
    for (int i = 0; i < n && i < SAMPLES_MAX; i++)
        bench_add(samples[i]);
}

static thrum_err *compute(void *arg)
{
    (void)arg;
    while (bench_now() < end)
        ;
    return NULL;
}

/* Leaves of ten microseconds. */
static thrum_err *tree(void *depth)
{
    uintptr_t below = (uintptr_t)depth - 1;
    int64_t until = bench_now() + 10000;
    thrum_task t;
    thrum_err *e;

    if (below > 0) {
        thrum_fork(&t, tree, (void *)below);
        e = tree((void *)below);
        return thrum_err_add(e, thrum_join(&t));
    }
    while (bench_now() < until)
        ;
    return NULL;
}

static thrum_err *fork_on(void *arg)
{
    while (bench_now() < end) {
        thrum_err *e = tree((void *)(uintptr_t)12);

        if (e != NULL)
            return e;
    }
    return arg;
}

static thrum_err *sleep_on(void *arg)
{
    (void)arg;
    while (bench_now() < end) {
        int64_t due = bench_now() + PERIOD_NS;
        int rc = thrum_sleep(PERIOD_NS);

        if (rc < 0)
            return thrum_rc(rc);
        sample(bench_now() - due);
    }
    return NULL;
}

static void spawn(thrum_scope *s, thrum_fn *fn, void *arg)
{
    if (thrum_spawn(s, fn, arg, 0) < 0)
        bench_fail("thrum_spawn");
}

struct hogs {
    thrum_fn *fn;
    unsigned n;
};

/* So many that compute, among those that sleep. */
static thrum_err *sleep_beside(void *arg)
{
    const struct hogs *hogs = arg;
    thrum_scope s;

    end = bench_now() + span;
    thrum_scope_open(&s, .name = "sleepers");
    for (int i = 0; i < SLEEPERS; i++)
        spawn(&s, sleep_on, NULL);
    for (unsigned i = 0; i < hogs->n; i++)
        spawn(&s, hogs->fn, NULL);
    return thrum_scope_close(&s, NULL);
}

static void sleep_beside_hogs(unsigned workers, thrum_fn *fn, unsigned n)
{
    struct hogs hogs = {fn, n};

    bench_call(workers, sleep_beside, &hogs);
    add_all();
}

static void quiet(unsigned workers)
{
    sleep_beside_hogs(workers, compute, 0);
}

static void some(unsigned workers)
{
    sleep_beside_hogs(workers, compute, workers - 1);
}

static void all(unsigned workers)
{
    sleep_beside_hogs(workers, compute, workers);
}

static void forks(unsigned workers)
{
    sleep_beside_hogs(workers, fork_on, workers);
}

/* ------------------------------------------------------ what has not begun */

static thrum_err *begin(void *made)
{
    sample(bench_now() - *(int64_t *)made);
    return NULL;
}

static thrum_err *spawn_on(void *arg)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "requests");
    while (bench_now() < end) {
        int64_t now;
        int rc = thrum_sleep(PERIOD_NS);

        if (rc < 0)
            return thrum_scope_close(&s, thrum_rc(rc));
        now = bench_now();
        if (thrum_spawn(&s, begin, &now, sizeof now) < 0)
            bench_fail("thrum_spawn");
    }
    (void)arg;
    return thrum_scope_close(&s, NULL);
}

static thrum_err *spawn_beside(void *arg)
{
    const unsigned *hogs = arg;
    thrum_scope s;

    end = bench_now() + span;
    thrum_scope_open(&s, .name = "server");
    spawn(&s, spawn_on, NULL);
    for (unsigned i = 0; i < *hogs; i++)
        spawn(&s, fork_on, NULL);
    return thrum_scope_close(&s, NULL);
}

static void begun(unsigned workers)
{
    bench_call(workers, spawn_beside, &workers);
    add_all();
}

/* ----------------------------------------------------------------- the pipe */

static int ends[2];

static void *write_on(void *arg)
{
    struct timespec period = {.tv_nsec = PERIOD_NS};
    int64_t now;

    (void)arg;
    while ((now = bench_now()) < end) {
        if (write(ends[1], &now, sizeof now) != sizeof now)
            bench_fail("write");
        nanosleep(&period, NULL);
    }
    close(ends[1]);
    return NULL;
}

static thrum_err *read_on(void *arg)
{
    int64_t written;

    (void)arg;
    while (thrum_read(ends[0], &written, sizeof written) == sizeof written)
        sample(bench_now() - written);
    return NULL;
}

static thrum_err *read_beside(void *arg)
{
    const unsigned *hogs = arg;
    thrum_scope s;

    thrum_scope_open(&s, .name = "reader");
    spawn(&s, read_on, NULL);
    for (unsigned i = 0; i < *hogs; i++)
        spawn(&s, compute, NULL);
    return thrum_scope_close(&s, NULL);
}

static void from_a_pipe(unsigned workers)
{
    pthread_t writer;

    if (pipe(ends) < 0)
        bench_fail("pipe");
    end = bench_now() + span;
    if (pthread_create(&writer, NULL, write_on, NULL) != 0)
        bench_fail("pthread_create");
    bench_call(workers, read_beside, &workers);
    pthread_join(writer, NULL);
    thrum_close(ends[0]);
    add_all();
}

/* -------------------------------------------------------------------- wakes */

static thrum_event event;
static int64_t set_at;

static thrum_err *be_woken(void *arg)
{
    int rc = thrum_event_wait(&event);

    (void)arg;
    sample(bench_now() - set_at);
    return thrum_rc(rc);
}

static thrum_err *wake_and_compute(void *arg)
{
    for (int i = 0; i < WAKES; i++) {
        thrum_scope s;
        thrum_err *err;

        thrum_event_reset(&event);
        thrum_scope_open(&s, .name = "woken");
        spawn(&s, be_woken, NULL);
        err = thrum_rc(thrum_sleep(PERIOD_NS)); /* it waits now */
        end = bench_now() + span / WAKES;
        set_at = bench_now();
        thrum_event_set(&event);
        (void)compute(arg);
        THRUM_TRY(thrum_scope_close(&s, err));
    }
    return NULL;
}

static void woken(unsigned workers)
{
    bench_call(workers, wake_and_compute, NULL);
    add_all();
}

/* ----------------------------------------------------------------- the pool */

static thrum_err *call_sleep(void *arg)
{
    struct timespec while_long = {.tv_sec = (time_t)(span / 2 / 1000000000),
                                  .tv_nsec = span / 2 % 1000000000};

    (void)arg;
    nanosleep(&while_long, NULL);
    return NULL;
}

static thrum_err *offload_sleep(void *arg)
{
    return thrum_offload(call_sleep, arg);
}

static thrum_err *sleep_beside_calls(void *arg)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "calls");
    for (int i = 0; i < CALLS; i++)
        spawn(&s, offload_sleep, NULL);
    return thrum_scope_close(&s, sleep_beside(arg));
}

static void beside_calls(unsigned workers)
{
    struct hogs none = {compute, 0};

    bench_call(workers, sleep_beside_calls, &none);
    add_all();
}

static const struct bench_series series = {
    .name = "hogs",
    .cases = {{"quiet", "us", .run = quiet},
              {"some", "us", .run = some},
              {"all", "us", .run = all},
              {"forks", "us", .run = forks},
              {"begun", "us", .run = begun},
              {"pipe", "us", .run = from_a_pipe},
              {"woken", "us", .run = woken},
              {"offload", "us", .run = beside_calls}},
    .rounds = 3,
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    span = bench_pick(20, 500, 1000) * 1000000;
    bench_run(&series);
    return bench_end();
}
