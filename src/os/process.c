#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fail.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

enum { STANDARD = 3 };

extern char **environ;

static int actions(posix_spawn_file_actions_t *a, const struct process_how *how)
{
    int rc = 0;

    if (how->dir != NULL)
        rc = posix_spawn_file_actions_addchdir_np(a, how->dir);
    for (int i = 0; i < STANDARD && rc == 0; i++)
        if (how->fds[i] >= 0)
            rc = posix_spawn_file_actions_adddup2(a, how->fds[i], i);
    return rc;
}

static int attributes(posix_spawnattr_t *a)
{
    sigset_t none, pipe;

    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    (void)posix_spawnattr_setsigmask(a, &none); /* these cannot fail */
    (void)posix_spawnattr_setsigdefault(a, &pipe);
    return posix_spawnattr_setflags(a, POSIX_SPAWN_SETSIGMASK |
                                           POSIX_SPAWN_SETSIGDEF);
}

int process_spawn(pid_t *pid, const struct process_how *how)
{
    posix_spawn_file_actions_t acts;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&acts);

    if (rc != 0)
        return -rc;
    rc = posix_spawnattr_init(&attr);
    if (rc == 0) {
        rc = attributes(&attr);
        if (rc == 0)
            rc = actions(&acts, how);
        if (rc == 0)
            rc = posix_spawnp(pid, how->argv[0], &acts, &attr, how->argv,
                              how->env != NULL ? how->env : environ);
        (void)posix_spawnattr_destroy(&attr);
    }
    (void)posix_spawn_file_actions_destroy(&acts);
    return -rc;
}

static int result(long rc)
{
    return rc < 0 ? -errno : (int)rc;
}

int process_fd(pid_t pid)
{
    int saved = errno, fd;

    if (fail_now(FAIL_PIDFD))
        return -ENOSYS;
    fd = result(syscall(SYS_pidfd_open, pid, 0)); /* close-on-exec by itself */
    errno = saved;
    return fd;
}

int process_signal(pid_t pid, int signal)
{
    int saved = errno, rc = result(kill(pid, signal));

    errno = saved;
    return rc;
}

int process_has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    int saved = errno, rc;

    do
        rc = result(
            waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG));
    while (rc == -EINTR);
    errno = saved;
    if (rc < 0)
        return rc;
    return info.si_pid != 0;
}

int process_reap(pid_t pid, int *status)
{
    int saved = errno, rc;

    do
        rc = result(waitpid(pid, status, WNOHANG));
    while (rc == -EINTR);
    errno = saved;
    if (rc == 0)
        return -EAGAIN;
    return rc < 0 ? rc : 0;
}

int process_dup(int fd)
{
    int saved = errno, rc = result(fcntl(fd, F_DUPFD_CLOEXEC, STANDARD));

    errno = saved;
    return rc;
}

/* Out of the way of the first three. */
static int move(int *fd)
{
    int copy;

    if (*fd >= STANDARD)
        return 0;
    copy = process_dup(*fd);
    if (copy < 0)
        return copy;
    (void)close(*fd);
    *fd = copy;
    return 0;
}

int process_pipe(int ends[2])
{
    int saved = errno, rc = result(pipe2(ends, O_CLOEXEC));

    if (rc == 0) {
        rc = move(&ends[0]);
        if (rc == 0)
            rc = move(&ends[1]);
        if (rc < 0) {
            (void)close(ends[0]);
            (void)close(ends[1]);
        }
    }
    errno = saved;
    return rc;
}

int process_null(void)
{
    int saved = errno, fd = result(open("/dev/null", O_RDWR | O_CLOEXEC)), rc;

    if (fd >= 0) {
        rc = move(&fd);
        if (rc < 0) {
            (void)close(fd);
            fd = rc;
        }
    }
    errno = saved;
    return fd;
}
