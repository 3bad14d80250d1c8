/* permits.h - how many may go on at once; who is too many waits, in order.
 *
 * A permit that is given back goes to the one who has waited longest, so nobody
 * starves. Knows nothing of scopes.
 */
#ifndef TASK_PERMITS_H
#define TASK_PERMITS_H

#include "os/spin.h"

struct permit_wait;

struct permits {
    struct spin lock;
    uint32_t left;                    /* lock */
    struct permit_wait *first, *last; /* lock: who waits; then left is 0 */
};

void permits_init(struct permits *p, uint32_t n);
bool permits_try_take(struct permits *p);

/* Suspends the task, or blocks the thread, while there is none. */
void permits_take(struct permits *p);
void permits_give(struct permits *p);

#endif
