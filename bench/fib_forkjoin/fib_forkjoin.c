/* What does a fork cost, and does it scale? fib without a cut-off, per call.
 *
 * Half of the calls are forks. The floor is plain C in a file of its own, so
 * the compiler does with it what it does with any serial program: it makes far
 * fewer calls than fib has. loop is the floor where it may make a loop of the
 * second call, and makes the first; calls is the floor with all of them made.
 */
#include <thrum.h>

#include "../bench.h"
#include "serial.h"

static int n;
static long wanted, calls;

static void add(double ns)
{
    bench_add(ns / (double)calls);
}

/* --------------------------------------------------------------- the floor */

static void measure_serial(long (*fn)(int))
{
    int64_t start = bench_now();
    long got = fn(n);

    add((double)(bench_now() - start));
    bench_expect("fib", got, wanted);
}

static void floor_fib(unsigned workers)
{
    (void)workers;
    measure_serial(fib_serial);
}

static void one_call(unsigned workers)
{
    (void)workers;
    measure_serial(fib_loop);
}

static void every_call(unsigned workers)
{
    (void)workers;
    measure_serial(fib_calls);
}

static void pair(void)
{
    bench_expect("fib", fib_serial(n), wanted);
}

/* ------------------------------------------------------------------- typed */

THRUM_TASK(long, fib, int, k)
{
    long b;

    if (k < 2)
        return k;
    THRUM_FORK(fib, k - 1);
    b = THRUM_CALL(fib, k - 2);
    return THRUM_JOIN(fib) + b;
}

static thrum_err *run_typed(void *result)
{
    *(long *)result = fib(n);
    return NULL;
}

static void typed(unsigned workers)
{
    long got = 0;

    add(bench_call_ns(workers, run_typed, &got));
    bench_expect("fib", got, wanted);
}

/* ------------------------------------------------------------------- plain */

struct fib_call {
    long k, result;
};

static thrum_err *fib_plain(void *arg)
{
    struct fib_call *call = arg, a, b;
    thrum_err *e, *f;
    thrum_task task;

    if (call->k < 2) {
        call->result = call->k;
        return NULL;
    }
    a.k = call->k - 1;
    b.k = call->k - 2;
    thrum_fork(&task, fib_plain, &a);
    e = fib_plain(&b);
    f = thrum_join(&task);
    if (e || f)
        return thrum_err_add(e, f);
    call->result = a.result + b.result;
    return NULL;
}

static void plain(unsigned workers)
{
    struct fib_call call = {.k = n};

    add(bench_call_ns(workers, fib_plain, &call));
    bench_expect("fib", call.result, wanted);
}

static const struct bench_series series = {
    .name = "fib_forkjoin",
    .cases = {{"floor", "ns", .run = floor_fib, .once = true},
              {"loop", "ns", .run = one_call, .once = true},
              {"calls", "ns", .run = every_call, .once = true},
              {"typed", "ns", .run = typed},
              {"plain", "ns", .run = plain}},
    .pair = pair,
};

int main(int argc, char **argv)
{
    long a = 0, b = 1;

    bench_begin(argc > 1 ? argv[1] : NULL);
    n = (int)bench_pick(20, 35, 38);
    for (int i = 0; i < n; i++) {
        long next = a + b;

        a = b;
        b = next;
    }
    wanted = a;
    calls = 2 * b - 1; /* 2 fib(n + 1) - 1 */
    bench_run(&series);
    return bench_end();
}
