#include "parts/deque.h"

#include "base/atomic.h"
#include "os/barrier.h"

/* In the sentinel's scope: never dereferenced. */
#define IN_USE ((struct thrum_scope *)(uintptr_t)1)

#define OUT_OF_REACH UINT32_MAX

/* Of top: for how many slots a thief has said that it comes. */
#define CLAIMED ((uint32_t)sizeof(struct thrum_job_) - 1)

enum {
    SHARE = 32, /* of so many open forks one is worth taking at once */
    MOST = 60,  /* .. but no more */
};

_Static_assert(sizeof(struct thrum_job_) == 64, "slots are cache lines");
_Static_assert(offsetof(struct thrum_deque_, top) == 64, "head and top apart");
_Static_assert(MOST < sizeof(struct thrum_job_), "a claim fits below a place");

static struct thrum_job_ *sentinel(struct thrum_deque_ *segment)
{
    return deque_first_slot(segment) - 1;
}

static uint32_t place_of(const struct thrum_job_ *slot)
{
    return (uint32_t)(uintptr_t)slot;
}

static uint32_t claimed_in(uint64_t top)
{
    return (uint32_t)top & CLAIMED;
}

static uint64_t with_claim(uint64_t top, uint32_t n)
{
    return top + (n - 1) * sizeof(struct thrum_job_) + n;
}

/* Without the claim: the next slot to steal. */
static uint64_t bare(uint64_t top)
{
    uint32_t n = claimed_in(top);

    return n == 0 ? top : top - with_claim(0, n);
}

static uint32_t place_in(uint64_t top)
{
    return (uint32_t)bare(top);
}

static struct thrum_job_ *slot_at(struct thrum_deque_ *segment, uint64_t top)
{
    uintptr_t high = (uintptr_t)segment & ~(uintptr_t)UINT32_MAX;

    return (struct thrum_job_ *)(high | place_in(top));
}

static uint64_t next_tag(uint64_t top, uint32_t place)
{
    return (((top >> 32) + 1) << 32) | place;
}

static uint64_t past(uint64_t top, uint32_t n)
{
    return bare(top) + n * sizeof(struct thrum_job_);
}

/* And not taken. */
static bool is_claimed(uint64_t top, const struct thrum_job_ *slot)
{
    return place_in(top) <= place_of(slot) &&
           place_of(slot) < (uint32_t)past(top, claimed_in(top));
}

/* The owner takes a claimed slot. The oldest stays claimed if it is another: its
 * join gives back what was joined early below it. */
static uint64_t not_to(uint64_t top, const struct thrum_job_ *slot)
{
    uint64_t next = next_tag(top, place_in(top));

    return place_in(top) == place_of(slot) ? next : with_claim(next, 1);
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
    store_relaxed(segment->real, next_tag(top, place_of(slot)));
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
    if (is_claimed(top, slot))         /* who changes top has what is below */
        (void)cas_seq_cst(segment->real, &top, not_to(top, slot)); /* [D3] */
    if (place_in(top) > place_of(slot)) {
        store_relaxed(&slot->scope, IN_USE); /* until it is forgotten */
        return TAKE_STOLEN;
    }
    return TAKE_MINE;
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
        store_release(&segment->first->oldest, segment);         /* [D8]: I5 */
    store_seq_cst(segment->real, next_tag(top, place_of(slot))); /* [D3] */
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
        segment = load_acquire(&segment->next); /* [D7], on */
        if (segment == NULL)
            return NULL;
    }
}

/* A thief's first step. What is claimed any may go on with. */
static bool claim(struct thrum_deque_ *segment, uint64_t *top, uint32_t n)
{
    if (claimed_in(*top) != 0)
        return true;
    if (!cas_seq_cst(segment->real, top, with_claim(*top, n))) /* [D4] */
        return false;
    *top = with_claim(*top, n);
    return true;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* From here to the end of the segment. */
static uint32_t slots_left(struct thrum_deque_ *segment,
                           struct thrum_job_ *slot)
{
    return (uint32_t)(deque_last_slot(segment) + 1 - slot);
}

static bool looks_in_use(struct thrum_job_ *slot)
{
    return load_relaxed(&slot->scope) != NULL; /* a look */
}

/* If a thief is faster some are claimed, or taken, all the same. */
void deque_claim(struct thrum_deque_ *first, uint32_t n)
{
    uint64_t top;
    struct thrum_deque_ *segment = oldest_segment(first, &top);
    struct thrum_job_ *slot;
    uint32_t open = 0;

    if (segment == NULL)
        return;
    slot = slot_at(segment, top);
    n = least(n, least(MOST, slots_left(segment, slot)));
    while (open < n && thrum_in_use_(slot + open))
        open++;
    if (open > claimed_in(top)) /* [D4]: as a thief's, who goes on with it */
        (void)cas_seq_cst(segment->real, &top, with_claim(bare(top), open));
}

uint32_t deque_share(struct thrum_deque_ *first)
{
    uint64_t top;
    struct thrum_deque_ *segment = oldest_segment(first, &top), *next;
    struct thrum_job_ *slot;
    uint32_t left, n = 1;

    if (segment == NULL)
        return 1;
    slot = slot_at(segment, top);
    left = slots_left(segment, slot);
    next = load_acquire(&segment->next); /* [D7] */
    if (next != NULL && looks_in_use(deque_first_slot(next)))
        return MOST;
    while (2 * n * SHARE < left && looks_in_use(slot + 2 * n * SHARE))
        n *= 2;
    return n;
}

/* How many of the n are in use and of one scope. */
static uint32_t count_alike(struct thrum_job_ *slot, uint32_t n,
                            struct thrum_scope **scope)
{
    uint32_t i = 1;

    *scope = load_seq_cst(&slot->scope); /* [D2] [D4] */
    if (*scope == NULL)
        return 0;
    while (i < n && load_seq_cst(&slot[i].scope) == *scope) /* likewise */
        i++;
    return i;
}

static void take_these(struct thrum_job_ *slot, uint32_t n,
                       struct thrum_scope *scope)
{
    for (uint32_t i = 0; i < n; i++) {
        slot[i].taken = scope;
        slot[i].next = i + 1 < n ? &slot[i + 1] : NULL;
    }
}

enum steal deque_steal(struct thrum_deque_ *first, bool owner, uint32_t n,
                       struct thrum_job_ **jobs)
{
    uint64_t top;
    struct thrum_deque_ *segment = oldest_segment(first, &top);
    struct thrum_scope *scope;
    struct thrum_job_ *slot;

    if (segment == NULL)
        return STEAL_EMPTY;
    if (owner && segment != load_relaxed(&first->oldest)) /* ours to move */
        store_release(&first->oldest, segment);           /* [D8] */
    slot = slot_at(segment, top);
    n = least(least(n, MOST), slots_left(segment, slot));
    if (!owner) {
        if (!looks_in_use(slot)) /* before the price */
            return STEAL_EMPTY;
        if (!claim(segment, &top, n))
            return STEAL_LOST;
        n = least(n, claimed_in(top));
        if (!fenced(segment))
            barrier_heavy(); /* [D4] */
    }
    n = count_alike(slot, n, &scope);
    if (n == 0)
        return STEAL_EMPTY;
    if (!cas_release(segment->real, &top, past(top, n))) /* [D4] */
        return STEAL_LOST;

    take_these(slot, n, scope);
    *jobs = slot;
    return STEAL_GOT;
}

bool deque_looks_busy(struct thrum_deque_ *first)
{
    uint64_t top;
    struct thrum_deque_ *segment = oldest_segment(first, &top);

    return segment != NULL && looks_in_use(slot_at(segment, top));
}
