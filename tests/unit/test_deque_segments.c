/* What of a deque that goes on in further segments, and how is its newest fork
 * found? */
#include "lib/deques.h"

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

/* I5: the owner goes on where he was, thieves from there; and once he has forgotten
 * a fork they look at the first segment again. */
static void the_owner_steals_across_segments(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *slot, *job;

    grow(r, 2);
    for (int s = 0; s < 2; s++)
        for (slot = slot_of(r->seg[s], 0); slot <= deque_last_slot(r->seg[s]);
             slot++) {
            assert_int_equal(deque_steal(r->seg[0], true, 1, &job), STEAL_GOT);
            assert_ptr_equal(job, slot);
        }
    assert_true(deque_looks_busy(r->seg[0]));
    assert_ptr_equal(steal(r), slot_of(r->seg[2], 0));
    assert_ptr_equal(load_relaxed(&r->seg[0]->oldest), r->seg[1]);

    while (r->newest != slot_of(r->seg[0], 0) - 1) {
        assert_int_equal(take_back(r, &slot), TAKE_STOLEN);
        deque_forget(slot);
    }
    assert_false(deque_looks_busy(r->seg[0]));
    slot = fork_one(r);
    assert_true(deque_looks_busy(r->seg[0]));
    assert_ptr_equal(steal(r), slot);
}

/* Not beyond the end of one. */
static void several_are_taken_of_one_segment(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *last = deque_last_slot(r->seg[0]), *jobs = NULL;
    uint32_t share;

    grow(r, 1);
    share = deque_share(r->seg[0]);
    assert_true(share > 1);
    while (steal(r) != last - 2)
        ;
    assert_int_equal(deque_share(r->seg[0]), share);
    assert_int_equal(deque_steal(r->seg[0], false, share, &jobs), STEAL_GOT);
    assert_ptr_equal(jobs, last - 1);
    assert_ptr_equal(jobs->next, last);
    assert_null(last->next);
    assert_ptr_equal(steal(r), slot_of(r->seg[1], 0));
    assert_int_equal(deque_share(r->seg[0]), 1);
}

static struct thrum_scope *scope_of_next(struct rig *r)
{
    return load_relaxed(&fork_one(r)->scope);
}

/* By typed forks, which look where they are made: so does fork_one. */
static void a_scope_holds_above_where_it_was_opened(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *opened, *slot;

    grow(r, 1);
    opened = r->newest;
    deque_set_scope(r->seg[0], opened, SCOPE2);
    assert_ptr_equal(load_relaxed(&r->seg[0]->scope), SCOPE2);
    grow(r, 2);
    assert_ptr_equal(scope_of_next(r), SCOPE2);
    while (r->newest != opened)
        take_back(r, &slot);
    deque_set_scope(r->seg[0], opened, SCOPE);
    assert_ptr_equal(scope_of_next(r), SCOPE);
    while (thrum_deque_of_(r->newest) != r->seg[0])
        take_back(r, &slot);
    assert_ptr_equal(scope_of_next(r), SCOPE);
    grow(r, 2);
    assert_ptr_equal(scope_of_next(r), SCOPE);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_join_goes_down_into_the_segment_before),
        BOTH(a_thief_goes_up_into_the_segment_after),
        BOTH(stolen_forks_are_joined_across_segments),
        BOTH(growing_again_uses_the_segment_that_is_there),
        BOTH(the_owner_steals_across_segments),
        BOTH(several_are_taken_of_one_segment),
        BOTH(a_scope_holds_above_where_it_was_opened),
        BOTH(cut_takes_the_further_segments_off),
        BOTH(the_newest_is_found_after_forks_that_keep_no_hint),
        BOTH(the_newest_is_found_in_another_segment),
        BOTH(the_newest_may_be_a_sentinel_that_stands_for_a_fork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
