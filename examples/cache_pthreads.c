/* A cache with many readers, in pthreads
 *
 * A reader-writer lock around a list. Who does not find a key takes the lock to
 * write, looks again, since another may have come first, and loads the value. It is
 * loaded once, and an error is not kept: the next one tries again.
 *
 * Pitfall: the lock is held while a value is loaded, so that one slow key keeps out
 * all readers of all keys. To let go of it takes a state and a condition an entry.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { READERS = 4, LOOKUPS = 100, KEYS = 8, BAD = 3 };

struct entry {
    struct entry *next;
    int key, value;
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct entry *entries;
static int loads, refused; /* under the lock */

static struct entry *find(int key)
{
    struct entry *e = entries;

    while (e != NULL && e->key != key)
        e = e->next;
    return e;
}

/* From far away. The first time that BAD is asked for it fails. */
static bool load(int key, int *value)
{
    struct timespec far = {.tv_nsec = 100000};

    nanosleep(&far, NULL);
    if (key == BAD && refused == 0) {
        refused++;
        return false;
    }
    *value = key * key;
    loads++;
    return true;
}

/* With the lock to write. */
static struct entry *add(int key)
{
    struct entry *e = malloc(sizeof *e);

    if (e == NULL || !load(key, &e->value)) {
        free(e);
        return NULL;
    }
    e->key = key;
    e->next = entries;
    return entries = e;
}

static bool lookup(int key, int *value)
{
    struct entry *e;

    pthread_rwlock_rdlock(&lock);
    e = find(key);
    if (e == NULL) {
        pthread_rwlock_unlock(&lock);
        pthread_rwlock_wrlock(&lock);
        if ((e = find(key)) == NULL)
            e = add(key);
    }
    if (e != NULL)
        *value = e->value;
    pthread_rwlock_unlock(&lock);
    return e != NULL;
}

/* Returns NULL, or what went wrong. */
static void *read_all(void *arg)
{
    for (int i = 0; i < LOOKUPS; i++) {
        int key = i % KEYS, value;

        if (!lookup(key, &value) && !lookup(key, &value)) /* once more */
            return "cannot be loaded";
        if (value != key * key)
            return "not the value of the key";
    }
    return arg;
}

int main(void)
{
    pthread_t threads[READERS];
    const char *wrong = NULL;
    int started = 0, rc = 0;

    while (rc == 0 && started < READERS)
        if ((rc = pthread_create(&threads[started], NULL, read_all, NULL)) == 0)
            started++;
    for (int i = 0; i < started; i++) {
        void *result;

        pthread_join(threads[i], &result);
        wrong = result != NULL ? result : wrong;
    }
    for (struct entry *e; (e = entries) != NULL; free(e))
        entries = e->next;
    if (rc != 0 || wrong != NULL) {
        fprintf(stderr, "%s\n", rc != 0 ? strerror(rc) : wrong);
        return 1;
    }
    printf("%d lookups, %d loads, %d refused\n", READERS * LOOKUPS, loads,
           refused);
    return 0;
}
