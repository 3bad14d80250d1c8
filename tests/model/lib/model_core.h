/* model_core.h - what the files of the checker share.
 *
 *   model_explore.c   seeds and strategies; runs executions; reports
 *   model_threads.c     threads and choices: who runs next, who sleeps
 *   model_memory.c    what a load may return, C11
 *   model_access.c    the accesses of base/atomic.h
 *   model_barrier.c   the light and the heavy barrier
 *   model_plain.c     races on plain data
 *   model_trace.c     what happened, in words
 *   model_os.c        futex, clock and barrier, as os/ declares them
 *
 * An execution is a function of its choices. Each choice is a call of
 * model_choose; addresses influence none.
 */
#ifndef MODEL_CORE_H
#define MODEL_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "model_atomic.h"
#include "model_view.h"
#include "os/ctx.h"

enum {
    MODEL_STEPS = 5000, /* in one execution, if a scenario says no other number;
                         * more is a livelock */
    MODEL_CHANGES = 8   /* of priority in one execution, at most */
};

enum fiber_state { FIBER_READY, FIBER_ASLEEP, FIBER_ENDED };

struct fiber {
    struct ctx ctx;
    char *stack;
    const char *name;
    void (*body)(void);
    void (*run)(void *arg); /* of one started by another: its body */
    void *arg;
    bool joined;
    enum fiber_state state;
    bool yielded; /* waits until somebody else made a step */
    int ignores;  /* plain accesses not looked at, if not 0 */
    int spun;     /* points since it last yielded or wrote */
    int64_t priority;

    /* while asleep, and how that ended */
    const volatile void *sleeps_on;
    int64_t deadline;
    bool timed_out;
    int spurious; /* how often it woke for no reason */

    struct view view;
    struct view lit;    /* the view at its last barrier_light */
    struct view heaved; /* what heavy barriers of others hold for its next */
};

enum strategy { STRATEGY_PCT, STRATEGY_RANDOM, STRATEGY_DFS, STRATEGIES };

struct execution {
    const struct model_scenario *scenario;
    struct fiber threads[MODEL_THREADS];
    int thread_count;
    int current;  /* -1: the host, in setup or check */
    bool running; /* false: accesses are plain */

    /* how to choose */
    enum strategy strategy;
    uint64_t random;
    int steps;
    int points;    /* steps but for those of loops that only look and yield */
    int attention; /* the point at which the scheduler looks again */
    int limit;     /* of steps */
    uint64_t hash; /* of who ran at each step, and of all choices */
    int depth;     /* PCT: changes; DFS: the bound on preemptions */
    int change[MODEL_CHANGES];
    int changed;     /* PCT: how many of them have come */
    int preemptions; /* so far */

    int64_t now; /* the virtual clock */
    bool newest; /* loads return nothing old */

    /* what went wrong */
    const char *failure, *failed_at;
    bool witnessed;

    bool tracing;
    struct ctx host;
};

extern struct execution model_now;

static inline struct fiber *self(void)
{
    return &model_now.threads[model_now.current];
}

/* model_threads.c */
void sched_start(void);
void sched_look_again(void); /* a thread became ready */
void sched_switch(void);     /* the point is at model_now.attention */
void sched_run(void);        /* one execution, from the host */
void sched_stacks(void);
uint64_t random_next(void);
int random_below(int n);

static inline void choice_note(uint64_t choice)
{
    model_now.hash = (model_now.hash ^ choice) * 0x9e3779b97f4a7c15;
}

/* Before every access: here another thread may run. */
static inline void model_step(void)
{
    model_now.steps++;
    choice_note((uint64_t)model_now.current);
    self()->spun++;
    if (++model_now.points >= model_now.attention)
        sched_switch();
}

/* Put the current thread to sleep. True: the deadline passed. */
bool sched_sleep(const volatile void *on, int64_t deadline);
void sched_wake(struct fiber *t);
void sched_due(void); /* time has passed: whose deadline is over may run */

/* DFS: the next choice of n, and the next path. */
int dfs_choose(int n);
void dfs_begin(void);
bool dfs_advance(void);
void dfs_path(char *text, size_t bytes);
void dfs_follow(const char *text);

/* model_memory.c, model_barrier.c, model_plain.c */
void memory_reset(void);
void barrier_reset(void);
void plain_reset(void);
void memory_refresh(struct fiber *t);
uint32_t memory_newest(_Atomic uint32_t *word); /* seen, with nothing else */

/* model_trace.c */
void trace_reset(void);
void trace(const char *operation, const volatile void *p, uint64_t value,
           const char *note, const char *where);
void trace_print(long count); /* so many of the last operations */

#endif
