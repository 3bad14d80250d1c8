/* process.h - other programs: started, told by signals, waited for.
 *
 * All return 0 or more, or -errno.
 */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

struct process_how {
    char *const *argv; /* argv[0] is looked for in PATH */
    char *const *env;  /* NULL: as this process's */
    const char *dir;   /* NULL: this process's */
    int fds[3];        /* what its first three descriptors are; -1: as here */
};

/* No signal is blocked there, and SIGPIPE does what it does by default. Waits
 * until the other program runs, or cannot. */
int process_spawn(pid_t *pid, const struct process_how *how);

/* A descriptor that is ready to read when it has ended. -ENOSYS: no such thing. */
int process_fd(pid_t pid);

int process_signal(pid_t pid, int signal);

/* 1: it has ended; it stays to be reaped. 0: it has not. */
int process_has_ended(pid_t pid);

/* How it has ended. -EAGAIN: it has not. */
int process_reap(pid_t pid, int *status);

/* A pipe whose ends no other program gets, numbered from 3 on. */
int process_pipe(int ends[2]);

/* A copy of fd, likewise. */
int process_dup(int fd);

int process_null(void); /* /dev/null */

#endif
