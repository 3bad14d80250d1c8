#include "io/outside.h"

#include <errno.h>

#include "os/clock.h"
#include "os/forked.h"
#include "os/thread.h"

enum { OUTSIDE_STACK = 64 * 1024 };

static struct lock lock = LOCK_INITIALIZER;
static struct poller outside = {.lock = LOCK_INITIALIZER};
static struct thread thread;
static bool started; /* lock */

/* In the child of a fork, where that thread is not. The set is the parent's. */
static void forget(void)
{
    lock_init(&lock);
    poller_init(&outside);
    started = false;
}

FORGET_IN_CHILD(forget)

static void listen_on(void *unused)
{
    struct poll_event events[POLLER_BATCH];

    (void)unused;
    for (;;) {
        int n = poll_wait(&outside.set, events, POLLER_BATCH, CLOCK_NEVER);

        poller_deliver(&outside, events, n);
    }
}

int outside_poller(struct poller **p, const struct poller_hooks *hooks)
{
    int rc;

    *p = &outside;
    lock_acquire(&lock);
    rc = poller_open(&outside, hooks);
    if (rc >= 0 && !started) {
        rc = thread_start(&thread, "thrum/poll", OUTSIDE_STACK, listen_on,
                          NULL);
        started = rc == 0;
        if (started)
            thread_detach(&thread);
    }
    lock_release(&lock);
    return rc < 0 ? rc : 0;
}
