/* bench.c - rounds, samples, lines, and what the machine can do. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

enum { COUNTS_MAX = 64 };
enum mode { MODE_CHECK, MODE_SHORT, MODE_FULL };

struct samples {
    double *values;
    size_t count, room;
};

static enum mode mode;
static unsigned counts[COUNTS_MAX];
static size_t count_of_counts;
static thrum_rt *runtimes[COUNTS_MAX];
static struct samples *filling;

size_t bench_stack_bytes;

int64_t bench_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void bench_fail(const char *what)
{
    fflush(stdout);
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

void bench_expect(const char *what, int64_t got, int64_t wanted)
{
    if (got == wanted)
        return;
    fflush(stdout);
    fprintf(stderr, "bench: wrong result: %s is %lld, not %lld\n", what,
            (long long)got, (long long)wanted);
    exit(1);
}

static void *grow(void *old, size_t bytes)
{
    void *p = realloc(old, bytes);

    if (p == NULL)
        bench_fail("out of memory");
    return p;
}

/* ------------------------------------------------------------- the setting */

static unsigned usable_cpus(cpu_set_t *set)
{
    CPU_ZERO(set);
    if (sched_getaffinity(0, sizeof *set, set) != 0)
        bench_fail("sched_getaffinity");
    return (unsigned)CPU_COUNT(set);
}

static void use_count(unsigned long count)
{
    if (count == 0 || count > 1024 || count_of_counts == COUNTS_MAX)
        bench_fail("THRUM_BENCH_WORKERS wants numbers such as \"1 2 4\"");
    counts[count_of_counts++] = (unsigned)count;
}

/* Every count up to eight, then in doubling steps, and all CPUs. */
static void choose_counts(void)
{
    const char *text = getenv("THRUM_BENCH_WORKERS");
    cpu_set_t set;
    unsigned all = usable_cpus(&set), count;
    char *end;

    if (text != NULL && *text != '\0') {
        for (; *text != '\0'; text = end) {
            use_count(strtoul(text, &end, 10));
            end += strspn(end, " ,");
        }
        return;
    }
    for (count = 1; count < all; count += count < 8 ? 1 : count)
        use_count(count);
    use_count(all);
}

size_t bench_worker_counts(const unsigned **at)
{
    *at = counts;
    return count_of_counts;
}

long bench_pick(long check, long brief, long full)
{
    if (mode == MODE_CHECK)
        return check;
    return mode == MODE_SHORT ? brief : full;
}

void bench_begin(const char *argument)
{
    static const char *const names[] = {"check", "short", "full"};
    const char *wanted = argument != NULL ? argument : getenv("THRUM_BENCH");
    size_t i;

    if (wanted == NULL)
        wanted = "full";
    for (i = 0; i < 3 && strcmp(wanted, names[i]) != 0; i++)
        ;
    if (i == 3)
        bench_fail("the one argument is check, short or full");
    mode = (enum mode)i;
    choose_counts();
}

/* ------------------------------------------------------------- the runtimes */

/* All are kept to the end: an idle one uses no CPU, so it disturbs nobody. */
thrum_rt *bench_runtime(unsigned workers)
{
    thrum_opts opts = {.workers = workers, .stack_size = bench_stack_bytes};
    size_t i;

    for (i = 0; i < count_of_counts && counts[i] != workers; i++)
        ;
    if (i == count_of_counts)
        use_count(workers); /* a place for it; the rounds have begun */
    if (runtimes[i] == NULL && thrum_start(&runtimes[i], &opts) != 0)
        bench_fail("thrum_start");
    return runtimes[i];
}

static void end_if_failed(thrum_err *e)
{
    if (e == NULL)
        return;
    thrum_report(e);
    bench_fail("a task failed");
}

void bench_call(unsigned workers, thrum_fn *fn, void *arg)
{
    end_if_failed(thrum_call(bench_runtime(workers), fn, arg));
}

struct timed {
    thrum_fn *fn;
    void *arg;
    int64_t ns;
};

static thrum_err *call_timed(void *arg)
{
    struct timed *timed = arg;
    int64_t start = bench_now();
    thrum_err *e = timed->fn(timed->arg);

    timed->ns = bench_now() - start;
    return e;
}

double bench_call_ns(unsigned workers, thrum_fn *fn, void *arg)
{
    struct timed timed = {.fn = fn, .arg = arg};

    bench_call(workers, call_timed, &timed);
    return (double)timed.ns;
}

int bench_end(void)
{
    for (size_t i = 0; i < COUNTS_MAX; i++)
        if (runtimes[i] != NULL)
            end_if_failed(thrum_stop(runtimes[i]));
    return 0;
}

/* -------------------------------------------------------------- the samples */

void bench_add(double value)
{
    struct samples *s = filling;

    if (s->count == s->room) {
        s->room = s->room ? 2 * s->room : 16;
        s->values = grow(s->values, s->room * sizeof *s->values);
    }
    s->values[s->count++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The smallest value that so large a part of the sorted ones do not exceed. */
static double percentile(const struct samples *s, double part)
{
    size_t rank = (size_t)(part * (double)s->count + 0.999999);

    return s->values[rank == 0 ? 0 : rank - 1];
}

static double median(const struct samples *s)
{
    size_t half = s->count / 2;

    if (s->count % 2 == 1)
        return s->values[half];
    return (s->values[half - 1] + s->values[half]) / 2;
}

static struct samples sorted_copy(const struct samples *s)
{
    struct samples copy = {.count = s->count};

    copy.values = grow(NULL, s->count * sizeof *s->values);
    memcpy(copy.values, s->values, s->count * sizeof *s->values);
    qsort(copy.values, copy.count, sizeof *copy.values, compare);
    return copy;
}

static int digits(double value)
{
    return value < 10 ? 3 : value < 100 ? 2 : value < 10000 ? 1 : 0;
}

static void print_line(const char *name, const char *variant, unsigned workers,
                       const char *unit, const struct samples *s)
{
    struct samples in_order = sorted_copy(s);
    double mid = median(&in_order), p99 = percentile(&in_order, 0.99);

    printf("%s %s/%u %.*f %s %.*f %.*f %zu\n", name, variant, workers,
           digits(mid), mid, unit, digits(mid), mid, digits(p99), p99,
           s->count);
    fflush(stdout);
    free(in_order.values);
}

/* How many times `b` is `a`. Where each round gave one sample, round is set
 * against round, which cancels what was slow for both. */
static double times(const struct samples *a, const struct samples *b)
{
    struct samples ratios = {0}, *kept = filling;
    struct samples x = sorted_copy(a), y = sorted_copy(b);
    double result = median(&x) / median(&y);

    if (a->count == b->count && a->count < 100) {
        filling = &ratios;
        for (size_t i = 0; i < a->count; i++)
            bench_add(a->values[i] / b->values[i]);
        filling = kept;
        qsort(ratios.values, ratios.count, sizeof *ratios.values, compare);
        result = median(&ratios);
    }
    free(x.values);
    free(y.values);
    free(ratios.values);
    return result;
}

/* --------------------------------------------------- what the machine gives */

struct runner {
    pthread_t thread;
    pthread_barrier_t *together;
    void (*work)(void);
    int64_t from, to;
};

static void *run_alone(void *arg)
{
    struct runner *r = arg;

    pthread_barrier_wait(r->together);
    r->from = bench_now();
    r->work();
    r->to = bench_now();
    return NULL;
}

static void start_pinned(struct runner *r, const cpu_set_t *set, unsigned nth)
{
    pthread_attr_t attr;
    cpu_set_t one;
    int cpu = -1;

    for (unsigned i = 0; i <= nth; i++)
        do
            cpu++;
        while (!CPU_ISSET(cpu, set));
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_attr_init(&attr);
    if (pthread_attr_setaffinity_np(&attr, sizeof one, &one) != 0 ||
        pthread_create(&r->thread, &attr, run_alone, r) != 0)
        bench_fail("no thread to calibrate with");
    pthread_attr_destroy(&attr);
}

/* The same serial work on so many CPUs at once: from first start to last end.
 */
static double side_by_side_ns(void (*work)(void), unsigned threads)
{
    pthread_barrier_t together;
    struct runner runners[1024];
    int64_t from = INT64_MAX, to = 0;
    cpu_set_t set;

    usable_cpus(&set);
    pthread_barrier_init(&together, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        runners[i] = (struct runner){.together = &together, .work = work};
        start_pinned(&runners[i], &set, i);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(runners[i].thread, NULL);
        from = runners[i].from < from ? runners[i].from : from;
        to = runners[i].to > to ? runners[i].to : to;
    }
    pthread_barrier_destroy(&together);
    return (double)(to - from);
}

static void calibrate(const struct bench_series *series, unsigned threads)
{
    double one = side_by_side_ns(series->pair, 1);

    bench_add(threads * one / side_by_side_ns(series->pair, threads));
}

/* ----------------------------------------------------------------- a series */

/* samples[case][count]; the last row is the calibration. */
typedef struct samples table[BENCH_CASES + 1][COUNTS_MAX];

static size_t case_count(const struct bench_series *series)
{
    size_t n = 0;

    while (n < BENCH_CASES && series->cases[n].name != NULL)
        n++;
    return n;
}

static void run_round(const struct bench_series *series, table *all,
                      size_t width)
{
    cpu_set_t set;
    unsigned cpus = usable_cpus(&set);

    for (size_t w = 0; w < width; w++) {
        for (size_t c = 0; c < case_count(series); c++) {
            if (series->cases[c].once && w > 0)
                continue;
            filling = &(*all)[c][w];
            series->cases[c].run(series->cases[c].once ? 1 : counts[w]);
        }
        filling = &(*all)[BENCH_CASES][w];
        if (series->pair != NULL && counts[w] > 1 && counts[w] <= cpus)
            calibrate(series, counts[w]);
    }
}

/* The floor of case c: of those before it, since floors come first. */
static const struct samples *floor_of(const struct bench_series *series,
                                      table *all, size_t c)
{
    const struct bench_case *it = &series->cases[c];
    const char *floor = it->floor ? it->floor : series->cases[0].name;

    for (size_t f = 0; f < c; f++)
        if (strcmp(series->cases[f].name, floor) == 0 &&
            strcmp(series->cases[f].unit, it->unit) == 0)
            return &(*all)[f][0];
    return NULL;
}

/* Sizes for checking are too small for ratios to mean anything. */
static void print_ratios(const struct bench_series *series, table *all,
                         size_t c, size_t w)
{
    const struct bench_case *it = &series->cases[c];
    const struct samples *own = &(*all)[c][w], *first = &(*all)[c][0];
    const struct samples *floor = floor_of(series, all, c);

    if (mode == MODE_CHECK || floor == NULL ||
        strncmp(it->name, "floor", 5) == 0)
        return;
    printf("#   %s/%u is %.2f times %s/1", it->name, it->once ? 1 : counts[w],
           times(own, floor), it->floor ? it->floor : series->cases[0].name);
    if (w > 0 && counts[0] == 1)
        printf(", %.2f times as fast as %s/1", times(first, own), it->name);
    putchar('\n');
}

static void print_all(const struct bench_series *series, table *all,
                      size_t width)
{
    for (size_t w = 0; w < width; w++)
        if ((*all)[BENCH_CASES][w].count > 0)
            print_line("calibrate", "pair", counts[w], "gain",
                       &(*all)[BENCH_CASES][w]);
    for (size_t c = 0; c < case_count(series); c++)
        for (size_t w = 0; w < width; w++) {
            if ((*all)[c][w].count == 0)
                continue;
            print_line(series->name, series->cases[c].name,
                       series->cases[c].once ? 1 : counts[w],
                       series->cases[c].unit, &(*all)[c][w]);
            if (c > 0)
                print_ratios(series, all, c, w);
        }
}

void bench_run(const struct bench_series *series)
{
    table *all = grow(NULL, sizeof *all);
    size_t width = count_of_counts;
    long most = series->rounds ? series->rounds : 7;
    long rounds = bench_pick(1, most < 3 ? most : 3, most);

    memset(all, 0, sizeof *all);
    for (long i = 0; i < rounds; i++)
        run_round(series, all, width);
    print_all(series, all, width);
    for (size_t i = 0; i < BENCH_CASES + 1; i++)
        for (size_t w = 0; w < COUNTS_MAX; w++)
            free((*all)[i][w].values);
    free(all);
}
