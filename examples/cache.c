/* A cache: many read at once, and now and then one writes
 *
 * thrum_once_call makes the table at its first use, whoever comes first.
 * thrum_rwlock lets all readers in together, or one writer. What is missing is
 * fetched under no lock at all; so two may fetch the same, but nobody waits for a
 * fetch of something else.
 *
 * Pitfall: a reader cannot become a writer while it reads. Between the two it holds
 * nothing, and must look again.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <thrum.h>

enum { KEYS = 50, READERS = 8, READS = 400 };

static struct {
    thrum_once once;
    thrum_rwlock lock;
    int *values;     /* once, then lock */
    int made, known; /* the same */
} cache;

static atomic_int wrong;

static thrum_err *make_cache(void *arg)
{
    (void)arg;
    cache.made++;
    cache.values = calloc(KEYS, sizeof *cache.values);
    return cache.values == NULL ? thrum_rc(-ENOMEM) : NULL;
}

static thrum_err *fetch(int key, int *value)
{
    THRUM_TRY(thrum_sleep(THRUM_US(10))); /* a slow data base */
    *value = key * 10;
    return NULL;
}

static void remember(int key, int value)
{
    thrum_rwlock_wrlock(&cache.lock);
    if (cache.values[key] == 0) /* or somebody else was faster */
        cache.known++;
    cache.values[key] = value;
    thrum_rwlock_wrunlock(&cache.lock);
}

static thrum_err *look_up(int key, int *value)
{
    THRUM_TRY(thrum_once_call(&cache.once, make_cache, NULL));
    thrum_rwlock_rdlock(&cache.lock);
    *value = cache.values[key];
    thrum_rwlock_rdunlock(&cache.lock);
    if (*value != 0)
        return NULL;
    THRUM_TRY(fetch(key, value));
    remember(key, *value);
    return NULL;
}

static thrum_err *read_all(void *arg)
{
    int value;

    (void)arg;
    for (int i = 0; i < READS; i++) {
        int key = 1 + i * 5 % (KEYS - 1);

        THRUM_TRY(look_up(key, &value));
        wrong += value != key * 10;
    }
    return NULL;
}

static thrum_err *app(void *arg)
{
    thrum_scope s;
    int rc = 0;

    (void)arg;
    thrum_scope_open(&s, .name = "readers");
    for (int i = 0; rc == 0 && i < READERS; i++)
        rc = thrum_spawn(&s, read_all, NULL, 0);
    THRUM_TRY(thrum_scope_close(&s, thrum_rc(rc)));
    printf("%d table with %d values, %d wrong\n", cache.made, cache.known,
           wrong);
    free(cache.values);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
