#include "os/unwind.h"

/* Of the C++ run time, if there is one. */
extern void *__cxa_get_globals(void) __attribute__((weak));

struct unwinding *unwinding_here(void)
{
    return __cxa_get_globals == NULL ? NULL : __cxa_get_globals();
}
