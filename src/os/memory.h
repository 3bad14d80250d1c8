/* memory.h - address space from the kernel, and pages that must not be touched.
 *
 * Knows nothing of stacks. All memory is private, zeroed, readable and writable;
 * pages come when touched.
 *
 * A guard makes touching a range a SIGSEGV (si_code SEGV_MAPERR or SEGV_ACCERR,
 * by kind). Three kinds of system, asked once:
 *
 *   GUARD_MADVISE   Linux 6.13: guards cost no mapping, any number of them
 *   GUARD_MPROTECT  each costs two of vm.max_map_count mappings; we take at
 *                   most half of those, then memory_guard says false
 *   GUARD_NONE      no guards at all
 *
 * THRUM_GUARD=madvise|mprotect|none in the environment forces one, for tests
 * (madvise only where the kernel has it).
 *
 * Ordering
 *   [M1] the first answer -> [M2] memory_guard_kind   how many guards there may
 *                                                     be
 */
#ifndef OS_MEMORY_H
#define OS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

enum guard_kind { GUARD_NONE, GUARD_MPROTECT, GUARD_MADVISE };

size_t memory_page(void);

/* Sizes are rounded up to whole pages. NULL: the kernel said no (-ENOMEM).
 * errno is left alone by all functions of this file. */
void *memory_map(size_t bytes);

/* A large range that will be touched only here and there: it does not count
 * against overcommit, and no huge page is ever put in it. align: a power of
 * two. */
void *memory_reserve(size_t bytes, size_t align);

/* A range from memory_map or memory_reserve, or a part of one on page bounds.
 * Guards inside must be taken back first (memory_unguard), or they stay
 * counted. Where the kernel refuses (a filter; a hole that would be one mapping too
 * many) the addresses are lost, the pages are given back. */
void memory_unmap(void *addr, size_t bytes);

/* Give the pages back, keep the addresses: they read as zero again. Guards
 * survive. Some microseconds. */
void memory_discard(void *addr, size_t bytes);

/* Have the pages there at once, which all will be written soon: a page that is read
 * first comes twice, and the second time has other CPUs interrupted. Where the
 * kernel cannot (before Linux 5.14, no memory) they come when touched. */
void memory_populate(void *addr, size_t bytes);

/* Guard whole pages. False: unguarded, the range is as before; the caller must
 * live without (a canary). */
bool memory_guard(void *addr, size_t bytes);

/* Take back a guard that memory_guard answered true for; what was guarded is to be
 * unmapped next, as a filter that came later may refuse this. */
void memory_unguard(void *addr, size_t bytes);

enum guard_kind memory_guard_kind(void);

/* How many guards of kind GUARD_MPROTECT there may be; SIZE_MAX for
 * GUARD_MADVISE, 0 for GUARD_NONE. */
size_t memory_guard_max(void);

#endif
