/* clock.h - what time it is. The only door of the library to a clock.
 *
 * Time is int64_t nanoseconds of CLOCK_MONOTONIC, so it never steps back and
 * never jumps when the wall clock is set. INT64_MAX means "never" wherever a
 * deadline is asked for. Knows nothing of timers; a simulator replaces this
 * file at link time.
 */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>

#define CLOCK_NEVER INT64_MAX

/* Some 25 ns: glibc reads it without entering the kernel. */
int64_t clock_now(void);

#endif
