/* idle.h - who looks for work, who sleeps, whom to wake; and `hungry`.
 *
 * The protocol by which no job lies in a queue while a worker sleeps. Its
 * difficulty: forks and owner pushes pass no fence, so the ones who publish and
 * the ones who go to sleep meet through a heavy barrier on the sleeper's side.
 *
 *      BUSY --idle_search--> SEARCHING --idle_sleep--> ASLEEP
 *        ^                     |   ^                     |
 *        +-----idle_found------+   +----idle_wake--------+
 *
 * Each worker has a bit in `asleep`; `searching` counts the searchers; one who
 * is woken is a searcher from the moment its bit is cleared, by whoever clears
 * it. `hungry` asks the busy ones to hand over a job at their next fork or
 * turn: they put it into the inbox, where nobody needs a barrier to take it.
 *
 * To publish where all can take it (the inbox, a new spawn from outside): add,
 * then idle_notify. To publish where only a thief with a barrier can (a deque, a
 * queue): add, barrier_light, load hungry; if it is set, move a job to the inbox
 * and idle_notify. Or leave the job there, if somebody searches; and if nobody
 * does, take hungry and idle_notify.
 *
 * Why no wake-up is lost
 *   Let a job be published and every worker end up asleep. The last to fall
 *   asleep did, in this order: set its bit [I3], left the count [I4], set
 *   hungry, passed a heavy barrier [I2], looked at everything [I5].
 *   Step 1: the job was not in the inbox by then. An adder counts the job in
 *     [B3] and then reads searching and asleep [I6], all sequentially
 *     consistent with [I3], [I4] and [B4]. Either the look sees the count, or
 *     the adder sees the bit set and nobody searching, and wakes.
 *   Step 2: nor was it in a deque or queue. The publisher wrote the job, then
 *     read hungry. By the heavy barrier either the look sees the job, or the
 *     publisher reads hungry set, moves a job to the inbox, and step 1 holds.
 *     Nobody cleared hungry between: who clears it looks for a sleeper and
 *     notifies afterwards [I7]. If the publisher leaves the job where it is, he
 *     has seen a searcher, and step 3 holds; or he makes one of a sleeper, who
 *     goes through all of this before he sleeps again.
 *   Step 3: a job published while somebody else searches is that searcher's to
 *     find: before it sleeps it goes through all of the above, and when it
 *     finds other work while others sleep it asks for hungry again, passes the
 *     heavy barrier, and wakes one if it sees more [I8].
 *   A worker that comes later (idle_grow) is a busy one who has published nothing.
 *     It searches before it takes a job, so that it asks for hungry in place of one
 *     who slept alone [I8]; and who reads the old number of words has read nothing
 *     that the new worker wrote to sleep.
 *
 * Ordering
 *   [I1] publisher: job, hungry <-> [I2] sleeper: hungry, look     no job unseen
 *   [I3] sleeper: asleep, [I4] searching, [B4] look
 *                               <-> [B3] adder: count, [I6] look   no job unseen
 *   [I7] hungry taken            -> [I2]                           one answers
 *   [I9] hungry: IDLE_TURN       -> a fork                         a hint
 *   [I5] is that look (sched_any), [I8] the one by a searcher who found work
 */
#ifndef PARTS_IDLE_H
#define PARTS_IDLE_H

#include "base/base.h"
#include "base/atomic.h"

enum { IDLE_MAX = 1024, IDLE_WORDS = IDLE_MAX / 64, IDLE_NOBODY = -1 };

/* What is wanted of those who run: a job; or that they look who waits. */
enum { IDLE_WORK = 1, IDLE_TURN = 2 };

struct idle {
    /* read by every fork, written when the number of idle workers changes:
     * IDLE_WORK and IDLE_TURN */
    _Alignas(CACHE_LINE) _Atomic uint32_t hungry; /* [I1] [I2] [I7] */

    _Alignas(CACHE_LINE) _Atomic uint32_t searching; /* [I4] [I6] */
    _Atomic uint64_t asleep[IDLE_WORDS];             /* [I3] [I6] */

    /* written by idle_grow, before the worker it is for runs */
    _Atomic uint32_t alone; /* one worker: only it takes what lies in its queue,
                             * and asks nobody */
    _Atomic uint32_t words; /* of asleep that are in use */

    bool fenced; /* const after idle_init */
};

void idle_init(struct idle *idle, unsigned workers, bool fenced);

/* There are going to be so many, which is not less than there were. */
void idle_grow(struct idle *idle, unsigned workers);

/* BUSY -> SEARCHING */
void idle_search(struct idle *idle);

/* SEARCHING -> BUSY. True: others sleep and this was the last searcher, so the
 * caller looks whether there is more work, and notifies if so. [I8] */
bool idle_found(struct idle *idle);

/* SEARCHING -> ASLEEP. The caller then looks at everything once more [I5]; it
 * parks, or takes back its word with idle_rouse. */
void idle_sleep(struct idle *idle, unsigned worker);

/* ASLEEP -> SEARCHING by the worker itself. False: somebody cleared the bit and
 * has unparked, or will: the token must be taken from the parker. */
bool idle_rouse(struct idle *idle, unsigned worker);

/* A job was added where all can take it: whom to unpark, or IDLE_NOBODY. The
 * worker named is a searcher from now on. */
int idle_notify(struct idle *idle);

/* Clear one given worker's bit to wake it. False: it is not asleep. */
bool idle_wake(struct idle *idle, unsigned worker);

/* Ask the busy ones for a job. The caller looks at everything afterwards. */
void idle_ask(struct idle *idle);

/* As a searcher: who is busy answers at its next fork, push or turn, for less than a
 * barrier. One worker asks nobody: it would answer itself. */
void idle_want(struct idle *idle);

/* A job was added where only a thief with a barrier can take it. True: somebody
 * is hungry, so the caller answers. [I1] */
static inline bool idle_published(struct idle *idle)
{
    if (unlikely(idle->fenced))
        return (add_seq_cst(&idle->hungry, 0) & IDLE_WORK) != 0; /* [I1] a read
                                                                  * that orders */
    barrier_light();
    return unlikely((load_relaxed(&idle->hungry) & IDLE_WORK) != 0); /* [I1] */
}

/* A busy one answers. True: the caller moves a job to the inbox and notifies; if
 * it finds none after all, it asks in its turn and notifies. [I7] */
bool idle_answer(struct idle *idle);

/* Those that run are asked to make a turn, or not any more: they come by at their
 * next fork. A hint. */
void idle_ask_turns(struct idle *idle, bool asked);

bool idle_any_asleep(struct idle *idle);
bool idle_is_asleep(struct idle *idle, unsigned worker);

/* How many; a hint. */
unsigned idle_asleep_count(struct idle *idle);

/* Somebody will look at everything before it sleeps. [I6] */
bool idle_any_searching(struct idle *idle);

#endif
