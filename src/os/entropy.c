#include "os/entropy.h"

#include <errno.h>
#include <sys/random.h>

#include "os/clock.h"
#include "os/env.h"

/* The finalizer of splitmix64: every bit of x reaches every bit of the result. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t entropy(void)
{
    uint64_t seed;
    int saved = errno;

    if (env_number("THRUM_SEED", &seed))
        return seed;

    /* Early in boot the kernel may have no randomness yet; a scheduler need not
     * wait for it. */
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        seed = mix((uint64_t)clock_now()) ^ mix((uint64_t)(uintptr_t)&seed);
    errno = saved;
    return seed;
}
