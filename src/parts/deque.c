#include "parts/deque.h"

#include "base/atomic.h"
#include "os/barrier.h"

/* In the sentinel's scope: never dereferenced. */
#define IN_USE ((struct thrum_scope *)(uintptr_t)1)

#define OUT_OF_REACH UINT32_MAX

_Static_assert(sizeof(struct thrum_job_) == 64, "slots are cache lines");
_Static_assert(sizeof(struct thrum_deque_) == 128, "head and top apart");

static struct thrum_job_ *first_slot(struct thrum_deque_ *segment)
{
    return (struct thrum_job_ *)(void *)((char *)segment + SEGMENT_HEAD);
}

/* Stays empty; at it a fork grows the deque. */
static struct thrum_job_ *last_slot(struct thrum_deque_ *segment)
{
    return first_slot(segment) + SEGMENT_BYTES / sizeof(struct thrum_job_) - 1;
}

static uint32_t place_of(const struct thrum_job_ *slot)
{
    return (uint32_t)(uintptr_t)slot;
}

static struct thrum_job_ *slot_at(struct thrum_deque_ *segment, uint64_t top)
{
    uintptr_t high = (uintptr_t)segment & ~(uintptr_t)UINT32_MAX;

    return (struct thrum_job_ *)(high | (uint32_t)top);
}

static uint64_t next_tag(uint64_t top, const struct thrum_job_ *slot)
{
    return (((top >> 32) + 1) << 32) | place_of(slot);
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
    struct thrum_job_ *slot = first_slot(segment);
    uint64_t top;

    segment->head = slot;
    segment->hungry = hungry;
    segment->first = first;
    segment->prev = NULL;
    segment->real = no_membarrier ? &segment->fenced : &segment->top;
    store_relaxed(&segment->scope, NULL);
    store_relaxed(&segment->next, NULL);
    top = load_relaxed(segment->real);
    store_relaxed(segment->real, next_tag(top, slot));
    if (no_membarrier)
        store_relaxed(&segment->top, (uint64_t)OUT_OF_REACH);
    store_relaxed(&(slot - 1)->scope, IN_USE);
}

/* Typed forks do not keep the hint, so go from it to where the slots in use
 * end: up while this slot is in use, down while the one before is not. What one
 * typed fork or join moved is one step. */
struct thrum_job_ *deque_head(struct thrum_deque_ *first)
{
    struct thrum_job_ *at = first->head;
    struct thrum_deque_ *segment = thrum_deque_of_(at), *next;

    for (;;) {
        if (load_relaxed(&at->scope) != NULL) { /* ours alone */
            at++;
        } else if (at == last_slot(segment) &&
                   (next = load_relaxed(&segment->next)) != NULL &&
                   load_relaxed(&first_slot(next)->scope) != NULL) {
            segment = next;
            at = first_slot(segment);
        } else if (at == first_slot(segment) && segment->prev != NULL) {
            segment = segment->prev;
            at = last_slot(segment);
        } else if (load_relaxed(&(at - 1)->scope) == NULL) {
            at--;
        } else {
            break;
        }
    }
    first->head = at;
    return at;
}

struct thrum_job_ *deque_before(struct thrum_job_ *at)
{
    struct thrum_deque_ *segment = thrum_deque_of_(at);

    if (at != first_slot(segment))
        return at - 1;
    return segment->prev == NULL ? NULL : last_slot(segment->prev) - 1;
}

void deque_link(struct thrum_deque_ *segment, struct thrum_deque_ *fresh)
{
    fresh->prev = segment;
    store_release(&segment->next, fresh); /* [D6] */
}

struct thrum_deque_ *deque_cut(struct thrum_deque_ *first)
{
    struct thrum_deque_ *rest = load_relaxed(&first->next); /* ours alone */

    first->head = first_slot(first);
    store_relaxed(&first->next, NULL); /* a thief finds it empty either way */
    return rest;
}

/* The first of a segment was joined last: its store of NULL went into the
 * sentinel. Go on in the segment before, whose last slot stays empty. */
static struct thrum_job_ *cross_down(struct thrum_job_ *slot,
                                     struct thrum_deque_ *segment)
{
    store_relaxed(&slot->scope, IN_USE); /* ours alone */
    assert_invariant(segment->prev != NULL);
    return last_slot(segment->prev) - 1;
}

enum take deque_take_back(struct thrum_job_ *at, struct thrum_job_ **out)
{
    struct thrum_deque_ *segment = thrum_deque_of_(at);
    struct thrum_job_ *slot = at - 1;
    enum take take = TAKE_MINE;
    uint64_t top;

    if (slot < first_slot(segment)) {
        slot = cross_down(slot, segment);
        segment = segment->prev;
    }
    *out = slot;

    if (fenced(segment)) {
        store_seq_cst(&slot->scope, NULL); /* [D3] */
    } else {
        store_relaxed(&slot->scope, NULL); /* [D3] */
        barrier_light();
    }
    top = load_seq_cst(segment->real); /* [D3] [D5] */
    if ((uint32_t)top > place_of(slot))
        take = TAKE_STOLEN;
    else if ((uint32_t)top == place_of(slot) &&
             !cas_seq_cst(segment->real, &top, next_tag(top, slot)))
        take = TAKE_STOLEN; /* the last one: who changes top has it [D3] */

    if (take == TAKE_STOLEN)
        store_relaxed(&slot->scope, IN_USE); /* until it is forgotten */
    return take;
}

/* No thief can move top now: the slot at top is not in use, and one that saw it
 * in use holds an older tag. */
void deque_forget(struct thrum_job_ *slot)
{
    struct thrum_deque_ *segment = thrum_deque_of_(slot);
    uint64_t top = load_relaxed(segment->real); /* ours alone, see above */

    slot->taken = NULL;
    store_relaxed(&slot->scope, NULL); /* ours alone */
    if ((uint32_t)top > place_of(slot))
        store_seq_cst(segment->real, next_tag(top, slot)); /* [D3] */
}

void deque_set_scope(struct thrum_deque_ *first, struct thrum_scope *scope)
{
    struct thrum_deque_ *segment = first;

    do {
        store_relaxed(&segment->scope, scope); /* ours alone; travels by [D1] */
        segment = load_relaxed(&segment->next);
    } while (segment != NULL);
}

bool deque_taken(struct thrum_job_ *slot)
{
    uint64_t top = load_seq_cst(thrum_deque_of_(slot)->real); /* [D5] */

    return (uint32_t)top > place_of(slot);
}

/* Advance over segments whose slots are all taken. NULL: nothing beyond. */
static struct thrum_deque_ *oldest_segment(struct thrum_deque_ *segment,
                                           uint64_t *top)
{
    for (;;) {
        *top = load_seq_cst(segment->real); /* [D4] */
        if ((uint32_t)*top != place_of(last_slot(segment)))
            return segment;
        segment = load_acquire(&segment->next); /* [D7] */
        if (segment == NULL)
            return NULL;
    }
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
    slot = slot_at(segment, top);
    if (!owner) {
        if (load_relaxed(&slot->scope) == NULL) /* a look, before the price */
            return STEAL_EMPTY;
        if (!fenced(segment))
            barrier_heavy(); /* [D4] */
    }
    scope = load_seq_cst(&slot->scope); /* [D2] [D4] */
    if (scope == NULL)
        return STEAL_EMPTY;
    if (!cas_seq_cst(segment->real, &top, top + sizeof *slot)) /* [D4] */
        return STEAL_LOST;

    slot->taken = scope;
    *job = slot;
    return STEAL_GOT;
}

bool deque_any_own(struct thrum_deque_ *first)
{
    uint64_t top;
    struct thrum_deque_ *segment = oldest_segment(first, &top);

    return segment != NULL &&
           load_relaxed(&slot_at(segment, top)->scope) != NULL; /* ours */
}

bool deque_looks_busy(struct thrum_deque_ *first)
{
    return deque_any_own(first); /* the same look; here only a hint */
}
