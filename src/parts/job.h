/* job.h - what deques and queues carry: something that can be run, once.
 *
 * struct thrum_job_ is in thrum/fork.h because forks are made inline. Kinds:
 *
 *   a fork that was taken   a slot of its forker's deque; `taken` is not NULL
 *   a spawn                 a record of its own (task/record.h)
 *   a resume                a parked stack (sched/stack.h)
 *   the first of a stack    a thrum_call, a generator's body (task/runtime.c,
 *                           sync/gen.c)
 *   an errand               the blocking pool's: a short one, that wakes others or
 *                           takes canceled ones out (await/offload.c)
 *
 * A fork's site runs the body only; who took it says when it ended, in the site
 * word (sched/fork.h). The other kinds look after themselves.
 */
#ifndef PARTS_JOB_H
#define PARTS_JOB_H

#include <thrum/fork.h>

#include "base/atomic.h"

/* The low bits of the site word of a taken fork: how far it is (sched/fork.h).
 * With JOB_JOINING the rest is a pointer to what begins with the site. */
enum { JOB_JOINING = 1, JOB_DONE = 2, JOB_JOINED = 4, JOB_STATES = 7 };

/* Where a job was made, in every state: for messages. */
static inline const struct thrum_site_ *job_site(struct thrum_job_ *job)
{
    uintptr_t word = (uintptr_t)load_relaxed(&job->site);
    uintptr_t bare = word & ~(uintptr_t)JOB_STATES;

    if (word & JOB_JOINING)
        return *(const struct thrum_site_ **)bare;
    return (const struct thrum_site_ *)bare;
}

/* In the place of the scope: a job of the library's own, not a fork, that waits
 * for nothing. It can run where there is little stack left. */
#define JOB_SHORT ((struct thrum_scope *)1)

static inline bool job_is_short(const struct thrum_job_ *job)
{
    return load_relaxed(&job->scope) == JOB_SHORT; /* const in a queue */
}

/* Of a resume: has it yielded, or was it woken? */
static inline void job_set_yielded(struct thrum_job_ *job, bool so)
{
    job->u.call.arg = so ? job : NULL; /* of no other meaning: it has no fn */
}

static inline bool job_has_yielded(const struct thrum_job_ *job)
{
    return job->u.call.arg == job;
}

static inline bool job_is_fork(const struct thrum_job_ *job)
{
    return job->taken != NULL;
}

#endif
