/* ProcessPoolExecutor.submit(), future.result(): fork and join
 *
 * A fork is a call that may run on another core. Sort by merging: one half in a
 * fork, the other one here; join, merge. Where no core is free the join calls the
 * fork in place, so the recursion costs little more than without; and how many
 * cores there are is nowhere said.
 *
 * Pitfall: fork, work and join are three statements. In
 * thrum_err_add(sort(&high), thrum_join(&task)) C may call the join first, and
 * nothing would run in parallel.
 */
#include <stdio.h>
#include <string.h>
#include <thrum.h>

enum { COUNT = 1 << 20 };

struct part {
    unsigned *values, *spare;
    size_t count;
};

static void merge(const struct part *low, const struct part *high)
{
    size_t count = low->count + high->count, i = 0, j = 0;

    for (size_t k = 0; k < count; k++)
        if (j == high->count ||
            (i < low->count && low->values[i] <= high->values[j]))
            low->spare[k] = low->values[i++];
        else
            low->spare[k] = high->values[j++];
    memcpy(low->values, low->spare, count * sizeof *low->values);
}

static thrum_err *sort(void *arg)
{
    struct part *all = arg;
    size_t half = all->count / 2;
    struct part low = {all->values, all->spare, half};
    struct part high = {low.values + half, low.spare + half, all->count - half};
    thrum_task task;

    if (all->count < 2)
        return NULL;
    thrum_fork(&task, sort, &low);
    thrum_err *e = sort(&high);
    THRUM_TRY(thrum_err_add(thrum_join(&task), e));
    merge(&low, &high);
    return NULL;
}

int main(void)
{
    static unsigned values[COUNT], spare[COUNT];
    size_t falls = 0;

    for (unsigned i = 0; i < COUNT; i++)
        values[i] = i * 2654435761u;
    thrum_report(thrum_run(NULL, sort, &(struct part){values, spare, COUNT}));
    for (size_t i = 1; i < COUNT; i++)
        falls += values[i - 1] > values[i];
    printf("%d values, %zu out of order\n", COUNT, falls);
    return falls != 0;
}
