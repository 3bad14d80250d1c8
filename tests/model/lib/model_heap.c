#include "model_heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "model.h"
#include "os/memory.h"

/* Where nothing else is: the same in every run, so that whatever hangs on an
 * address, say an order of locks, does so in each. */
#define HEAP   0x200000000000
#define RANGES 0x210000000000

enum { GRAIN = 16, BEFORE = 64, PAGE = 4096, NONSENSE = 0xE5 };

enum grain { UNUSED, ALLOCATED, FREED };

struct block {
    size_t bytes;
};

uintptr_t model_heap_low = UINTPTR_MAX - MODEL_HEAP_BYTES;

static char *ranges;
static size_t used, ranges_used;
static int blocks, mappings;
static unsigned char grains[MODEL_HEAP_BYTES / GRAIN];

static char *map_at(uintptr_t address, size_t bytes)
{
    void *p = mmap((void *)address, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        abort();
    return p;
}

void model_heap_reset(void)
{
    if (ranges == NULL) {
        model_heap_low = (uintptr_t)map_at(HEAP, MODEL_HEAP_BYTES);
        ranges = map_at(RANGES, MODEL_RANGE_BYTES);
    }
    memset(grains, UNUSED, used / GRAIN);
    if (ranges_used > 0)
        (void)madvise(ranges, ranges_used, MADV_DONTNEED);
    used = ranges_used = 0;
    blocks = mappings = 0;
    model_watch((void *)model_heap_low, MODEL_HEAP_BYTES);
    model_watch(ranges, MODEL_RANGE_BYTES);
}

int model_heap_blocks(void)
{
    return blocks;
}

int model_heap_mappings(void)
{
    return mappings;
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static void mark(const void *p, size_t bytes, enum grain as)
{
    memset(&grains[((uintptr_t)p - model_heap_low) / GRAIN], as,
           round_up(bytes, GRAIN) / GRAIN);
}

void *model_aligned_alloc(size_t align, size_t bytes)
{
    size_t at = round_up(used + BEFORE, align < GRAIN ? GRAIN : align);
    char *p = (char *)model_heap_low + at;

    if (bytes > MODEL_HEAP_BYTES || at > MODEL_HEAP_BYTES - bytes) {
        model_fail("the model's heap is too small", NULL);
        return NULL;
    }
    used = round_up(at + bytes, GRAIN);
    ((struct block *)(void *)p)[-1].bytes = bytes;
    memset(p, NONSENSE, bytes);
    mark(p, bytes, ALLOCATED);
    blocks++;
    return p;
}

void *model_malloc(size_t bytes)
{
    return model_aligned_alloc(GRAIN, bytes);
}

void *model_calloc(size_t n, size_t bytes)
{
    void *p = model_malloc(n * bytes);

    return p == NULL ? NULL : memset(p, 0, n * bytes);
}

void model_free(void *p)
{
    size_t bytes;

    if (p == NULL)
        return;
    model_heap_check(p, "free");
    bytes = ((struct block *)p)[-1].bytes;
    model_plain_free(p, bytes);
    memset(p, NONSENSE, bytes);
    mark(p, bytes, FREED);
    blocks--;
}

void model_heap_fault(const volatile void *p, const char *where)
{
    switch (grains[((uintptr_t)p - model_heap_low) / GRAIN]) {
    case ALLOCATED:
        break;
    case FREED:
        model_fail("memory that was freed is touched", where);
        break;
    default:
        model_fail("memory that was never allocated is touched", where);
    }
}

/* --------------------------------------------------- mappings, as os/memory */

size_t memory_page(void)
{
    return PAGE;
}

void *memory_reserve(size_t bytes, size_t align)
{
    size_t at = round_up(ranges_used, align < PAGE ? PAGE : align);

    if (at + bytes > MODEL_RANGE_BYTES)
        return NULL;
    ranges_used = at + bytes;
    mappings++;
    return ranges + at;
}

void *memory_map(size_t bytes)
{
    return memory_reserve(bytes, PAGE);
}

void memory_unmap(void *addr, size_t bytes)
{
    (void)addr;
    (void)bytes;
    mappings--;
}

void memory_populate(void *addr, size_t bytes)
{
    (void)addr, (void)bytes;
}

void memory_discard(void *addr, size_t bytes)
{
    (void)madvise(addr, bytes, MADV_DONTNEED);
}

/* Not guarded, but nobody is told: a stack is larger than what is called here. */
bool memory_guard(void *addr, size_t bytes)
{
    (void)addr;
    (void)bytes;
    return true;
}

void memory_unguard(void *addr, size_t bytes)
{
    (void)addr;
    (void)bytes;
}
