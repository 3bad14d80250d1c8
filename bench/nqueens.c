/* How does an irregular search scale? All placements of queens on a board.
 *
 * Every placement that is legal so far is a fork: some 4.6 million of them for
 * 13 queens, of 0.1 microseconds each. A board is 16 bytes and travels by value
 * in the typed form. As in the usual version of this benchmark the whole board
 * is checked every time.
 */
#include <thrum.h>

#include "bench.h"

enum { BOARD = 16 };

struct board {
    signed char column[BOARD];
};

static int n;
static long wanted;

/* Not copied into its callers: its loop is nearly all of the time, and each copy
 * would lie, and be aligned, in another way. */
static __attribute__((noinline)) bool legal(const struct board *b, int rows)
{
    for (int i = 0; i < rows; i++)
        for (int j = i + 1; j < rows; j++) {
            int apart = b->column[j] - b->column[i];

            if (apart == 0 || apart == j - i || apart == i - j)
                return false;
        }
    return true;
}

/* --------------------------------------------------------------- the floor */

static long queens_serial(int row, struct board b)
{
    long sum = 0;

    if (row == n)
        return 1;
    for (int i = 0; i < n; i++) {
        b.column[row] = (signed char)i;
        if (legal(&b, row + 1))
            sum += queens_serial(row + 1, b);
    }
    return sum;
}

static void pair(void)
{
    bench_expect("nqueens", queens_serial(0, (struct board){{0}}), wanted);
}

static void floor_queens(unsigned workers)
{
    int64_t start = bench_now();

    (void)workers;
    pair();
    bench_add((double)(bench_now() - start) / 1e6);
}

/* ------------------------------------------------------------------- typed */

THRUM_TASK(long, queens, int, row, struct board, b)
{
    long sum = 0;
    int forks = 0;

    if (row == n)
        return 1;
    for (int i = 0; i < n; i++) {
        b.column[row] = (signed char)i;
        if (!legal(&b, row + 1))
            continue;
        THRUM_FORK(queens, row + 1, b);
        forks++;
    }
    while (forks-- > 0)
        sum += THRUM_JOIN(queens);
    return sum;
}

static thrum_err *run_typed(void *result)
{
    *(long *)result = queens(0, (struct board){{0}});
    return NULL;
}

static void typed(unsigned workers)
{
    long got = 0;

    bench_add(bench_call_ns(workers, run_typed, &got) / 1e6);
    bench_expect("nqueens", got, wanted);
}

/* ------------------------------------------------------------------- plain */

struct call {
    struct board b;
    int row;
    long sum;
};

static thrum_err *queens_plain(void *arg)
{
    struct call *up = arg, calls[BOARD];
    thrum_task tasks[BOARD];
    thrum_err *e = NULL, *f;
    int forks = 0;

    up->sum = up->row == n;
    for (int i = 0; up->row < n && i < n; i++) {
        up->b.column[up->row] = (signed char)i;
        if (!legal(&up->b, up->row + 1))
            continue;
        calls[forks] = (struct call){.b = up->b, .row = up->row + 1};
        thrum_fork(&tasks[forks], queens_plain, &calls[forks]);
        forks++;
    }
    while (forks-- > 0) {
        if ((f = thrum_join(&tasks[forks])) != NULL)
            e = thrum_err_add(e, f);
        up->sum += calls[forks].sum;
    }
    return e;
}

static void plain(unsigned workers)
{
    struct call call = {.row = 0};

    bench_add(bench_call_ns(workers, queens_plain, &call) / 1e6);
    bench_expect("nqueens", call.sum, wanted);
}

static const struct bench_series series = {
    .name = "nqueens",
    .cases = {{"floor", "ms", .run = floor_queens, .once = true},
              {"typed", "ms", .run = typed},
              {"plain", "ms", .run = plain}},
    .pair = pair,
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    n = (int)bench_pick(7, 11, 13);
    wanted = bench_pick(40, 2680, 73712);
    bench_run(&series);
    return bench_end();
}
