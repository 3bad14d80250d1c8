#include "task/record.h"

#include <string.h>

#include "base/alloc.h"
#include "base/sanitize.h"
#include "os/forked.h"
#include "os/spin.h"

enum {
    HALF = WORKER_RECORDS / 2, /* handed from worker to worker at once */
    SHARED_MAX = 64 * HALF,
    AHEAD = 2, /* it may be another CPU's: have it here when its turn comes */
};

/* Spare ones that some worker has too many of, of all runtimes together. */
static struct {
    struct spin lock;
    unsigned count;                 /* lock */
    struct record *all[SHARED_MAX]; /* lock */
} shared;

static void forget(void)
{
    store_relaxed(&shared.lock.held, 0); /* by a thread that is gone */
    shared.count = 0;
}

FORGET_IN_CHILD(forget)

/* Checkers shall not think that all are one. */
static bool is_kept(const struct record *r)
{
    return r->small && !SANITIZE_THREAD && !SANITIZE_ADDRESS;
}

static cold unsigned shared_take(void **records)
{
    unsigned n;

    spin_lock(&shared.lock);
    n = shared.count < HALF ? shared.count : HALF;
    shared.count -= n;
    memcpy(records, shared.all + shared.count, n * sizeof *records);
    spin_unlock(&shared.lock);
    return n;
}

/* Those unused for longest; the others move up. */
static cold void make_room(struct worker *w)
{
    unsigned given = 0;

    spin_lock(&shared.lock);
    if (shared.count + HALF <= SHARED_MAX) {
        memcpy(shared.all + shared.count, w->records,
               HALF * sizeof *w->records);
        shared.count += HALF;
        given = HALF;
    }
    spin_unlock(&shared.lock);
    for (; given < HALF; given++)
        release(w->records[given]);
    memcpy(w->records, w->records + HALF, HALF * sizeof *w->records);
    w->record_count = HALF;
}

static struct record *take_spare(struct worker *w)
{
    unsigned left = --w->record_count;

    if (left >= AHEAD)
        __builtin_prefetch(w->records[left - AHEAD], 1);
    return w->records[left];
}

static __attribute__((noinline)) struct record *get_another(struct worker *w,
                                                            size_t copy)
{
    bool small = copy <= RECORD_SMALL;
    struct record *r;

    if (small && w != NULL && (w->record_count = shared_take(w->records)) > 0)
        return take_spare(w);
    if (!small && copy > SIZE_MAX - sizeof *r)
        return NULL;
    r = alloc(small ? sizeof *r : sizeof *r + copy);
    if (r != NULL)
        r->small = small;
    return r;
}

struct record *record_get(struct worker *w, size_t copy)
{
    if (likely(w != NULL && copy <= RECORD_SMALL && w->record_count > 0))
        return take_spare(w);
    return get_another(w, copy);
}

void record_put(struct worker *w, struct record *r)
{
    if (!is_kept(r)) {
        release(r);
        return;
    }
    if (w->record_count == WORKER_RECORDS)
        make_room(w);
    w->records[w->record_count++] = r;
}

void records_free(struct worker *w)
{
    do
        while (w->record_count > 0)
            release(w->records[--w->record_count]);
    while ((w->record_count = shared_take(w->records)) > 0);
}
