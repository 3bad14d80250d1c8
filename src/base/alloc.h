/* alloc.h - the one door to the heap.
 *
 * Every module allocates here, so that a test can make any one allocation fail
 * and see that nothing leaks and no failure becomes a success.
 *
 * The fault costs a relaxed load and a branch never taken while no test armed
 * it; it is compiled in always, so that what is tested is what ships.
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include "base/atomic.h"
#include "base/base.h"

/* Allocations left before the fault; 0: no fault is armed. */
extern _Atomic uint64_t alloc_countdown;

bool alloc_is_to_fail(void);

/* NULL without memory. The bytes are not cleared. */
static inline void *alloc(size_t bytes)
{
    if (unlikely(load_relaxed(&alloc_countdown) != 0) && alloc_is_to_fail())
        return NULL;
    return malloc(bytes);
}

/* Aligned to a power of two that divides bytes. */
static inline void *alloc_aligned(size_t align, size_t bytes)
{
    if (unlikely(load_relaxed(&alloc_countdown) != 0) && alloc_is_to_fail())
        return NULL;
    return aligned_alloc(align, bytes);
}

static inline void release(void *p)
{
    free(p);
}

/* For tests. From now on, counting from 1: only the nth allocation of the
 * process fails, or the nth and all that follow, or none. Arm it while no other
 * thread allocates. */
void alloc_fail_at(uint64_t nth);
void alloc_fail_from(uint64_t nth);
void alloc_fail_never(void);

/* Each fails, of whatever thread, for which choose says so; NULL: none. */
void alloc_fail_if(bool (*choose)(void));

/* How many allocations failed since a fault was last armed. A sweep over n ends
 * when this is 0: then the subject made fewer than n allocations. */
uint64_t alloc_failures(void);

#endif
