/* deque.h - the forks of one stack: its owner at one end, thieves at the other.
 *
 * After D. Chase and Y. Lev, "Dynamic circular work-stealing deque" (SPAA 2005),
 * with the argument for one job that two want from N. M. Le et al., "Correct and
 * efficient work-stealing for weak memory models" (PPoPP 2013). Four changes:
 *
 *   - The fork's record lies in the deque, as in Lace (T. van Dijk, J. van de
 *     Pol, 2014), so nothing of the forker's frame escapes and a typed fork
 *     keeps its place in a register. A slot is in use from fork to join.
 *   - A deque belongs to a stack, not to a worker: a task that moves to another
 *     worker takes its forks along, and its register stays right.
 *   - A thief says first that it comes (as in the THE protocol of M. Frigo et al.,
 *     "The implementation of the Cilk-5 multithreaded language", PLDI 1998): while
 *     none does, the owner takes back even its last fork by a plain store.
 *   - The owner passes no fence. A thief makes it pass one, by membarrier(2),
 *     before it looks (os/barrier.h). Where there is no membarrier, `hungry`
 *     always says yes and `top` is out of reach, so that every fork and join
 *     takes the slow path, which is sequentially consistent.
 *
 * There is no bottom: a slot whose scope is not NULL is in use, and the slots
 * in use are those from the first to the newest. A deque grows by linking a
 * further segment of 32 KiB; thieves go through the segments from the oldest.
 * Segments are never unmapped while the runtime lives, so a thief may hold a
 * pointer to one that has changed hands: it is a deque all the same.
 *
 * `top` is (tag << 32 | low half of the address of the next slot to steal). Thieves
 * claim first what they come for, that slot and n - 1 after it: top is then that of
 * the last of them | n (slots are 64 bytes). A claim is nobody's in particular: any
 * thief may go on from it, and it stays until a slot of it is taken. Whenever the
 * owner takes a claimed slot, or moves top back, the tag goes up: a thief's
 * compare-and-swap from before then fails. No segment's slots begin at a multiple of
 * 4 GiB, so low halves compare as addresses do, and a claim as more than any in it.
 *
 * Invariants
 *   I1  A slot at or above top is the owner's to take back, below it taken.
 *   I2  Only the owner writes slots, and their scope; a taker may write a slot
 *       it took, but not its scope.
 *   I3  While a thief's compare-and-swap can succeed, the slot it read is as it
 *       read it: it was claimed before, and the owner takes a claimed slot only by
 *       changing top.
 *   I4  A slot not in use has scope NULL. The slot before the first of all, the
 *       sentinel, is in use for ever; that of a further segment never, so that
 *       the hint is looked into when it points there. The very last slot of a
 *       segment is never forked into, and in use once there is a further one: a
 *       last fork is then not taken for the newest.
 *   I5  All slots in the segments before `oldest` are taken. Only the owner moves
 *       it: up when he steals, to the first where one is not, and back when he
 *       makes a slot in the one before usable again. To a thief who hears of a
 *       fork there that is not new, as it came before.
 *
 * Ordering
 *   [D1] fork: scope          -> [D2] steal: scope    the fork's contents
 *   [D3] take back: scope,top <-> [D4] steal: top,scope   who gets a slot
 *   [D4] steal: cas top       -> [D5] owner: top      the taker has read scope
 *   [D6] grow: next           -> [D7] steal: next     the new segment's head
 *   [D8] owner: oldest        -> [D9] steal: oldest   the heads up to there
 *
 * [D3] against [D4]: the owner clears scope, then reads top; a thief claims the
 * slot in top, or reads that it is claimed, then reads scope. With a heavy barrier
 * between the thief's two (or all four sequentially consistent), either the thief
 * sees the slot cleared and leaves it, or the owner sees the claim, and takes the
 * slow path, where the compare-and-swap on top decides.
 */
#ifndef PARTS_DEQUE_H
#define PARTS_DEQUE_H

#include "base/base.h"
#include "parts/job.h"

/* The head: from the deque to the border, with the sentinel and the first slots. */
enum { SEGMENT_BYTES = THRUM_SEGMENT_, SEGMENT_HEAD = THRUM_HEAD_ };

/* Make a segment's head. The slots above it must be zero. `fenced`: there is no
 * membarrier. `first`: the stack's first segment, this one itself if so. */
void deque_init(struct thrum_deque_ *segment, struct thrum_deque_ *first,
                _Atomic uint32_t *hungry, bool fenced);

/* ------------------------------------------------------------ owner only */

/* The newest fork that is not joined, found from the hint. The slot after it is
 * free: where a segment is full, or nothing is forked, it is a sentinel. */
struct thrum_job_ *deque_find_newest(struct thrum_deque_ *first);

static inline struct thrum_job_ *deque_newest(struct thrum_deque_ *first)
{
    struct thrum_job_ *hint = first->head; /* of no full segment the last */

    if (likely(thrum_in_use_(hint) && !thrum_in_use_(hint + 1)))
        return hint;
    return deque_find_newest(first);
}

/* The fork that `newest` stands for; NULL: none, it is the first sentinel. */
struct thrum_job_ *deque_fork(struct thrum_job_ *newest);

/* Link a fresh segment behind one whose last slot was filled. */
void deque_link(struct thrum_deque_ *segment, struct thrum_deque_ *fresh);

/* The last slot was filled, and there is a next segment: forks go on there. Its
 * sentinel. */
struct thrum_job_ *deque_enter_next(struct thrum_deque_ *segment);

/* Nothing is in use: take off the further segments, linked by next. */
struct thrum_deque_ *deque_cut(struct thrum_deque_ *first);

enum take { TAKE_MINE, TAKE_STOLEN };

/* Take back the newest fork after thrum_take_back_ said no. *slot: which one
 * that is (in an older segment, if `newest` is a sentinel). */
enum take deque_take_back(struct thrum_job_ *newest, struct thrum_job_ **slot);

/* A slot that was stolen is joined, and the newest: make it usable again. */
void deque_forget(struct thrum_job_ *slot);

/* The owner claims the oldest fork that nobody took, if there is one, or up to n of
 * them: they are not taken back inline then. */
void deque_claim(struct thrum_deque_ *first, uint32_t n);

/* Set the scope that forks from here on belong to. Plain ones look at the first
 * segment, typed ones at the one they are made in: that of the newest fork, or one
 * that is entered later. Scopes nest, as forks do: in the segments between it is
 * what it will be again when the forks above are joined. */
static inline void deque_set_scope(struct thrum_deque_ *first,
                                   const struct thrum_job_ *newest,
                                   struct thrum_scope *scope)
{
    store_relaxed(&first->scope, scope); /* ours alone; travels by [D1] */
    if (unlikely(load_relaxed(&first->next) != NULL)) /* ours alone, both */
        store_relaxed(&thrum_deque_of_(newest)->scope, scope);
}

/* Was this slot, in use, taken by somebody? */
bool deque_taken(struct thrum_job_ *slot);

/* ------------------------------------------------- owner, or any thread */

enum steal { STEAL_GOT, STEAL_EMPTY, STEAL_LOST };

/* Take the oldest fork, and up to n in all of one scope in one segment. The owner
 * (owner = true) needs no barrier. On STEAL_GOT they are the caller's to run:
 * *jobs, linked by `next`, the scope of each in `taken`. */
enum steal deque_steal(struct thrum_deque_ *first, bool owner, uint32_t n,
                       struct thrum_job_ **jobs);

/* A hint: how many it is worth while to take. One, but of a loop's very many forks
 * a small part of them, as in guided self-scheduling (C. D. Polychronopoulos, D. J.
 * Kuck, IEEE Transactions on Computers, 1987). */
uint32_t deque_share(struct thrum_deque_ *first);

/* Is there a fork that nobody took? A look without a barrier: a hint, for a
 * thief that decides where to go. */
bool deque_looks_busy(struct thrum_deque_ *first);

static inline struct thrum_job_ *deque_first_slot(struct thrum_deque_ *segment)
{
    return (struct thrum_job_ *)(void *)((char *)segment + SEGMENT_HEAD) -
           THRUM_NEAR_;
}

/* The last one that is forked into; one more follows. */
static inline struct thrum_job_ *deque_last_slot(struct thrum_deque_ *segment)
{
    return deque_first_slot(segment) +
           SEGMENT_BYTES / sizeof(struct thrum_job_) - 2;
}

/* As deque_looks_busy, of the owner's: he knows. Where the first slot is not in
 * use, none is. */
static inline bool deque_any_own(struct thrum_deque_ *first)
{
    return thrum_in_use_(deque_first_slot(first)) && deque_looks_busy(first);
}

#endif
