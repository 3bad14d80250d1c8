/* What do a million small tasks cost? A tree of tens, its leaves summed.
 *
 * A million leaves hang under 111,111 inner tasks. There is no work but the
 * tasks themselves, so the floor is a few milliseconds of plain calls.
 */
#include <thrum.h>

#include "bench.h"

enum { FAN = 10 };

static long leaves;

static void check(long sum)
{
    bench_expect("the sum", sum, leaves * (leaves - 1) / 2);
}

/* --------------------------------------------------------------- the floor */

static __attribute__((noinline)) long skynet_serial(long first, long size)
{
    long sum = 0;

    if (size == 1)
        return first;
    size /= FAN;
    for (int i = 0; i < FAN; i++)
        sum += skynet_serial(first + i * size, size);
    return sum;
}

/* Long enough for two threads to meet. */
static void pair(void)
{
    for (int i = 0; i < 20; i++)
        check(skynet_serial(bench_hide(0L), leaves));
}

static void floor_skynet(unsigned workers)
{
    int64_t start = bench_now();
    long sum = skynet_serial(bench_hide(0L), leaves);

    (void)workers;
    bench_add((double)(bench_now() - start) / 1e6);
    check(sum);
}

/* ------------------------------------------------------------------- typed */

THRUM_TASK(long, skynet, long, first, long, size)
{
    long sum = 0;

    if (size == 1)
        return first;
    size /= FAN;
    for (int i = 0; i < FAN; i++)
        THRUM_FORK(skynet, first + i * size, size);
    for (int i = 0; i < FAN; i++)
        sum += THRUM_JOIN(skynet);
    return sum;
}

static thrum_err *run_typed(void *result)
{
    *(long *)result = skynet(0, leaves);
    return NULL;
}

static void measure(unsigned workers, thrum_fn *fn, void *arg, const long *sum)
{
    bench_add(bench_call_ns(workers, fn, arg) / 1e6);
    check(*sum);
}

static void typed(unsigned workers)
{
    long sum = 0;

    measure(workers, run_typed, &sum, &sum);
}

/* ------------------------------------------------------------------- plain */

struct part {
    long first, size, sum;
};

static thrum_err *skynet_plain(void *arg)
{
    struct part *up = arg, parts[FAN];
    thrum_task tasks[FAN];
    thrum_err *e = NULL, *f;
    long size = up->size / FAN;

    up->sum = up->first;
    if (up->size == 1)
        return NULL;
    for (int i = 0; i < FAN; i++) {
        parts[i].first = up->first + i * size;
        parts[i].size = size;
        thrum_fork(&tasks[i], skynet_plain, &parts[i]);
    }
    up->sum = 0;
    for (int i = FAN - 1; i >= 0; i--) {
        if ((f = thrum_join(&tasks[i])) != NULL)
            e = thrum_err_add(e, f);
        up->sum += parts[i].sum;
    }
    return e;
}

static void plain(unsigned workers)
{
    struct part root = {.size = leaves};

    measure(workers, skynet_plain, &root, &root.sum);
}

/* ------------------------------------------------------------------- spawn */

struct child {
    long first, size, *sum;
};

static thrum_err *skynet_spawn(void *arg)
{
    const struct child *up = arg;
    struct child child = {.size = up->size / FAN};
    long sums[FAN], sum = 0;
    thrum_scope s;
    int rc = 0;

    if (up->size == 1) {
        *up->sum = up->first;
        return NULL;
    }
    thrum_scope_open(&s, .name = "skynet");
    for (int i = 0; i < FAN && rc == 0; i++) {
        child.first = up->first + i * child.size;
        child.sum = &sums[i];
        rc = thrum_spawn(&s, skynet_spawn, &child, sizeof child);
    }
    THRUM_TRY(thrum_scope_close(&s, thrum_rc(rc)));
    for (int i = 0; i < FAN; i++)
        sum += sums[i];
    *up->sum = sum;
    return NULL;
}

static void spawn(unsigned workers)
{
    long sum = 0;
    struct child root = {.size = leaves, .sum = &sum};

    measure(workers, skynet_spawn, &root, &sum);
}

static const struct bench_series series = {
    .name = "skynet",
    .cases = {{"floor", "ms", .run = floor_skynet, .once = true},
              {"typed", "ms", .run = typed},
              {"plain", "ms", .run = plain},
              {"spawn", "ms", .run = spawn}},
    .pair = pair,
    .rounds = 25,
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    leaves = bench_pick(1000, 1000000, 1000000);
    bench_run(&series);
    return bench_end();
}
