/* bench.h - what all benches share: sizes, rounds, samples and lines.
 *
 * A bench is a series of cases, the floor first. A round runs each case once,
 * one after the other, so that noise hits all alike; a case measures itself and
 * adds one sample or many. At the end every case becomes one line:
 *
 *     name case/workers value unit p50 p99 n
 *
 * value is the median of n samples. With few samples p99 is the worst. Lines
 * that begin with # are comments.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <thrum/run.h>

enum { BENCH_CASES = 11 };

struct bench_case {
    const char *name;
    const char *unit;

    /* Do the work once and add what it cost. A wrong result ends the program.
     */
    void (*run)(unsigned workers);

    bool once;         /* not for every worker count: run(1) alone */
    const char *floor; /* the case to compare with; NULL: the first */
};

struct bench_series {
    const char *name;
    struct bench_case cases[BENCH_CASES];

    /* The floor's work, callable on several threads at once. NULL: none. It
     * tells how much faster N cores of this machine are than one, right now. */
    void (*pair)(void);

    int rounds; /* in full; 0: 7 */
};

/* Every bench: begin, run its series, return end. argv[1] or $THRUM_BENCH says
 * how large: check, short or full. */
void bench_begin(const char *argument);
void bench_run(const struct bench_series *series);
int bench_end(void);

/* Pick the size that goes with the mode. */
long bench_pick(long check, long brief, long full);

/* The worker counts to try: 1..N for N usable CPUs, or $THRUM_BENCH_WORKERS. */
size_t bench_worker_counts(const unsigned **counts);

/* Inside run(): one more sample. */
void bench_add(double value);

/* End the program unless two results are the same. */
void bench_expect(const char *what, int64_t got, int64_t wanted);

/* End the program because the world said no. */
void bench_fail(const char *what) __attribute__((noreturn));

/* Call fn(arg) as a task of the runtime with so many workers, which is started
 * once and kept; an error ends the program. */
void bench_call(unsigned workers, thrum_fn *fn, void *arg);

/* The same; the nanoseconds that fn took, without the way in and out. */
double bench_call_ns(unsigned workers, thrum_fn *fn, void *arg);

thrum_rt *bench_runtime(unsigned workers);

/* For runtimes that are not started yet: the bytes of a task's stack. */
extern size_t bench_stack_bytes;

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t bench_now(void);

/* Nobody may know what is called: what a function pointer costs and no less. */
#define bench_hide(p)                                                          \
    __extension__({                                                            \
        __typeof__(p) hidden_ = (p);                                           \
        __asm__ volatile("" : "+r"(hidden_));                                  \
        hidden_;                                                               \
    })

#endif
