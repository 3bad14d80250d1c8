/* serial.c - see serial.h. It includes nothing of the library. */
#include "serial.h"

long fib_serial(int n)
{
    if (n < 2)
        return n;
    return fib_serial(n - 1) + fib_serial(n - 2);
}

__attribute__((noinline)) long fib_loop(int n)
{
    if (n < 2)
        return n;
    return fib_loop(n - 1) + fib_loop(n - 2);
}

__attribute__((noinline)) long fib_calls(int n)
{
    long a, b;

    if (n < 2)
        return n;
    a = fib_calls(n - 1);
    b = fib_calls(n - 2);
    __asm__ volatile("" : "+r"(a), "+r"(b)); /* both, and not as a loop */
    return a + b;
}
