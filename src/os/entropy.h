/* entropy.h - the one source of randomness from outside the program.
 *
 * Everything else that looks random is a generator seeded from here, so that a
 * run can be repeated with THRUM_SEED.
 */
#ifndef OS_ENTROPY_H
#define OS_ENTROPY_H

#include <stdint.h>

/* A seed: THRUM_SEED if it is set to a number (os/env.h), the same on every
 * call; otherwise 64 bits from the kernel, or from the clock and our own
 * address where the kernel has none to give. Not for cryptography. Draw once
 * per run and derive one stream per worker from it. */
uint64_t entropy(void);

#endif
