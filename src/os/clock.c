#include "os/clock.h"

#include <stddef.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* Of a thread that simulates, else NULL. */
static _Thread_local const int64_t *simulated
    __attribute__((tls_model("initial-exec")));

__attribute__((noinline)) void clock_simulate(const int64_t *now)
{
    simulated = now;
}

__attribute__((noinline)) int64_t clock_now(void)
{
    struct timespec now;

    if (__builtin_expect(simulated != NULL, 0))
        return *simulated;
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool clock_ticks_even(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;

    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 0x100) != 0;
#else
    return clock_ticks() != 0;
#endif
}

/* The counter first: what comes between makes an instant later, not earlier. */
struct clock_pair clock_pair(void)
{
    struct clock_pair p;

    p.ticks = clock_ticks();
    p.now = clock_now();
    return p;
}

int64_t clock_of_ticks(struct clock_pair before, struct clock_pair after,
                       uint64_t ticks)
{
    double rate;

    if (after.ticks <= before.ticks || after.ticks <= ticks)
        return after.now;
    rate = (double)(after.now - before.now) /
           (double)(after.ticks - before.ticks);
    return after.now - (int64_t)((double)(after.ticks - ticks) * rate);
}
