/* crew.h - how many workers run, and which ones stand by.
 *
 * A runtime has room for more workers than it wants to run. One that blocks its
 * thread, or computes without a pause while others wait, is away: it is not
 * counted, and another is called in its place, that stands by or is hired now,
 * a full worker each. At its next turn it is back; then there is one too many,
 * and the first who notices stands by: at a turn, if too many are awake, or
 * instead of going to sleep.
 *
 *      no thread --hire--> RUNNING ---away---> AWAY
 *          ^              |     ^ ^---back------/
 *          |         stand by  called
 *          |              v     |
 *          \--- long ---- STANDING BY
 *
 * Why no job is lost. To who publishes jobs and to who sleeps (parts/idle.h) one
 * that is away or stands by is busy: its bit is never set, so no wake-up goes to
 * it. To stand by is a job that a worker finds like any other, with all that the
 * last searcher owes [I8]; it gives away what is queued first, and has no fork
 * open. One that is away may still have jobs: they are in reach of thieves, as
 * always. Who is called searches before it takes a job or sleeps.
 *
 * All is counted under one lock, never on the way of a job. Knows nothing of what
 * a worker is.
 *
 * Ordering: the lock's, and the parker's. The relaxed words are hints, read at
 * turns.
 */
#ifndef SCHED_CREW_H
#define SCHED_CREW_H

#include "base/atomic.h"
#include "base/base.h"
#include "os/lock.h"
#include "parts/parker.h"

enum crew_state { CREW_NO_THREAD, CREW_RUNS, CREW_AWAY, CREW_STANDS_BY };

/* All zero: no thread. */
struct crew_member {
    struct parker parker; /* for who stands by */

    /* lock */
    enum crew_state state;
    struct crew_member *next; /* of those that stand by, or have no thread */
    bool joinable;            /* it has a thread, or had one */
    bool computes;            /* that is why it is away */
    _Atomic uint32_t aways;   /* how often it left; 0: it is not away. A hint */
};

struct crew_hooks {
    /* One more member, without a thread. NULL: no memory, or no room. */
    struct crew_member *(*make)(void *arg);
    /* Start its thread: 0, or -EAGAIN, -ENOMEM. */
    int (*start)(struct crew_member *m);
    /* Wait until it has ended. */
    void (*join)(struct crew_member *m);
};

struct crew {
    /* const after crew_init */
    const struct crew_hooks *hooks;
    void *arg;

    struct lock lock;
    bool stopping;                         /* lock, as all of these */
    unsigned most;                         /* threads */
    unsigned threads;                      /* that have not ended */
    unsigned wanted;                       /* to run */
    unsigned computing;                    /* away for that */
    struct crew_member *standing, *vacant; /* lists */

    /* written with the lock, read as hints */
    _Atomic uint32_t running;
    _Atomic uint32_t too_many; /* that run */
};

void crew_init(struct crew *c, const struct crew_hooks *hooks, void *arg);

/* As many are to run from now on, and up to `spares` more may be there that do
 * not, 1024 in all. 0, or -EAGAIN, -ENOMEM: there are fewer, as no more threads can
 * be had; tried again whenever one leaves, and by crew_fill. */
int crew_want(struct crew *c, unsigned n, unsigned spares);

/* Call who is missing. False: somebody still is. */
bool crew_fill(struct crew *c);

/* m is about to block its thread. May be nested. */
void crew_leave(struct crew *c, struct crew_member *m);
void crew_return(struct crew *c, struct crew_member *m);

/* Another takes m for away, if it runs: it blocks, or computes for long. False:
 * it does not run, or too many are away that compute. */
bool crew_miss(struct crew *c, struct crew_member *m, bool computes);

/* m makes a turn, and is found to be away: it is here. */
void crew_be_back(struct crew *c, struct crew_member *m);

/* Looks from outside. */
unsigned crew_wanted(struct crew *c);
bool crew_any_away(struct crew *c);
bool crew_runs(struct crew *c, struct crew_member *m);

/* By m, which has no job: stand by, if one is too many. True: it runs. False: it
 * was not needed for long, and its thread is to end. */
bool crew_stand_by(struct crew *c, struct crew_member *m);

/* Nobody is called any more, and nobody stands by. */
void crew_stop(struct crew *c);

#endif
