/* thrum/test.h - tests of programs whose order is not given: simulation, fault
 * sites, and test cases that are tasks.
 *
 * A program of tasks has as many courses as there are orders in which its tasks
 * may run; most of its tests see one. Under thrum_sim the same program, calling
 * the same functions, runs on one thread, and what the scheduler, the clock and
 * chance decide is drawn from a seed. Each round is another course; a failing
 * round is had again, exactly, from its seed.
 *
 *      static thrum_err *in_time(void *user)
 *      {
 *          thrum_time start = thrum_now();
 *          thrum_err *e = thrum_with(fetch, user, .timeout = THRUM_MS(10));
 *
 *          THRUM_CHECK(thrum_err_is(e, &THRUM_TIMEOUT));
 *          THRUM_CHECK(thrum_now() - start == THRUM_MS(10));
 *          thrum_err_drop(e);
 *          return NULL;
 *      }
 *      ...
 *      return thrum_report(thrum_sim(&(thrum_sim_opts){.rounds = 1000},
 *                                    in_time, &user));
 *
 * What is simulated
 *   tasks      run one at a time. One may be interrupted, as a thread may be
 *              anywhere, at any call of this library, also at one that never
 *              suspends: hold no pthread_mutex_t across one that another task
 *              takes. Between two calls nobody comes in.
 *   time       stands still while tasks run, and leaps to the next deadline or
 *              end of a sleep when all wait: a day takes microseconds, and times
 *              are exact. Asking is what takes time: each thrum_canceled,
 *              thrum_checkpoint and thrum_yield, and each part of thrum_for and
 *              thrum_reduce, up to some nanoseconds, or milliseconds, as the
 *              round has it, so that a deadline meets computations too; so does
 *              a loop that does nothing but ask thrum_now.
 *   blocking   a job of thrum_offload is called by its task, after some time.
 *   sockets    and pipes, made by this library or the program itself: a call
 *              takes some time before it is tried; it reads or writes some of
 *              the bytes only, where it may; that something is ready is heard
 *              of late, in another order, or twice; and with `io_fault` calls
 *              fail: a connection is reset or refused, no descriptor is left,
 *              a disk is full.
 *   processes  are played by functions of the test (`programs`), as tasks: real
 *              ones would take their own time.
 *   deadlock   when all wait and nothing will happen any more, the round has
 *              failed: THRUM_DEADLOCK, with a list of who waits for what, held
 *              by whom, and who waits in a circle. All tasks are then canceled,
 *              so that they clean up. (Those that are waiting still are
 *              abandoned, with what they own.)
 *   faults     thrum_chaos, and with `fault` the library's own allocations.
 *
 * Connections are made inside a round only: a host is this process whatever it is
 * called, each name one address of its own (127.x.y.z). One may listen at any address
 * and port, and who dials what nobody listens at is refused. They behave as TCP does,
 * but are Unix sockets: options of TCP, and getpeername(2), do not know them; a
 * listening socket is one from the first connection on. An end is told as TCP tells
 * it, if it was closed by thrum_close: what is written after is lost, once; and one
 * that failed, or was closed with something unread, or with SO_LINGER of nothing, is
 * reset for the other end. After close(2) one is told the end at once. Who shuts
 * down reading tells the writer.
 *
 * Not simulated: other threads, disks, timerfd and whatever else comes
 * from outside (a wait for it is a deadlock), what the program asks of the kernel
 * itself; and what a race does inside one processor's memory: for that run the same
 * test on real threads, with ThreadSanitizer.
 */
#ifndef THRUM_TEST_H
#define THRUM_TEST_H

#include <thrum/err.h>
#include <thrum/run.h>
#include <thrum/scope.h>
#include <thrum/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------- simulation */

/* How a round chooses who runs next. */
typedef enum {
    THRUM_EXPLORE,      /* each round as its seed has it */
    THRUM_EXPLORE_WALK, /* each time anybody who is ready, with equal chance */
    /* By priorities drawn for each task, that change at a few moments: finds
     * what needs few, but certain, delays. */
    THRUM_EXPLORE_RANKS,
} thrum_explore;

/* A process, for the function that plays it. */
typedef struct thrum_sim_process {
    char *const *argv;
    /* Its standard streams, closed when it has ended; 0, 1, 2 where it has those of
     * the test. To close one before, use thrum_close, and set it to -1. */
    int in, out, err;
    void *user;
} thrum_sim_process;

/* What thrum_process_start finds, in a simulation, under the name argv[0].
 *
 * `main` is called in a task of its own, and calls this library as a task does. It
 * returns the status that the process exits with, 0 to 255. A signal that would end
 * a process cancels the task: what it returns, if not negative, is still the status
 * (it has caught the signal); if negative it was ended by the signal. SIGKILL
 * reaches into shields, and decides. Without a signal a negative number is SIGPIPE
 * if it is -EPIPE, else SIGABRT. */
typedef struct thrum_sim_program {
    const char *name; /* NULL: the end of the list */
    int (*main)(thrum_sim_process *p);
    void *user;
} thrum_sim_program;

/* All zero is the default. */
typedef struct thrum_sim_opts {
    uint64_t seed;       /* of the first round; the others' follow. 0: one that
                           * is always the same */
    unsigned rounds;     /* 0: 100 */
    double fault;        /* the chance of an allocation to fail; 0: none does */
    double io_fault;     /* .. of a call of thrum/io.h */
    thrum_time io_delay; /* what such a call takes at most, and what it waits
                           * for; 0: as the round has it; negative: nothing */
    bool io_whole;       /* it transfers all of its bytes, if there is room */
    thrum_time limit;    /* a round that takes longer, in its own time, has
                           * failed; 0: 10 years; INT64_MAX: never */
    uint64_t steps;      /* or that takes more decisions; 0: 10 million */
    thrum_explore explore;
    bool background; /* tasks left in thrum_root() are no failure */
    bool twice;      /* run each round twice: it has failed if the second
                           * takes another course, as the program depends on
                           * more than the seed */
    bool quiet;      /* no trace of a failing round on stderr */
    const thrum_sim_program *programs; /* what may be started; others: -ENOENT.
                                        * NULL: nothing, which is -ENOSYS */
    const thrum_opts *run; /* on_error, on_slow, user, stack_size and grace for
                            * it; NULL: the defaults, but silent on slow scopes */
} thrum_sim_opts;

/* Run fn(arg) as a task, once a round, until a round has failed.
 *
 * A round fails when fn does, or what it started; when tasks are left in
 * thrum_root() after fn has returned (they are then canceled); by a deadlock;
 * past a limit. What led there, the last decisions, goes to stderr, and the
 * seed. With THRUM_SEED=<seed> in the environment that round alone is run. With
 * THRUM_ROUNDS=<n> all others run n rounds. A crash or an abort in a round says
 * the seed, too.
 *
 * Call from:  a thread that is no worker. The thread runs the tasks.
 * Suspends:   never. (It does not come back before all rounds have been run.)
 * Ownership:  opts NULL is the default. arg is the same in each round: fn begins
 *             with what it was given.
 * Returns:    NULL, or the first failing round's error, with a cause of its own
 *             kind, in one that names the seed. Of kind THRUM_NOMEM when there
 *             is no memory for a round. Called from a task: an error.
 */
THRUM_API THRUM_NODISCARD thrum_err *thrum_sim(const thrum_sim_opts *opts,
                                               thrum_fn *fn, void *arg);

/* Is something to go wrong here? For a fault that a test could not bring about
 * otherwise: if (thrum_chaos("disk full")) return thrum_rc(-ENOSPC);
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  site, for the trace, is a literal.
 * Returns:    in a simulation true at random, more often in some rounds than in
 *             others; everywhere else false.
 * Cost:       a load, where nothing is simulated.
 */
THRUM_API bool thrum_chaos(const char *site);

/* The seed of the round that the caller is in: for a program that draws numbers
 * of its own, so that they are drawn again with the round.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Returns:    the seed; 0 where nothing is simulated.
 */
THRUM_API uint64_t thrum_sim_seed(void);

/* Return from the function if cond does not hold, which is an error that names
 * it. For tests: a task cannot use assertions that jump out of it. */
#define THRUM_CHECK(cond)                                                      \
    do {                                                                       \
        if (!(cond))                                                           \
            return thrum_fail(&THRUM_ERROR, "not so: %s", #cond);              \
    } while (0)

/* --------------------------------------------------------------- test cases */

/* What a test case is, beside its body. */
typedef struct thrum_test {
    thrum_sim_opts sim; /* how to simulate; its `run` for real threads, too */
    unsigned workers;   /* not 0: do not; on so many real threads instead */
    unsigned times;     /* so often; 0: once */
    /* What the body is given: so many bytes, zero, made anew each time; setup is
     * called with them before and, if that succeeded, teardown after it, also if
     * it failed. All three run in one task. */
    size_t fixture;
    thrum_fn *setup, *teardown;
    int _; /* so that a case without options can be written */
} thrum_test;

/* Run a test case: its body as a task, simulated or on real threads.
 *
 * Call from:  a thread that is no worker.
 * Suspends:   blocks the thread.
 * Ownership:  c NULL is the default. Without a fixture the body gets arg.
 * Returns:    as thrum_sim; and so on real threads, where tasks left in
 *             thrum_root() are a failure, too.
 */
THRUM_API THRUM_NODISCARD thrum_err *thrum_test_run(const thrum_test *c,
                                                    thrum_fn *body, void *arg);

/* With cmocka (include <cmocka.h> before): a test case as cmocka's function, to
 * be listed with cmocka_unit_test(name). What cmocka's own fixture has set up is
 * the body's argument.
 *
 *      THRUM_TEST(in_time, .sim.rounds = 1000)
 *      {
 *          struct state *s = arg;
 *          ...
 *          return NULL;
 *      }
 */
#define THRUM_TEST(...) THRUM_TEST_(__VA_ARGS__, ._ = 0)
#define THRUM_TEST_(name, ...)                                                 \
    static thrum_err *name##_body_(void *arg);                                 \
    static void name(void **state)                                             \
    {                                                                          \
        thrum_err *err_ = thrum_test_run(&(thrum_test){__VA_ARGS__},           \
                                         name##_body_, *state);                \
        if (thrum_report(err_))                                                \
            fail();                                                            \
    }                                                                          \
    static thrum_err *name##_body_(__attribute__((__unused__)) void *arg)

#ifdef __cplusplus
}
#endif
#endif
