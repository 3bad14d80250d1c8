/* model_heap.h - memory of one execution: the same addresses in each, none used
 * twice, so that who touches what was freed is found.
 *
 * What a program gives back is filled with nonsense, and what it gets is no
 * better. Accesses of base/atomic.h, and plain ones as model_plain.c sees them,
 * must be to what is allocated.
 */
#ifndef MODEL_HEAP_H
#define MODEL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODEL_HEAP_BYTES = 1 << 22, MODEL_RANGE_BYTES = 1 << 27 };

/* In setup: all is free; plain accesses to it are looked at for races. */
void model_heap_reset(void);

/* How much is not freed: blocks, and mappings. */
int model_heap_blocks(void);
int model_heap_mappings(void);

/* Names for malloc and its like in the sources explored. NULL is not told of:
 * what there is suffices for all that an execution may want. */
void *model_malloc(size_t bytes);
void *model_aligned_alloc(size_t align, size_t bytes);
void *model_calloc(size_t n, size_t bytes);
void model_free(void *p);

/* In memory: fails if it is in the heap, and not allocated. */
extern uintptr_t model_heap_low; /* where nothing is, if there is none */
void model_heap_fault(const volatile void *p, const char *where);

static inline void model_heap_check(const volatile void *p, const char *where)
{
    if (model_heap_low != 0 && (uintptr_t)p - model_heap_low < MODEL_HEAP_BYTES)
        model_heap_fault(p, where);
}

#endif
