/* thrum/process.h - other programs: start one, talk to it, wait for it.
 *
 *     thrum_process p;
 *     char *const argv[] = {"sort", "-n", NULL};
 *
 *     THRUM_TRY(thrum_process_start(&p, argv, .in = THRUM_PIPE, .out = THRUM_PIPE));
 *     ... thrum_write_full(p.in, ...); thrum_close(p.in); thrum_read(p.out, ...) ...
 *     thrum_close(p.out);
 *     return thrum_process_wait(&p);      // NULL: it exited with 0
 *
 * A process belongs to the task that started it, as a fork does: it is waited for
 * on every path. When that task is canceled, or its time is over, the process is
 * told to end (SIGTERM), and killed if it does not.
 */
#ifndef THRUM_PROCESS_H
#define THRUM_PROCESS_H

#include <sys/types.h>

#include <thrum/err.h>
#include <thrum/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* It did not exit with 0: its status is in thrum_process's `status`, and told by
 * the message. */
THRUM_API extern const thrum_kind THRUM_EXIT;

/* The caller's storage. */
typedef struct thrum_process {
    /* Our ends of its pipes, or -1; the caller's, to close with thrum_close. */
    int in, out, err;
    pid_t pid;  /* while it runs */
    int status; /* when it was waited for: as waitpid(2) has it */
    int fd_;
    struct thrum_played_ *played_; /* in a simulation */
    thrum_time grace_;
    const char *name_, *where_;
} thrum_process;

/* What a standard stream of the new process is, besides a descriptor of this one
 * (not 0, which stands for THRUM_INHERIT). */
enum {
    THRUM_INHERIT = 0, /* what it is here */
    THRUM_PIPE = -1,   /* a pipe, whose other end is ours */
    THRUM_NULL = -2,   /* /dev/null */
    THRUM_TO_OUT = -3, /* for .err: where .out goes */
};

typedef struct thrum_process_opts {
    const char *where; /* filled in */
    int in, out, err;
    char *const *env; /* NULL: as this process's */
    const char *dir;  /* where it runs; NULL: where this one does */
    /* What it gets to end after SIGTERM; 0: 1 s. Negative: it is killed at once. */
    thrum_time grace;
    int _;
} thrum_process_opts;

/* int thrum_process_start(thrum_process *p, char *const *argv, .out = ..., ...)
 *
 * Start a program: argv[0], looked for in PATH if it has no slash, with the
 * arguments argv, which ends with NULL. No shell is involved.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   the task, for as long as the kernel takes to start it.
 * Ownership:  p is to be given to thrum_process_wait if 0 is returned. Options
 *             and argv are looked at during the call only, but for argv[0].
 * Returns:    0
 *             -ECANCELED  the task was canceled before; nothing was started
 *             -ENOENT, -EACCES, -ENOEXEC, ...  what posix_spawn(3) says
 *             -EMFILE, -ENFILE, -ENOMEM, -EAGAIN
 *             -ENOSYS     in a simulation that has no programs (thrum/test.h)
 *
 * It inherits no descriptor that is close-on-exec, as all of this library are,
 * has no signal blocked, and SIGPIPE as by default.
 */
#define thrum_process_start(...) THRUM_PROCESS_I_(__VA_ARGS__, ._ = 0)

/* Wait until it has ended. When the caller is canceled meanwhile it is told to end
 * and, after its grace, killed; then it has ended, too, when this returns.
 *
 * Call from:  the task or thread that started it, once.
 * Suspends:   until then.
 * Returns:    NULL if it exited with 0. Of kind THRUM_EXIT if with another status,
 *             or by a signal. THRUM_CANCELED if it was ended because the caller
 *             was canceled. Of kind THRUM_OS with ECHILD if somebody else has
 *             reaped it (wait(2), SIGCHLD ignored): `status` is then -1.
 *
 * Who reads its output reads before, or at the same time: a process may wait for
 * room in its pipe.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *
thrum_process_wait(thrum_process *p);

/* Send it a signal.
 *
 * Call from:  anywhere, before it was waited for.
 * Suspends:   never.
 * Returns:    0, also if it has ended; -EINVAL: no such signal.
 */
THRUM_API THRUM_NODISCARD int thrum_process_signal(thrum_process *p,
                                                   int signal);

THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_process_start_(thrum_process *p, char *const *argv,
                     const thrum_process_opts *opts);

#ifdef __cplusplus
}
#endif

#define THRUM_PROCESS_I_(p, argv, ...)                                         \
    thrum_process_start_((p), (argv), THRUM_PROCESS_OPTS_(__VA_ARGS__))
#ifndef __cplusplus
#define THRUM_PROCESS_OPTS_(...)                                               \
    (&(const thrum_process_opts){.where = THRUM_HERE, __VA_ARGS__})
#else
#pragma GCC system_header /* an option that is left out is no warning */
#define THRUM_PROCESS_OPTS_(...)                                               \
    (&static_cast<const thrum_process_opts &>(                                 \
        __extension__(thrum_process_opts){.where = THRUM_HERE, __VA_ARGS__}))
#endif
#endif
