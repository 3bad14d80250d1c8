/* What does it cost to let another task run? Two tasks yield to each other.
 *
 * One worker, since both are to be on the same. A value is the time from one
 * task to the other: a yield, the choice of who is next, a switch of stacks.
 * many: a thousand tasks, so that their stacks are not all in the first cache.
 * The floor is a call through a pointer; a bare switch is internal.
 */
#include <thrum.h>

#include "bench.h"

static long yields; /* of all tasks together */
static long done, handovers;
static const void *last;

static void note(const void *who)
{
    done++;
    handovers += last != who;
    last = who;
}

static void floor_call(unsigned workers)
{
    void (*fn)(const void *) = bench_hide(&note);
    int64_t start = bench_now();

    (void)workers;
    done = 0;
    for (long i = 0; i < yields; i++)
        fn(NULL);
    bench_add((double)(bench_now() - start) / (double)yields);
    bench_expect("calls", done, yields);
}

static thrum_err *yield_often(void *arg)
{
    long times = *(long *)arg;

    for (long i = 0; i < times; i++) {
        note(arg);
        thrum_yield();
    }
    return NULL;
}

static thrum_err *spawn_yielders(void *arg)
{
    long tasks = *(long *)arg, each = yields / tasks;
    thrum_scope s;
    int rc = 0;

    thrum_scope_open(&s, .name = "yielders");
    for (long i = 0; i < tasks && rc == 0; i++)
        rc = thrum_spawn(&s, yield_often, &each, sizeof each);
    return thrum_scope_close(&s, thrum_rc(rc));
}

/* All but the first and the last few hand-overs go to another task. */
static void measure(unsigned workers, long tasks)
{
    done = handovers = 0;
    bench_add(bench_call_ns(workers, spawn_yielders, &tasks) / (double)yields);
    bench_expect("yields", done, yields);
    bench_expect("yields that let nobody run (in 100)",
                 (done - handovers) * 100 / done, 0);
}

static void two(unsigned workers)
{
    measure(workers, 2);
}

static void many(unsigned workers)
{
    measure(workers, 1000);
}

static const struct bench_series series = {
    .name = "yield_pingpong",
    .cases = {{"floor", "ns", .run = floor_call, .once = true},
              {"two", "ns", .run = two, .once = true},
              {"many", "ns", .run = many, .once = true}},
    .rounds = 11,
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    yields = bench_pick(20000, 2000000, 10000000);
    bench_run(&series);
    return bench_end();
}
