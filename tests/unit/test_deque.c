/* Who gets a fork, and from which end? */
#include "lib/deques.h"

/* ------------------------------------------------------------- one segment */

static void a_new_deque_is_empty(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *job;

    assert_ptr_equal(deque_newest(r->seg[0]), slot_of(r->seg[0], 0) - 1);
    assert_int_equal(deque_steal(r->seg[0], false, 1, &job), STEAL_EMPTY);
    assert_int_equal(deque_steal(r->seg[0], true, 1, &job), STEAL_EMPTY);
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

    assert_int_equal(deque_steal(r->seg[0], true, 1, &job), STEAL_GOT);
    assert_ptr_equal(job, older);
    assert_mine(r, newer);
    assert_stolen(r, older);
}

static void what_was_stolen_carries_its_scope(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *job;

    fork_one(r);
    deque_set_scope(r->seg[0], r->newest, SCOPE2);
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

/* ------------------------------------------------------------------ several */

static struct thrum_job_ *steal_up_to(struct rig *r, bool owner, uint32_t n)
{
    struct thrum_job_ *jobs;

    assert_int_equal(deque_steal(r->seg[0], owner, n, &jobs), STEAL_GOT);
    return jobs;
}

static void assert_list(struct thrum_job_ *jobs, struct thrum_job_ *first,
                        uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        assert_ptr_equal(jobs, first + i);
        assert_ptr_equal(jobs->taken, SCOPE);
        jobs = jobs->next;
    }
    assert_null(jobs);
}

static void several_are_taken_at_once(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *first = fork_one(r);

    for (int i = 1; i < 10; i++)
        fork_one(r);
    assert_list(steal_up_to(r, false, 3), first, 3);
    assert_list(steal_up_to(r, true, 2), first + 3, 2);
    assert_list(steal_up_to(r, false, 1), first + 5, 1);
    assert_mine(r, first + 9);
    assert_list(steal_up_to(r, false, UINT32_MAX), first + 6, 3);
    assert_null(steal(r));
    assert_stolen(r, first + 8);
}

static void those_taken_at_once_are_of_one_scope(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *first = fork_one(r), *jobs;

    fork_one(r);
    deque_set_scope(r->seg[0], r->newest, SCOPE2);
    fork_one(r);
    assert_list(steal_up_to(r, false, 3), first, 2);
    jobs = steal_up_to(r, false, 3);
    assert_ptr_equal(jobs, first + 2);
    assert_ptr_equal(jobs->taken, SCOPE2);
}

/* Of few forks a thief takes one, as each may be the better part of the work. */
static void the_share_of_many_is_a_small_part(void **state)
{
    struct rig *r = *state;
    static const uint32_t at[] = {1, 64, 65, 128, 129, 256, 257},
                          share[] = {1, 1, 2, 2, 4, 4, 8};
    uint32_t n = 0;

    assert_int_equal(deque_share(r->seg[0]), 1);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        for (; n < at[i]; n++)
            fork_one(r);
        assert_int_equal(deque_share(r->seg[0]), share[i]);
    }
    steal_up_to(r, false, 1);
    assert_int_equal(deque_share(r->seg[0]), 4);
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

static void the_owner_may_claim_all_that_are_open(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *fork[3], *slot;

    deque_claim(r->seg[0], UINT32_MAX); /* none */
    for (int i = 0; i < 3; i++)
        fork[i] = fork_one(r);
    deque_claim(r->seg[0], 1);
    assert_int_equal(top_of(r->seg[0]) % 64, 1);
    deque_claim(r->seg[0], UINT32_MAX);
    assert_int_equal(top_of(r->seg[0]) % 64, 3);
    assert_false(thrum_take_back_(fork[2]));
    assert_int_equal(deque_take_back(fork[2], &slot), TAKE_MINE);
    assert_ptr_equal(slot, fork[2]);
    assert_ptr_equal(steal(r), fork[0]);
}

/* Of those that are claimed together the owner takes the newest: no thief gets any
 * with what he saw before, and the oldest stays claimed. */
static void taking_one_of_several_claimed_back_raises_the_tag(void **state)
{
    struct rig *r = *state;
    struct thrum_job_ *fork = fork_one(r);
    uint64_t start = top_of(r->seg[0]), seen;

    fork_one(r);
    fork_one(r);
    seen = start + 64 + 2; /* two are claimed */
    store_relaxed(r->seg[0]->real, seen);
    assert_false(deque_taken(fork));
    assert_mine(r, fork + 2);
    assert_true(top_of(r->seg[0]) == seen); /* it was none of these */
    assert_mine(r, fork + 1);
    assert_true(top_of(r->seg[0]) == start + (UINT64_C(1) << 32) + 1);
    assert_list(steal_up_to(r, false, 2), fork, 1);
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
        BOTH(several_are_taken_at_once),
        BOTH(those_taken_at_once_are_of_one_scope),
        BOTH(the_share_of_many_is_a_small_part),
        BOTH(taking_a_claimed_slot_back_raises_the_tag),
        BOTH(the_owner_may_claim_all_that_are_open),
        BOTH(taking_one_of_several_claimed_back_raises_the_tag),
        BOTH(moving_top_back_raises_the_tag),
        BOTH(a_slot_that_nobody_comes_for_costs_no_tag),
        BOTH(a_segment_used_again_goes_on_with_its_tags),
        BOTH(tags_wrap_around),
        FOR(fenced_forks_and_joins_always_take_the_slow_path, fenced),
        FOR(with_membarrier_only_a_claimed_one_takes_the_slow_path, biased),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
