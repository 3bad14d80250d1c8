/* A loop on all cores, with thrum: loop_pthreads.c
 *
 * thrum_for cuts as it goes: while a worker looks for work, what is left is split,
 * and nobody idles while another has a long part. A short loop starts no thread. It
 * may fail, be canceled, or stand under a deadline, and no thread is to be joined on
 * the way out.
 *
 * Pitfall: parts run at the same time. Each may write what belongs to its indices;
 * for a sum or a maximum there is thrum_reduce.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <thrum.h>

enum { NUMBERS = 100000 };

/* How many steps n takes to come to 1: half of it, or three times it and one. */
static int chain(size_t n)
{
    int steps = 0;

    for (; n > 1; steps++)
        n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return steps;
}

static thrum_err *measure(size_t low, size_t high, void *ctx)
{
    int *steps = ctx;

    for (size_t n = low; n < high; n++)
        steps[n] = chain(n);
    return NULL;
}

static thrum_err *free_steps(void *steps)
{
    free(steps);
    return NULL;
}

static thrum_err *longest(void *arg)
{
    int *steps = calloc(NUMBERS, sizeof *steps);
    int longest = 1;

    (void)arg;
    if (steps == NULL)
        return thrum_rc(-ENOMEM);
    thrum_defer(NULL, free_steps, steps); /* on every path */
    THRUM_TRY(thrum_for(1, NUMBERS, 0, measure, steps));
    for (int n = 1; n < NUMBERS; n++)
        longest = steps[n] > steps[longest] ? n : longest;
    printf("%d takes %d steps\n", longest, steps[longest]);
    return NULL;
}

static thrum_err *app(void *arg)
{
    return thrum_with(longest, arg, .timeout = THRUM_SEC(60));
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
