/* Do the loops cover their range once, wait and fail as the header says? How:
 * a mark for each index, bodies that need each other, reductions that show an
 * order that is wrong. */
#include "lib/api.h"

THRUM_KIND(Late, THRUM_ERROR);
THRUM_KIND(Early, THRUM_ERROR);

enum { RANGE = 20000 };

static _Atomic unsigned char marks[RANGE];
static _Atomic unsigned now, most;

static void clear_marks(void)
{
    for (size_t i = 0; i < RANGE; i++)
        atomic_init(&marks[i], 0);
    atomic_init(&now, 0);
    atomic_init(&most, 0);
}

static void marked_once(size_t lo, size_t hi)
{
    for (size_t i = 0; i < RANGE; i++)
        CHECK(atomic_load(&marks[i]) == (i >= lo && i < hi));
}

/* --- for ------------------------------------------------------------------ */

static thrum_err *mark_part(size_t lo, size_t hi, void *ctx)
{
    size_t grain = *(size_t *)ctx;

    CHECK(lo < hi && (grain == 0 || hi - lo <= grain));
    for (size_t i = lo; i < hi; i++)
        atomic_fetch_add_explicit(&marks[i], 1, memory_order_relaxed);
    return NULL;
}

static thrum_err *for_ranges(void *arg)
{
    static const size_t ends[][2] = {{0, RANGE}, {7, 8}, {5, 5},     {9, 3},
                                     {1, 1000},  {0, 1}, {123, 4567}};
    static const size_t grains[] = {0, 1, 2, 7, 100, RANGE, SIZE_MAX};

    (void)arg;
    for (size_t r = 0; r < sizeof ends / sizeof *ends; r++)
        for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
            size_t grain = grains[g];

            clear_marks();
            expect_ok(
                thrum_for(ends[r][0], ends[r][1], grain, mark_part, &grain));
            marked_once(ends[r][0], ends[r][1]);
        }
    return NULL;
}

static void for_covers_the_range_once_in_parts_of_at_most_a_grain(void **state)
{
    (void)state;
    on_runtimes(for_ranges, NULL);
}

static thrum_err *far_part(size_t lo, size_t hi, void *ctx)
{
    atomic_fetch_add((_Atomic size_t *)ctx, hi - lo);
    return NULL;
}

static thrum_err *for_far(void *arg)
{
    _Atomic size_t sum = 0;

    (void)arg;
    expect_ok(thrum_for(SIZE_MAX - 100, SIZE_MAX, 3, far_part, &sum));
    CHECK(atomic_load(&sum) == 100);
    atomic_store(&sum, 0);
    expect_ok(thrum_for(0, SIZE_MAX, SIZE_MAX / 8, far_part, &sum));
    CHECK(atomic_load(&sum) == SIZE_MAX);
    return NULL;
}

static void ranges_may_be_as_large_as_a_size_t(void **state)
{
    (void)state;
    on_runtimes(for_far, NULL);
}

static thrum_err *single_part(size_t lo, size_t hi, void *ctx)
{
    CHECK(hi - lo == 1);
    return far_part(lo, hi, ctx);
}

/* More than the halves that are open at a time can be (src/task/loop.c). */
static thrum_err *for_very_many(void *arg)
{
    const size_t n = ((size_t)1 << 21) + 3;
    _Atomic size_t sum = 0;

    (void)arg;
    expect_ok(thrum_for(0, n, 1, single_part, &sum));
    CHECK(atomic_load(&sum) == n);
    return NULL;
}

static void there_may_be_millions_of_parts(void **state)
{
    (void)state;
    expect_ok(thrum_run(&(thrum_opts){.workers = 2}, for_very_many, NULL));
}

static thrum_err *meet_in_part(size_t lo, size_t hi, void *ctx)
{
    (void)lo, (void)hi;
    gate_meet(ctx);
    return NULL;
}

static thrum_err *for_meets(void *arg)
{
    struct gate g;

    (void)arg;
    gate_init(&g, 64);
    return thrum_for(0, 64, 1, meet_in_part, &g);
}

static void parts_of_a_loop_may_wait_for_each_other(void **state)
{
    (void)state;
    on_runtimes(for_meets, NULL);
}

static thrum_err *fail_part(size_t lo, size_t hi, void *ctx)
{
    size_t bad = *(size_t *)ctx;

    atomic_fetch_add_explicit(&marks[lo], 1, memory_order_relaxed);
    if (lo <= bad && bad < hi)
        return thrum_fail(&Early, "%zu", lo);
    return NULL;
}

static thrum_err *for_fails(void *arg)
{
    size_t bad = 0;
    thrum_err *e;

    (void)arg;
    clear_marks();
    e = thrum_for(0, RANGE, 10, fail_part, &bad);
    CHECK(thrum_err_is(e, &Early) && thrum_err_count(e) == 1);
    CHECK(thrum_err_index(e) == 0);
    thrum_err_drop(e);
    if (workers == 1) /* nobody else had begun */
        for (size_t i = 10; i < RANGE; i++)
            CHECK(atomic_load(&marks[i]) == 0);

    bad = 777;
    e = thrum_for(0, 1000, 1, fail_part, &bad);
    CHECK(thrum_err_index(e) == 777);
    thrum_err_drop(e);
    return NULL;
}

static void after_an_error_no_further_part_is_begun(void **state)
{
    (void)state;
    on_runtimes(for_fails, NULL);
}

/* --- each ----------------------------------------------------------------- */

static thrum_err *mark_one(size_t i, void *ctx)
{
    unsigned here = atomic_fetch_add(&now, 1) + 1;
    unsigned limit = *(unsigned *)ctx;
    unsigned seen = atomic_load(&most);

    CHECK(limit == 0 || here <= limit);
    while (here > seen && !atomic_compare_exchange_weak(&most, &seen, here))
        ;
    atomic_fetch_add_explicit(&marks[i], 1, memory_order_relaxed);
    if (i % 97 == 0)
        thrum_yield();
    atomic_fetch_sub(&now, 1);
    return NULL;
}

static thrum_err *each_index(void *arg)
{
    static const unsigned limits[] = {0, 1, 2, 5, 100, RANGE, UINT32_MAX};

    (void)arg;
    for (size_t n = 0; n <= scaled(RANGE); n = n * 5 + 1)
        for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
            unsigned limit = limits[k];

            clear_marks();
            expect_ok(thrum_each(n, mark_one, &limit, .limit = limit));
            marked_once(0, n);
            CHECK(limit == 0 || atomic_load(&most) <= limit);
        }
    return NULL;
}

static void each_calls_every_index_once_and_keeps_its_limit(void **state)
{
    (void)state;
    on_runtimes(each_index, NULL);
}

static thrum_err *meet_one(size_t i, void *ctx)
{
    (void)i;
    gate_meet(ctx);
    return NULL;
}

static thrum_err *each_meets(void *arg)
{
    struct gate g;

    (void)arg;
    gate_init(&g, 64);
    expect_ok(thrum_each(64, meet_one, &g, .name = "all"));
    gate_init(&g, 32);
    return thrum_each(32, meet_one, &g, .limit = 32);
}

static void calls_of_each_may_wait_for_each_other(void **state)
{
    (void)state;
    on_runtimes(each_meets, NULL);
}

/* Index 5 fails first, when as many have begun as can: told before the others go
 * on, if there is one worker. */
static thrum_err *fail_in_turn(size_t i, void *ctx)
{
    struct gate *g = ctx;

    if (i == 5) {
        await_count(&g->here, g->all - 1);
        atomic_fetch_add(&g->here, 1);
        return thrum_fail(&Early, "%zu", i);
    }
    gate_meet(g);
    return i == 2 || i == 7 ? thrum_fail(&Late, "%zu", i) : NULL;
}

static thrum_err *each_fails(void *arg)
{
    struct gate g;

    (void)arg;
    for (unsigned limit = 0; limit < 12; limit += 9) {
        thrum_err *e;

        gate_init(&g, 9);
        e = thrum_each(9, fail_in_turn, &g, .limit = limit);
        CHECK(thrum_err_count(e) == 3 && thrum_err_has(e, &Early));
        if (workers == 1)
            expect_indices(e, 3, (size_t[]){5, 2, 7});
        else
            thrum_err_drop(e);
    }
    return NULL;
}

/* Those from 6 on begin when one of 0 to 5 has ended: on one worker, never. */
static thrum_err *each_stops(void *arg)
{
    struct gate g;
    thrum_err *e;

    (void)arg;
    gate_init(&g, 6);
    e = thrum_each(9, fail_in_turn, &g, .limit = 6);
    CHECK(thrum_err_has(e, &Early) && thrum_err_count(e) >= 2);
    CHECK(!thrum_err_has(e, &THRUM_CANCELED));
    if (workers == 1)
        expect_indices(e, 2, (size_t[]){5, 2});
    else
        thrum_err_drop(e);
    return NULL;
}

static void each_begins_nothing_after_an_error(void **state)
{
    (void)state;
    on_runtimes(each_stops, NULL);
}

static void each_gives_errors_their_index_and_the_first_leads(void **state)
{
    (void)state;
    on_runtimes(each_fails, NULL);
}

static thrum_err *each_settles(void *arg)
{
    struct gate g;

    (void)arg;
    for (unsigned limit = 6; limit <= 9; limit++) {
        gate_init(&g, limit);
        expect_indices(thrum_each(9, fail_in_turn, &g, .policy = THRUM_SETTLE,
                                  .limit = limit),
                       3, (size_t[]){2, 5, 7});
    }
    return NULL;
}

static void each_that_settles_lets_the_lowest_index_lead(void **state)
{
    (void)state;
    on_runtimes(each_settles, NULL);
}

static thrum_err *fail_always(size_t i, void *ctx)
{
    atomic_fetch_add((_Atomic unsigned *)ctx, 1);
    return thrum_fail(&Late, "%zu", i);
}

static thrum_err *each_fails_always(void *arg)
{
    (void)arg;
    for (thrum_policy p = THRUM_ALL; p <= THRUM_SETTLE; p++) {
        _Atomic unsigned calls = 0;
        thrum_err *e = thrum_each(500, fail_always, &calls, .policy = p,
                                  .max_errors = 3);

        CHECK(thrum_err_count(e) == atomic_load(&calls));
        CHECK(thrum_err_at(e, 3) == NULL);
        if (p == THRUM_SETTLE) {
            CHECK(atomic_load(&calls) == 500 && thrum_err_index(e) == 0);
            CHECK(thrum_err_at(e, 2) != NULL);
        } else {
            CHECK(workers > 1 || atomic_load(&calls) == 1);
        }
        thrum_err_drop(e);
    }
    return NULL;
}

static void each_calls_all_whatever_fails_if_it_settles(void **state)
{
    (void)state;
    on_runtimes(each_fails_always, NULL);
}

/* --- reduce --------------------------------------------------------------- */

/* A run of numbers: to merge what does not follow is wrong. */
struct run {
    size_t lo, hi; /* equal: empty */
    uint64_t sum;
    char more[600]; /* in some reductions */
};

static void run_init(void *acc, void *ctx)
{
    struct run *r = acc;

    (void)ctx;
    r->lo = r->hi = 0;
    r->sum = 0;
}

static void run_merge(void *into, void *from, void *ctx)
{
    struct run *a = into, *b = from;

    (void)ctx;
    if (b->lo == b->hi)
        return;
    if (a->lo == a->hi)
        a->lo = b->lo;
    else
        CHECK(a->hi == b->lo);
    a->hi = b->hi;
    a->sum += b->sum;
}

static thrum_err *run_fold(size_t lo, size_t hi, void *acc, void *ctx)
{
    struct run part = {.lo = lo, .hi = hi};

    for (size_t i = lo; i < hi; i++)
        part.sum += i;
    run_merge(acc, &part, ctx);
    if (lo % 13 == 0)
        thrum_yield();
    return NULL;
}

static thrum_err *reduce_runs(void *arg)
{
    static const size_t sizes[] = {offsetof(struct run, more),
                                   sizeof(struct run)};
    static const size_t grains[] = {0, 1, 17, RANGE};
    size_t hi = 100 + scaled(RANGE);

    (void)arg;
    for (size_t s = 0; s < 2; s++)
        for (size_t g = 0; g < 4; g++) {
            thrum_reduction how = {sizes[s], run_init, run_merge, run_fold};
            struct run r;

            run_init(&r, NULL);
            expect_ok(thrum_reduce(3, hi, grains[g], &how, &r, NULL));
            CHECK(r.lo == 3 && r.hi == hi);
            CHECK(r.sum == (uint64_t)hi * (hi - 1) / 2 - 3);
            expect_ok(thrum_reduce(hi, hi + 5, 1, &how, &r, NULL));
            CHECK(r.hi == hi + 5); /* on top of what was there */
            expect_ok(thrum_reduce(9, 9, 1, &how, &r, NULL));
            CHECK(r.hi == hi + 5);
        }
    return NULL;
}

static void reduce_merges_in_the_order_of_the_ranges(void **state)
{
    (void)state;
    on_runtimes(reduce_runs, NULL);
}

static thrum_err *fold_and_fail(size_t lo, size_t hi, void *acc, void *ctx)
{
    (void)hi, (void)acc, (void)ctx;
    return lo == 40 ? thrum_fail(&Early, "40") : NULL;
}

static void no_merge(void *into, void *from, void *ctx)
{
    (void)into, (void)from, (void)ctx;
}

static thrum_err *reduce_fails(void *arg)
{
    thrum_reduction how = {offsetof(struct run, more), run_init, no_merge,
                           fold_and_fail};
    struct run r;
    thrum_err *e;

    (void)arg;
    run_init(&r, NULL);
    e = thrum_reduce(0, 100, 10, &how, &r, NULL);
    CHECK(thrum_err_is(e, &Early) || e == NULL); /* 40 need not be a border */
    thrum_err_drop(e);
    e = thrum_reduce(0, 100, 1, &how, &r, NULL);
    CHECK(thrum_err_is(e, &Early) && thrum_err_index(e) == 40);
    thrum_err_drop(e);
    return NULL;
}

static void reduce_returns_the_error_with_the_place_in_the_range(void **state)
{
    (void)state;
    on_runtimes(reduce_fails, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_covers_the_range_once_in_parts_of_at_most_a_grain),
        cmocka_unit_test(ranges_may_be_as_large_as_a_size_t),
        cmocka_unit_test(there_may_be_millions_of_parts),
        cmocka_unit_test(parts_of_a_loop_may_wait_for_each_other),
        cmocka_unit_test(after_an_error_no_further_part_is_begun),
        cmocka_unit_test(each_calls_every_index_once_and_keeps_its_limit),
        cmocka_unit_test(calls_of_each_may_wait_for_each_other),
        cmocka_unit_test(each_gives_errors_their_index_and_the_first_leads),
        cmocka_unit_test(each_begins_nothing_after_an_error),
        cmocka_unit_test(each_calls_all_whatever_fails_if_it_settles),
        cmocka_unit_test(reduce_merges_in_the_order_of_the_ranges),
        cmocka_unit_test(reduce_returns_the_error_with_the_place_in_the_range),
        cmocka_unit_test(each_that_settles_lets_the_lowest_index_lead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
