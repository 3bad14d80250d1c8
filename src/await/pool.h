/* pool.h - threads for calls that block, made as needed.
 *
 * Jobs come one by one and are served in the order in which they came, by any
 * number of threads. A flood of short ones must cost neither a wake-up each nor
 * more than one line of memory each, the job's own, there and back: so each side
 * has a lock of its own, and in a flood the jobs cross over in numbers.
 *
 *      submit -> came --all--> queue --one--> a thread: fn -> done --all--> deliver
 *
 * Who finds `queue` empty moves all of `came` there, so that a job behind one
 * that blocks stays in everybody's reach. A thread that moves few at a time wakes
 * the task of each itself. In a flood it puts the job into `done`; the first one
 * there submits the pool's own job `deliver` to the runtime, which wakes on a
 * worker all that it finds there. So no result waits for another call to end.
 *
 * The question at each job is whether the threads that are awake will come to it
 * soon, or sit in calls that block. The pool takes jobs to be what the last ones
 * were: if those were brief (BRIEF_NS), a job is left to who is awake; if not, a
 * resting thread is called, or one is added. A timer looks again after STUCK_NS:
 * when no job was taken meanwhile, it calls and adds threads, twice as many each
 * time, unless some are still on their way. So a flood of short jobs makes few
 * threads and few wake-ups, and jobs behind blocked ones are soon served.
 *
 * A task that is canceled while its job is in the queue need not wait for its
 * turn: the pool's own job `sweep` takes all out that are canceled by the time it
 * runs, so that a thousand cancels do not walk the queue a thousand times.
 *
 * One thread that has nothing to do, the looker, spins for a moment, because the
 * next job often comes at once: shortly after one, longer after a flood, and then
 * with pauses while the workers are busy, so that some jobs come together. The
 * others rest WARM_NS, then retire. Who submits gives up its CPU now and then if
 * nobody comes for its jobs: that may be the CPU that a thread waits for.
 *
 * Invariants
 *   I1  threads counts those that run; starting, those being made. resting are
 *       the threads in the list `rest`; coming those that were called or made
 *       and have not asked for a job yet.
 *   I2  While came or queue is not empty, and a thread rests or may be made, the
 *       timer is armed or a thread is on its way.
 *   I3  A job that is not taken because there is no thread, and none can be
 *       made, fails.
 *   I4  deliver is submitted, or about to be, exactly while done is not empty.
 *   I5  While no thread runs, queue is empty: who goes to rest has seen it so.
 *   I6  queue is filled under both locks, when it is empty: it stays so while
 *       lock is held.
 *   I7  sweep is submitted, or about to be, exactly while `sweeping`.
 *
 * Ordering
 *   [O1] the pool is shown -> [O2] who asks for it   its fields
 *   All else is under the locks; serve_lock is taken last.
 */
#ifndef AWAIT_POOL_H
#define AWAIT_POOL_H

#include "await/job.h"
#include "os/spin.h"
#include "task/runtime.h"

struct blocking_thread {
    struct thread thread;
    struct pool *pool;
    struct parker parker;
    struct blocking_thread *next; /* lock: in rest, or in retired */
    bool called; /* lock: to work, and has not asked for a job yet */

    /* this thread only */
    bool brief;     /* what it said last */
    uint32_t burst; /* how many it moves at once: four times the average */
};

struct pool {
    /* const */
    struct sched *sched;
    unsigned most, base;

    /* one line, and what is ahead */
    _Alignas(CACHE_LINE) struct spin lock;
    _Atomic uint32_t any;                   /* lock: in came; a hint */
    unsigned threads, starting;             /* lock */
    unsigned resting, coming;               /* lock */
    unsigned grow;                          /* lock: how many the timer adds */
    bool brief;                             /* lock: the last job was */
    bool looking;                           /* lock: there is a looker */
    bool armed, stopping, sweeping;         /* lock */
    struct tray came;                       /* lock */
    struct blocking_thread *rest, *retired; /* lock: newest first; to join */
    uint64_t seen;                          /* lock: taken, seen by the timer */

    _Alignas(CACHE_LINE) struct spin serve_lock;
    _Atomic(struct tray_item *) queue; /* serve_lock */
    _Atomic uint64_t taken;            /* serve_lock: from the queue */

    _Alignas(CACHE_LINE) struct spin done_lock;
    struct tray done; /* done_lock */
    struct thrum_job_ deliver;

    struct thrum_job_ sweep;
    struct timer timer;
    struct parker stopper; /* who waits for the last thread */
};

/* Put a job into the queue and see that it is taken. The task does not wait yet. */
void pool_submit(struct pool *p, struct offload *job);

/* A job in the queue was canceled: have it taken out. From any thread, also with
 * locks of scopes held; pool: a struct pool. */
void pool_sweep(void *pool);

/* The pool of a runtime; made when it is first asked for. NULL: no memory. */
struct pool *pool_of(struct thrum_rt *rt);

/* Of that which the caller's task is in. */
struct pool *pool_here(void);

static inline struct offload *offload_of(struct tray_item *item)
{
    return container_of(item, struct offload, item);
}

/* The body of a thread; its argument. */
void blocking_thread_run(void *blocking_thread);

/* Join those that have retired. */
void blocking_threads_join(struct pool *p);

/* A private one: run it (false: it was canceled, and is gone); and what is to be
 * done when its task has left it (await/private.c). */
bool private_run(struct offload *job);
void private_end(struct offload *job);

/* A child of a scope: call it; tell its scope of the end, or that it was not called
 * (await/child.c). It is gone after child_over. */
void child_run(struct offload *job);
void child_over(struct offload *job);
bool child_is_canceled(struct offload *job);

/* Its result is there: tell who waits for it. It is gone. */
void offload_over(struct offload *job);

/* What p->deliver runs. */
extern const struct thrum_site_ pool_deliver;

#endif
