/* A pool of threads and a queue of jobs, in pthreads
 *
 * The textbook: jobs in a list, a mutex around it, a condition that says that
 * there is one more. See how little of it is the work: threads are started, and
 * stopped again if the third one cannot be; a flag says that no more will come;
 * and what went wrong lies in each slice, where somebody has to look for it.
 *
 * Pitfall: a job that waits for another job of the same pool. When all threads do
 * so nobody is left to run what they wait for.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, SLICES = 16, LENGTH = 1000 };

struct job {
    struct job *next;
    void (*fn)(void *arg);
    void *arg;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct job *first, **end;
    bool stopping;
    int started;
    pthread_t threads[THREADS];
};

static void *worker(void *arg)
{
    struct pool *pool = arg;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct job *job;

        while (pool->first == NULL && !pool->stopping)
            pthread_cond_wait(&pool->filled, &pool->lock);
        if ((job = pool->first) == NULL)
            break;
        if ((pool->first = job->next) == NULL)
            pool->end = &pool->first;
        pthread_mutex_unlock(&pool->lock);
        job->fn(job->arg);
        free(job);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Lets what was submitted end. */
static void pool_stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->filled);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->started; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->filled);
    pthread_mutex_destroy(&pool->lock);
}

static int pool_start(struct pool *pool)
{
    *pool = (struct pool){.end = &pool->first};
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->filled, NULL);
    for (; pool->started < THREADS; pool->started++) {
        int rc = pthread_create(&pool->threads[pool->started], NULL, worker,
                                pool);

        if (rc != 0) {
            pool_stop(pool);
            return -rc;
        }
    }
    return 0;
}

static bool pool_submit(struct pool *pool, void (*fn)(void *), void *arg)
{
    struct job *job = malloc(sizeof *job);

    if (job == NULL)
        return false;
    *job = (struct job){.fn = fn, .arg = arg};
    pthread_mutex_lock(&pool->lock);
    *pool->end = job;
    pool->end = &job->next;
    pthread_cond_signal(&pool->filled);
    pthread_mutex_unlock(&pool->lock);
    return true;
}

/* ----------------------------------------------------------------- the work */

struct slice {
    int low, high, primes;
    bool bad;
};

static void count(void *arg)
{
    struct slice *slice = arg;

    slice->bad = slice->low > slice->high;
    for (int n = slice->low; n < slice->high; n++) {
        int d = 2;

        while (d * d <= n && n % d != 0)
            d++;
        slice->primes += n >= 2 && d * d > n;
    }
}

int main(void)
{
    struct slice slices[SLICES] = {{0}};
    struct pool pool;
    int primes = 0, rc = pool_start(&pool);
    bool submitted = true;

    if (rc != 0) {
        fprintf(stderr, "no threads: %s\n", strerror(-rc));
        return 1;
    }
    for (int i = 0; submitted && i < SLICES; i++) {
        slices[i].low = i * LENGTH;
        slices[i].high = i == 5 ? 0 : (i + 1) * LENGTH; /* one is bad */
        submitted = pool_submit(&pool, count, &slices[i]);
    }
    pool_stop(&pool);
    for (int i = 0; i < SLICES; i++) {
        primes += slices[i].primes;
        if (slices[i].bad)
            printf("from %d to %d?\n", slices[i].low, slices[i].high);
    }
    printf("%d primes in the other slices\n", primes);
    if (!submitted)
        fprintf(stderr, "out of memory\n");
    return !submitted;
}
