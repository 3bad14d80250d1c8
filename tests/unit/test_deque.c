/* Who gets a fork, from which end, and what of the segments? Segments are made
 * by hand; one thread plays owner and thief. With membarrier and without. */
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

static struct thrum_deque_ *segment_new(void)
{
    char *mem = aligned_alloc(SEGMENT_BYTES, 2 * (size_t)SEGMENT_BYTES);

    assert_non_null(mem);
    memset(mem, 0, 2 * (size_t)SEGMENT_BYTES);
    return (struct thrum_deque_ *)(void *)(mem + SEGMENT_BYTES - SEGMENT_HEAD);
}

static void segment_free(struct thrum_deque_ *segment)
{
    free((char *)segment + SEGMENT_HEAD - SEGMENT_BYTES);
}

static struct thrum_job_ *slot_of(struct thrum_deque_ *segment, size_t i)
{
    return deque_first_slot(segment) + i;
}

/* One deque of one segment, the others to be linked; the state says whether it
 * is fenced. */
static int rig_start(void **state, bool fenced)
{
    struct rig *r = calloc(1, sizeof *r);

    if (r == NULL)
        return -1;
    for (int i = 0; i < SEGMENTS; i++) {
        r->seg[i] = segment_new();
        deque_init(r->seg[i], r->seg[0], &r->hungry, fenced);
    }
    deque_set_scope(r->seg[0], SCOPE);
    r->newest = slot_of(r->seg[0], 0) - 1;
    *state = r;
    return 0;
}

static int start_biased(void **state)
{
    /* Without membarrier only the other half of the tests says something. */
    return barrier_start() ? rig_start(state, false) : rig_start(state, true);
}

static int start_fenced(void **state)
{
    return rig_start(state, true);
}

static int rig_stop(void **state)
{
    struct rig *r = *state;

    for (int i = 0; i < SEGMENTS; i++)
        segment_free(r->seg[i]);
    free(r);
    return 0;
}

/* What thrum_publish_ leaves to the library: a segment is full. */
static void fill_last(struct rig *r, struct thrum_deque_ *segment)
{
    struct thrum_job_ *last = deque_last_slot(segment);
    int next = 1;

    while (r->seg[next - 1] != segment)
        next++;
    store_relaxed(&last->site, &site);
    store_release(&last->scope, load_relaxed(&segment->scope));
    if (load_relaxed(&segment->next) == NULL) {
        store_relaxed(&r->seg[next]->scope, load_relaxed(&segment->scope));
        deque_link(segment, r->seg[next]);
    }
    r->newest = slot_of(r->seg[next], 0) - 1;
}

static struct thrum_job_ *fork_one(struct rig *r)
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
static enum take take_back(struct rig *r, struct thrum_job_ **slot)
{
    enum take take = TAKE_MINE;

    *slot = r->newest;
    if (!thrum_take_back_(r->newest))
        take = deque_take_back(r->newest, slot);
    r->newest = *slot - 1;
    return take;
}

static void assert_mine(struct rig *r, const struct thrum_job_ *expected)
{
    struct thrum_job_ *slot;

    assert_int_equal(take_back(r, &slot), TAKE_MINE);
    assert_ptr_equal(slot, expected);
}

static void assert_stolen(struct rig *r, const struct thrum_job_ *expected)
{
    struct thrum_job_ *slot;

    assert_int_equal(take_back(r, &slot), TAKE_STOLEN);
    assert_ptr_equal(slot, expected);
}

static struct thrum_job_ *steal(struct rig *r)
{
    struct thrum_job_ *job = NULL;

    return deque_steal(r->seg[0], false, &job) == STEAL_GOT ? job : NULL;
}

static uint64_t top_of(struct thrum_deque_ *segment)
{
    return load_relaxed(segment->real);
}

/* ------------------------------------------------------------- one segment */

static void a_new_deque_is_empty(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *job;

    assert_ptr_equal(deque_newest(r->seg[0]), slot_of(r->seg[0], 0) - 1);
    assert_int_equal(deque_steal(r->seg[0], false, &job), STEAL_EMPTY);
    assert_int_equal(deque_steal(r->seg[0], true, &job), STEAL_EMPTY);
    assert_false(deque_any_own(r->seg[0]));
    assert_false(deque_looks_busy(r->seg[0]));
}

static void owner_takes_back_newest_first(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *fork[3];

    for (int i = 0; i < 3; i++)
        fork[i] = fork_one(r);
    for (int i = 2; i >= 0; i--)
        assert_mine(r, fork[i]);
    assert_false(deque_any_own(r->seg[0]));
}

static void thief_steals_oldest_first(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *fork[3];

    for (int i = 0; i < 3; i++)
        fork[i] = fork_one(r);
    for (int i = 0; i < 3; i++) {
        assert_true(deque_looks_busy(r->seg[0]));
        assert_ptr_equal(steal(r), fork[i]);
    }
    assert_null(steal(r));
    assert_false(deque_looks_busy(r->seg[0]));
}

static void the_owner_can_steal_from_himself(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *older = fork_one(r), *newer = fork_one(r), *job;

    assert_int_equal(deque_steal(r->seg[0], true, &job), STEAL_GOT);
    assert_ptr_equal(job, older);
    assert_mine(r, newer);
    assert_stolen(r, older);
}

static void what_was_stolen_carries_its_scope(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *job;

    fork_one(r);
    deque_set_scope(r->seg[0], SCOPE2);
    fork_one(r);
    job = steal(r);
    assert_ptr_equal(job->taken, SCOPE);
    assert_true(job_is_fork(job));
    job = steal(r);
    assert_ptr_equal(job->taken, SCOPE2);
}

/* I1: at or above top the owner's, below it taken. */
static void both_ends_meet_in_the_middle(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *fork[5];

    for (int i = 0; i < 5; i++)
        fork[i] = fork_one(r);
    assert_ptr_equal(steal(r), fork[0]);
    assert_ptr_equal(steal(r), fork[1]);
    for (int i = 0; i < 5; i++)
        assert_true(deque_taken(fork[i]) == (i < 2));
    for (int i = 4; i >= 2; i--)
        assert_mine(r, fork[i]);
    assert_false(deque_any_own(r->seg[0]));
    assert_stolen(r, fork[1]);
}

static void a_stolen_fork_is_in_use_until_it_is_forgotten(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *fork = fork_one(r);

    assert_ptr_equal(steal(r), fork);
    assert_stolen(r, fork);
    assert_non_null(load_relaxed(&fork->scope));
    assert_ptr_equal(deque_newest(r->seg[0]), fork);

    deque_forget(fork);
    assert_null(load_relaxed(&fork->scope)); /* I4 */
    assert_null(fork->taken);
    assert_ptr_equal(deque_newest(r->seg[0]), fork - 1);
}

static void a_forgotten_slot_can_be_forked_into_again(void **state)
{
    struct rig *r = *state;

    for (int i = 0; i < 3; i++) {
        struct thrum_job_ *fork = fork_one(r);

        assert_ptr_equal(steal(r), fork);
        assert_stolen(r, fork);
        deque_forget(fork);
        assert_ptr_equal(fork_one(r), fork);
        assert_mine(r, fork);
    }
}

/* I2: the taker may write all of the slot but its scope. */
static void a_taker_leaves_the_scope_alone(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *fork = fork_one(r);

    assert_ptr_equal(steal(r), fork);
    assert_ptr_equal(load_relaxed(&fork->scope), SCOPE);
}

/* I4 */
static void only_the_slot_before_the_very_first_is_in_use(void **state)
{
    struct rig *r = *state;

    assert_non_null(load_relaxed(&(slot_of(r->seg[0], 0) - 1)->scope));
    for (int i = 1; i < SEGMENTS; i++)
        assert_null(load_relaxed(&(slot_of(r->seg[i], 0) - 1)->scope));
    fork_one(r);
    assert_mine(r, slot_of(r->seg[0], 0));
    assert_non_null(load_relaxed(&(slot_of(r->seg[0], 0) - 1)->scope));
}

/* --------------------------------------------------------------------- tags */

/* As a thief does that gets no further. */
static void claim(struct rig *r)
{
    store_relaxed(r->seg[0]->real, top_of(r->seg[0]) | 1);
}

/* I3: a thief's compare-and-swap from before must fail. */
static void taking_a_claimed_slot_back_raises_the_tag(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *fork = fork_one(r);
    uint64_t seen;

    claim(r);
    seen = top_of(r->seg[0]);
    assert_mine(r, fork);
    assert_int_equal((uint32_t)seen & ~1U, (uint32_t)top_of(r->seg[0]));
    assert_true(top_of(r->seg[0]) >> 32 == (seen >> 32) + 1);

    assert_ptr_equal(fork_one(r), fork); /* looks as it did before */
    assert_false(cas_seq_cst(r->seg[0]->real, &seen, seen + 63));
    claim(r); /* where a thief was stopped another goes on */
    assert_false(deque_taken(fork));
    assert_ptr_equal(steal(r), fork);
    assert_stolen(r, fork);
}

static void moving_top_back_raises_the_tag(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *fork = fork_one(r);
    uint64_t start = top_of(r->seg[0]), moved;

    assert_ptr_equal(steal(r), fork);
    moved = top_of(r->seg[0]);
    assert_true(moved == start + 64); /* a thief keeps the tag */
    assert_stolen(r, fork);
    deque_forget(fork);
    assert_int_equal((uint32_t)top_of(r->seg[0]), (uint32_t)start);
    assert_true(top_of(r->seg[0]) >> 32 == (start >> 32) + 1);
}

static void a_slot_that_nobody_comes_for_costs_no_tag(void **state)
{
    struct rig *r = *state;
    uint64_t start = top_of(r->seg[0]);
    struct thrum_job_ *older = fork_one(r), *newer = fork_one(r);

    assert_mine(r, newer);
    assert_mine(r, older);
    assert_true(top_of(r->seg[0]) == start);
}

static void a_segment_used_again_goes_on_with_its_tags(void **state)
{
    struct rig *r = *state;
    uint64_t before = top_of(r->seg[0]);
    bool fenced = r->seg[0]->real == &r->seg[0]->fenced;

    deque_init(r->seg[0], r->seg[0], &r->hungry, fenced);
    assert_int_equal((uint32_t)before, (uint32_t)top_of(r->seg[0]));
    assert_true(top_of(r->seg[0]) >> 32 == (before >> 32) + 1);
}

static void tags_wrap_around(void **state)
{
    struct rig *r = *state;
    uint64_t place = (uint32_t)top_of(r->seg[0]);
    struct thrum_job_ *fork;

    store_relaxed(r->seg[0]->real, UINT64_C(0xFFFFFFFF) << 32 | place);
    fork = fork_one(r);
    claim(r);
    assert_mine(r, fork);
    assert_true(top_of(r->seg[0]) == place);
    assert_ptr_equal(fork_one(r), fork);
    assert_ptr_equal(steal(r), fork);
    assert_stolen(r, fork);
}

/* --------------------------------------------------------- further segments */

/* Fill the deque as far as the first fork of segment `last`. */
static void grow(struct rig *r, int last)
{
    while (fork_one(r) != slot_of(r->seg[last], 0))
        ;
}

static void a_join_goes_down_into_the_segment_before(void **state)
{
    struct rig *r = *state;

    grow(r, 2);
    assert_mine(r, slot_of(r->seg[2], 0));
    for (int s = 1; s >= 0; s--)
        for (struct thrum_job_ *slot = deque_last_slot(r->seg[s]);
             slot >= slot_of(r->seg[s], 0); slot--)
            assert_mine(r, slot);
    assert_false(deque_any_own(r->seg[0]));
    for (int i = 1; i < SEGMENTS; i++) /* I4: crossing went over it */
        assert_null(load_relaxed(&(slot_of(r->seg[i], 0) - 1)->scope));
}

static void a_thief_goes_up_into_the_segment_after(void **state)
{
    struct rig *r = *state;

    grow(r, 2);
    for (int s = 0; s < 2; s++)
        for (struct thrum_job_ *slot = slot_of(r->seg[s], 0);
             slot <= deque_last_slot(r->seg[s]); slot++)
            assert_ptr_equal(steal(r), slot);
    assert_ptr_equal(steal(r), slot_of(r->seg[2], 0));
    assert_null(steal(r));
    assert_false(deque_any_own(r->seg[0]));
}

static void stolen_forks_are_joined_across_segments(void **state)
{
    struct rig *r = *state;

    grow(r, 1);
    while (steal(r) != NULL)
        ;
    assert_stolen(r, slot_of(r->seg[1], 0));
    deque_forget(r->newest + 1);
    for (struct thrum_job_ *slot = deque_last_slot(r->seg[0]);
         slot >= slot_of(r->seg[0], 0); slot--) {
        assert_stolen(r, slot);
        deque_forget(r->newest + 1);
    }
    assert_null(steal(r));
    fork_one(r); /* all of it can be used again, from the start */
    assert_ptr_equal(steal(r), slot_of(r->seg[0], 0));
}

/* A deque that swings around the border of two segments keeps both. */
static void growing_again_uses_the_segment_that_is_there(void **state)
{
    struct rig *r = *state;

    grow(r, 1);
    for (int i = 0; i < 3; i++) {
        assert_mine(r, slot_of(r->seg[1], 0));
        assert_mine(r, deque_last_slot(r->seg[0]));
        grow(r, 1);
        assert_ptr_equal(load_relaxed(&r->seg[0]->next), r->seg[1]);
    }
    assert_ptr_equal(steal(r), slot_of(r->seg[0], 0));
}

static void the_scope_is_set_in_all_segments(void **state)
{
    struct rig *r = *state;

    grow(r, 2);
    deque_set_scope(r->seg[0], SCOPE2);
    fork_one(r);
    for (int i = 0; i < SEGMENTS; i++)
        assert_ptr_equal(load_relaxed(&r->seg[i]->scope), SCOPE2);
    assert_ptr_equal(load_relaxed(&r->newest->scope), SCOPE2);
}

static void cut_takes_the_further_segments_off(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *slot;

    assert_null(deque_cut(r->seg[0]));
    grow(r, 2);
    while (r->newest != slot_of(r->seg[0], 0) - 1)
        assert_int_equal(take_back(r, &slot), TAKE_MINE);
    assert_ptr_equal(deque_cut(r->seg[0]), r->seg[1]);
    assert_ptr_equal(load_relaxed(&r->seg[1]->next), r->seg[2]);
    assert_null(load_relaxed(&r->seg[0]->next));
    assert_ptr_equal(deque_newest(r->seg[0]), slot_of(r->seg[0], 0) - 1);
    assert_null(steal(r));
}

/* ----------------------------------------------------------------- the hint */

static void the_newest_is_found_after_forks_that_keep_no_hint(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *slot;

    for (int i = 0; i < 10; i++)
        fork_one(r);
    assert_ptr_equal(deque_newest(r->seg[0]), r->newest);
    for (int i = 0; i < 7; i++)
        take_back(r, &slot);
    assert_ptr_equal(deque_newest(r->seg[0]), r->newest);
    assert_ptr_equal(deque_newest(r->seg[0]), slot_of(r->seg[0], 2));
}

static void the_newest_is_found_in_another_segment(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *slot;

    grow(r, 2);
    assert_ptr_equal(deque_newest(r->seg[0]), slot_of(r->seg[2], 0));
    while (r->newest != slot_of(r->seg[0], 5))
        take_back(r, &slot);
    assert_ptr_equal(deque_newest(r->seg[0]), slot_of(r->seg[0], 5));
}

/* Where a segment is full the next one's sentinel stands for its last. */
static void the_newest_may_be_a_sentinel_that_stands_for_a_fork(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *sentinel = slot_of(r->seg[1], 0) - 1;

    grow(r, 1);
    assert_mine(r, slot_of(r->seg[1], 0));
    assert_ptr_equal(deque_newest(r->seg[0]), sentinel);
    assert_ptr_equal(deque_fork(sentinel), deque_last_slot(r->seg[0]));
    assert_mine(r, deque_last_slot(r->seg[0]));
    assert_ptr_equal(deque_newest(r->seg[0]), deque_last_slot(r->seg[0]) - 1);
    assert_ptr_equal(deque_fork(r->newest), r->newest);
    assert_null(deque_fork(slot_of(r->seg[0], 0) - 1)); /* the first: none */
}

/* ------------------------------------------------------- without membarrier */

static void fenced_forks_and_joins_always_take_the_slow_path(void **state)
{
    struct rig *r = *state;

    assert_ptr_equal(r->seg[0]->real, &r->seg[0]->fenced);
    for (int i = 0; i < 3; i++) {
        struct thrum_job_ *slot;

        fork_one(r);
        fork_one(r);
        assert_false(thrum_take_back_(r->newest));
        assert_int_equal(deque_take_back(r->newest, &slot), TAKE_MINE);
        r->newest = slot - 1;
    }
    assert_int_equal(load_relaxed(&r->seg[0]->top), UINT32_MAX);
}

static void with_membarrier_only_a_claimed_one_takes_the_slow_path(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *slot;

    if (r->seg[0]->real != &r->seg[0]->top)
        skip(); /* there is no membarrier here */
    fork_one(r);
    fork_one(r);
    claim(r);
    assert_true(thrum_take_back_(r->newest));
    r->newest--;
    assert_false(thrum_take_back_(r->newest));
    assert_int_equal(deque_take_back(r->newest, &slot), TAKE_MINE);
}

#define FOR(name, mode)                                                        \
    {                                                                          \
#name ", " #mode, name, start_##mode, rig_stop, NULL                   \
    }
#define BOTH(name) FOR(name, biased), FOR(name, fenced)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_new_deque_is_empty),
        BOTH(owner_takes_back_newest_first),
        BOTH(thief_steals_oldest_first),
        BOTH(the_owner_can_steal_from_himself),
        BOTH(what_was_stolen_carries_its_scope),
        BOTH(both_ends_meet_in_the_middle),
        BOTH(a_stolen_fork_is_in_use_until_it_is_forgotten),
        BOTH(a_forgotten_slot_can_be_forked_into_again),
        BOTH(a_taker_leaves_the_scope_alone),
        BOTH(only_the_slot_before_the_very_first_is_in_use),
        BOTH(taking_a_claimed_slot_back_raises_the_tag),
        BOTH(moving_top_back_raises_the_tag),
        BOTH(a_slot_that_nobody_comes_for_costs_no_tag),
        BOTH(a_segment_used_again_goes_on_with_its_tags),
        BOTH(tags_wrap_around),
        BOTH(a_join_goes_down_into_the_segment_before),
        BOTH(a_thief_goes_up_into_the_segment_after),
        BOTH(stolen_forks_are_joined_across_segments),
        BOTH(growing_again_uses_the_segment_that_is_there),
        BOTH(the_scope_is_set_in_all_segments),
        BOTH(cut_takes_the_further_segments_off),
        BOTH(the_newest_is_found_after_forks_that_keep_no_hint),
        BOTH(the_newest_is_found_in_another_segment),
        BOTH(the_newest_may_be_a_sentinel_that_stands_for_a_fork),
        FOR(fenced_forks_and_joins_always_take_the_slow_path, fenced),
        FOR(with_membarrier_only_a_claimed_one_takes_the_slow_path, biased),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
