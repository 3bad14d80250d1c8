/* How soon does an idle worker run what another thread gives it?
 *
 * A thread that is no worker calls into a runtime whose workers sleep. call:
 * from the call to the first line of what is called. there: there and back
 * again. apart: as call, caller and worker pinned to two CPUs; without that the
 * kernel likes to run the one who is woken where the one who wakes him is. The
 * floors are one thread that wakes another by a bare futex, and is woken by it.
 * Before each call the caller spins for a while, so that whoever is to be woken
 * has gone to sleep.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thrum.h>

#include "bench.h"

enum { PAUSE_NS = 200000 };

static long wakes;

static void pause_spinning(void)
{
    int64_t end = bench_now() + PAUSE_NS;

    while (bench_now() < end)
        ;
}

/* ------------------------------------------------------------ where to be */

static cpu_set_t usable;

/* To the first or the last usable CPU: -1 or 1; to any: 0. */
static void move_to(int where)
{
    cpu_set_t one;
    int cpu = where < 0 ? 0 : CPU_SETSIZE - 1;

    if (where == 0) {
        sched_setaffinity(0, sizeof usable, &usable);
        return;
    }
    while (!CPU_ISSET(cpu, &usable))
        cpu -= where;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

/* --------------------------------------------------------------- the floor */

/* Two words, each waited on by one thread. */
struct ping {
    atomic_uint there, back;
    int64_t woken;
    int where;
};

static void wait_for(atomic_uint *word, unsigned value)
{
    while (atomic_load(word) != value)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value - 1, NULL, NULL, 0);
}

static void say(atomic_uint *word, unsigned value)
{
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *answer(void *arg)
{
    struct ping *ping = arg;

    move_to(ping->where);
    for (unsigned i = 1; i <= wakes; i++) {
        wait_for(&ping->there, i);
        ping->woken = bench_now();
        say(&ping->back, i);
    }
    return NULL;
}

static void ping_futex(bool both_ways, int where)
{
    struct ping ping = {.where = where};
    pthread_t thread;

    if (pthread_create(&thread, NULL, answer, &ping) != 0)
        bench_fail("pthread_create");
    for (unsigned i = 1; i <= wakes; i++) {
        int64_t start;

        pause_spinning();
        start = bench_now();
        say(&ping.there, i);
        wait_for(&ping.back, i);
        bench_add((double)((both_ways ? bench_now() : ping.woken) - start) /
                  1e3);
    }
    pthread_join(thread, NULL);
}

static void floor_call(unsigned workers)
{
    (void)workers;
    ping_futex(false, 0);
}

static void floor_there(unsigned workers)
{
    (void)workers;
    ping_futex(true, 0);
}

static void floor_apart(unsigned workers)
{
    (void)workers;
    move_to(1);
    ping_futex(false, -1);
    move_to(0);
}

/* ------------------------------------------------------------------ a call */

static thrum_err *look(void *woken)
{
    *(int64_t *)woken = bench_now();
    return NULL;
}

static void ping_call(thrum_rt *rt, bool both_ways)
{
    int64_t woken;

    for (long i = 0; i < wakes; i++) {
        int64_t start, end;

        woken = 0;
        pause_spinning();
        start = bench_now();
        if (thrum_call(rt, look, &woken) != NULL)
            bench_fail("a task failed");
        end = bench_now();
        bench_expect("it ran in between", woken >= start && woken <= end, 1);
        bench_add((double)((both_ways ? end : woken) - start) / 1e3);
    }
}

static void call(unsigned workers)
{
    ping_call(bench_runtime(workers), false);
}

static void there(unsigned workers)
{
    ping_call(bench_runtime(workers), true);
}

/* A pinned worker is on the first CPU. */
static void apart(unsigned workers)
{
    thrum_opts opts = {.workers = workers, .pin = true};
    thrum_rt *rt;

    if (thrum_start(&rt, &opts) != 0)
        bench_fail("thrum_start");
    move_to(1);
    ping_call(rt, false);
    move_to(0);
    if (thrum_stop(rt) != NULL)
        bench_fail("thrum_stop");
}

static const struct bench_series series = {
    .name = "wake_latency",
    .cases = {{"floor", "us", .run = floor_call, .once = true},
              {"floor_there", "us", .run = floor_there, .once = true},
              {"floor_apart", "us", .run = floor_apart, .once = true},
              {"call", "us", .run = call},
              {"there", "us", .run = there, .floor = "floor_there"},
              {"apart", "us", .run = apart, .once = true,
               .floor = "floor_apart"}},
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    if (sched_getaffinity(0, sizeof usable, &usable) != 0)
        bench_fail("sched_getaffinity");
    wakes = bench_pick(20, 500, 1000);
    bench_run(&series);
    return bench_end();
}
