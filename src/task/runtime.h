/* runtime.h - a runtime: its workers, its root scope, its blocking pool. */
#ifndef TASK_RUNTIME_H
#define TASK_RUNTIME_H

#include <thrum/run.h>

#include "os/lock.h"
#include "sched/sched.h"
#include "task/scope.h"

struct thrum_rt {
    struct sched sched;
    struct scope root; /* parent of what is posted */
    thrum_opts opts;   /* const; the numbers filled in */

    /* The blocking pool, made by await/offload.c when it is first used. */
    struct lock pool_lock;
    _Atomic(void *) pool;          /* set under pool_lock */
    void (*pool_stop)(void *pool); /* const once there is a pool */
};

static inline struct thrum_rt *runtime_of(struct sched *sched)
{
    return container_of(sched, struct thrum_rt, sched);
}

#endif
