/* api.h - what the tests of the public functions share.
 *
 * Code in a task cannot use cmocka's assertions, which jump out of the test:
 * there it is CHECK, which ends the program and says where.
 */
#ifndef API_H
#define API_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum.h>
#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1, SCALE = 50 };
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { SANITIZED = 1, SCALE = 10 };
#else
enum { SANITIZED = 0, SCALE = 1 };
#endif

/* make exports in RUN what runs a program for another CPU. An emulator keeps
 * memory and descriptors as it likes, and knows no limit of address space. */
static inline bool is_emulated(void)
{
    const char *run = getenv("RUN");

    return run != NULL && strstr(run, "qemu") != NULL;
}

/* thrum_sim; how many rounds it has run in all tests is said at the end. */
thrum_err *counted_sim(const thrum_sim_opts *opts, thrum_fn *fn, void *arg);
#define thrum_sim(...) counted_sim(__VA_ARGS__)

/* n, or less where a sanitizer makes everything dear. */
static inline size_t scaled(size_t n)
{
    return n / SCALE;
}

#define CHECK(cond)                                                            \
    ((cond) ? (void)0                                                          \
            : check_failed(__FILE__ ":" THRUM_STR(__LINE__) ": " #cond))

_Noreturn void check_failed(const char *what);

/* It did not fail; else its report, and the end. */
void expect_ok(thrum_err *e);

/* It is one failure of exactly this kind, or with kind NULL no failure; consumes
 * it. */
void expect_kind(thrum_err *e, const thrum_kind *kind);

/* It failed with exactly these leaves, in this order; consumes it. */
void expect_indices(thrum_err *e, size_t count, const size_t *indices);

/* How many workers the runtime of this test has. */
extern unsigned workers;

/* Call fn(arg) on a runtime of 1, then 2, then 4 workers, whatever the machine
 * has. It must succeed. */
void on_threads(thrum_fn *fn, void *arg);

/* The same, and then under some simulated schedules: for what needs no thread
 * but its own. */
void on_runtimes(thrum_fn *fn, void *arg);

/* As on_runtimes, and once more where calls on files do without io_uring. */
void on_each_io(thrum_fn *fn, void *arg);

/* ---------------------------------------------------------------- meeting */

/* All arrive before anyone goes on. */
struct gate {
    _Atomic unsigned here;
    unsigned all;
};

/* As a task that lets others run. */
void gate_meet(struct gate *g);

/* As a task that keeps its worker: only others can bring the rest. */
void gate_block(struct gate *g);

static inline void gate_init(struct gate *g, unsigned all)
{
    atomic_init(&g->here, 0);
    g->all = all;
}

/* Let other tasks run until the count is there. */
void await_count(_Atomic unsigned *count, unsigned wanted);

/* Keep the worker until it is there. */
void block_count(_Atomic unsigned *count, unsigned wanted);

/* Let other tasks run until the running one is canceled. */
void await_cancel(void);

/* What would take this long is never waited for to the end. */
#define HOUR THRUM_SEC(3600)

/* Wait until canceled, and say so. arg: an _Atomic unsigned to be counted up
 * before, or NULL. */
thrum_err *wait_for_cancel(void *arg);

/* The kernel's name of the running thread, asked anew. */
int thread_id(void);

/* ------------------------------------------------------- ends of processes */

struct end {
    int status;
    char said[4096];
};

/* What becomes of a child process that calls act; what it said on stderr. */
struct end end_of(void (*act)(void));

/* The child is stopped with SIGABRT and one line that has both texts. */
void assert_stops(void (*act)(void), const char *text, const char *more);

/* The child exits with 0. */
void assert_lives(void (*act)(void));

/* ------------------------------------------------------- what a process has */

struct footprint {
    size_t fds, threads, mappings, resident_kib;
};

struct footprint footprint(void);

/* With no runtime: waits, for some time, until the threads that have ended are
 * gone, those of earlier tests too. */
struct footprint footprint_at_rest(void);

#endif
