/* unwind.h - the C++ exceptions of a stack: those caught on it, whose handlers have
 * not ended, and how many are on their way.
 *
 * The C++ run time keeps them for a thread. A task that waits in a handler, or in
 * a destructor that an exception calls, may go on on another thread, and others
 * run on its own meanwhile: so they change with the stack.
 */
#ifndef OS_UNWIND_H
#define OS_UNWIND_H

#include "base/base.h"

/* As the C++ ABI has it (__cxa_eh_globals). */
struct unwinding {
    void *caught;
    unsigned uncaught;
};

/* This thread's; NULL: the program has no C++ run time. */
struct unwinding *unwinding_here(void);

static inline bool unwinding_any(const struct unwinding *u)
{
    return (u->caught != NULL) | (u->uncaught != 0);
}

/* Stack `to` is about to be run, in the place of `from`. at: unwinding_here. While
 * a stack runs its own is empty. */
static inline void unwinding_change(struct unwinding *at,
                                    struct unwinding *from,
                                    struct unwinding *to)
{
    if (likely(at == NULL || !(unwinding_any(at) | unwinding_any(to))))
        return;
    *from = *at;
    *at = *to;
    *to = (struct unwinding){0};
}

#endif
