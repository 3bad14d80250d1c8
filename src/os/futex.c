#include "os/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "os/clock.h"

/* FUTEX_WAIT takes a relative timeout and would drift over retries; the bitset
 * form takes an absolute one on the monotonic clock. */
int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    struct timespec until = {0};
    int saved = errno;
    int rc = 0;

    if (deadline_ns > 0) {
        until.tv_sec = (time_t)(deadline_ns / 1000000000);
        until.tv_nsec = (long)(deadline_ns % 1000000000);
    }
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected,
                deadline_ns == CLOCK_NEVER ? NULL : &until, NULL,
                FUTEX_BITSET_MATCH_ANY) < 0)
        rc = -errno;
    errno = saved;

    if (rc == -EINTR)
        return 0;
    if (unlikely(rc != 0 && rc != -EAGAIN && rc != -ETIMEDOUT))
        die_refused("futex", -rc);
    return rc;
}

void futex_wake(_Atomic uint32_t *word, int n)
{
    int saved = errno;

    if (unlikely(syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL,
                         0) < 0 &&
                 errno != EFAULT)) /* it is gone */
        die_refused("futex", errno);
    errno = saved;
}
