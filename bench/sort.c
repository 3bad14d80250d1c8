/* How does work scale that is mostly memory? Fifty million integers, sorted.
 *
 * A sample sort: 255 splitters part the integers into 256 buckets, each bucket
 * is sorted by radix. The floor is the same in plain loops; it is the fastest
 * serial sort here. Beside it stand the C library's qsort, as the one that
 * every C program has, and a radix sort over the whole array, which is what one
 * would write to be fast on one core.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <thrum.h>

#include "bench.h"

enum { LEVELS = 8, BUCKETS = 1 << LEVELS, OVERSAMPLE = 32, BLOCK_MAX = 128 };
enum { DIGIT = 11, DIGITS = 3, VALUES = 1 << DIGIT };

/* ------------------------------------------------------------------- radix */

static void radix_pass(const uint32_t *from, uint32_t *to, size_t n, int shift,
                       size_t *at)
{
    size_t sum = 0;

    for (size_t v = 0; v < VALUES; v++) {
        size_t count = at[v];

        at[v] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        to[at[from[i] >> shift & (VALUES - 1)]++] = from[i];
}

/* Sort what is in `from`; the result is in `to`, and `from` is overwritten. */
static void radix_sort(uint32_t *from, uint32_t *to, size_t n)
{
    size_t counts[DIGITS][VALUES];

    memset(counts, 0, sizeof counts);
    for (size_t i = 0; i < n; i++)
        for (int d = 0; d < DIGITS; d++)
            counts[d][from[i] >> d * DIGIT & (VALUES - 1)]++;
    radix_pass(from, to, n, 0, counts[0]);
    radix_pass(to, from, n, DIGIT, counts[1]);
    radix_pass(from, to, n, 2 * DIGIT, counts[2]);
}

/* ------------------------------------------------------------- sample sort */

struct sorter {
    uint32_t *data, *other;
    unsigned char *bucket_of;
    size_t n;
    int blocks;
    uint32_t tree[BUCKETS]; /* the splitters; the children of i at 2i, 2i+1 */
    size_t at[BLOCK_MAX][BUCKETS];
    size_t first[BUCKETS + 1];
};

/* Three phases; the parts of one may run at the same time. */
typedef void part_fn(struct sorter *s, int part);
typedef void loop_fn(part_fn *fn, struct sorter *s, int parts);

static size_t block_start(const struct sorter *s, int block)
{
    return s->n * (size_t)block / (size_t)s->blocks;
}

static void classify(struct sorter *s, int block)
{
    size_t *counts = s->at[block], end = block_start(s, block + 1);

    memset(counts, 0, sizeof s->at[block]);
    for (size_t i = block_start(s, block); i < end; i++) {
        uint32_t x = s->data[i];
        size_t node = 1;

        for (int level = 0; level < LEVELS; level++)
            node = 2 * node + (x > s->tree[node]);
        s->bucket_of[i] = (unsigned char)(node - BUCKETS);
        counts[node - BUCKETS]++;
    }
}

static void scatter(struct sorter *s, int block)
{
    size_t *at = s->at[block], end = block_start(s, block + 1);

    for (size_t i = block_start(s, block); i < end; i++)
        s->other[at[s->bucket_of[i]]++] = s->data[i];
}

static void finish(struct sorter *s, int bucket)
{
    size_t lo = s->first[bucket], hi = s->first[bucket + 1];

    radix_sort(s->other + lo, s->data + lo, hi - lo);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void choose_splitters(struct sorter *s)
{
    uint32_t sample[BUCKETS * OVERSAMPLE];
    size_t count = sizeof sample / sizeof *sample;

    for (size_t i = 0; i < count; i++)
        sample[i] = s->data[s->n / count * i + i % (s->n / count + 1)];
    qsort(sample, count, sizeof *sample, compare);
    for (int level = 0; level < LEVELS; level++)
        for (int i = 0; i < 1 << level; i++)
            s->tree[(1 << level) + i] =
                sample[(size_t)(2 * i + 1) * (count >> (level + 1))];
}

/* From counts to places: bucket by bucket, within each block by block. */
static void lay_out(struct sorter *s)
{
    size_t sum = 0;

    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        s->first[bucket] = sum;
        for (int block = 0; block < s->blocks; block++) {
            size_t count = s->at[block][bucket];

            s->at[block][bucket] = sum;
            sum += count;
        }
    }
    s->first[BUCKETS] = sum;
}

static void sample_sort(struct sorter *s, loop_fn *loop)
{
    choose_splitters(s);
    loop(classify, s, s->blocks);
    lay_out(s);
    loop(scatter, s, s->blocks);
    loop(finish, s, BUCKETS);
}

/* ----------------------------------------------------------- the four loops */

static void loop_serial(part_fn *fn, struct sorter *s, int parts)
{
    for (int i = 0; i < parts; i++)
        fn(s, i);
}

THRUM_PROC(parts_typed, part_fn *, fn, struct sorter *, s, int, lo, int, hi)
{
    if (hi - lo == 1) {
        fn(s, lo);
    } else {
        THRUM_FORK(parts_typed, fn, s, (lo + hi) / 2, hi);
        THRUM_CALL(parts_typed, fn, s, lo, (lo + hi) / 2);
        THRUM_JOIN(parts_typed);
    }
}

static void loop_typed(part_fn *fn, struct sorter *s, int parts)
{
    parts_typed(fn, s, 0, parts);
}

struct parts {
    part_fn *fn;
    struct sorter *s;
    int lo, hi;
};

static thrum_err *parts_plain(void *arg)
{
    struct parts *all = arg, low = *all, high = *all;
    thrum_err *e, *f;
    thrum_task task;

    if (all->hi - all->lo == 1) {
        all->fn(all->s, all->lo);
        return NULL;
    }
    low.hi = high.lo = (all->lo + all->hi) / 2;
    thrum_fork(&task, parts_plain, &high);
    e = parts_plain(&low);
    f = thrum_join(&task);
    return e || f ? thrum_err_add(e, f) : NULL;
}

static void loop_plain(part_fn *fn, struct sorter *s, int parts)
{
    struct parts all = {fn, s, 0, parts};

    if (parts_plain(&all) != NULL)
        bench_fail("a fork failed");
}

static thrum_err *parts_for(size_t lo, size_t hi, void *arg)
{
    const struct parts *all = arg;

    for (size_t i = lo; i < hi; i++)
        all->fn(all->s, (int)i);
    return NULL;
}

static void loop_for(part_fn *fn, struct sorter *s, int parts)
{
    struct parts all = {fn, s, 0, parts};

    if (thrum_for(0, (size_t)parts, 0, parts_for, &all) != NULL)
        bench_fail("a part failed");
}

/* --------------------------------------------------------------- the cases */

static struct sorter whole;
static int slices;

/* The same numbers every time. */
static uint64_t fill(uint32_t *data, size_t n)
{
    uint64_t state = 0x9e3779b97f4a7c15, sum = 0;

    for (size_t i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data[i] = (uint32_t)(state >> 32);
        sum += (uint64_t)data[i] * data[i];
    }
    return sum;
}

/* In order, and with the same sum of squares as what went in. */
static void check(const uint32_t *data, size_t n, uint64_t wanted)
{
    uint64_t sum = 0;
    size_t falls = 0;

    for (size_t i = 0; i < n; i++) {
        sum += (uint64_t)data[i] * data[i];
        falls += i > 0 && data[i - 1] > data[i];
    }
    bench_expect("the number of steps down", (int64_t)falls, 0);
    bench_expect("the sum of squares", (int64_t)sum, (int64_t)wanted);
}

static void measure(unsigned workers, thrum_fn *fn, void *arg)
{
    uint64_t sum = fill(whole.data, whole.n);
    int64_t start = bench_now();

    if (workers > 0) {
        bench_add(bench_call_ns(workers, fn, arg) / 1e6);
    } else {
        (void)fn(arg);
        bench_add((double)(bench_now() - start) / 1e6);
    }
    check(whole.data, whole.n, sum);
}

static thrum_err *sort_whole(void *loop)
{
    sample_sort(&whole, *(loop_fn **)loop);
    return NULL;
}

static thrum_err *radix_whole(void *unused)
{
    (void)unused;
    radix_sort(whole.data, whole.other, whole.n);
    memcpy(whole.data, whole.other, whole.n * sizeof *whole.data);
    return NULL;
}

static thrum_err *qsort_whole(void *unused)
{
    (void)unused;
    qsort(whole.data, whole.n, sizeof *whole.data, compare);
    return NULL;
}

static void floor_sort(unsigned workers)
{
    loop_fn *loop = loop_serial;

    (void)workers;
    measure(0, sort_whole, &loop);
}

static void radix(unsigned workers)
{
    (void)workers;
    measure(0, radix_whole, NULL);
}

static void library(unsigned workers)
{
    (void)workers;
    measure(0, qsort_whole, NULL);
}

static void typed(unsigned workers)
{
    loop_fn *loop = loop_typed;

    measure(workers, sort_whole, &loop);
}

static void plain(unsigned workers)
{
    loop_fn *loop = loop_plain;

    measure(workers, sort_whole, &loop);
}

static void each(unsigned workers)
{
    loop_fn *loop = loop_for;

    measure(workers, sort_whole, &loop);
}

/* Every thread sorts a slice of its own. */
static void pair(void)
{
    static atomic_int tickets;
    int slice = atomic_fetch_add(&tickets, 1) % slices;
    size_t n = whole.n / (size_t)slices, lo = n * (size_t)slice;
    struct sorter *s = malloc(sizeof *s);

    if (s == NULL)
        bench_fail("out of memory");
    *s = (struct sorter){.data = whole.data + lo,
                         .other = whole.other + lo,
                         .bucket_of = whole.bucket_of + lo,
                         .n = n,
                         .blocks = whole.blocks};
    fill(s->data, n);
    sample_sort(s, loop_serial);
    free(s);
}

static const struct bench_series series = {
    .name = "sort",
    .cases = {{"floor", "ms", .run = floor_sort, .once = true},
              {"radix", "ms", .run = radix, .once = true},
              {"qsort", "ms", .run = library, .once = true},
              {"typed", "ms", .run = typed},
              {"plain", "ms", .run = plain},
              {"for", "ms", .run = each}},
    .pair = pair,
    .rounds = 5,
};

int main(int argc, char **argv)
{
    const unsigned *counts;
    size_t width;

    bench_begin(argc > 1 ? argv[1] : NULL);
    width = bench_worker_counts(&counts);
    for (size_t i = 0; i < width; i++)
        slices = (int)counts[i] > slices ? (int)counts[i] : slices;
    whole.n = (size_t)bench_pick(100000, 5000000, 50000000);
    whole.blocks = (int)bench_pick(8, 64, BLOCK_MAX);
    whole.data = calloc(whole.n, sizeof *whole.data);
    whole.other = calloc(whole.n, sizeof *whole.other);
    whole.bucket_of = calloc(whole.n, 1);
    if (!whole.data || !whole.other || !whole.bucket_of)
        bench_fail("out of memory");
    bench_run(&series);
    free(whole.data);
    free(whole.other);
    free(whole.bucket_of);
    return bench_end();
}
