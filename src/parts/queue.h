/* queue.h - the jobs that are ready on one worker: first in, first out, but that
 * a closing scope finds its children at the other end, too; and that the children
 * of a scope are taken from there while there are very many.
 *
 * An intrusive list, so it is never full and adding allocates nothing, under a
 * lock that is biased towards its owner: the owner enters with a plain store
 * and a load; a thief, which comes rarely, takes a second word, makes the owner
 * pass a fence by membarrier(2), and waits until he is out.
 *
 * Invariants
 *   I1  Between enter and leave of the owner no thief is inside, and the other
 *       way round.
 *   I2  count is the length of the list whenever nobody is inside.
 *   I3  u.call.prev of a job that is no fork is the one before it, unless it is
 *       the first. (A fork has its arguments there.)
 *
 * Ordering
 *   [Q1] owner: inside, thief <-> [Q2] thief: thief, inside   who goes in
 *   [Q3] leave: inside        ->  [Q2] thief waits            the list
 *   [Q4] thief leaves: thief  ->  [Q1] owner enters           the list
 *   [Q5] thief leaves: thief  ->  [Q6] next thief             the list
 */
#ifndef PARTS_QUEUE_H
#define PARTS_QUEUE_H

#include "base/base.h"
#include "parts/job.h"

/* So many that the first ones are not in the cache any more. A pop then asks for
 * the one after the next, so that the next one's links are there in time. */
enum { QUEUE_LONG = 64 };

/* So many that they are too much memory, where each that is called adds some, as in
 * a tree whose nodes all are children of one scope. Then the newest are called
 * first, until there are fewer, but that the oldest has its turn, too. */
enum { QUEUE_DEEP = 1024, QUEUE_TURN = 256 };

/* Where some are let go first: so many of a kind, found among so many jobs. More would
 * be as long a way, each time, as all of them are. */
enum { QUEUE_FEW = 32, QUEUE_LOOK = 4096 };
#define QUEUE_ALL UINT32_MAX

/* The children of a scope that one worker calls, one after the other. `older` jobs
 * of the queue, or fewer, were there before the one whose turn it was; of those that
 * came after it `newest` were called in a row. */
struct siblings {
    struct thrum_scope *scope;
    uint32_t older, newest;
    bool or_last; /* the newest, too, where it is another's turn */
};

/* Jobs in order; all zero is none. One thread's at a time. */
struct chain {
    struct thrum_job_ *first, *last;
    _Atomic uint32_t count; /* of a queue's, others look at it */
};

struct queue {
    /* const after queue_init */
    bool fenced; /* there is no membarrier: pass a fence on every entry */

    _Alignas(CACHE_LINE) struct chain jobs; /* who is inside */
    _Atomic uint32_t inside; /* written by the owner: [Q1] [Q3] */
    bool apart_first;        /* the owner's: whose turn it is */

    /* written by thieves: [Q2] [Q4] [Q5] [Q6] */
    _Alignas(CACHE_LINE) _Atomic uint32_t thief;
};

/* So many more. How many that makes. */
static inline uint32_t chain_count(struct chain *c, uint32_t more)
{
    uint32_t count = load_relaxed(&c->count) + more; /* ours now */

    store_relaxed(&c->count, count); /* likewise */
    return count;
}

static inline void chain_add(struct chain *c, struct thrum_job_ *job)
{
    job->next = NULL;
    if (!job_is_fork(job))
        job->u.call.prev = c->last; /* of no meaning if there is none: I3 */
    if (c->first == NULL)
        c->first = job;
    else
        c->last->next = job;
    c->last = job;
    (void)chain_count(c, 1);
}

void queue_init(struct queue *q, bool fenced);

/* Owner only. */
void queue_push(struct queue *q, struct thrum_job_ *job);
struct thrum_job_ *queue_pop(struct queue *q);

/* Owner only: the older half, but at most n, linked by `next`; NULL: none. */
struct thrum_job_ *queue_pop_half(struct queue *q, uint32_t n);

/* Owner only, of a queue that had a job: the first, if it is a spawned child of
 * the scope; or else the last, if it may be and is. If the queue is deep the last,
 * if that is a child and was added by one of those called. NULL: no. */
struct thrum_job_ *queue_pop_child(struct queue *q, struct siblings *s);

/* Owner only. Jobs of no scope are tasks that have begun, and were woken, or have
 * yielded: have them go first, the latter if `yielded` says so; and before or behind
 * them, in turns, those that have not begun, but stand apart, and `fresh`, if it is
 * not NULL. QUEUE_FEW of each, of the first QUEUE_LOOK, in their order. How many are
 * they? QUEUE_ALL: more may have been woken; then no others are before them the next
 * time, as those may be as long. */
typedef bool queue_apart(struct thrum_job_ *job);
uint32_t queue_let_first(struct queue *q, struct thrum_job_ *fresh,
                         queue_apart *apart, bool yielded);

/* Owner only: add it behind the first n. */
void queue_push_behind(struct queue *q, struct thrum_job_ *job, uint32_t n);

/* Owner only: of those that have not begun the last ones, if they are kin, go to the
 * chain, which is empty, QUEUE_LOOK at most. */
typedef bool queue_kin(struct thrum_job_ *job, const void *whose);
void queue_take_along(struct queue *q, struct chain *c, queue_kin *is_kin,
                      const void *whose);

/* Owner only: add them all, at the price of one. */
void queue_push_chain(struct queue *q, const struct chain *c);

/* Owner only: add a list linked by `next`, ended by NULL. */
void queue_push_all(struct queue *q, struct thrum_job_ *first);

/* Any other thread, as queue_pop_half. NULL: empty, or the owner stayed inside for
 * too long (he may have lost his CPU there). */
struct thrum_job_ *queue_steal(struct queue *q, uint32_t n);

/* A hint to all but the owner. */
static inline uint32_t queue_count(struct queue *q)
{
    return load_relaxed(&q->jobs.count);
}

static inline bool queue_is_long(struct queue *q)
{
    return unlikely(queue_count(q) >= QUEUE_LONG);
}

#endif
