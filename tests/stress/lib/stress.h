/* stress.h - how long, with which seed, and how a failure is told.
 *
 * A stress test does rounds. Without THRUM_STRESS_S it does a fixed number of
 * them, in a second or two; with it, as many as fit into that many seconds. Each
 * round has a seed of its own, which a failure prints; THRUM_SEED sets the first
 * one's. A round that hangs is ended by a watchdog.
 */
#ifndef STRESS_H
#define STRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

/* for (stress_begin(100); stress_next(&seed);) one round with this seed; */
void stress_begin(uint64_t rounds);
bool stress_next(uint64_t *seed);

/* n, or less under a checker that makes everything slower. */
uint64_t stress_scale(uint64_t n);

_Noreturn void stress_fail(const char *file, int line, const char *what);

#define must(cond)                                                             \
    do {                                                                       \
        if (!(cond))                                                           \
            stress_fail(__FILE__, __LINE__, #cond);                            \
    } while (0)

#endif
