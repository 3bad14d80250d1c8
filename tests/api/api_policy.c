/* What does the end of one child mean to the others, under each policy, and which
 * errors come out? For scopes, gather and each. How: children that wait an hour
 * unless they are canceled, and others that fail in a known order. */
#include "lib/api.h"

THRUM_KIND(First, THRUM_ERROR);
THRUM_KIND(Second, THRUM_ERROR);
THRUM_KIND(Body, THRUM_ERROR);

/* --- the same three ways to have children --------------------------------- */

enum { MANY = 40 };

/* Child i calls fn[i]; all begin before any of them goes on. */
struct family {
    size_t n;
    thrum_fn *fn[MANY];
    struct gate begin;
    _Atomic unsigned counted; /* as the stories like */
    thrum_err *err[MANY];     /* of a settled gather */
    size_t won;               /* of a gather: who; SIZE_MAX, nobody */
};

static struct family *family;

struct member {
    size_t i;
    struct family *of;
};

static thrum_err *live(size_t i, void *arg)
{
    struct family *f = arg;

    gate_meet(&f->begin);
    return f->fn[i](f);
}

static thrum_err *live_as_task(void *arg)
{
    struct member *m = arg;

    return live(m->i, m->of);
}

typedef thrum_err *lives(struct family *f, thrum_policy policy);

static thrum_err *as_scope(struct family *f, thrum_policy policy)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "family", .policy = policy);
    for (size_t i = 0; i < f->n; i++)
        CHECK(thrum_spawn(&s, live_as_task, (&(struct member){i, f}),
                          sizeof(struct member)) == 0);
    return thrum_scope_close(&s, NULL);
}

static thrum_err *as_gather(struct family *f, thrum_policy policy)
{
    struct member member[MANY];
    thrum_job jobs[MANY];
    thrum_err *e;

    for (size_t i = 0; i < f->n; i++) {
        member[i] = (struct member){i, f};
        jobs[i] = (thrum_job){
            .fn = live_as_task, .arg = &member[i], .won = true};
    }
    e = thrum_gather(jobs, f->n, policy);
    f->won = SIZE_MAX;
    for (size_t i = 0; i < f->n; i++) {
        f->err[i] = policy == THRUM_SETTLE ? jobs[i].err : NULL;
        CHECK(!jobs[i].won || f->won == SIZE_MAX);
        f->won = jobs[i].won ? i : f->won;
    }
    CHECK(f->won == SIZE_MAX || policy == THRUM_ANY || policy == THRUM_FIRST);
    return e;
}

static thrum_err *as_each(struct family *f, thrum_policy policy)
{
    return thrum_each(f->n, live, f, .policy = policy);
}

/* Only a gather says who. */
static bool has_won(const struct family *f, lives *way, size_t who)
{
    return way != as_gather || f->won == who;
}

static lives *const ways[] = {as_scope, as_gather, as_each};

enum { WAYS = sizeof ways / sizeof *ways };

static struct family *prepare(size_t n, thrum_fn *fn)
{
    family->n = n;
    gate_init(&family->begin, (unsigned)n);
    atomic_store(&family->counted, 0);
    for (size_t i = 0; i < n; i++)
        family->fn[i] = fn;
    return family;
}

static void on_families(thrum_fn *story)
{
    family = calloc(1, sizeof *family);
    assert_non_null(family);
    on_runtimes(story, NULL);
    free(family);
}

/* --- what they do --------------------------------------------------------- */

static thrum_err *succeed(void *unused)
{
    (void)unused;
    return NULL;
}

static thrum_err *fail_first(void *unused)
{
    (void)unused;
    return thrum_fail(&First, "first");
}

static thrum_err *fail_when_canceled(void *unused)
{
    (void)unused;
    thrum_err_drop(wait_for_cancel(NULL));
    return thrum_fail(&Second, "when it was canceled");
}

static thrum_err *wait(void *unused)
{
    (void)unused;
    return wait_for_cancel(NULL);
}

static thrum_err *fail_count(void *arg)
{
    struct family *f = arg;

    atomic_fetch_add(&f->counted, 1);
    return thrum_fail(&First, "one of all");
}

/* --- all shall succeed ---------------------------------------------------- */

static thrum_err *all_story(void *arg)
{
    (void)arg;
    for (size_t w = 0; w < WAYS; w++) {
        struct family *f = prepare(10, succeed);

        expect_ok(ways[w](f, THRUM_ALL));

        f = prepare(10, wait);
        f->fn[4] = fail_first;
        expect_indices(ways[w](f, THRUM_ALL), 1, (size_t[]){4});

        f = prepare(10, fail_when_canceled);
        f->fn[7] = fail_first;
        f->fn[3] = f->fn[8] = wait;
        expect_indices(ways[w](f, THRUM_ALL), 8,
                       (size_t[]){7, 0, 1, 2, 4, 5, 6, 9});
    }
    return NULL;
}

static void the_first_failure_cancels_the_others_and_leads(void **state)
{
    (void)state;
    on_families(all_story);
}

static thrum_err *body_cancels(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "body");
    for (int i = 0; i < 5; i++)
        CHECK(thrum_spawn(&s, wait, NULL, 0) == 0);
    expect_kind(thrum_scope_close(&s, thrum_fail(&Body, "body")), &Body);
    return NULL;
}

static void a_body_that_fails_cancels_the_children(void **state)
{
    (void)state;
    on_runtimes(body_cancels, NULL);
}

/* --- each on its own account ---------------------------------------------- */

static thrum_err *look_after_failure(void *arg)
{
    struct family *f = arg;

    await_count(&f->counted, 3);
    for (int i = 0; i < 5; i++) {
        thrum_yield();
        CHECK(!thrum_canceled() && thrum_sleep(1) == 0);
    }
    return NULL;
}

static thrum_err *settle_story(void *arg)
{
    (void)arg;
    for (size_t w = 0; w < WAYS; w++) {
        struct family *f = prepare(10, look_after_failure);
        thrum_err *e;

        f->fn[2] = f->fn[5] = f->fn[9] = fail_count;
        e = ways[w](f, THRUM_SETTLE);
        if (ways[w] != as_gather) {
            expect_indices(e, 3, (size_t[]){2, 5, 9});
            continue;
        }
        expect_ok(e);
        for (size_t i = 0; i < 10; i++)
            expect_kind(f->err[i], f->fn[i] == fail_count ? &First : NULL);
    }
    return NULL;
}

static void who_settles_cancels_nothing(void **state)
{
    (void)state;
    on_families(settle_story);
}

static thrum_err *settled_body(void *arg)
{
    thrum_scope s;
    thrum_err *e;

    (void)arg;
    prepare(1, look_after_failure);
    thrum_scope_open(&s, .name = "body", .policy = THRUM_SETTLE);
    CHECK(thrum_spawn(&s, look_after_failure, family, 0) == 0);
    CHECK(thrum_spawn(&s, fail_first, NULL, 0) == 0);
    atomic_store(&family->counted, 3);
    e = thrum_scope_close(&s, thrum_fail(&Body, "body"));
    CHECK(thrum_err_is(thrum_err_at(e, 1), &Body));
    expect_indices(e, 2, (size_t[]){1, SIZE_MAX});
    return NULL;
}

static void nor_does_its_body(void **state)
{
    (void)state;
    on_families(settled_body);
}

/* --- one shall succeed ---------------------------------------------------- */

static thrum_err *succeed_when_all_failed(void *arg)
{
    struct family *f = arg;

    await_count(&f->counted, 3);
    return NULL;
}

static thrum_err *any_story(void *arg)
{
    (void)arg;
    for (size_t w = 0; w < WAYS; w++) {
        struct family *f = prepare(10, wait);

        f->fn[6] = succeed;
        expect_ok(ways[w](f, THRUM_ANY));
        CHECK(has_won(f, ways[w], 6));

        f = prepare(10, fail_when_canceled); /* the losers' errors */
        f->fn[6] = succeed;
        expect_ok(ways[w](f, THRUM_ANY));
        CHECK(has_won(f, ways[w], 6));

        f = prepare(10, wait); /* failures before decide nothing */
        f->fn[0] = f->fn[3] = f->fn[9] = fail_count;
        f->fn[5] = succeed_when_all_failed;
        expect_ok(ways[w](f, THRUM_ANY));
        CHECK(has_won(f, ways[w], 5));
        CHECK(!thrum_canceled());
    }
    return NULL;
}

static void one_success_is_enough_and_cancels_the_others(void **state)
{
    (void)state;
    on_families(any_story);
}

static thrum_err *any_fails(void *arg)
{
    (void)arg;
    for (size_t w = 0; w < WAYS; w++) {
        struct family *f = prepare(10, fail_count);
        thrum_err *e = ways[w](f, THRUM_ANY);
        size_t first = thrum_err_index(e);

        CHECK(atomic_load(&f->counted) == 10); /* no failure cancels */
        CHECK(has_won(f, ways[w], SIZE_MAX));
        CHECK(thrum_err_count(e) == 10 && first < 10);
        for (size_t i = 1; i < 10; i++)
            CHECK(thrum_err_index(thrum_err_at(e, i)) ==
                  (i - 1 < first ? i - 1 : i));
        thrum_err_drop(e);
    }
    return NULL;
}

static void if_none_succeeds_all_errors_are_told(void **state)
{
    (void)state;
    on_families(any_fails);
}

/* --- whoever ends first --------------------------------------------------- */

static thrum_err *first_story(void *arg)
{
    (void)arg;
    for (size_t w = 0; w < WAYS; w++) {
        struct family *f = prepare(10, wait);

        f->fn[6] = succeed;
        expect_ok(ways[w](f, THRUM_FIRST));

        f = prepare(10, fail_when_canceled);
        f->fn[2] = succeed;
        expect_ok(ways[w](f, THRUM_FIRST));
        CHECK(has_won(f, ways[w], 2));

        f = prepare(10, fail_when_canceled);
        f->fn[5] = fail_first;
        f->fn[0] = wait;
        expect_indices(ways[w](f, THRUM_FIRST), 1, (size_t[]){5});
        CHECK(has_won(f, ways[w], 5));
        CHECK(!thrum_canceled());
    }
    return NULL;
}

static void whoever_ends_first_decides_and_cancels_the_others(void **state)
{
    (void)state;
    on_families(first_story);
}

static thrum_err *race(void *arg)
{
    (void)arg;
    for (size_t w = 0; w < WAYS; w++) {
        struct family *f = prepare(20, succeed);
        thrum_err *e;

        for (size_t i = 0; i < 20; i += 2)
            f->fn[i] = fail_first;
        e = ways[w](f, THRUM_FIRST);
        CHECK(e == NULL ||
              (thrum_err_count(e) == 1 && thrum_err_index(e) % 2 == 0));
        CHECK(e == NULL || has_won(f, ways[w], thrum_err_index(e)));
        CHECK(ways[w] != as_gather || e != NULL || f->won % 2 == 1);
        thrum_err_drop(e);
        f = prepare(20, succeed);
        expect_ok(ways[w](f, THRUM_FIRST));
    }
    return NULL;
}

static void there_is_one_winner_of_a_race(void **state)
{
    (void)state;
    on_families(race);
}

static thrum_err *succeed_one(size_t i, void *calls)
{
    (void)i;
    atomic_fetch_add((_Atomic unsigned *)calls, 1);
    return NULL;
}

static thrum_err *no_more(void *arg)
{
    (void)arg;
    for (thrum_policy p = THRUM_ANY; p <= THRUM_FIRST; p++)
        for (unsigned limit = 0; limit < 4; limit++) {
            _Atomic unsigned calls = 0;

            expect_ok(thrum_each(SIZE_MAX / 4, succeed_one, &calls, .policy = p,
                                 .limit = limit));
            CHECK(workers > 1 || atomic_load(&calls) == 1);
        }
    return NULL;
}

static void after_it_none_is_begun(void **state)
{
    (void)state;
    on_runtimes(no_more, NULL);
}

/* --- the body ------------------------------------------------------------- */

static thrum_err *bodies(void *arg)
{
    (void)arg;
    for (thrum_policy p = THRUM_ANY; p <= THRUM_FIRST; p++) {
        thrum_scope s;
        thrum_err *e;

        thrum_scope_open(&s, .name = "won", .policy = p);
        CHECK(thrum_spawn(&s, succeed, NULL, 0) == 0);
        CHECK(thrum_spawn(&s, wait, NULL, 0) == 0);
        await_cancel();
        expect_kind(thrum_scope_close(&s, thrum_fail(&Body, "body")), &Body);

        thrum_scope_open(&s, .name = "won, and the body told", .policy = p);
        CHECK(thrum_spawn(&s, succeed, NULL, 0) == 0);
        expect_ok(thrum_scope_close(&s, wait_for_cancel(NULL)));

        thrum_scope_open(&s, .name = "all lost", .policy = p);
        CHECK(thrum_spawn(&s, fail_first, NULL, 0) == 0);
        if (p == THRUM_FIRST)
            await_cancel();
        else
            thrum_yield();
        e = thrum_scope_close(&s, thrum_fail(&Body, "body"));
        CHECK(thrum_err_has(e, &Body) && thrum_err_has(e, &First));
        CHECK(thrum_err_count(e) == 2);
        thrum_err_drop(e);
    }
    return NULL;
}

static void an_error_of_the_body_is_always_told(void **state)
{
    (void)state;
    on_runtimes(bodies, NULL);
}

static thrum_err *no_choice(void *arg)
{
    (void)arg;
    for (thrum_policy p = THRUM_ALL; p <= THRUM_FIRST; p++) {
        bool chooses = p == THRUM_ANY || p == THRUM_FIRST;
        thrum_scope s;

        for (size_t w = 0; w < WAYS; w++)
            expect_kind(ways[w](prepare(0, NULL), p),
                        chooses ? &THRUM_ERROR : NULL);
        thrum_scope_open(&s, .name = "body alone", .policy = p);
        expect_kind(thrum_scope_close(&s, thrum_fail(&Body, "body")), &Body);
    }
    return NULL;
}

static void without_a_child_there_is_nothing_to_choose_from(void **state)
{
    (void)state;
    on_families(no_choice);
}

/* --- canceled from outside ------------------------------------------------ */

static thrum_scope *outer;

static thrum_err *cancel_outer(void *unused)
{
    (void)unused;
    thrum_scope_cancel(outer, NULL);
    return wait_for_cancel(NULL);
}

static thrum_err *cancel_and_fail(void *unused)
{
    (void)unused;
    thrum_scope_cancel(outer, NULL);
    return thrum_fail(&First, "all the same");
}

static thrum_err *from_outside(void *arg)
{
    thrum_scope s;

    (void)arg;
    for (thrum_policy p = THRUM_ALL; p <= THRUM_FIRST; p++)
        for (size_t w = 0; w < WAYS; w++) {
            struct family *f;
            thrum_err *e;

            thrum_scope_open(&s, .name = "outer");
            outer = &s;
            f = prepare(10, wait);
            f->fn[3] = cancel_outer;
            expect_kind(ways[w](f, p), &THRUM_CANCELED);
            CHECK(thrum_sleep(0) == -ECANCELED);
            expect_ok(thrum_scope_close(&s, NULL));

            thrum_scope_open(&s, .name = "outer");
            f = prepare(10, wait);
            f->fn[3] = cancel_and_fail;
            e = ways[w](f, p);
            CHECK(p == THRUM_FIRST || thrum_err_has(e, &First));
            CHECK(e != NULL);
            thrum_err_drop(e);
            expect_ok(thrum_scope_close(&s, NULL));
        }
    return NULL;
}

static void a_cancel_from_outside_is_one_under_every_policy(void **state)
{
    (void)state;
    on_families(from_outside);
}

/* --- what is kept --------------------------------------------------------- */

/* Child 30 fails first, and that has been told before the others go on. */
static thrum_err *fail_after_30(void *arg)
{
    struct family *f = arg;

    await_count(&f->counted, 1);
    return thrum_fail(&Second, "later");
}

static thrum_err *keep_same(void *arg)
{
    (void)arg;
    for (int round = 0; round < 5; round++)
        for (thrum_policy p = THRUM_ALL; p <= THRUM_ANY; p++) {
            struct family *f = prepare(MANY, fail_after_30);
            thrum_scope s;

            f->fn[30] = fail_first;
            thrum_scope_open(&s, .name = "kept", .policy = p, .max_errors = 5,
                             .limit = MANY);
            for (size_t i = 0; i < MANY; i++)
                CHECK(thrum_spawn(&s, live_as_task, (&(struct member){i, f}),
                                  sizeof(struct member)) == 0);
            if (p == THRUM_ALL)
                await_cancel();
            else /* there is a place when 30 has left */
                CHECK(thrum_spawn(&s, fail_after_30, f, 0) == 0);
            atomic_store(&f->counted, 1);
            expect_indices(thrum_scope_close(&s, NULL), 5,
                           p == THRUM_SETTLE ? (size_t[]){0, 1, 2, 3, 4}
                                             : (size_t[]){30, 0, 1, 2, 3});
        }
    return NULL;
}

static void the_same_errors_are_kept_each_time(void **state)
{
    (void)state;
    on_families(keep_same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_failure_cancels_the_others_and_leads),
        cmocka_unit_test(a_body_that_fails_cancels_the_children),
        cmocka_unit_test(who_settles_cancels_nothing),
        cmocka_unit_test(nor_does_its_body),
        cmocka_unit_test(one_success_is_enough_and_cancels_the_others),
        cmocka_unit_test(if_none_succeeds_all_errors_are_told),
        cmocka_unit_test(whoever_ends_first_decides_and_cancels_the_others),
        cmocka_unit_test(there_is_one_winner_of_a_race),
        cmocka_unit_test(after_it_none_is_begun),
        cmocka_unit_test(an_error_of_the_body_is_always_told),
        cmocka_unit_test(without_a_child_there_is_nothing_to_choose_from),
        cmocka_unit_test(a_cancel_from_outside_is_one_under_every_policy),
        cmocka_unit_test(the_same_errors_are_kept_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
