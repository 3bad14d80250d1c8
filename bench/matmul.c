/* How does regular arithmetic scale? Two matrices of doubles, multiplied.
 *
 * A fork is a rectangle of blocks of the result; a leaf is one block of 64 by
 * 64, all of its sums. The floor is the same leaf in two plain loops. The leaf
 * is what a C compiler makes of three loops, not what a BLAS would do.
 */
#include <stdlib.h>
#include <string.h>

#include <thrum.h>

#include "bench.h"

enum { BLOCK = 64 };

static int n; /* a multiple of BLOCK */
static double *a, *b, *c;

/* A block of c, at so many blocks down and across: the sums over all k. */
static void leaf(double *out, int down, int across)
{
    double sums[BLOCK][BLOCK] = {{0}};
    const double *left = a + (size_t)down * BLOCK * n;
    const double *right = b + (size_t)across * BLOCK;

    for (int k = 0; k < n; k += BLOCK)
        for (int i = 0; i < BLOCK; i++)
            for (int j = k; j < k + BLOCK; j++) {
                double x = left[i * n + j];

                for (int l = 0; l < BLOCK; l++)
                    sums[i][l] += x * right[j * n + l];
            }
    for (int i = 0; i < BLOCK; i++)
        memcpy(out + ((size_t)down * BLOCK + i) * n + across * BLOCK, sums[i],
               sizeof sums[i]);
}

/* --------------------------------------------------------------- checking */

/* The numbers are small and whole, so every sum of them is exact. */
static double small(void)
{
    static uint32_t state = 1;

    state = state * 1664525 + 1013904223;
    return (int)(state >> 28) - 8;
}

static void multiply(const double *m, const double *x, double *y)
{
    for (int i = 0; i < n; i++) {
        y[i] = 0;
        for (int j = 0; j < n; j++)
            y[i] += m[(size_t)i * n + j] * x[j];
    }
}

/* c x = a (b x) for a vector x: wrong by chance once in sixteen times a wrong
 * row, so try some. */
static void check(void)
{
    double *x = malloc(4 * n * sizeof *x), *bx = x + n, *abx = bx + n;
    double *cx = abx + n;

    for (int trial = 0; trial < 3; trial++) {
        for (int i = 0; i < n; i++)
            x[i] = small();
        multiply(b, x, bx);
        multiply(a, bx, abx);
        multiply(c, x, cx);
        bench_expect("the comparison", memcmp(abx, cx, n * sizeof *x), 0);
    }
    free(x);
    memset(c, 0, (size_t)n * n * sizeof *c);
}

/* --------------------------------------------------------------- the floor */

static void serial(double *out)
{
    for (int i = 0; i < n / BLOCK; i++)
        for (int j = 0; j < n / BLOCK; j++)
            leaf(out, i, j);
}

static void pair(void)
{
    double *own = malloc((size_t)n * n * sizeof *own);

    serial(own);
    free(own);
}

static void floor_matmul(unsigned workers)
{
    int64_t start = bench_now();

    (void)workers;
    serial(c);
    bench_add((double)(bench_now() - start) / 1e6);
    check();
}

/* ------------------------------------------------------------------- typed */

THRUM_PROC(rectangle, int, top, int, bottom, int, left, int, right)
{
    if (bottom - top == 1 && right - left == 1) {
        leaf(c, top, left);
    } else if (bottom - top > right - left) {
        int middle = (top + bottom) / 2;

        THRUM_FORK(rectangle, middle, bottom, left, right);
        THRUM_CALL(rectangle, top, middle, left, right);
        THRUM_JOIN(rectangle);
    } else {
        int middle = (left + right) / 2;

        THRUM_FORK(rectangle, top, bottom, middle, right);
        THRUM_CALL(rectangle, top, bottom, left, middle);
        THRUM_JOIN(rectangle);
    }
}

static thrum_err *run_typed(void *unused)
{
    (void)unused;
    rectangle(0, n / BLOCK, 0, n / BLOCK);
    return NULL;
}

static void typed(unsigned workers)
{
    bench_add(bench_call_ns(workers, run_typed, NULL) / 1e6);
    check();
}

/* ------------------------------------------------------------------- plain */

struct rectangle {
    int top, bottom, left, right;
};

static thrum_err *rectangle_plain(void *arg)
{
    const struct rectangle *r = arg;
    struct rectangle here = *r, there = *r;
    thrum_err *e, *f;
    thrum_task task;

    if (r->bottom - r->top == 1 && r->right - r->left == 1) {
        leaf(c, r->top, r->left);
        return NULL;
    }
    if (r->bottom - r->top > r->right - r->left)
        here.bottom = there.top = (r->top + r->bottom) / 2;
    else
        here.right = there.left = (r->left + r->right) / 2;
    thrum_fork(&task, rectangle_plain, &there);
    e = rectangle_plain(&here);
    f = thrum_join(&task);
    return e || f ? thrum_err_add(e, f) : NULL;
}

static void plain(unsigned workers)
{
    struct rectangle all = {0, n / BLOCK, 0, n / BLOCK};

    bench_add(bench_call_ns(workers, rectangle_plain, &all) / 1e6);
    check();
}

/* --------------------------------------------------------------------- for */

static thrum_err *blocks(size_t lo, size_t hi, void *unused)
{
    int across = n / BLOCK;

    (void)unused;
    for (size_t i = lo; i < hi; i++)
        leaf(c, (int)i / across, (int)i % across);
    return NULL;
}

static thrum_err *run_for(void *unused)
{
    size_t across = (size_t)n / BLOCK;

    (void)unused;
    return thrum_for(0, across * across, 0, blocks, NULL);
}

static void loop(unsigned workers)
{
    bench_add(bench_call_ns(workers, run_for, NULL) / 1e6);
    check();
}

static double *matrix(void)
{
    double *m = malloc((size_t)n * n * sizeof *m);

    if (m == NULL)
        bench_fail("out of memory");
    for (size_t i = 0; i < (size_t)n * n; i++)
        m[i] = small();
    return m;
}

int main(int argc, char **argv)
{
    static const struct bench_series series = {
        .name = "matmul",
        .cases = {{"floor", "ms", .run = floor_matmul, .once = true},
                  {"typed", "ms", .run = typed},
                  {"plain", "ms", .run = plain},
                  {"for", "ms", .run = loop}},
        .pair = pair,
    };

    bench_begin(argc > 1 ? argv[1] : NULL);
    n = (int)bench_pick(192, 512, 1024);
    a = matrix();
    b = matrix();
    c = matrix();
    bench_run(&series);
    free(a);
    free(b);
    free(c);
    return bench_end();
}
