/* What a child has counted before it dies is not lost: linked into what
 * COVER=1 makes, where -Wl,--wrap leads these three here. */
#include <stdlib.h>
#include <signal.h>
#include <unistd.h>

void __gcov_dump(void);

_Noreturn void __real_abort(void);
_Noreturn void __real__exit(int code);
int __real_raise(int sig);
_Noreturn void __wrap_abort(void);
_Noreturn void __wrap__exit(int code);
int __wrap_raise(int sig);

void __wrap_abort(void)
{
    __gcov_dump();
    __real_abort();
}

void __wrap__exit(int code)
{
    __gcov_dump();
    __real__exit(code);
}

int __wrap_raise(int sig)
{
    __gcov_dump();
    return __real_raise(sig);
}
