/* guest.h - a runtime that has no thread: its tasks run on a thread of the
 * program's, its host, which has a loop of its own.
 *
 * The one worker is as any other, but where it would sleep it switches to the
 * host's stack (worker_leave), and goes on when it is let in again (worker_enter).
 * Meanwhile it looks to others like a keeper that sleeps in the poller's set: what
 * wakes that writes to the set, whose descriptor the host waits for in its loop,
 * and a timer in the set stands for the earliest one. So nothing else knows of it.
 *
 * A host that waits itself, outside of tasks, lets its guest in meanwhile.
 */
#ifndef SCHED_GUEST_H
#define SCHED_GUEST_H

#include "sched/worker.h"

/* The guest of this thread, or NULL. */
struct sched *guest_here(void);

/* The calling thread becomes the host of s, which lacks only that. -EBUSY: it has a
 * guest; -EMFILE, -ENFILE, -ENOMEM. */
int guest_move_in(struct sched *s);

/* It is none any more. */
void guest_move_out(struct sched *s);

/* By the host: run what there is until `until`, at least one job. True: there is
 * more. */
bool guest_run(struct sched *s, int64_t until);

/* As parker_park, for a thread with a guest; who unparks it in the set of that. */
bool guest_park(struct sched *s, struct parker *p, int64_t until);

#endif
