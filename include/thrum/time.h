/* thrum/time.h - time, and letting it pass.
 *
 * Time is nanoseconds. An instant is a reading of CLOCK_MONOTONIC.
 */
#ifndef THRUM_TIME_H
#define THRUM_TIME_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t thrum_time;

#define THRUM_US(x)  ((thrum_time)(x)*1000)
#define THRUM_MS(x)  ((thrum_time)(x)*1000000)
#define THRUM_SEC(x) ((thrum_time)(x)*1000000000)

/* Tell the time.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Returns:    the monotonic clock, in nanoseconds.
 */
THRUM_API thrum_time thrum_now(void);

/* Let time pass: at least `duration`, none if it is not positive.
 *
 * Call from:  a task; a thread that is no worker, which then blocks.
 * Suspends:   a task, when duration > 0.
 * Returns:    0
 *             -ECANCELED  the task is canceled; at once, if it already was, even
 *                         when no time is to pass
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int thrum_sleep(thrum_time duration);

/* Let other tasks that are ready run first, and forks of this one.
 *
 * Call from:  a task; on another thread it does nothing.
 * Suspends:   when another task is ready.
 * Cost:       no allocation; a stack for each fork that is open. In recursion call
 *             thrum_checkpoint, which leaves them where they are.
 */
THRUM_API THRUM_SUSPENDS void thrum_yield(void);

#ifdef __cplusplus
}
#endif
#endif
