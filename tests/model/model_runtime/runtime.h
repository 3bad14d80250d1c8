/* runtime.h - what the scenarios of the whole runtime have in common.
 *
 * A scenario is a function that a model thread runs: it starts a runtime, lets a
 * task do something, stops it. In the end nothing may be left: no memory, no
 * stack, no thread.
 */
#ifndef MODEL_RUNTIME_H
#define MODEL_RUNTIME_H

#include <thrum.h>

#include "base/atomic.h"
#include "model.h"

/* Forgets what an execution left: thread-locals; statics and memory. */
void os_reset(void);
void runtime_reset(void);

/* Runs fn as the only thrum_call of a runtime of so many workers. */
void runtime_run(unsigned workers, thrum_fn *fn, void *arg);

/* The same in two halves, for threads that come from outside. */
thrum_rt *runtime_begin(unsigned workers);
void runtime_end(thrum_rt *rt);

/* Each comes, and goes on when all have: a worker that blocks here runs nothing,
 * so whoever has to come needs another one. */
struct meeting {
    _Atomic uint32_t here;
    uint32_t expected;
};

void meet(struct meeting *m);

/* All was given back. */
void nothing_is_left(void);

#define NO_ERROR(e) MODEL_ASSERT((e) == NULL)

#endif
