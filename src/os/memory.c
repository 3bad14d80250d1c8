#include "os/memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/base.h"
#include "os/fail.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum { KIND_UNASKED = -1 };

/* The default of vm.max_map_count, for when /proc is not mounted. */
enum { MAPPINGS_DEFAULT = 65530, MAPPINGS_PER_GUARD = 2 };

static _Atomic int kind_known = KIND_UNASKED;
static _Atomic size_t guards_max;  /* before kind_known: [M1] [M2] */
static _Atomic size_t guards_live; /* of GUARD_MPROTECT; ours to count */

size_t memory_page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t whole_pages(size_t bytes)
{
    size_t page = memory_page();

    return (bytes + page - 1) & ~(page - 1);
}

static void *map(size_t bytes, int flags)
{
    int saved = errno;
    void *addr;

    if (fail_now(FAIL_MAP))
        return NULL;
    addr = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    errno = saved;
    return addr == MAP_FAILED ? NULL : addr;
}

static int advise(void *addr, size_t bytes, int advice)
{
    int saved = errno;
    int rc = madvise(addr, bytes, advice) < 0 ? -errno : 0;

    errno = saved;
    return rc;
}

static int protect(void *addr, size_t bytes, int access)
{
    int saved = errno;
    int rc = mprotect(addr, bytes, access) < 0 ? -errno : 0;

    errno = saved;
    return rc;
}

void *memory_map(size_t bytes)
{
    return map(whole_pages(bytes), 0);
}

void *memory_reserve(size_t bytes, size_t align)
{
    size_t page = memory_page();
    size_t slack = align > page ? align - page : 0;
    size_t want = whole_pages(bytes);
    char *addr, *start;

    if (want < bytes || want + slack < want)
        return NULL;
    addr = map(want + slack, MAP_NORESERVE);
    if (addr == NULL)
        return NULL;

    start = addr + (-(uintptr_t)addr & (align - 1) & -page);
    if (start > addr)
        memory_unmap(addr, (size_t)(start - addr));
    if (start < addr + slack)
        memory_unmap(start + want, (size_t)(addr + slack - start));

    advise(start, want, MADV_NOHUGEPAGE); /* refused where there are none */
    return start;
}

void memory_unmap(void *addr, size_t bytes)
{
    int saved = errno;
    int rc = munmap(addr, whole_pages(bytes));

    assert_invariant(rc == 0 || errno != EINVAL); /* ours to get right */
    if (rc < 0)
        memory_discard(addr, bytes);
    errno = saved;
}

void memory_discard(void *addr, size_t bytes)
{
    advise(addr, whole_pages(bytes), MADV_DONTNEED);
}

void memory_populate(void *addr, size_t bytes)
{
    size_t before = (uintptr_t)addr & (memory_page() - 1);

    advise((char *)addr - before, whole_pages(before + bytes),
           MADV_POPULATE_WRITE);
}

/* An emulator may accept an advice it does not know, so look whether it had an
 * effect. The kernel reports a bad address of ours as an error, not a signal.
 */
static bool kernel_guards(void)
{
    size_t page = memory_page();
    void *addr = map(page, 0);
    bool guarded;
    int saved = errno;

    if (addr == NULL)
        return false;
    guarded = advise(addr, page, MADV_GUARD_INSTALL) == 0 &&
              syscall(SYS_clock_gettime, CLOCK_MONOTONIC, addr) < 0;
    errno = saved;
    memory_unmap(addr, page);
    return guarded;
}

static size_t mappings_max(void)
{
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    unsigned long count;

    if (file == NULL)
        return MAPPINGS_DEFAULT;
    if (fscanf(file, "%lu", &count) != 1)
        count = MAPPINGS_DEFAULT;
    fclose(file);
    return count;
}

static enum guard_kind choose_kind(void)
{
    const char *wish = getenv("THRUM_GUARD");

    if (wish != NULL && strcmp(wish, "none") == 0)
        return GUARD_NONE;
    if (wish != NULL && strcmp(wish, "mprotect") == 0)
        return GUARD_MPROTECT;
    return kernel_guards() ? GUARD_MADVISE : GUARD_MPROTECT;
}

static cold enum guard_kind ask(void)
{
    int saved = errno;
    enum guard_kind kind = choose_kind();
    size_t max = 0;

    if (kind == GUARD_MADVISE)
        max = SIZE_MAX;
    else if (kind == GUARD_MPROTECT)
        max = mappings_max() / 2 / MAPPINGS_PER_GUARD;

    store_relaxed(&guards_max, max);       /* carried by [M1] */
    store_release(&kind_known, (int)kind); /* [M1] */
    errno = saved;
    return kind;
}

/* Two first callers may both ask; they find the same. */
enum guard_kind memory_guard_kind(void)
{
    int kind = load_acquire(&kind_known); /* [M2] */

    return kind == KIND_UNASKED ? ask() : (enum guard_kind)kind;
}

size_t memory_guard_max(void)
{
    memory_guard_kind();
    return load_relaxed(&guards_max); /* carried by [M2], or our own */
}

/* Statistics of a limit, not a lock: relaxed is enough for it to hold. */
static bool take_mappings(void)
{
    if (add_relaxed(&guards_live, 1) < memory_guard_max())
        return true;
    add_relaxed(&guards_live, (size_t)-1);
    return false;
}

static bool guard_by_mprotect(void *addr, size_t bytes)
{
    if (!take_mappings())
        return false;
    if (protect(addr, bytes, PROT_NONE) == 0)
        return true;
    add_relaxed(&guards_live, (size_t)-1);
    return false;
}

bool memory_guard(void *addr, size_t bytes)
{
    bytes = whole_pages(bytes);
    if (fail_now(FAIL_GUARD))
        return false;

    switch (memory_guard_kind()) {
    case GUARD_MADVISE:
        return advise(addr, bytes, MADV_GUARD_INSTALL) == 0;
    case GUARD_MPROTECT:
        return guard_by_mprotect(addr, bytes);
    case GUARD_NONE:
        break;
    }
    return false;
}

void memory_unguard(void *addr, size_t bytes)
{
    bytes = whole_pages(bytes);
    switch (memory_guard_kind()) {
    case GUARD_MADVISE:
        (void)advise(addr, bytes, MADV_GUARD_REMOVE);
        break;
    case GUARD_MPROTECT:
        /* Joining two mappings cannot run out of them. */
        (void)protect(addr, bytes, PROT_READ | PROT_WRITE);
        add_relaxed(&guards_live, (size_t)-1);
        break;
    case GUARD_NONE:
        break;
    }
}
