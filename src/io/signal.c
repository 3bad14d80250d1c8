/* Signals. A descriptor tells that one is pending; it is taken as sigtimedwait(2)
 * does, so that of several who wait one gets it, and nobody who is canceled. */
#include <thrum/signal.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>

#include <thrum/io.h>

#include "io/call.h"
#include "os/signals.h"

sigset_t thrum_signals_block_(int first, ...)
{
    sigset_t set;
    va_list more;

    sigemptyset(&set);
    va_start(more, first);
    for (int signal = first; signal != 0; signal = va_arg(more, int))
        REQUIRE(sigaddset(&set, signal) == 0, "no such signal");
    va_end(more);
    signals_block(&set);
    return set;
}

int thrum_signal_wait(const sigset_t *set, void *info)
{
    int fd, rc;

    REQUIRE(set != NULL, "no signals");
    if (call_canceled())
        return -ECANCELED;
    fd = signals_fd(set);
    if (fd < 0)
        return fd;
    fd_fresh(fd);
    while ((rc = signals_take(set, info)) == -EAGAIN) {
        rc = thrum_wait_fd(fd, POLLIN);
        if (rc < 0)
            break;
    }
    (void)thrum_close(fd);
    return rc;
}
