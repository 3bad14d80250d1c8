#include "os/barrier.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/base.h"
#include "base/sanitize.h"
#include "os/forked.h"

enum { UNASKED, PRESENT, ABSENT };

static _Atomic int answer = UNASKED;

static void forget(void)
{
    store_relaxed(&answer, UNASKED); /* the only thread of a new process */
}

FORGET_IN_CHILD(forget)

static long membarrier(int command)
{
    int saved = errno;
    long rc = syscall(SYS_membarrier, command, 0, 0);

    if (rc < 0)
        rc = -errno;
    errno = saved;
    return rc;
}

static bool forbidden(void)
{
    const char *wish = getenv("THRUM_MEMBARRIER");

    return SANITIZE_THREAD || (wish != NULL && strcmp(wish, "0") == 0);
}

/* The trial shot catches filters that let the registration pass only. */
static bool probe(void)
{
    const long needed = MEMBARRIER_CMD_PRIVATE_EXPEDITED |
                        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    long has = membarrier(MEMBARRIER_CMD_QUERY);

    return has > 0 && (has & needed) == needed &&
           membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
           membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

bool barrier_start(void)
{
    int known = load_relaxed(&answer); /* nothing to carry but the answer */

    if (known == UNASKED) {
        int found = !forbidden() && probe() ? PRESENT : ABSENT;

        /* Two first callers may both probe. The first answer holds for all,
         * should a filter be installed between the two. */
        if (cas_relaxed(&answer, &known, found))
            known = found;
    }
    return known == PRESENT;
}

void barrier_heavy(void)
{
    long rc = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);

    if (unlikely(rc != 0)) /* it was there when we asked */
        die_refused("membarrier", (int)-rc);
}
