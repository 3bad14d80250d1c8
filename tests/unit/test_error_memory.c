/* Errors without memory: does a failure ever become a success, or get lost
 * uncounted? How: stories in which the nth allocation fails, or all from there
 * on, for every n there is. A sanitizer build finds what leaks. */
#include "task/error_sink.h"

#include "base/alloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

THRUM_KIND(App, THRUM_ERROR);
THRUM_KIND(Other, THRUM_ERROR);

/* Tells one story; returns its error, and in *failures how many went in. */
typedef thrum_err *story(size_t *failures);

/* Every n until the story has fewer allocations. */
static void sweep(story *tell, void (*arm)(uint64_t))
{
    uint64_t failed;
    uint64_t n = 0;

    do {
        size_t failures = 0;
        uint64_t untold = error_untold();
        arm(++n);
        thrum_err *e = tell(&failures);
        failed = alloc_failures();
        alloc_fail_never();
        assert_non_null(e);
        assert_true(thrum_err_is(e, &THRUM_ERROR));
        assert_int_equal(thrum_err_count(e) + (error_untold() - untold),
                         failures);
        if (failed == 0)
            assert_int_equal(error_untold(), untold);
        thrum_err_drop(e);
    } while (failed > 0);
    assert_true(n > 1); /* the story does allocate */
}

static void sweep_both(story *tell)
{
    sweep(tell, alloc_fail_at);
    sweep(tell, alloc_fail_from);
}

static thrum_err *failure(int number)
{
    thrum_err *e = thrum_fail(&App, "number %d", number);
    assert_non_null(e);
    assert_int_equal(thrum_err_count(e), 1);
    return e;
}

static thrum_err *tell_fail(size_t *failures)
{
    *failures = 1;
    thrum_err *e = failure(1);
    assert_true(thrum_err_is(e, &App) || thrum_err_is(e, &THRUM_NOMEM));
    return e;
}

static thrum_err *tell_wrap(size_t *failures)
{
    *failures = 1;
    thrum_err *e = thrum_rc(-EPIPE);
    for (int i = 0; i < 3 * ERROR_CHAIN_MAX; i++) {
        e = thrum_wrap(e, &App, "link %d", i);
        assert_true(thrum_err_is(e, &THRUM_OS)); /* the root stays */
    }
    e = thrum_wrap(e, &Other, "top");
    return e;
}

static thrum_err *tell_wrap_nothing(size_t *failures)
{
    *failures = 1;
    return thrum_wrap(NULL, &App, "x");
}

static thrum_err *tell_add(size_t *failures)
{
    thrum_err *e = NULL;
    for (int i = 0; i < 40; i++, ++*failures)
        e = thrum_err_add(e, i % 3 ? failure(i) : thrum_rc(-EIO));
    return e;
}

static thrum_err *tell_add_shared(size_t *failures)
{
    thrum_err *e = NULL;
    for (int i = 0; i < 20; i++, ++*failures) {
        thrum_err *seen = thrum_err_ref(e);
        size_t count = thrum_err_count(seen);
        e = thrum_err_add(e, failure(i));
        assert_int_equal(thrum_err_count(seen), count);
        thrum_err_drop(seen);
    }
    return e;
}

static thrum_err *tell_add_groups(size_t *failures)
{
    thrum_err *e = tell_add(failures);
    thrum_err *f = tell_add_shared(failures);

    ++*failures;
    return thrum_err_add(thrum_rc(-EIO), thrum_err_add(f, e));
}

/* Both halves, put together again. */
static thrum_err *tell_split(size_t *failures)
{
    thrum_err *e = NULL;
    for (int i = 0; i < 20; i++, ++*failures)
        e = thrum_err_add(e, i % 2 ? failure(i) : thrum_rc(-EIO));

    bool had = thrum_err_has(e, &THRUM_OS);
    thrum_err *taken = thrum_err_split(&e, &THRUM_OS);
    assert_true(taken ? thrum_err_is(taken, &THRUM_OS) : !had || e);
    assert_true(taken || e);
    return thrum_err_add(taken, e);
}

/* All leaves can be taken, the rest was only counted. */
static thrum_err *tell_split_counted(size_t *failures)
{
    thrum_err *e = NULL;
    for (int i = 0; i < 20; i++, ++*failures)
        e = thrum_err_add(e, thrum_fail(&THRUM_NOMEM, "x"));
    size_t count = thrum_err_count(e);
    thrum_err *taken = thrum_err_split(&e, &THRUM_NOMEM);
    if (count > (taken ? error_leaves(taken) : 0))
        assert_non_null(e);
    return thrum_err_add(taken, e);
}

static size_t fill(struct error_sink *s)
{
    size_t failures = 0;
    for (size_t i = 0; i < 40; i++) {
        size_t job = i * 7 % 40;
        thrum_err *e = job % 3 ? failure((int)job) : thrum_rc(-EIO);
        if (job % 5 == 0)
            e = thrum_err_add(e, thrum_rc(-ECANCELED));
        failures += job % 5 == 0 ? 2 : 1;
        error_sink_add(s, job, e);
    }
    return failures;
}

static thrum_err *tell_sink_lowest(size_t *failures)
{
    struct error_sink s;
    error_sink_init(&s, 0);
    *failures = fill(&s);
    return error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_KEEP);
}

static thrum_err *tell_sink_first(size_t *failures)
{
    struct error_sink s;
    error_sink_init(&s, 100);
    *failures = fill(&s);
    return error_sink_fold(&s, PRIMARY_FIRST, CANCELED_KEEP);
}

/* One real failure among cancellations that are to be dropped. */
static thrum_err *tell_sink_dropping(size_t *failures)
{
    struct error_sink s;
    error_sink_init(&s, 4);
    for (size_t job = 0; job < 20; job++)
        error_sink_add(&s, job, thrum_rc(job == 13 ? -EIO : -ECANCELED));
    *failures = 1;
    thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP);
    assert_true(thrum_err_is(e, &THRUM_OS));
    return e;
}

static void no_failure_becomes_a_success(void **state)
{
    (void)state;
    story *const stories[] = {
        tell_fail,       tell_wrap,          tell_wrap_nothing,
        tell_add,        tell_add_shared,    tell_add_groups,
        tell_split,      tell_split_counted, tell_sink_lowest,
        tell_sink_first, tell_sink_dropping,
    };
    for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
        sweep_both(stories[i]);
}

static void wrap_without_memory_is_its_cause(void **state)
{
    (void)state;
    thrum_err *cause = failure(1);
    alloc_fail_from(1);
    assert_ptr_equal(thrum_wrap(cause, &Other, "x"), cause);
    alloc_fail_never();
    thrum_err_drop(cause);
}

static void add_without_memory_counts_the_later_one(void **state)
{
    (void)state;
    thrum_err *e = failure(1), *later = failure(2);
    alloc_fail_from(1);
    e = thrum_err_add(e, later);
    alloc_fail_never();
    assert_string_equal(thrum_err_msg(e), "number 1");
    assert_int_equal(thrum_err_count(e), 2);
    assert_null(thrum_err_at(e, 1));
    e = thrum_err_add(e, failure(3));
    assert_int_equal(thrum_err_count(e), 3);
    assert_string_equal(thrum_err_msg(thrum_err_at(e, 1)), "number 3");
    thrum_err_drop(e);
}

static void split_of_a_leaf_leaves_what_it_counted(void **state)
{
    (void)state;
    thrum_err *e = failure(1), *later = failure(2);
    alloc_fail_from(1);
    e = thrum_err_add(e, later);
    alloc_fail_never();
    thrum_err *taken = thrum_err_split(&e, &App);
    assert_int_equal(thrum_err_count(taken), 1);
    assert_int_equal(thrum_err_count(e), 1);
    assert_false(thrum_err_is(e, &App)); /* nobody knows of what kind */
    thrum_err_drop(taken);
    thrum_err_drop(e);
}

static void split_without_memory_takes_nothing(void **state)
{
    (void)state;
    thrum_err *whole = thrum_err_add(failure(0), failure(1));
    whole = thrum_err_add(whole, thrum_rc(-EPIPE));
    thrum_err *e = whole;
    alloc_fail_from(1);
    assert_null(thrum_err_split(&e, &App));
    alloc_fail_never();
    assert_ptr_equal(e, whole);
    assert_int_equal(thrum_err_count(e), 3);
    thrum_err_drop(e);
}

static void a_sink_without_memory_keeps_one_and_counts(void **state)
{
    (void)state;
    struct error_sink s;
    error_sink_init(&s, 0);
    thrum_err *canceled = thrum_rc(-ECANCELED), *real = failure(5);
    alloc_fail_from(1);
    assert_true(error_sink_add(&s, 9, canceled));
    assert_true(error_sink_add(&s, 5, real));
    for (size_t job = 10; job < 20; job++)
        assert_false(error_sink_add(&s, job, thrum_rc(-EIO)));
    thrum_err *e = error_sink_fold(&s, PRIMARY_LOWEST, CANCELED_DROP);
    alloc_fail_never();
    assert_string_equal(thrum_err_msg(e), "number 5");
    assert_int_equal(thrum_err_index(e), 5);
    assert_int_equal(thrum_err_count(e), 11);
    thrum_err_drop(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_failure_becomes_a_success),
        cmocka_unit_test(wrap_without_memory_is_its_cause),
        cmocka_unit_test(add_without_memory_counts_the_later_one),
        cmocka_unit_test(split_of_a_leaf_leaves_what_it_counted),
        cmocka_unit_test(split_without_memory_takes_nothing),
        cmocka_unit_test(a_sink_without_memory_keeps_one_and_counts),
    };
    return cmocka_run_group_tests_name("error_memory", tests, NULL, NULL);
}
