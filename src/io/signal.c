/* Signals. A descriptor tells that one is pending; it is taken as sigtimedwait(2)
 * does, so that of several who wait one gets it, and nobody who is canceled. All of
 * a runtime who wait for the same signals share the descriptor. */
#include <thrum/signal.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>

#include <thrum/io.h>

#include "base/alloc.h"
#include "io/call.h"
#include "os/forked.h"
#include "os/lock.h"
#include "os/signals.h"

struct shared {
    sigset_t set;        /* const, as these */
    struct sched *sched; /* NULL: of threads that are no workers */
    int fd;
    unsigned waiters; /* lock; never 0 */
    struct shared *next;
};

static struct lock lock = LOCK_INITIALIZER;
static struct shared *all; /* lock */

/* In the child of a fork nobody waits. */
static void forget(void)
{
    lock_init(&lock);
    all = NULL;
}

FORGET_IN_CHILD(forget)

/* By its members: the rest of it may be anything. */
static bool same_signals(const sigset_t *a, const sigset_t *b)
{
    int signal = 1;

    while (signal < NSIG && sigismember(a, signal) == sigismember(b, signal))
        signal++;
    return signal == NSIG;
}

/* Under the lock. NULL and *rc: there can be none. */
static struct shared *open_shared(const sigset_t *set, struct sched *sched,
                                  int *rc)
{
    struct shared *s = alloc(sizeof *s);
    int fd = s == NULL ? -ENOMEM : signals_fd(set);

    if (fd < 0) {
        release(s);
        *rc = fd;
        return NULL;
    }
    fd_fresh(fd);
    *s = (struct shared){*set, sched, fd, 0, all};
    all = s;
    return s;
}

static struct shared *enter(const sigset_t *set, int *rc)
{
    struct stack *here = worker_current();
    struct sched *sched = here == NULL ? NULL : here->worker->sched;
    struct shared *s;

    lock_acquire(&lock);
    for (s = all; s != NULL; s = s->next)
        if (s->sched == sched && same_signals(&s->set, set))
            break;
    if (s == NULL)
        s = open_shared(set, sched, rc);
    if (s != NULL)
        s->waiters++;
    lock_release(&lock);
    return s;
}

static void leave(struct shared *s)
{
    struct shared **at = &all;
    bool last;

    lock_acquire(&lock);
    last = --s->waiters == 0;
    if (last) {
        while (*at != s)
            at = &(*at)->next;
        *at = s->next;
    }
    lock_release(&lock);
    if (last) {
        (void)thrum_close(s->fd);
        release(s);
    }
}

sigset_t thrum_signals_block_(int first, ...)
{
    sigset_t set;
    va_list more;

    sigemptyset(&set);
    va_start(more, first);
    for (int signal = first; signal != 0; signal = va_arg(more, int))
        REQUIRE(sigaddset(&set, signal) == 0, "no such signal");
    va_end(more);
    signals_block(&set);
    return set;
}

int thrum_signal_wait(const sigset_t *set, void *info)
{
    struct shared *s;
    int rc = 0;

    REQUIRE(set != NULL, "no signals");
    if (call_canceled())
        return -ECANCELED;
    s = enter(set, &rc);
    if (s == NULL)
        return rc;
    while ((rc = signals_take(set, info)) == -EAGAIN) {
        rc = thrum_wait_fd(s->fd, POLLIN);
        if (rc < 0)
            break;
    }
    leave(s);
    return rc;
}
