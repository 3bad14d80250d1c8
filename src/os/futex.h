/* futex.h - sleep in the kernel while a word has a value.
 *
 * Knows nothing of who sleeps or why; losing no wake-up is the caller's
 * protocol (parts/parker). The kernel compares and goes to sleep in one step:
 * a futex_wake after the word changed is never missed.
 *
 * Futexes are private to the process. Neither function changes errno. If the
 * kernel refuses them the program ends: nobody could sleep, or be woken.
 *
 * Ordering
 *   None is promised. The caller orders its data by its own accesses to the
 *   word, before it waits and after it is woken.
 */
#ifndef OS_FUTEX_H
#define OS_FUTEX_H

#include <stdint.h>

/* Sleep while *word is expected, until somebody wakes us or the clock of
 * os/clock.h reaches deadline_ns (absolute; INT64_MAX: never).
 *
 * Returns 0           woken, or for no reason: look at the word again
 *         -EAGAIN     the word was not expected
 *         -ETIMEDOUT  the deadline passed
 */
int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);

/* Wake up to n of those who sleep on word. The word is only an address here:
 * waking on memory that was freed meanwhile is a harmless spurious wake. */
void futex_wake(_Atomic uint32_t *word, int n);

#endif
