/* A loop on all cores, in pthreads
 *
 * The range is cut into as many parts as there are CPUs, each gets a thread. That
 * is the usual way, and it has two faults: the parts take unequal time, so that in
 * the end one thread works and the others wait; and it costs a thread a part,
 * however short the loop is.
 *
 * Pitfall: after a pthread_create that fails, those that run must be joined before
 * the array is freed.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NUMBERS = 100000, MOST = 64 };

struct part {
    size_t low, high;
    int *steps;
};

/* How many steps n takes to come to 1: half of it, or three times it and one. */
static int chain(size_t n)
{
    int steps = 0;

    for (; n > 1; steps++)
        n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return steps;
}

static void *measure(void *arg)
{
    struct part *part = arg;

    for (size_t n = part->low; n < part->high; n++)
        part->steps[n] = chain(n);
    return NULL;
}

static int measure_all(int *steps)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = cpus < 1 ? 1 : cpus > MOST ? MOST : (size_t)cpus, started;
    struct part parts[MOST];
    pthread_t threads[MOST];
    int rc = 0;

    for (started = 0; started < count; started++) {
        parts[started] = (struct part){NUMBERS * started / count,
                                       NUMBERS * (started + 1) / count, steps};
        rc = pthread_create(&threads[started], NULL, measure, &parts[started]);
        if (rc != 0)
            break;
    }
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return rc;
}

int main(void)
{
    int *steps = calloc(NUMBERS, sizeof *steps);
    int longest = 1, rc;

    if (steps == NULL) {
        perror("calloc");
        return 1;
    }
    if ((rc = measure_all(steps)) != 0) {
        fprintf(stderr, "pthread_create: %s\n", strerror(rc));
    } else {
        for (int n = 1; n < NUMBERS; n++)
            longest = steps[n] > steps[longest] ? n : longest;
        printf("%d takes %d steps\n", longest, steps[longest]);
    }
    free(steps);
    return rc != 0;
}
