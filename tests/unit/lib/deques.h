/* deques.h - a deque of some segments, made by hand, of which one thread plays the
 * owner and a thief. With membarrier and without. */
#ifndef UNIT_LIB_DEQUES_H
#define UNIT_LIB_DEQUES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "os/barrier.h"
#include "parts/deque.h"

enum { SEGMENTS = 3 };

/* The scope of forks; never followed. */
#define SCOPE  ((struct thrum_scope *)(uintptr_t)0x1000)
#define SCOPE2 ((struct thrum_scope *)(uintptr_t)0x2000)

struct rig {
    struct thrum_deque_ *seg[SEGMENTS]; /* the first is the deque */
    struct thrum_job_ *newest;          /* fork, or a sentinel */
    _Atomic uint32_t hungry;
};

/* Nothing is run here: a fork is told by its site. */
static const struct thrum_site_ site = {NULL, "fork", "here"};

static inline struct thrum_deque_ *segment_new(void)
{
    char *mem = aligned_alloc(SEGMENT_BYTES, 2 * (size_t)SEGMENT_BYTES);

    assert_non_null(mem);
    memset(mem, 0, 2 * (size_t)SEGMENT_BYTES);
    return (struct thrum_deque_ *)(void *)(mem + SEGMENT_BYTES - SEGMENT_HEAD);
}

static inline void segment_free(struct thrum_deque_ *segment)
{
    free((char *)segment + SEGMENT_HEAD - SEGMENT_BYTES);
}

static inline struct thrum_job_ *slot_of(struct thrum_deque_ *segment, size_t i)
{
    return deque_first_slot(segment) + i;
}

/* One deque of one segment, the others to be linked; the state says whether it
 * is fenced. */
static inline int rig_start(void **state, bool fenced)
{
    struct rig *r = calloc(1, sizeof *r);

    if (r == NULL)
        return -1;
    for (int i = 0; i < SEGMENTS; i++) {
        r->seg[i] = segment_new();
        deque_init(r->seg[i], r->seg[0], &r->hungry, fenced);
    }
    r->newest = slot_of(r->seg[0], 0) - 1;
    deque_set_scope(r->seg[0], r->newest, SCOPE);
    *state = r;
    return 0;
}

static inline int start_biased(void **state)
{
    /* Without membarrier only the other half of the tests says something. */
    return barrier_start() ? rig_start(state, false) : rig_start(state, true);
}

static inline int start_fenced(void **state)
{
    return rig_start(state, true);
}

static inline int rig_stop(void **state)
{
    struct rig *r = *state;

    for (int i = 0; i < SEGMENTS; i++)
        segment_free(r->seg[i]);
    free(r);
    return 0;
}

/* What thrum_publish_ leaves to the library: a segment is full. */
static inline void fill_last(struct rig *r, struct thrum_deque_ *segment)
{
    struct thrum_job_ *last = deque_last_slot(segment);
    int next = 1;

    while (r->seg[next - 1] != segment)
        next++;
    store_relaxed(&last->site, &site);
    store_release(&last->scope, load_relaxed(&segment->scope));
    if (load_relaxed(&segment->next) == NULL)
        deque_link(segment, r->seg[next]);
    r->newest = deque_enter_next(segment);
}

static inline struct thrum_job_ *fork_one(struct rig *r)
{
    struct thrum_job_ *slot = r->newest + 1;
    struct thrum_deque_ *segment = thrum_deque_of_(slot);

    if (!thrum_is_last_(slot))
        r->newest = thrum_publish_(segment, slot, &site);
    else
        fill_last(r, segment);
    return slot;
}

/* As a join does: the fast path, then the other one. */
static inline enum take take_back(struct rig *r, struct thrum_job_ **slot)
{
    enum take take = TAKE_MINE;

    *slot = r->newest;
    if (!thrum_take_back_(r->newest))
        take = deque_take_back(r->newest, slot);
    r->newest = *slot - 1;
    return take;
}

static inline void assert_mine(struct rig *r, const struct thrum_job_ *expected)
{
    struct thrum_job_ *slot;

    assert_int_equal(take_back(r, &slot), TAKE_MINE);
    assert_ptr_equal(slot, expected);
}

static inline void assert_stolen(struct rig *r,
                                 const struct thrum_job_ *expected)
{
    struct thrum_job_ *slot;

    assert_int_equal(take_back(r, &slot), TAKE_STOLEN);
    assert_ptr_equal(slot, expected);
}

static inline struct thrum_job_ *steal(struct rig *r)
{
    struct thrum_job_ *job = NULL;

    return deque_steal(r->seg[0], false, 1, &job) == STEAL_GOT ? job : NULL;
}

static inline uint64_t top_of(struct thrum_deque_ *segment)
{
    return load_relaxed(segment->real);
}

#define FOR(name, mode)                                                        \
    {                                                                          \
#name ", " #mode, name, start_##mode, rig_stop, NULL                   \
    }
#define BOTH(name) FOR(name, biased), FOR(name, fenced)

#endif
