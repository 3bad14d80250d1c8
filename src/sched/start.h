/* start.h - start a set of workers, and stop it. */
#ifndef SCHED_START_H
#define SCHED_START_H

#include "sched/sched.h"

struct sched_opts {
    unsigned workers;
    unsigned spares; /* at most so many more, for those that block */
    bool by_cpus;    /* count the CPUs again now and then */
    size_t stack_bytes;
    bool pin;
    struct sched_hooks hooks;
    struct sched_sim *sim; /* of one worker, which the caller then runs */
    bool guest;            /* of one worker; the caller is its host */
};

/* With a simulation: no thread is made, worker_main(&s->workers[0]) is to be
 * called. 0, -ENOMEM, -EAGAIN; a guest also -EMFILE, -ENFILE; then nothing is left
 * behind. */
int sched_start(struct sched *s, const struct sched_opts *opts);

/* All tasks have ended. Joins the threads; `done` is called for each worker
 * then, before its stacks go. */
void sched_stop(struct sched *s, void (*done)(struct worker *w));

#endif
