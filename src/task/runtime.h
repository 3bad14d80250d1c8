/* runtime.h - a runtime: its workers, its root scopes, its blocking pool. */
#ifndef TASK_RUNTIME_H
#define TASK_RUNTIME_H

#include <thrum/run.h>

#include "os/lock.h"
#include "sched/sched.h"
#include "task/scope.h"

enum { STUCK_PLACES = 64 };

struct thrum_rt {
    struct sched sched;
    struct scope posted; /* parent of what is posted: joined by thrum_stop */
    struct scope root;   /* of the background: canceled by thrum_stop */
    thrum_opts opts;     /* const; the numbers filled in */

    struct spin calls_lock;
    struct scope
        *calls; /* calls_lock: those of thrum_call that are open, linked
                          * by next and prev if they are in no scope */

    /* The relief's: places told of by on_stuck. */
    const struct thrum_site_ *stuck[STUCK_PLACES];
    unsigned stuck_count;

    _Atomic uint32_t posts_over; /* a hint: `posted` has been joined */
    struct wait stopper;         /* who stops waits for the background */

    /* The blocking pool, made by await/offload.c when it is first used. */
    struct lock pool_lock;
    _Atomic(void *) pool;           /* set under pool_lock */
    void (*pool_stop)(void *pool);  /* const once there is a pool, */
    void (*pool_sweep)(void *pool); /* and these */
    bool (*pool_at_work)(void *pool);
};

static inline struct thrum_rt *runtime_of(struct sched *sched)
{
    return container_of(sched, struct thrum_rt, sched);
}

/* As thrum_start; sim: see sched/start.h. */
int runtime_start(struct thrum_rt **rt, const thrum_opts *opts,
                  struct sched_sim *sim);

/* A scope was canceled that has children in the blocking pool: those that were
 * not called yet need not be. Called with locks of scopes held. */
void runtime_sweep_calls(struct sched *sched);

/* Is there anything in the blocking pool? */
bool runtime_pool_at_work(struct thrum_rt *rt);

/* A hook of sched.h: tell of it. */
void block_stuck(struct sched *sched, struct stack *s, bool computes);

/* Nothing of it runs any more, nor ever will. */
void runtime_free(struct thrum_rt *rt);

#endif
