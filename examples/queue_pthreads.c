/* Producers and consumers around a bounded queue, in pthreads
 *
 * A ring, a mutex, and two conditions: there is room, there is an item. The end is
 * the hard part: the queue is closed after the last producer has been joined, and
 * each consumer goes on until it is empty. If a thread cannot be started, those
 * that run must be brought to their end all the same.
 *
 * Pitfall: one condition for both ends, with a signal: it may wake a producer when
 * a consumer was meant, and all wait for ever.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 8, PRODUCERS = 2, CONSUMERS = 3, ITEMS = 500 };

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled, drained;
    unsigned begin, count;
    bool closed;
    int items[ROOM];
};

static struct queue queue = {.lock = PTHREAD_MUTEX_INITIALIZER,
                             .filled = PTHREAD_COND_INITIALIZER,
                             .drained = PTHREAD_COND_INITIALIZER};

static bool put(struct queue *q, int item)
{
    bool put_in;

    pthread_mutex_lock(&q->lock);
    while (q->count == ROOM && !q->closed)
        pthread_cond_wait(&q->drained, &q->lock);
    if ((put_in = !q->closed)) {
        q->items[(q->begin + q->count++) % ROOM] = item;
        pthread_cond_signal(&q->filled);
    }
    pthread_mutex_unlock(&q->lock);
    return put_in;
}

static bool take(struct queue *q, int *item)
{
    bool got;

    pthread_mutex_lock(&q->lock);
    while (q->count == 0 && !q->closed)
        pthread_cond_wait(&q->filled, &q->lock);
    if ((got = q->count > 0)) {
        *item = q->items[q->begin];
        q->begin = (q->begin + 1) % ROOM;
        q->count--;
        pthread_cond_signal(&q->drained);
    }
    pthread_mutex_unlock(&q->lock);
    return got;
}

static void close_queue(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->filled);
    pthread_cond_broadcast(&q->drained);
    pthread_mutex_unlock(&q->lock);
}

static void *produce(void *arg)
{
    (void)arg;
    for (int i = 1; i <= ITEMS && put(&queue, i); i++)
        ;
    return NULL;
}

struct tally {
    long items, sum;
};

static void *consume(void *arg)
{
    struct tally *tally = arg;
    int item;

    while (take(&queue, &item)) {
        tally->items++;
        tally->sum += item;
    }
    return NULL;
}

int main(void)
{
    struct tally tallies[CONSUMERS] = {{0}}, all = {0};
    pthread_t producers[PRODUCERS], consumers[CONSUMERS];
    int made = 0, eaten = 0, rc = 0;

    while (rc == 0 && eaten < CONSUMERS)
        if ((rc = pthread_create(&consumers[eaten], NULL, consume,
                                 &tallies[eaten])) == 0)
            eaten++;
    while (rc == 0 && made < PRODUCERS)
        if ((rc = pthread_create(&producers[made], NULL, produce, NULL)) == 0)
            made++;
    if (rc != 0)
        close_queue(&queue); /* the producers there are shall not wait */
    for (int i = 0; i < made; i++)
        pthread_join(producers[i], NULL);
    close_queue(&queue);
    for (int i = 0; i < eaten; i++) {
        pthread_join(consumers[i], NULL);
        all.items += tallies[i].items;
        all.sum += tallies[i].sum;
    }
    if (rc != 0)
        fprintf(stderr, "no threads: %s\n", strerror(rc));
    else
        printf("%ld items, their sum is %ld\n", all.items, all.sum);
    return rc != 0;
}
