/* Does a release touch nothing of a mutex, a semaphore, an event, a latch once
 * another has been let through? Each object is freed by the last one to come out of
 * it, while the one before may still be on his way; AddressSanitizer, and the
 * allocator's own checks, tell. In between, cancels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include <thrum.h>

#include "base/atomic.h"
#include "lib/stress.h"
#include "os/clock.h"
#include "os/thread.h"
#include "parts/parker.h"

enum { USERS = 5, KINDS = 6 };

struct object {
    thrum_mutex mutex;
    thrum_cond cond;
    thrum_sem sem;
    thrum_event event;
    thrum_latch latch;
    thrum_rwlock rwlock;
    unsigned users; /* mutex */
    unsigned kind;
    struct rng rng; /* mutex */
};

static _Atomic(struct object *) for_thread;
static struct parker go, ended;
static _Atomic uint64_t freed;
static bool over;

static void drop(struct object *o)
{
    memset((void *)o, 0xee, sizeof *o);
    free(o);
    add_relaxed(&freed, 1);
}

/* The last one out of the mutex frees it. */
static void leave_mutex(struct object *o)
{
    bool last;

    thrum_mutex_lock(&o->mutex);
    last = --o->users == 0;
    if (rng_below(&o->rng, 4) == 0)
        thrum_yield();
    thrum_mutex_unlock(&o->mutex);
    if (last)
        drop(o);
}

/* The last one out signals the one who waits for that, and he frees it. */
static void leave_and_signal(struct object *o)
{
    thrum_mutex_lock(&o->mutex);
    if (--o->users == 1)
        thrum_cond_signal(&o->cond);
    thrum_mutex_unlock(&o->mutex);
}

static void leave_rwlock(struct object *o)
{
    bool last;

    thrum_rwlock_wrlock(&o->rwlock);
    last = --o->users == 0;
    thrum_rwlock_wrunlock(&o->rwlock);
    if (last)
        drop(o);
}

static void leave(struct object *o)
{
    switch (o->kind) {
    case 0:
        leave_mutex(o);
        break;
    case 1:
        leave_and_signal(o);
        break;
    case 2:
        thrum_sem_release(&o->sem);
        break;
    case 3:
        thrum_latch_done(&o->latch);
        break;
    case 4:
        leave_rwlock(o);
        break;
    default:
        thrum_event_set(&o->event);
        break;
    }
}

static thrum_err *leave_in_task(void *object)
{
    leave(object);
    return NULL;
}

static void wait_for_signal(struct object *o)
{
    thrum_mutex_lock(&o->mutex);
    while (o->users > 1)
        must(thrum_cond_wait(&o->cond, &o->mutex) == 0);
    thrum_mutex_unlock(&o->mutex);
}

/* The opener's own part: waits until the others are out, where that is his. */
static void be_last(struct object *o)
{
    switch (o->kind) {
    case 0:
    case 4:
        leave(o);
        return;
    case 1:
        wait_for_signal(o);
        break;
    case 2:
        for (int i = 1; i < USERS; i++)
            must(thrum_sem_acquire(&o->sem) == 0);
        break;
    case 3:
        must(thrum_latch_wait(&o->latch) == 0);
        break;
    default:
        must(thrum_event_wait(&o->event) == 0);
        break;
    }
    drop(o);
}

/* Wait for what does not come, until canceled. */
static thrum_err *wait_in_vain(void *object)
{
    struct object *o = object;
    int rc = thrum_event_wait(&o->event);

    if (rc == 0)
        rc = thrum_sem_acquire(&o->sem);
    must(rc == -ECANCELED);
    return NULL;
}

static void cancel_some(struct rng *rng)
{
    struct object *o = calloc(1, sizeof *o);
    thrum_scope s;

    must(o != NULL);
    thrum_scope_open(&s, .name = "vain");
    for (int i = 0; i < USERS; i++)
        must(thrum_spawn(&s, wait_in_vain, o, 0) == 0);
    if (rng_below(rng, 2))
        thrum_yield();
    if (rng_below(rng, 2))
        thrum_event_set(&o->event);
    if (rng_below(rng, 2))
        thrum_yield();
    thrum_scope_cancel(&s, NULL);
    must(thrum_scope_close(&s, NULL) == NULL);
    drop(o);
}

static void one_object(struct rng *rng)
{
    struct object *o = calloc(1, sizeof *o);
    unsigned kind = rng_below(rng, KINDS);
    /* An event has one who sets it: the others would touch it too late. */
    unsigned others = kind == 5 ? 1 : USERS - 1;
    thrum_scope s;

    must(o != NULL);
    o->kind = kind;
    o->users = USERS;
    rng_init(&o->rng, rng_below(rng, UINT32_MAX));
    thrum_latch_init(&o->latch, USERS - 1);
    thrum_scope_open(&s, .name = "users");
    store_release(&for_thread, o);
    parker_unpark(&go);
    for (unsigned i = 1; i < others; i++)
        must(thrum_spawn(&s, leave_in_task, o, 0) == 0);
    be_last(o);
    must(thrum_scope_close(&s, NULL) == NULL);
    (void)parker_park(&ended, CLOCK_NEVER);
}

static thrum_err *many_objects(void *seed)
{
    struct rng rng;

    rng_init(&rng, *(uint64_t *)seed);
    for (uint64_t i = stress_scale(8000); i > 0; i--) {
        one_object(&rng);
        if (i % 4 == 0)
            cancel_some(&rng);
    }
    return NULL;
}

static void leave_in_thread(void *unused)
{
    (void)unused;
    for (;;) {
        (void)parker_park(&go, CLOCK_NEVER);
        if (over)
            return;
        leave(load_acquire(&for_thread));
        parker_unpark(&ended);
    }
}

int main(void)
{
    struct thread thread;
    uint64_t seed;

    parker_init(&go);
    parker_init(&ended);
    must(thread_start(&thread, "user", 0, leave_in_thread, NULL) == 0);
    for (stress_begin(4); stress_next(&seed);) {
        thrum_opts opts = {.workers = 1 + (unsigned)(seed % 3)};
        thrum_rt *rt;

        must(thrum_start(&rt, &opts) == 0);
        must(thrum_call(rt, many_objects, &seed) == NULL);
        must(thrum_stop(rt) == NULL);
    }
    over = true;
    parker_unpark(&go);
    thread_join(&thread);
    printf("%llu objects freed\n",
           (unsigned long long)load_relaxed(&freed)); /* all have ended */
    return 0;
}
