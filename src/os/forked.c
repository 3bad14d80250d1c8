#include "os/forked.h"

#include <pthread.h>

#include "base/atomic.h"

static _Atomic uint32_t times;

static void count(void)
{
    store_relaxed(&times, load_relaxed(&times) + 1); /* the only thread */
}

FORGET_IN_CHILD(count)

/* Without memory for that, which a program has when it is loaded, a child must
 * not use the library. */
void forked_tell(void (*forget)(void))
{
    (void)pthread_atfork(NULL, NULL, forget);
}

uint32_t forked_times(void)
{
    return load_relaxed(&times);
}
