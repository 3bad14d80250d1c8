/* Who was let through, and is the last, may free the thing: who let it through is
 * done with it. */
#include "runtime.h"

#include "model_heap.h"

static thrum_err *acquire_and_free(void *arg)
{
    (void)arg;
    SUCCESS(thrum_sem_acquire(world.shared));
    model_free(world.shared);
    return NULL;
}

static thrum_err *release(void *arg)
{
    (void)arg;
    thrum_sem_release(world.shared);
    return NULL;
}

static thrum_err *free_semaphore(void *arg)
{
    (void)arg;
    world.shared = model_calloc(1, sizeof(thrum_sem));
    return both(acquire_and_free, release);
}

static thrum_err *wait_and_free(void *arg)
{
    (void)arg;
    SUCCESS(thrum_event_wait(world.shared));
    model_free(world.shared);
    return NULL;
}

static thrum_err *set(void *arg)
{
    (void)arg;
    thrum_event_set(world.shared);
    return NULL;
}

static thrum_err *free_event(void *arg)
{
    (void)arg;
    world.shared = model_calloc(1, sizeof(thrum_event));
    return both(wait_and_free, set);
}

static thrum_err *pass_and_free(void *arg)
{
    (void)arg;
    SUCCESS(thrum_latch_wait(world.shared));
    model_free(world.shared);
    return NULL;
}

static thrum_err *count_down(void *arg)
{
    (void)arg;
    thrum_latch_done(world.shared);
    return NULL;
}

static thrum_err *free_latch(void *arg)
{
    (void)arg;
    world.shared = model_calloc(1, sizeof(thrum_latch));
    thrum_latch_init(world.shared, 1);
    return both(pass_and_free, count_down);
}

/* Whoever comes second. */
static thrum_err *lock_and_free(void *arg)
{
    thrum_mutex *m = world.shared;
    bool last;

    (void)arg;
    thrum_mutex_lock(m);
    last = ++world.data[0] == 2;
    thrum_mutex_unlock(m);
    if (last)
        model_free(m);
    return NULL;
}

static thrum_err *free_mutex(void *arg)
{
    (void)arg;
    world.shared = model_calloc(1, sizeof(thrum_mutex));
    return both(lock_and_free, lock_and_free);
}

MAIN(2, free_semaphore)
MAIN(2, free_event)
MAIN(2, free_latch)
MAIN(2, free_mutex)

const struct model_scenario freed[] = {
    TASK(free_semaphore),
    TASK(free_event),
    TASK(free_latch),
    TASK(free_mutex),
    {0},
};
