#include "parts/deque.h"

#include "base/atomic.h"
#include "os/barrier.h"

/* In the sentinel's scope: never dereferenced. */
#define IN_USE ((struct thrum_scope *)(uintptr_t)1)

#define OUT_OF_REACH UINT32_MAX

/* Of top: a thief has said that it comes for the slot. */
#define CLAIMED UINT32_C(1)

_Static_assert(sizeof(struct thrum_job_) == 64, "slots are cache lines");
_Static_assert(offsetof(struct thrum_deque_, top) == 64, "head and top apart");

static struct thrum_job_ *sentinel(struct thrum_deque_ *segment)
{
    return deque_first_slot(segment) - 1;
}

static uint32_t place_of(const struct thrum_job_ *slot)
{
    return (uint32_t)(uintptr_t)slot;
}

static uint32_t place_in(uint64_t top)
{
    return (uint32_t)top & ~CLAIMED;
}

static struct thrum_job_ *slot_at(struct thrum_deque_ *segment, uint64_t top)
{
    uintptr_t high = (uintptr_t)segment & ~(uintptr_t)UINT32_MAX;

    return (struct thrum_job_ *)(high | place_in(top));
}

static uint64_t next_tag(uint64_t top, const struct thrum_job_ *slot)
{
    return (((top >> 32) + 1) << 32) | place_of(slot);
}

static uint64_t past(uint64_t top)
{
    return (top & ~(uint64_t)CLAIMED) + sizeof(struct thrum_job_);
}

static bool fenced(const struct thrum_deque_ *segment)
{
    return segment->real != &segment->top;
}

/* Thieves may look from the moment it is linked or shown, not before. A segment
 * that is used again goes on with its tags: a thief may still hold an old top. */
void deque_init(struct thrum_deque_ *segment, struct thrum_deque_ *first,
                _Atomic uint32_t *hungry, bool no_membarrier)
{
    struct thrum_job_ *slot = deque_first_slot(segment);
    _Atomic uint64_t *real = no_membarrier ? &segment->fenced : &segment->top;
    uint64_t top;

    segment->head = sentinel(segment);
    segment->hungry = hungry;
    segment->first = first;
    segment->prev = NULL;
    segment->here = NULL;
    segment->taken = NULL;
    store_relaxed(&segment->pending, NULL);
    if (segment->real != real) /* once: a thief may still read it */
        segment->real = real;
    store_relaxed(&segment->scope, NULL);
    store_relaxed(&segment->next, NULL);
    store_relaxed(&segment->oldest, segment); /* of the first */
    top = load_relaxed(segment->real);
    store_relaxed(segment->real, next_tag(top, slot));
    if (no_membarrier)
        store_relaxed(&segment->top, (uint64_t)OUT_OF_REACH);
    store_relaxed(&sentinel(segment)->scope, segment == first ? IN_USE : NULL);
}

/* Typed forks do not keep the hint, so go from it to where the slots in use
 * end: up while the next is in use, down while this one is not. What one typed
 * fork or join moved is one step. A full segment has a next one (deque_link),
 * whose sentinel stands for its last slot. */
struct thrum_job_ *deque_find_newest(struct thrum_deque_ *first)
{
    struct thrum_job_ *at = first->head, *down;

    for (;;) {
        struct thrum_deque_ *segment = thrum_deque_of_(at);

        if (thrum_in_use_(at) && thrum_is_last_(at))
            at = sentinel(load_relaxed(&segment->next)); /* ours alone */
        else if (thrum_in_use_(at + 1))
            at++;
        else if ((down = deque_fork(at)) != NULL && !thrum_in_use_(down))
            at = down - 1;
        else
            break;
    }
    first->head = at;
    return at;
}

struct thrum_job_ *deque_fork(struct thrum_job_ *newest)
{
    struct thrum_deque_ *segment = thrum_deque_of_(newest);

    if (newest != sentinel(segment))
        return newest;
    return segment->prev == NULL ? NULL : deque_last_slot(segment->prev);
}

void deque_link(struct thrum_deque_ *segment, struct thrum_deque_ *fresh)
{
    struct thrum_job_ *after = deque_last_slot(segment) + 1;

    fresh->prev = segment;
    store_relaxed(&after->scope, IN_USE); /* ours alone: I4 */
    store_release(&segment->next, fresh); /* [D6] */
}

struct thrum_job_ *deque_enter_next(struct thrum_deque_ *segment)
{
    struct thrum_deque_ *next = load_relaxed(&segment->next); /* ours alone */

    store_relaxed(&next->scope, load_relaxed(&segment->scope)); /* likewise */
    return sentinel(next);
}

struct thrum_deque_ *deque_cut(struct thrum_deque_ *first)
{
    struct thrum_deque_ *rest = load_relaxed(&first->next); /* ours alone */

    assert_invariant(load_relaxed(&first->oldest) == first);
    first->head = sentinel(first);
    store_relaxed(&first->next, NULL); /* a thief finds it empty either way */
    return rest;
}

enum take deque_take_back(struct thrum_job_ *newest, struct thrum_job_ **out)
{
    struct thrum_job_ *slot = deque_fork(newest);
    struct thrum_deque_ *segment;
    enum take take = TAKE_MINE;
    uint64_t top;

    assert_invariant(slot != NULL);
    segment = thrum_deque_of_(slot);
    *out = slot;

    if (fenced(segment)) {
        store_seq_cst(&slot->scope, NULL); /* [D3] */
    } else {
        store_relaxed(&slot->scope, NULL); /* [D3] */
        barrier_light();
    }
    top = load_seq_cst(segment->real); /* [D3] [D5] */
    if (place_in(top) > place_of(slot))
        take = TAKE_STOLEN;
    else if ((top & CLAIMED) != 0 && place_in(top) == place_of(slot) &&
             !cas_seq_cst(segment->real, &top, next_tag(top, slot)))
        take = TAKE_STOLEN; /* who changes top has it [D3] */

    if (take == TAKE_STOLEN)
        store_relaxed(&slot->scope, IN_USE); /* until it is forgotten */
    return take;
}

/* No thief can move top now: the slot at top is not in use, and one that saw it
 * in use holds an older tag. */
void deque_forget(struct thrum_job_ *slot)
{
    struct thrum_deque_ *segment = thrum_deque_of_(slot);
    struct thrum_deque_ *after = load_relaxed(&segment->next); /* ours alone */
    uint64_t top = load_relaxed(segment->real); /* likewise, see above */

    slot->taken = NULL;
    store_relaxed(&slot->scope, NULL); /* ours alone */
    if (place_in(top) <= place_of(slot))
        return;
    if (load_relaxed(&segment->first->oldest) == after)
        store_release(&segment->first->oldest, segment); /* [D8]: I5 */
    store_seq_cst(segment->real, next_tag(top, slot));   /* [D3] */
}

bool deque_taken(struct thrum_job_ *slot)
{
    uint64_t top = load_seq_cst(thrum_deque_of_(slot)->real); /* [D5] */

    return place_in(top) > place_of(slot);
}

/* Advance over segments whose slots are all taken. NULL: nothing beyond. */
static struct thrum_deque_ *oldest_segment(struct thrum_deque_ *first,
                                           uint64_t *top)
{
    struct thrum_deque_ *segment = load_acquire(&first->oldest); /* [D9] */

    for (;;) {
        *top = load_seq_cst(segment->real); /* [D4] */
        if (place_in(*top) != place_of(deque_last_slot(segment) + 1))
            return segment;
        segment = load_acquire(&segment->next); /* [D7] */
        if (segment == NULL)
            return NULL;
    }
}

/* A thief's first step. What is claimed any may go on with. */
static bool claim(struct thrum_deque_ *segment, uint64_t *top)
{
    if ((*top & CLAIMED) != 0)
        return true;
    if (!cas_seq_cst(segment->real, top, *top | CLAIMED)) /* [D4] */
        return false;
    *top |= CLAIMED;
    return true;
}

/* If a thief is faster it is claimed, or taken, all the same. */
void deque_claim(struct thrum_deque_ *first)
{
    uint64_t top;
    struct thrum_deque_ *segment = oldest_segment(first, &top);

    if (segment != NULL && thrum_in_use_(slot_at(segment, top)))
        (void)claim(segment, &top);
}

enum steal deque_steal(struct thrum_deque_ *first, bool owner,
                       struct thrum_job_ **job)
{
    uint64_t top;
    struct thrum_deque_ *segment = oldest_segment(first, &top);
    struct thrum_job_ *slot;
    struct thrum_scope *scope;

    if (segment == NULL)
        return STEAL_EMPTY;
    if (owner && segment != load_relaxed(&first->oldest)) /* ours to move */
        store_release(&first->oldest, segment);           /* [D8] */
    slot = slot_at(segment, top);
    if (!owner) {
        if (load_relaxed(&slot->scope) == NULL) /* a look, before the price */
            return STEAL_EMPTY;
        if (!claim(segment, &top))
            return STEAL_LOST;
        if (!fenced(segment))
            barrier_heavy(); /* [D4] */
    }
    scope = load_seq_cst(&slot->scope); /* [D2] [D4] */
    if (scope == NULL)
        return STEAL_EMPTY;
    if (!cas_release(segment->real, &top, past(top))) /* [D4] */
        return STEAL_LOST;

    slot->taken = scope;
    *job = slot;
    return STEAL_GOT;
}

bool deque_looks_busy(struct thrum_deque_ *first)
{
    uint64_t top;
    struct thrum_deque_ *segment = oldest_segment(first, &top);

    return segment != NULL &&
           load_relaxed(&slot_at(segment, top)->scope) != NULL; /* a look */
}
