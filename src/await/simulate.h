/* simulate.h - what takes time without a thread: for tasks of a simulation. */
#ifndef AWAIT_SIMULATE_H
#define AWAIT_SIMULATE_H

#include <thrum/err.h>

#include "sched/wait.h"

/* As thrum_offload: the task waits as long as the call is to take, and makes it. */
thrum_err *pool_simulate(thrum_fn *fn, void *arg);

/* The task waits for so long, for `what`. False: it was canceled. */
bool nap_simulate(int64_t takes, const struct thrum_awaited_ *what);

#endif
