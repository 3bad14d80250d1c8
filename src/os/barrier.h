/* barrier.h - the heavy half of an asymmetric fence: membarrier(2).
 *
 * Two threads that each write, then read what the other writes, both need a
 * full fence between the two. Where one of them does it often and the other
 * rarely, the frequent one uses barrier_light() (base/atomic.h; it only stops
 * the compiler, 0 ns instead of some 5) and the rare one barrier_heavy(), which
 * makes every running thread of the process pass a full fence. At least one of
 * them then sees the other's write.
 *
 * Where barrier_start says false the frequent side must use a real fence or a
 * seq_cst access instead; both sides must read the same answer.
 */
#ifndef OS_BARRIER_H
#define OS_BARRIER_H

#include <stdbool.h>

/* Register the process with the kernel, once. Any thread, any number of times;
 * all calls return the same. False where there is no membarrier (old kernel,
 * seccomp filter, valgrind), where THRUM_MEMBARRIER=0 forbids it, and under
 * ThreadSanitizer, which cannot see it. A forked child stays registered. */
bool barrier_start(void);

/* Only after barrier_start said true. Some microseconds. */
void barrier_heavy(void);

#endif
