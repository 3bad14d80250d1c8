/* lock.h - a lock that threads may hold for long, and that sleeps. Never held
 * across a call that may suspend a task.
 *
 * Ordering: what was done under the lock is visible to who has it next.
 */
#ifndef OS_LOCK_H
#define OS_LOCK_H

#include <pthread.h>

struct lock {
    pthread_mutex_t mutex;
};

#define LOCK_INITIALIZER                                                       \
    {                                                                          \
        PTHREAD_MUTEX_INITIALIZER                                              \
    }

static inline void lock_init(struct lock *l)
{
    pthread_mutex_init(&l->mutex, NULL); /* a plain mutex: cannot fail */
}

static inline void lock_acquire(struct lock *l)
{
    pthread_mutex_lock(&l->mutex);
}

static inline void lock_release(struct lock *l)
{
    pthread_mutex_unlock(&l->mutex);
}

#endif
