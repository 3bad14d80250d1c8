/* A pool of threads and a queue of jobs, with thrum: pool_pthreads.c
 *
 * There is no pool to write: the runtime is one, as wide as the machine, and a
 * scope is the group of jobs. Closing it waits for them, and returns the errors of
 * all, each where the others are; a job cannot fail unseen. A timeout over the whole
 * is one word. A job may wait for another: that holds no thread.
 *
 * Pitfall: the default policy cancels the others when one fails. Jobs that have
 * nothing to do with each other want THRUM_SETTLE.
 */
#include <stdio.h>
#include <thrum.h>

enum { SLICES = 16, LENGTH = 1000 };

THRUM_KIND(BadSlice, THRUM_ERROR);

struct slice {
    int low, high, primes;
};

static thrum_err *count(void *arg)
{
    struct slice *slice = arg;

    if (slice->low > slice->high)
        return thrum_fail(&BadSlice, "from %d to %d?", slice->low, slice->high);
    for (int n = slice->low; n < slice->high; n++) {
        int d = 2;

        THRUM_TRY(thrum_checkpoint()); /* is the time over? */
        while (d * d <= n && n % d != 0)
            d++;
        slice->primes += n >= 2 && d * d > n;
    }
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct slice slices[SLICES] = {{0}};
    thrum_err *e, *bad;
    thrum_scope s;
    int primes = 0, rc = 0;

    (void)arg;
    thrum_scope_open(&s, .name = "primes", .policy = THRUM_SETTLE,
                     .timeout = THRUM_SEC(60));
    for (int i = 0; rc == 0 && i < SLICES; i++) {
        slices[i].low = i * LENGTH;
        slices[i].high = i == 5 ? 0 : (i + 1) * LENGTH; /* one is bad */
        rc = thrum_spawn(&s, count, &slices[i], 0);
    }
    e = thrum_scope_close(&s, thrum_rc(rc));
    for (int i = 0; i < SLICES; i++)
        primes += slices[i].primes;
    if ((bad = thrum_err_split(&e, &BadSlice)) != NULL)
        puts(thrum_err_msg(bad));
    thrum_err_drop(bad);
    printf("%d primes in the other slices\n", primes);
    return e; /* what was not a bad slice */
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
