/* job.h - what deques and queues carry: something that can be run, once.
 *
 * struct thrum_job_ is in thrum/fork.h because forks are made inline. Kinds:
 *
 *   a fork that was taken   a slot of its forker's deque; `taken` is not NULL
 *   a spawn                 a record of its own (task/spawn.c)
 *   a resume                a parked stack (sched/stack.h)
 *
 * A fork's site runs the body only; who took it says when it ended, in the site
 * word (task/fork.h). The other kinds look after themselves.
 */
#ifndef PARTS_JOB_H
#define PARTS_JOB_H

#include <thrum/fork.h>

static inline bool job_is_fork(const struct thrum_job_ *job)
{
    return job->taken != NULL;
}

#endif
