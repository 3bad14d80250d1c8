#include "os/lock.h"

void lock_init(struct lock *l)
{
    pthread_mutex_init(&l->mutex, NULL); /* a plain mutex: cannot fail */
}

void lock_acquire(struct lock *l)
{
    pthread_mutex_lock(&l->mutex);
}

void lock_release(struct lock *l)
{
    pthread_mutex_unlock(&l->mutex);
}
