#include "os/signals.h"

#include <errno.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <time.h>

void signals_block(const sigset_t *set)
{
    (void)pthread_sigmask(SIG_BLOCK, set, NULL); /* it cannot fail */
}

int signals_fd(const sigset_t *set)
{
    int saved = errno;
    int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    int rc = fd < 0 ? -errno : fd;

    errno = saved;
    return rc;
}

int signals_take(const sigset_t *set, siginfo_t *info)
{
    static const struct timespec at_once = {0, 0};
    int saved = errno, rc;

    do
        rc = sigtimedwait(set, info, &at_once);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        rc = -errno;
    errno = saved;
    return rc;
}
