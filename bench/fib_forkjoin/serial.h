/* serial.h - the floors: the same recursion in plain C. */
#ifndef SERIAL_H
#define SERIAL_H

/* As anybody would write it. The compiler makes a loop of the second call and
 * copies the body into itself, so far fewer calls are made than fib has. */
long fib_serial(int n);

/* The same, not copied: the first call is made, the second a loop. */
long fib_loop(int n);

/* The same with every call made: what a fork can be compared with, since the
 * compiler cannot do away with one. */
long fib_calls(int n);

#endif
