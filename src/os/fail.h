/* fail.h - let a test say "the third mapping from now fails".
 *
 * Always compiled in, so that the library that is tested is the library that is
 * shipped. It costs one relaxed load where the kernel is about to be asked for
 * memory or a thread, and nothing anywhere else. Process-wide.
 */
#ifndef OS_FAIL_H
#define OS_FAIL_H

#include <stdbool.h>

enum fail {
    FAIL_MAP,    /* memory_map, memory_reserve: no memory */
    FAIL_GUARD,  /* memory_guard: false */
    FAIL_THREAD, /* thread_start: -EAGAIN */
    FAIL_POLL,   /* poll_open: -EMFILE */
    FAIL_WATCH,  /* poll_add: -ENOSPC */
    FAIL_PIDFD,  /* process_fd: -ENOSYS */
    FAIL_RING,   /* ring_open: -ENOSYS; ring_submit: false */
    FAIL_KINDS
};

/* The nth call of this kind from now (1: the next) fails, and only that one.
 * 0: none does. One thread plans at a time. Returns how many calls the plan before
 * this one still had to wait for: 0 if it has struck or there was none. */
unsigned fail_after(enum fail kind, unsigned n);

/* Whether this call is the one. Called by os/ only. */
bool fail_now(enum fail kind);

#endif
