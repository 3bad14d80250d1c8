/* A cache with many readers, with thrum: cache_pthreads.c
 *
 * The lock guards the list, no more. An entry has a thrum_once of its own: who needs
 * it first loads it, others who want it wait, and all others go on. A load that fails
 * was none, and the next one tries again; its error goes to who called it. While a
 * task waits, for the lock or for the value, its worker does something else.
 *
 * Pitfall: who reads already must not begin to read once more. A writer may have come
 * in between, and each would wait for the other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <thrum.h>

enum { READERS = 4, LOOKUPS = 100, KEYS = 8, BAD = 3 };

THRUM_KIND(Refused, THRUM_ERROR);

struct entry {
    struct entry *next;
    thrum_once once;
    int key, value, loads, refused;
};

struct cache {
    thrum_rwlock lock;
    struct entry *entries;
};

static struct entry *find(struct cache *cache, int key)
{
    struct entry *e = cache->entries;

    while (e != NULL && e->key != key)
        e = e->next;
    return e;
}

/* From far away. The first time that BAD is asked for it fails. */
static thrum_err *load(void *arg)
{
    struct entry *e = arg;

    THRUM_TRY(thrum_sleep(THRUM_US(100)));
    if (e->key == BAD && e->refused++ == 0)
        return thrum_fail(&Refused, "no %d today", e->key);
    e->value = e->key * e->key;
    e->loads++;
    return NULL;
}

/* The entry, loaded or not. NULL: no memory. */
static struct entry *entry_of(struct cache *cache, int key)
{
    struct entry *e;

    thrum_rwlock_rdlock(&cache->lock);
    e = find(cache, key);
    thrum_rwlock_rdunlock(&cache->lock);
    if (e != NULL)
        return e;
    thrum_rwlock_wrlock(&cache->lock);
    e = find(cache, key);
    if (e == NULL && (e = calloc(1, sizeof *e)) != NULL) {
        e->key = key;
        e->next = cache->entries;
        cache->entries = e;
    }
    thrum_rwlock_wrunlock(&cache->lock);
    return e;
}

static thrum_err *lookup(struct cache *cache, int key, int *value)
{
    struct entry *e = entry_of(cache, key);

    THRUM_TRY(e == NULL ? -ENOMEM : 0);
    THRUM_TRY(thrum_once_call(&e->once, load, e));
    *value = e->value;
    return NULL;
}

static thrum_err *read_all(size_t reader, void *cache)
{
    (void)reader;
    for (int i = 0; i < LOOKUPS; i++) {
        int key = i % KEYS, value;
        thrum_err *e = lookup(cache, key, &value);

        if (thrum_err_is(e, &Refused)) {
            thrum_err_drop(e);
            e = lookup(cache, key, &value); /* once more */
        }
        THRUM_TRY(e);
        if (value != key * key)
            return thrum_fail(&THRUM_ERROR, "not the value of %d", key);
    }
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct cache cache = {.entries = NULL};
    thrum_err *err = thrum_each(READERS, read_all, &cache);
    int loads = 0, refused = 0;

    (void)arg;
    for (struct entry *e; (e = cache.entries) != NULL; free(e)) {
        cache.entries = e->next;
        loads += e->loads;
        refused += e->refused > 0;
    }
    if (err == NULL)
        printf("%d lookups, %d loads, %d refused\n", READERS * LOOKUPS, loads,
               refused);
    return err;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
