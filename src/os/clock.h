/* clock.h - what time it is. The only door of the library to a clock.
 *
 * Time is int64_t nanoseconds of CLOCK_MONOTONIC, so it never steps back and
 * never jumps when the wall clock is set. INT64_MAX means "never" wherever a
 * deadline is asked for. Knows nothing of timers. On a thread that simulates
 * (src/sim) it is the simulation's own time.
 */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_NEVER INT64_MAX

/* Some 25 ns: glibc reads it without entering the kernel. */
int64_t clock_now(void);

/* On this thread the clock shows *now from here on; NULL: the time again. */
void clock_simulate(const int64_t *now);

/* The CPU's own counter: some 8 ns, in a unit of its own. */
static inline uint64_t clock_ticks(void)
{
#if defined(THRUM_MODEL)
    return (uint64_t)clock_now(); /* its explorer has one clock */
#elif defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}

/* Does it run evenly, and alike on all CPUs? */
bool clock_ticks_even(void);

/* An instant on both clocks, to tell how fast the counter runs. */
struct clock_pair {
    uint64_t ticks;
    int64_t now;
};

struct clock_pair clock_pair(void);

/* When the counter was at `ticks`, which is between the two instants: then or
 * some tens of nanoseconds later, never before. */
int64_t clock_of_ticks(struct clock_pair before, struct clock_pair after,
                       uint64_t ticks);

#endif
