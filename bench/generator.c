/* What does an item of a generator cost? A body that counts, a consumer that
 * sums up.
 *
 * next: one item at a time: two switches of stacks. many: 64 at a time. chain: an
 * item that passes through a second generator. open: a generator that is opened,
 * gives one item, and is closed. The floor is a call through a pointer for each
 * item; one worker, as nothing runs side by side.
 */
#include <thrum.h>

#include "bench.h"

enum { BATCH = 64 };

static long items;

static long count_up(long *n)
{
    return (*n)++;
}

static void floor_call(unsigned workers)
{
    long (*fn)(long *) = bench_hide(&count_up);
    int64_t start = bench_now();
    long n = 0, sum = 0;

    (void)workers;
    for (long i = 0; i < items; i++)
        sum += fn(&n);
    bench_add((double)(bench_now() - start) / (double)items);
    bench_expect("the sum", sum, items * (items - 1) / 2);
}

static thrum_err *count(void *arg)
{
    long n = *(long *)arg;

    for (long i = 0; i < n; i++)
        THRUM_TRY(thrum_gen_emit(&i));
    return NULL;
}

static thrum_err *pass_on(void *arg)
{
    thrum_gen g;
    long item;
    int more, rc = 0;

    thrum_gen_open(&g, count, arg, sizeof item);
    while (rc == 0 && (more = thrum_gen_next(&g, &item)) > 0)
        rc = thrum_gen_emit(&item);
    return thrum_err_add(thrum_rc(rc), thrum_gen_close(&g));
}

static long sum;

static thrum_err *drain(thrum_gen *g)
{
    long item;
    int more;

    while ((more = thrum_gen_next(g, &item)) > 0)
        sum += item;
    return thrum_err_add(thrum_rc(more), thrum_gen_close(g));
}

static thrum_err *by_one(void *arg)
{
    thrum_gen g;

    thrum_gen_open(&g, count, arg, sizeof(long));
    return drain(&g);
}

static thrum_err *by_chain(void *arg)
{
    thrum_gen g;

    thrum_gen_open(&g, pass_on, arg, sizeof(long));
    return drain(&g);
}

static thrum_err *by_many(void *arg)
{
    long batch[BATCH];
    thrum_gen g;
    int n;

    thrum_gen_open(&g, count, arg, sizeof *batch);
    while ((n = thrum_gen_next_many(&g, batch, BATCH)) > 0)
        for (int i = 0; i < n; i++)
            sum += batch[i];
    return thrum_err_add(thrum_rc(n), thrum_gen_close(&g));
}

static thrum_err *open_each(void *arg)
{
    for (long i = 0; i < *(long *)arg; i++) {
        long one = i + 1, item = 0;
        thrum_gen g;
        int rc;

        thrum_gen_open(&g, count, &one, sizeof item);
        rc = thrum_gen_next(&g, &item);
        sum += i;
        THRUM_TRY(thrum_err_add(thrum_rc(rc), thrum_gen_close(&g)));
    }
    return NULL;
}

static void measure(thrum_fn *fn, long n)
{
    sum = 0;
    bench_add(bench_call_ns(1, fn, &n) / (double)n);
    bench_expect("the sum", sum, n * (n - 1) / 2);
}

static void next(unsigned workers)
{
    (void)workers;
    measure(by_one, items);
}

static void many(unsigned workers)
{
    (void)workers;
    measure(by_many, items);
}

static void chain(unsigned workers)
{
    (void)workers;
    measure(by_chain, items);
}

static void open_close(unsigned workers)
{
    (void)workers;
    measure(open_each, items / 10);
}

static const struct bench_series series = {
    .name = "generator",
    .cases = {{"floor", "ns", .run = floor_call, .once = true},
              {"next", "ns", .run = next, .once = true},
              {"many", "ns", .run = many, .once = true},
              {"chain", "ns", .run = chain, .once = true},
              {"open", "ns", .run = open_close, .once = true}},
    .rounds = 11,
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    items = bench_pick(20000, 2000000, 10000000);
    bench_run(&series);
    return bench_end();
}
