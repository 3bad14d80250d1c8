/* A chain of stages, in pthreads
 *
 * A thread a stage, a bounded queue between each two. One thread, since two would
 * change the order of the items. See what an error takes: it is told to all queues,
 * since who is upstream may wait for room, and who is downstream for an item.
 *
 * Pitfall: a stage that simply returns when it fails. The one before it then waits
 * for room for ever, and so does the join.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 4, STAGES = 3 };

struct item {
    const char *word;
    long number, steps;
};

struct queue {
    struct item items[ROOM];
    unsigned begin, count;
    bool closed;
};

struct stage;

struct line {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct queue queues[STAGES]; /* one before each stage */
    const char *bad;             /* the item that failed */
    char report[200];
};

struct stage {
    struct line *line;
    int number;
    pthread_t thread;
};

static bool put(struct line *l, struct queue *q, const struct item *item)
{
    bool ok;

    pthread_mutex_lock(&l->lock);
    while (l->bad == NULL && q->count == ROOM)
        pthread_cond_wait(&l->changed, &l->lock);
    if ((ok = l->bad == NULL))
        q->items[(q->begin + q->count++) % ROOM] = *item;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    return ok;
}

static bool take(struct line *l, struct queue *q, struct item *item)
{
    bool ok;

    pthread_mutex_lock(&l->lock);
    while (l->bad == NULL && q->count == 0 && !q->closed)
        pthread_cond_wait(&l->changed, &l->lock);
    if ((ok = l->bad == NULL && q->count > 0)) {
        *item = q->items[q->begin];
        q->begin = (q->begin + 1) % ROOM;
        q->count--;
    }
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    return ok;
}

/* What: NULL for the end of the items, else the one that failed. */
static void end(struct line *l, struct queue *q, const char *what)
{
    pthread_mutex_lock(&l->lock);
    q->closed = true;
    if (l->bad == NULL)
        l->bad = what;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

static bool parse(struct line *l, struct item *item)
{
    char *rest;

    (void)l;
    item->number = strtol(item->word, &rest, 10);
    return *rest == '\0' && item->number > 0;
}

static bool measure(struct line *l, struct item *item)
{
    (void)l;
    for (long n = item->number; n > 1; item->steps++)
        n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return true;
}

static bool append(struct line *l, struct item *item)
{
    size_t used = strlen(l->report);

    snprintf(l->report + used, sizeof l->report - used, " %ld:%ld",
             item->number, item->steps);
    return true;
}

static bool (*const work[STAGES])(struct line *,
                                  struct item *) = {parse, measure, append};

static void *run_stage(void *arg)
{
    struct stage *me = arg;
    struct line *l = me->line;
    struct queue *in = &l->queues[me->number];
    bool last = me->number == STAGES - 1;
    struct item item;

    while (take(l, in, &item)) {
        if (!work[me->number](l, &item))
            end(l, in, item.word);
        else if (!last)
            put(l, in + 1, &item);
    }
    if (!last)
        end(l, in + 1, NULL);
    return NULL;
}

static int run(const char *const *words)
{
    struct line line = {.lock = PTHREAD_MUTEX_INITIALIZER,
                        .changed = PTHREAD_COND_INITIALIZER};
    struct stage stages[STAGES];
    int started = 0, rc = 0;

    for (; started < STAGES; started++) {
        struct stage *s = &stages[started];

        *s = (struct stage){.line = &line, .number = started};
        if ((rc = pthread_create(&s->thread, NULL, run_stage, s)) != 0)
            break;
    }
    for (; rc == 0 && *words != NULL; words++)
        if (!put(&line, &line.queues[0], &(struct item){.word = *words}))
            break;
    end(&line, &line.queues[0], rc != 0 ? "no thread" : NULL);
    for (int i = 0; i < started; i++)
        pthread_join(stages[i].thread, NULL);
    if (rc != 0)
        return rc;
    if (line.bad == NULL)
        printf("steps:%s\n", line.report);
    else
        printf("not a number: %s\n", line.bad);
    return 0;
}

int main(void)
{
    static const char *const good[] = {"1", "2", "3", "4", "5",
                                       "6", "7", "8", "9", NULL},
                             *const bad[] = {"1", "2", "x3", "4", "5",
                                             "6", "7", "8",  "9", NULL};
    int rc = run(good);

    if (rc == 0)
        rc = run(bad);
    if (rc != 0)
        fprintf(stderr, "pthread_create: %s\n", strerror(rc));
    return rc != 0;
}
