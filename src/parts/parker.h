/* parker.h - put one OS thread to sleep, and wake it.
 *
 * One token: unpark leaves it, park takes it, sleeping until it is there. An
 * unpark before the park is not lost; two unparks leave one token. One thread
 * parks; any thread unparks.
 *
 *      EMPTY --park--> PARKED --unpark (futex_wake)--> TOKEN --park returns--+
 *        ^ \___________________unpark________________/  ^                   |
 *        +--------------------------------------------------------------- --+
 *
 * Invariants
 *   I1  A park returns true exactly once for each EMPTY or PARKED -> TOKEN.
 *   I2  The word is PARKED only while the owner is in park.
 *
 * Ordering
 *   [P1] unpark -> [P2] park   what the waker did before
 */
#ifndef PARTS_PARKER_H
#define PARTS_PARKER_H

#include "base/atomic.h"

struct parker {
    _Atomic uint32_t word;
};

void parker_init(struct parker *p);

/* True: took a token. False: the deadline passed without one. */
bool parker_park(struct parker *p, int64_t deadline_ns);

void parker_unpark(struct parker *p);

#endif
