/* poller.h - where a runtime's workers hear of descriptors.
 *
 * To poll is a role that a worker has while it rests, together with keeping the
 * time (the keeper, sched.h): it sleeps in the kernel until something can be told
 * of a descriptor, until the earliest timer, or until it is woken. It gives the
 * role up before it runs anything. While workers run, nobody has the role: a
 * busy one looks, without waiting, every so many turns; and should all of them
 * compute for long, or one compute and the others sleep, the relief sees to it
 * some milliseconds later.
 *
 * It is opened when the first task waits for a descriptor, and stays open. Knows
 * nothing of what is watched: a key is handed to `ready`, in batches of bounded
 * size, by a thread that holds no lock and no role, of the runtime or not.
 *
 * Ordering
 *   [U1] open: shown, keeper  <-> [S3] [U2] keeper: role, look   it polls; the set
 *   [U5] an interrupt was meant for another -> [S3] its role   it is woken anew
 *   [U3] role given up, stands in? <-> [U4] relief: it ends, the role  somebody
 *        looks
 */
#ifndef SCHED_POLLER_H
#define SCHED_POLLER_H

#include "base/atomic.h"
#include "os/lock.h"
#include "os/poll.h"

struct poller;

struct poller_hooks {
    /* `ready` is about to be told of this key, which is in the cache now: fetch
     * what it leads to. */
    void (*fetch)(void *key);
    /* Something can be done with what was watched as `key`: POLL_READ, .. */
    void (*ready)(void *key, unsigned what);
    /* Is all still watched that somebody waits for? Now and then, while workers
     * run, and once more after. True: it is to be asked again. */
    bool (*check)(struct poller *p);
    /* It tells of nothing any more. */
    void (*closing)(struct poller *p);
};

/* One that is watched for the library itself, and told of here; or looked at by
 * the worker who awaits something of it. */
struct poller_own {
    bool (*ready)(struct poller_own *o); /* whether somebody was woken */
    void (*close)(struct poller_own *o); /* it is told of no more */
    struct poller_own *next;             /* lock */
    _Atomic uint32_t awaited;            /* by so many, a hint */
};

enum { POLLER_BATCH = 64 };

struct poller {
    struct lock lock;
    struct poll_set set; /* const once open */
    bool for_host;       /* const: the set is open from the start */
    _Atomic(const struct poller_hooks *)
        hooks;               /* lock: NULL: closed. [U1] [U2] */
    struct poller_own *owns; /* lock */
};

void poller_init(struct poller *p);

/* Open its set, which is waited for elsewhere (os/poll.h); it is still closed. 0,
 * or as poller_open. */
int poller_open_for_host(struct poller *p);

/* 1: it was closed until now. 0, -EMFILE, -ENFILE, -ENOMEM. */
int poller_open(struct poller *p, const struct poller_hooks *hooks);

static inline bool poller_is_open(struct poller *p)
{
    return load_seq_cst(&p->hooks) != NULL; /* [U2] */
}

/* It is open: watch fd, and close it with the poller. 0, or as poll_add. */
int poller_own(struct poller *p, int fd, struct poller_own *o);

/* Tell the hook. */
void poller_deliver(struct poller *p, const struct poll_event *events, int n);

/* Ask the hook. */
bool poller_check(struct poller *p);

/* No worker is left. */
void poller_close(struct poller *p);

#endif
