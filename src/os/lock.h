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

void lock_init(struct lock *l);
void lock_acquire(struct lock *l);
void lock_release(struct lock *l);

#endif
