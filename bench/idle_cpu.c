/* How much CPU does a runtime use that has nothing to do? In five seconds.
 *
 * All workers have just been busy. idle: nothing waits. asleep: a thousand
 * tasks wait for a time that does not come while we look. The floor is a
 * process that sleeps. A millisecond is too much, and ends the program.
 */
#include <stdatomic.h>
#include <time.h>

#include <thrum.h>

#include "bench.h"

enum { SLEEPERS = 1000, LIMIT_US = 1000 };

static long window_ns;

static int64_t cpu_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void let_pass(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    nanosleep(&t, NULL);
}

/* In microseconds for five seconds. A short window is not judged: to fall asleep
 * and to wake once already takes a tenth of a millisecond. */
static void add(int64_t cpu_ns)
{
    double us = (double)cpu_ns / 1e3 * 5e9 / (double)window_ns;

    bench_add(us);
    if (bench_pick(0, 0, 1))
        bench_expect("CPU time, at most one millisecond", us < LIMIT_US, 1);
}

static void watch(void)
{
    int64_t before;

    let_pass(window_ns / 10); /* whoever still spins is to stop */
    before = cpu_time();
    let_pass(window_ns);
    add(cpu_time() - before);
}

static void floor_sleep(unsigned workers)
{
    (void)workers;
    watch();
}

/* ----------------------------------------------------------------- runtimes */

static thrum_err *spin(size_t i, void *unused)
{
    int64_t end = bench_now() + 1000000;

    (void)i;
    (void)unused;
    while (bench_now() < end)
        ;
    return NULL;
}

static thrum_err *be_busy(void *unused)
{
    (void)unused;
    return thrum_each(100, spin, NULL, .name = "busy");
}

static thrum_rt *start_busy(unsigned workers)
{
    thrum_opts opts = {.workers = workers};
    thrum_rt *rt;

    if (thrum_start(&rt, &opts) != 0 || thrum_call(rt, be_busy, NULL) != NULL)
        bench_fail("no runtime");
    return rt;
}

static void idle(unsigned workers)
{
    thrum_rt *rt = start_busy(workers);

    watch();
    if (thrum_stop(rt) != NULL)
        bench_fail("thrum_stop");
}

static atomic_int asleep_count;

static thrum_err *sleep_long(void *unused)
{
    (void)unused;
    atomic_fetch_add(&asleep_count, 1);
    return thrum_rc(thrum_sleep(2 * window_ns));
}

static thrum_err *spawn_sleepers(void *unused)
{
    thrum_scope s;
    int rc = 0;

    (void)unused;
    thrum_scope_open(&s, .name = "sleepers");
    for (int i = 0; i < SLEEPERS && rc == 0; i++)
        rc = thrum_spawn(&s, sleep_long, NULL, 0);
    return thrum_scope_close(&s, thrum_rc(rc));
}

static void asleep(unsigned workers)
{
    thrum_rt *rt = start_busy(workers);

    atomic_store(&asleep_count, 0);
    if (thrum_post(rt, spawn_sleepers, NULL, 0) != 0)
        bench_fail("thrum_post");
    while (atomic_load(&asleep_count) < SLEEPERS)
        let_pass(1000000);
    watch();
    if (thrum_stop(rt) != NULL)
        bench_fail("thrum_stop");
}

static const struct bench_series series = {
    .name = "idle_cpu",
    .cases = {{"floor", "us/5s", .run = floor_sleep, .once = true},
              {"idle", "us/5s", .run = idle},
              {"asleep", "us/5s", .run = asleep}},
    .rounds = 3,
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    window_ns = bench_pick(50000000, 1000000000, 5000000000);
    bench_run(&series);
    return bench_end();
}
