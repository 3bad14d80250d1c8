/* parker.h - put one OS thread to sleep, and wake it.
 *
 * One token: unpark leaves it, park takes it, sleeping until it is there. An
 * unpark before the park is not lost; two unparks leave one token. One thread
 * parks; any thread unparks.
 *
 *      EMPTY --park--> PARKED --unpark (futex_wake)--> TOKEN --park returns--+
 *          \-poll--> POLLING --unpark (poll_interrupt)--^
 *        ^ \___________________unpark________________/  ^                   |
 *        +--------------------------------------------------------------- --+
 *
 * Invariants
 *   I1  A park returns true exactly once for each EMPTY or PARKED -> TOKEN.
 *   I2  The word is PARKED only while the owner is in park, POLLING only while
 *       it is in poll.
 *
 * An interrupt may come late, when the token has been taken: the next wait in the
 * kernel then ends for no reason. It is not lost either: the set keeps it.
 *
 * Ordering
 *   [P1] unpark -> [P2] park   what the waker did before
 *   [P3] poll   -> [P1] unpark   the set
 */
#ifndef PARTS_PARKER_H
#define PARTS_PARKER_H

#include "base/atomic.h"
#include "os/poll.h"

struct parker {
    _Atomic uint32_t word;
};

void parker_init(struct parker *p);

/* True: took a token. False: the deadline passed without one. */
bool parker_park(struct parker *p, int64_t deadline_ns);

void parker_unpark(struct parker *p);

/* The same for a thread that may sleep in poll_wait of this set: there the token
 * is the eventfd's. parker_poll also returns, without a token, when there is
 * something to tell, or for no reason: *n events. */
bool parker_poll(struct parker *p, struct poll_set *set, int64_t deadline_ns,
                 struct poll_event *events, int most, int *n);
void parker_unpark_in(struct parker *p, struct poll_set *set);

/* The two halves of parker_poll, for who waits in between in his own way until the
 * set has something to tell. Without true, he does not. */
bool parker_begin_poll(struct parker *p);
bool parker_end_poll(struct parker *p);

/* A hint. */
bool parker_has_token(struct parker *p);

#endif
