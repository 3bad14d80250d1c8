#include "os/entropy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>

#include "os/clock.h"

/* strtoull alone would accept " -1", "012" as octal and "" as zero. */
static bool wish(uint64_t *seed)
{
    const char *text = getenv("THRUM_SEED");
    int saved = errno;
    char *end;
    bool ok;

    if (text == NULL || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *seed = strtoull(text, &end,
                     text[0] == '0' && (text[1] | 32) == 'x' ? 16 : 10);
    ok = errno == 0 && *end == '\0';
    errno = saved;
    return ok;
}

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

    if (wish(&seed))
        return seed;

    /* Early in boot the kernel may have no randomness yet; a scheduler need not
     * wait for it. */
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        seed = mix((uint64_t)clock_now()) ^ mix((uint64_t)(uintptr_t)&seed);
    errno = saved;
    return seed;
}
