/* altstack.h - a stack for signal handlers, for a thread that runs on small
 * stacks.
 *
 * A task's stack may be smaller than the frame the kernel pushes for a signal
 * (with AVX-512 or AMX state that is 3 to 11 KiB), and an overflow of it can
 * only be told by a handler that stands elsewhere. It belongs to the OS thread,
 * not to the task. Handlers must be installed with SA_ONSTACK to use it.
 */
#ifndef OS_ALTSTACK_H
#define OS_ALTSTACK_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct altstack {
    /* const after altstack_map */
    char *map; /* a guard page, then the stack */
    size_t map_bytes;
    bool guarded;

    /* the thread that entered only */
    bool entered;
    stack_t before;
};

/* 0 or -ENOMEM. */
int altstack_map(struct altstack *s);

/* Take it into use for the calling thread. A thread that has one already (the
 * application's, a sanitizer's) keeps it if it is as large as ours. One
 * that may not have any (a filter refuses sigaltstack) goes without. */
void altstack_enter(struct altstack *s);

/* Restore what there was before; by the same thread. */
void altstack_leave(struct altstack *s);

/* Not while a thread has it in use. */
void altstack_unmap(struct altstack *s);

#endif
