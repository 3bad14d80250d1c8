/* forked.h - what the child of a fork(2) has to forget.
 *
 * In the child there is one thread, the one that called fork. The others are
 * gone, whatever they held and wherever they stood; what they shared is to be
 * made anew, and nothing of it freed, joined or closed, as it is half done.
 */
#ifndef OS_FORKED_H
#define OS_FORKED_H

#include <stdint.h>

/* A function of no arguments that is called in each child before fork returns
 * there: no other thread, no lock to be had. Told when the program is loaded, as
 * later would be too late for a fork just then. */
#define FORGET_IN_CHILD(forget)                                                \
    static __attribute__((constructor)) void forget##_told(void)               \
    {                                                                          \
        forked_tell(forget);                                                   \
    }

void forked_tell(void (*forget)(void));

/* How often this process is a child of one that had the library loaded: what was
 * made under another number is not this process's. */
#ifdef THRUM_MODEL
static inline uint32_t forked_times(void)
{
    return 0; /* its explorer has no processes */
}
#else
uint32_t forked_times(void);
#endif

#endif
