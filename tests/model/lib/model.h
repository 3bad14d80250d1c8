/* model.h - runs a small concurrent program under many schedules and all that
 * C11 memory may do to it.
 *
 * A model program includes the sources it explores, compiled with -DTHRUM_MODEL:
 * every access of base/atomic.h then comes here and is a point where another
 * thread may run, and a load may return any value that C11 lets it return. Its
 * threads are fibers on one OS thread, so an execution is a function of its seed
 * and replays exactly.
 *
 *      static void setup(void)   { ... }        before each execution
 *      static void owner(void)   { ... }        the threads
 *      static void check(void)   { MODEL_ASSERT(...); }   when all have ended
 *
 * What an execution may do wrong: break an assertion or an invariant of the
 * sources, crash, race on annotated plain data, end with threads asleep that
 * nobody will wake, or not end.
 *
 * How schedules are chosen: PCT (random priorities, changed at a few random
 * steps; the work horse), a random walk, and, if a scenario gives a bound on
 * preemptions, all of them, depth first.
 *
 * Environment
 *   THRUM_MODEL_EXECS=n   so many executions a scenario
 *   THRUM_MODEL_TIMES=n   n times as many as usual, as 10 or 0.1
 *   THRUM_MODEL_ONLY=text scenarios with that in their name
 *   THRUM_MODEL_SC=1      loads return the newest value: is it the memory?
 *   THRUM_SEED=7          other ones
 *   THRUM_SEED=scenario/pct-3-41-1f2e...  the one that failed, all of its trace
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODEL_THREADS = 8 };

struct model_thread {
    const char *name;
    void (*body)(void);
};

struct model_scenario {
    const char *name;
    void (*setup)(void); /* puts everything back, so that a seed replays */
    struct model_thread threads[MODEL_THREADS + 1]; /* the last one is empty */
    void (*check)(void);                            /* NULL: nothing to add */

    /* Asked when all threads that have not ended sleep without a deadline. No
     * function, or false: that is a deadlock. */
    bool (*may_rest)(void);

    long executions; /* 0: the default */
    int steps;       /* more are a livelock; 0: the default */
    int preemptions; /* not 0: also depth first, with this bound */
    bool spurious;   /* futex_wait may return for no reason */
    bool membarrier; /* what barrier_start says */

    /* Who takes an interrupt of a poll sees what came before it, as the kernel's
     * locks have it; else less, which shows more. */
    bool poll_orders;

    /* For tests of the checker itself: the text of a failure that must be
     * found, or that check must have called model_witness at least once. */
    const char *finds;
    bool allows;
};

struct model {
    const char *name;
    const struct model_scenario *scenarios; /* the last one is empty */
};

/* Runs the scenarios, one line each, until one is broken. The exit status of the
 * program. */
int model_run(const struct model *m);

/* In a thread: ends the execution. In setup or check: notes it and goes on. */
#define MODEL_ASSERT(cond)                                                     \
    ((cond) ? (void)0 : model_fail("assert: " #cond, MODEL_HERE))
void model_fail(const char *why, const char *where);

/* An outcome that may happen has happened. */
void model_witness(void);

/* Let others run: for loops that wait for somebody else's progress. */
void model_yield(void);

/* Which of the scenario's threads runs. */
int model_thread(void);

/* In a thread: another one, which sees what came before, and waiting until it has
 * ended, by one. Its number, or -1: there are too many. */
int model_start(const char *name, void (*run)(void *arg), void *arg);
void model_join(int thread);

/* Called on every change of threads; -1: setup and check. A program that has
 * thread-locals defines it, and puts those of one away and the other's in place. */
void model_switches(int from, int to);

/* A descriptor of this set is ready, once. */
struct poll_set;
void model_tell(struct poll_set *set);

/* The one descriptor that poll_add has put into a set gets ready, once more; it
 * is in none. */
void model_edge(void);
void model_no_descriptor(void);

/* One of 0 .. n-1, chosen like everything else. */
int model_choose(int n);

/* Plain data that others may touch: fails if two accesses, one of them a write,
 * are not ordered by what they synchronized on. */
#define model_plain_read(p)  model_plain(p, false, MODEL_HERE)
#define model_plain_write(p) model_plain(p, true, MODEL_HERE)
void model_plain(const void *p, bool writes, const char *where);
void model_plain_free(const void *p, size_t bytes); /* a write to all of it */

/* In setup: the same for every plain access of the program to this memory. */
void model_watch(const void *p, size_t bytes);

/* In setup: what the trace calls this address, and those shortly after it. */
void model_name(const void *p, const char *name);

#define MODEL_STR_(x) #x
#define MODEL_STR(x)  MODEL_STR_(x)
#define MODEL_HERE    __FILE__ ":" MODEL_STR(__LINE__)

#endif
