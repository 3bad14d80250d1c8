/* runtime.h - what the scenarios of the whole runtime have in common.
 *
 * A scenario starts a runtime, lets tasks do something, stops it, in a model
 * thread called main, perhaps with others besides. In the end nothing may be left:
 * no memory, no stack, no thread.
 */
#ifndef MODEL_RUNTIME_H
#define MODEL_RUNTIME_H

#include <thrum.h>

#include "base/atomic.h"
#include "model.h"

/* Each comes, and goes on when all have. Whoever waits here blocks its worker, so
 * those who are still to come need others. */
struct meeting {
    _Atomic uint32_t here;
    uint32_t expected;
};

void meet(struct meeting *m);

/* All that the tasks of an execution share: zeroed before it, and plain accesses
 * to it are looked at for races. So what the manual says of order is asked for by
 * using it. */
struct world {
    int ran[16], data[16];
    struct meeting meeting, other;
    _Atomic uint32_t flag, done, slept;
    _Atomic uint32_t pipe; /* items in it */
    _Atomic uint32_t closed;
    int kept;     /* blocks that the library never frees */
    void *shared; /* memory that a task frees */
    thrum_rt *rt;
    thrum_scope *scope;
    thrum_mutex mutex;
    thrum_cond cond;
    thrum_sem sem;
    thrum_event event;
    thrum_rwlock rwlock;
    thrum_barrier barrier;
    thrum_latch latch;
    thrum_once once;
    thrum_chan a, b;
};

extern struct world world;

/* A thread that waits for the runtime; main_with begins it, and ends it when all
 * the others have done what they had to. */
void from_outside(void (*what)(void));
void main_with(unsigned workers, uint32_t others, thrum_fn *fn);

/* Threads from outside block on a flag, and are told. */
void flag_wait(_Atomic uint32_t *flag);
void flag_set(_Atomic uint32_t *flag);

/* Runs fn as the only thrum_call of a runtime of so many workers. */
void runtime_run(unsigned workers, thrum_fn *fn, void *arg);

/* The same in two halves. */
thrum_rt *runtime_begin(unsigned workers);
void runtime_end(thrum_rt *rt);
thrum_opts runtime_opts(unsigned workers);

/* Two children; one that cancels world.scope after a moment. */
thrum_err *both(thrum_fn *one, thrum_fn *other);
thrum_err *cancel_world_scope(void *arg);

/* os.c: thread-locals as they were. */
void os_reset(void);

/* The scenarios, by file; the last of each is empty. */
extern const struct model_scenario trees[], waits[], shared[], freed[],
    outside[], descriptors[];

void runtime_setup(void);
void runtime_check(void);

#define NO_ERROR(e)  MODEL_ASSERT((e) == NULL)
#define SUCCESS(rc)  MODEL_ASSERT((rc) == 0)
#define CANCELED(rc) MODEL_ASSERT((rc) == -ECANCELED)

/* A scenario: main and other threads; with membarrier, and without. */
#define SCENARIO_(what, barrier, ...)                                          \
    {                                                                          \
        .name = what, .setup = runtime_setup, .threads = {__VA_ARGS__},        \
        .check = runtime_check, .executions = 400, .steps = 50000,             \
        .membarrier = barrier, .poll_orders = true                             \
    }
#define SCENARIO(what, ...)                                                    \
    SCENARIO_(what, true, __VA_ARGS__),                                        \
        SCENARIO_(what "_fenced", false, __VA_ARGS__)

/* A thread that runs fn as runtime_run does. */
#define MAIN(workers, fn)                                                      \
    static void fn##_main(void)                                                \
    {                                                                          \
        runtime_run(workers, fn, NULL);                                        \
    }
#define TASK(fn) SCENARIO(#fn, {"main", fn##_main})

#endif
