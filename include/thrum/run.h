/* thrum/run.h - runtimes: start, run, submit from outside, stop.
 *
 * A runtime is a set of worker threads. A program needs one, and thrum_run
 * makes it:
 *
 *     int main(void)
 *     {
 *         return thrum_report(thrum_run(NULL, app, NULL));
 *     }
 *
 * More than one is for isolation and for tests. An idle runtime uses no CPU.
 *
 * fork(2). A program may fork at any time, and exec. A child that does not exec
 * has no runtime: its thread is one that is no worker, and thrum_run starts a new
 * one there. What belongs to one of the parent's returns -ENOTRECOVERABLE (a call,
 * a post, a spawn, a stop), and nothing of it is freed; what another thread held
 * at that moment, a thrum_mutex for instance, is held for ever, as a
 * pthread_mutex_t is. A task that forks may go as far as exec or _exit in the
 * child; a wait there ends the program with a line that says so.
 */
#ifndef THRUM_RUN_H
#define THRUM_RUN_H

#include <thrum/err.h>
#include <thrum/fork.h>
#include <thrum/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_rt thrum_rt;

/* All zero is the default. */
typedef struct thrum_opts {
    /* Worker threads that run. 0: $THRUM_WORKERS, else the CPUs this process may
     * use, by affinity and by the quotas of its cgroup and all those above it,
     * counted again every 5 s while there is work. (By the affinity of a thread
     * of the runtime: taskset -a changes it, and so does a cpuset. Not with
     * .pin.) One that was asked for is the only one, so that no two tasks run at a
     * time, unless there is a thrum_block_enter: a task that blocks or computes
     * without that keeps the others from running. (Between two joins, children or
     * parts of a loop those that were woken have their turn, every 10 ms; and
     * children of a scope whose opener waits for other things than them.) */
    unsigned workers;
    /* Threads for thrum_offload, made as needed; and so many worker threads more
     * in place of those that block (thrum_block_enter). 0: 256. */
    unsigned max_blocking;
    /* Bytes of a task's stack, committed on touch. 0: $THRUM_STACK, else 256
     * KiB. At least 16 KiB. An eighth of it (a page at least, 1 MiB at most) is the
     * guard: who overflows a stack ends the program with a line that names the
     * task and its stack's size. A frame that is larger may jump over the guard,
     * which is noticed at a fault, and where the task waits, but not at once;
     * -fstack-clash-protection has the compiler touch each page of a frame.
     * A task that waits when there is no memory for one more keeps its worker,
     * which then resumes tasks, but begins none that may wait: if all workers come
     * to that, and wait for what has not begun, the program hangs. A line on
     * stderr tells of the first one, and thrum_dump does. (ulimit -v and
     * vm.max_map_count bound how many there are.) */
    size_t stack_size;
    /* Pin worker i to the i-th usable CPU; not those that come later. */
    bool pin;
    /* Gets what thrum_report is given while the runtime runs (not what is
     * reported of thrum_run's own result after that), and the errors of
     * background tasks. It runs on the reporting thread and must not suspend.
     * NULL: the full report goes to stderr. */
    void (*on_error)(const thrum_err *err, void *user);
    /* Gets a scope that takes longer than its `slow`: once while it is open,
     * with an error of kind THRUM_SLOW that names the children still at work
     * and what they wait for (as thrum_dump does), and once when it closes,
     * with its result. And, once, a scope that is still open a second after it
     * was canceled. name: the scope's, or its place. It runs on any thread and
     * must not suspend. NULL: a line on stderr, of at most 16 in a second. */
    void (*on_slow)(const char *name, thrum_time took, const thrum_err *err,
                    void *user);
    /* Gets a task that keeps its worker from others, with the place where it was
     * made; once for each place, of the first 64. It blocks its thread, and has
     * not said so (thrum_block_enter): no turn and no CPU used for some 10 ms. Or
     * it computes, as all that run do, and others wait. Another worker has taken
     * over then, unless just one was asked for: so nothing is lost but a thread;
     * but many that block are better off in thrum_offload, and one that computes
     * calls thrum_checkpoint. It runs on a thread of the runtime and must not
     * suspend. NULL: it is not told. */
    void (*on_stuck)(const char *name, const char *where, bool computes,
                     void *user);
    void *user;
    /* What is left in the background scope (thrum_root) when the runtime stops
     * is canceled, and gets this long to end. 0, or negative:
     * 10 s. */
    thrum_time grace;
    /* thrum_start only: it has no worker threads, and runs where thrum_poll is
     * called, see there. */
    bool guest;
} thrum_opts;

/* Run fn(arg) as a task and wait for it and for all that it started.
 *
 * On the process's default runtime: it is started with `opts` if it does not
 * run, and stopped when the last thrum_run that uses it returns. If it runs
 * already, opts are not looked at. Inside a task: a plain call in a scope of
 * its own.
 *
 * Call from:  anywhere.
 * Suspends:   a task as thrum_with; another thread blocks.
 * Ownership:  opts is copied, NULL is the default.
 * Returns:    fn's error and those of what it started and nobody joined.
 *             Of kind THRUM_OS or THRUM_NOMEM also when the runtime could not
 *             be started; fn was then not called.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *
thrum_run(const thrum_opts *opts, thrum_fn *fn, void *arg);

/* Start a runtime.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  *rt is to be given to thrum_stop. opts is copied.
 * Returns:    0
 *             -EINVAL   a stack under 16 KiB, or of more than there can be; over
 *                       1024 workers
 *             -ENOMEM   no memory, or no address space
 *             -EAGAIN   no threads; nothing is left behind
 *             -EBUSY, -EMFILE, -ENFILE  a guest: this thread has one; there is no
 *                       descriptor
 */
THRUM_API THRUM_NODISCARD int thrum_start(thrum_rt **rt,
                                          const thrum_opts *opts);

/* Wait until all that was posted has ended, then stop and free the runtime.
 *
 * Call from:  a thread that is no worker of rt, once; if rt is a guest, its host.
 * Suspends:   a task of another runtime, while what was posted goes on; else it
 *             blocks the thread.
 * Returns:    NULL, or the errors of what was posted. (They have not been
 *             reported.) Of kind THRUM_TIMEOUT when tasks of the background, or
 *             abandoned calls, go on after their .grace: rt is then left to them.
 *             Of kind THRUM_OS with ENOTRECOVERABLE in the child of a
 *             fork: rt is as it was.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *thrum_stop(thrum_rt *rt);

/* Change the number of workers that run; 0: as many as the process may use CPUs,
 * as .workers says. More come at once. Who is too many goes at the end of what it
 * does, so that a task may find itself on another worker after any wait, as ever;
 * its jobs go to the others, its thread some 10 s later.
 *
 * Call from:  anywhere. NULL: the runtime of the calling task, else that of
 *             thrum_run, if it runs.
 * Suspends:   never.
 * Returns:    0
 *             -EINVAL   over 1024
 *             -EAGAIN, -ENOMEM  no threads or no memory for all of them: those
 *                       there are run, and the others are tried again later
 *             -ESRCH    no runtime
 *             -ENOTRECOVERABLE  in the child of a fork
 *             In a simulation, and of a guest, 0, and one worker.
 * Cost:       a thread is made or woken for each that comes.
 */
THRUM_API THRUM_NODISCARD int thrum_resize(thrum_rt *rt, unsigned workers);

/* Run fn(arg) as a task of rt and wait for it.
 *
 * Call from:  a thread that is no worker; a task of another runtime. From a task
 *             of rt: a plain call in a scope of its own.
 * Suspends:   a task; another thread blocks.
 * Order:      fn sees what came before; what it did is visible on return.
 * Returns:    what fn returned, with the errors of what it spawned. Of kind
 *             THRUM_OS with ENOTRECOVERABLE in the child of a fork.
 * Cost:       no allocation.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *
thrum_call(thrum_rt *rt, thrum_fn *fn, void *arg);

/* int thrum_post(thrum_rt *rt, thrum_fn *fn, const void *arg, size_t copy)
 *
 * Submit fn as a task of rt and do not wait. Its error is thrum_stop's.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  as thrum_spawn.
 * Returns:    0: fn will be called, before thrum_stop returns.
 *             -ENOMEM: it will not. -ENOTRECOVERABLE: nor will it in the child
 *             of a fork.
 */
#define thrum_post(rt, fn, arg, copy)                                          \
    thrum_must_look_(__extension__({                                           \
        static const struct thrum_site_ thrum_site_here_ = {thrum_post_run_,   \
                                                            #fn, THRUM_HERE};  \
        thrum_post_((rt), &thrum_site_here_, (fn), (arg), (copy));             \
    }))

THRUM_API void thrum_post_run_(struct thrum_job_ *job);
THRUM_API THRUM_NODISCARD int thrum_post_(thrum_rt *,
                                          const struct thrum_site_ *,
                                          thrum_fn *, const void *, size_t);

/* ----------------------------------------------------------------- a guest
 *
 * In a program that has a loop of its own, a GUI or a server on libuv, tasks can
 * run on the thread of that loop, and so use what belongs to it:
 *
 *     thrum_start(&rt, &(thrum_opts){.guest = true});
 *     ... the loop: when thrum_poll_fd(rt) is ready to read call
 *                   thrum_poll(rt, THRUM_MS(5)) ...
 *
 * The thread that starts it is its host. Its tasks come from thrum_post, by any
 * thread, and run while the host is in thrum_poll, in thrum_call or thrum_stop, or
 * waits itself, for a channel for instance; otherwise all is as in any other
 * runtime.
 *
 * Signal handlers that may come while a task runs want SA_ONSTACK there, too. */

/* A descriptor that is ready to read when thrum_poll has something to do: a task is
 * ready, a time has come, a descriptor is ready that a task waits for.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  rt's. Wait for it, by level, and do nothing else with it.
 * Returns:    the descriptor, the same each time; -ENOTRECOVERABLE in the child of
 *             a fork.
 */
THRUM_API THRUM_NODISCARD int thrum_poll_fd(thrum_rt *rt);

/* Let a guest run the tasks that are ready, and those that become so meanwhile. At
 * least one task goes on, and when `max` is over no other one does: how long one
 * goes on before it waits, yields or ends is up to it.
 *
 * Call from:  its host, not in a task.
 * Suspends:   never; it does not wait, either.
 * Returns:    1 if there is more to do; then the descriptor is ready, too. 0 if
 *             there is not. -ENOTRECOVERABLE in the child of a fork.
 */
THRUM_API int thrum_poll(thrum_rt *rt, thrum_time max);

#ifdef __cplusplus
}
#endif
#endif
