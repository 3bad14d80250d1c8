/* unwind.h - the C++ exceptions of a stack: those caught on it, whose handlers have
 * not ended, and how many are on their way.
 *
 * The C++ run time keeps them for a thread. A task that waits in a handler, or in
 * a destructor that an exception calls, may go on on another thread, and others
 * run on its own meanwhile: so who leaves a stack takes them away first.
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

static inline bool unwinding_any(const struct unwinding *here)
{
    return unlikely(here != NULL) &&
           unlikely((here->caught != NULL) | (here->uncaught != 0));
}

/* What is there; then there is none. */
static inline struct unwinding unwinding_take(struct unwinding *here)
{
    struct unwinding taken = {0};

    if (here != NULL) {
        taken = *here;
        *here = (struct unwinding){0};
    }
    return taken;
}

static inline void unwinding_put(struct unwinding *here, struct unwinding taken)
{
    if (here != NULL)
        *here = taken;
}

#endif
