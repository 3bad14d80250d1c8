/* sum(ProcessPoolExecutor().map(steps, range(n))): a loop on all cores
 *
 * The range is split when a core asks for work, and each part is folded into an
 * accumulator; then those are merged. No task is made for a number, and nobody
 * has to say how many parts there should be.
 *
 * Pitfall: parts run at the same time. They may write to their accumulator, not
 * to what they share.
 */
#include <stdio.h>
#include <thrum.h>

enum { NUMBERS = 100000 };

struct best {
    size_t number;
    unsigned steps;
};

/* Of Collatz: halve what is even, triple and add one to what is odd. */
static unsigned steps_from(size_t n)
{
    unsigned steps = 0;

    for (; n > 1; steps++)
        n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return steps;
}

static void init(void *acc, void *ctx)
{
    (void)ctx;
    *(struct best *)acc = (struct best){0, 0};
}

static void merge(void *into, void *from, void *ctx)
{
    struct best *a = into, *b = from;

    (void)ctx;
    if (b->steps > a->steps)
        *a = *b;
}

static thrum_err *fold(size_t low, size_t high, void *acc, void *ctx)
{
    for (size_t n = low; n < high; n++)
        merge(acc, &(struct best){n, steps_from(n)}, ctx);
    return NULL;
}

static thrum_err *app(void *arg)
{
    static const thrum_reduction longest = {
        .size = sizeof(struct best), .init = init, .merge = merge, .fn = fold};
    struct best best = {0, 0};

    (void)arg;
    THRUM_TRY(thrum_reduce(1, NUMBERS, 0, &longest, &best, NULL));
    printf("%zu takes %u steps\n", best.number, best.steps);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
