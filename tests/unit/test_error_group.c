/* Errors as groups: are leaves added, taken out and shared as thrum/err.h says?
 * How: called one by one, then from several threads at once. */
#include "task/error_sink.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

THRUM_KIND(App, THRUM_ERROR);
THRUM_KIND(Other, THRUM_ERROR);

static thrum_err *numbered(const thrum_kind *kind, int number)
{
    return thrum_fail(kind, "number %d", number);
}

/* n leaves of one kind, numbered from 0. */
static thrum_err *group_of(const thrum_kind *kind, int n)
{
    thrum_err *e = NULL;

    for (int i = 0; i < n; i++)
        e = thrum_err_add(e, numbered(kind, i));
    return e;
}

static void assert_message(const thrum_err *e, const char *message)
{
    assert_non_null(e);
    assert_string_equal(thrum_err_msg(e), message);
}

static void add_with_success_is_the_other(void **state)
{
    (void)state;
    thrum_err *e = numbered(&App, 1);
    assert_null(thrum_err_add(NULL, NULL));
    assert_ptr_equal(thrum_err_add(e, NULL), e);
    assert_ptr_equal(thrum_err_add(NULL, e), e);
    thrum_err_drop(e);
}

static void add_keeps_the_primary_and_the_order(void **state)
{
    (void)state;
    thrum_err *e = thrum_err_add(group_of(&App, 2), group_of(&Other, 3));
    assert_int_equal(thrum_err_count(e), 5);
    assert_ptr_equal(thrum_err_kind(e), &App);
    for (int i = 0; i < 5; i++) {
        char message[32];
        const thrum_err *leaf = thrum_err_at(e, (size_t)i);
        snprintf(message, sizeof(message), "number %d", i < 2 ? i : i - 2);
        assert_message(leaf, message);
        assert_int_equal(thrum_err_count(leaf), 1);
        assert_ptr_equal(thrum_err_at(leaf, 0), leaf);
    }
    assert_null(thrum_err_at(e, 5));
    thrum_err_drop(e);
}

static void add_keeps_sixteen_and_counts_the_rest(void **state)
{
    (void)state;
    thrum_err *e = group_of(&App, 1000);
    assert_int_equal(thrum_err_count(e), 1000);
    assert_message(thrum_err_at(e, 15), "number 15");
    assert_null(thrum_err_at(e, 16));
    e = thrum_err_add(e, group_of(&App, 20));
    assert_int_equal(thrum_err_count(e), 1020);
    e = thrum_err_add(numbered(&Other, 0), e);
    assert_int_equal(thrum_err_count(e), 1021);
    assert_message(thrum_err_at(e, 15), "number 14");
    assert_null(thrum_err_at(e, 16));
    thrum_err_drop(e);
}

/* Or what was canceled so often would look like a failure. */
static void add_does_not_count_cancellations_beside_sixteen(void **state)
{
    thrum_err *e = NULL;

    (void)state;
    for (int i = 0; i < 20; i++)
        e = thrum_err_add(e, thrum_rc(-ECANCELED));
    assert_int_equal(thrum_err_count(e), 16);
    assert_true(error_is_canceled(e));
    e = thrum_err_add(e, thrum_rc(-EIO));
    assert_int_equal(thrum_err_count(e), 17);
    assert_false(error_is_canceled(e));
    thrum_err_drop(e);
}

static void add_does_not_change_what_others_see(void **state)
{
    (void)state;
    thrum_err *seen = group_of(&App, 2);
    thrum_err *e = thrum_err_add(thrum_err_ref(seen), numbered(&Other, 2));
    assert_int_equal(thrum_err_count(seen), 2);
    assert_int_equal(thrum_err_count(e), 3);
    thrum_err_drop(seen);
    assert_message(thrum_err_at(e, 1), "number 1");
    thrum_err_drop(e);
}

static void add_takes_the_same_error_twice(void **state)
{
    (void)state;
    thrum_err *e = numbered(&App, 1);
    e = thrum_err_add(e, thrum_err_ref(e));
    assert_int_equal(thrum_err_count(e), 2);
    e = thrum_err_add(e, thrum_err_ref(e));
    assert_int_equal(thrum_err_count(e), 4);
    e = thrum_err_add(thrum_rc(-EPIPE), thrum_err_add(thrum_rc(-EPIPE), e));
    assert_int_equal(thrum_err_count(e), 6);
    thrum_err_drop(e);
}

static void a_leaf_outlives_its_group_if_kept(void **state)
{
    (void)state;
    thrum_err *e = thrum_wrap(group_of(&App, 3), &Other, "outer");
    thrum_err *leaf = thrum_err_ref(thrum_err_at(thrum_err_cause(e), 2));
    thrum_err_drop(e);
    assert_message(leaf, "number 2");
    thrum_err_drop(leaf);
}

static void split_takes_the_leaves_of_a_kind(void **state)
{
    (void)state;
    thrum_err *e = numbered(&App, 0);
    e = thrum_err_add(e, numbered(&Other, 1));
    e = thrum_err_add(e, thrum_wrap(numbered(&Other, 8), &App, "number 2"));
    e = thrum_err_add(e, numbered(&App, 3));

    thrum_err *taken = thrum_err_split(&e, &Other);
    assert_int_equal(thrum_err_count(taken), 2);
    assert_message(thrum_err_at(taken, 0), "number 1");
    assert_message(thrum_err_at(taken, 1), "number 2");
    assert_int_equal(thrum_err_count(e), 2);
    assert_message(thrum_err_at(e, 0), "number 0");
    assert_message(thrum_err_at(e, 1), "number 3");
    thrum_err_drop(taken);
    thrum_err_drop(e);
}

static void split_takes_all_or_nothing(void **state)
{
    (void)state;
    thrum_err *whole = group_of(&App, 3);
    thrum_err *e = whole;
    assert_null(thrum_err_split(&e, &Other));
    assert_ptr_equal(e, whole);
    assert_ptr_equal(thrum_err_split(&e, &App), whole);
    assert_null(e);
    thrum_err_drop(whole);

    e = thrum_rc(-EPIPE);
    assert_ptr_equal(thrum_err_split(&e, &THRUM_OS), thrum_rc(-EPIPE));
    assert_null(e);
}

static void split_leaves_behind_what_was_only_counted(void **state)
{
    (void)state;
    thrum_err *e = group_of(&App, 20);
    thrum_err *taken = thrum_err_split(&e, &App);
    assert_int_equal(thrum_err_count(taken), 16);
    assert_int_equal(thrum_err_count(e), 4);
    assert_false(thrum_err_has(e, &App));
    thrum_err_drop(taken);
    thrum_err_drop(e);
}

static void split_does_not_change_what_others_see(void **state)
{
    (void)state;
    thrum_err *seen = thrum_err_add(numbered(&App, 0), numbered(&Other, 1));
    thrum_err *e = thrum_err_ref(seen);
    thrum_err *taken = thrum_err_split(&e, &App);
    assert_int_equal(thrum_err_count(seen), 2);
    thrum_err_drop(seen);
    assert_message(taken, "number 0");
    assert_message(e, "number 1");
    thrum_err_drop(taken);
    thrum_err_drop(e);
}

/* --- sharing ------------------------------------------------------------- */

struct sharer {
    thrum_err *e;
    size_t leaves;
};

static void *use_and_drop(void *arg)
{
    struct sharer *s = arg;

    for (int i = 0; i < 10000; i++)
        thrum_err_drop(thrum_err_ref(s->e));
    s->leaves = thrum_err_count(s->e);
    s->e = thrum_err_add(s->e, numbered(&Other, 0));
    s->leaves += thrum_err_count(s->e);
    thrum_err_drop(s->e);
    return NULL;
}

static void an_error_is_shared_between_threads(void **state)
{
    (void)state;
    enum { THREADS = 3 };
    pthread_t thread[THREADS];
    struct sharer sharer[THREADS];
    thrum_err *e = group_of(&App, 2);

    for (int i = 0; i < THREADS; i++) {
        sharer[i] = (struct sharer){.e = thrum_err_ref(e)};
        assert_int_equal(
            pthread_create(&thread[i], NULL, use_and_drop, &sharer[i]), 0);
    }
    thrum_err_drop(e); /* whichever thread comes last frees it */
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(sharer[i].leaves, 2 + 3);
    }
}

static void *look_and_drop(void *arg)
{
    struct sharer *s = arg;

    s->leaves = thrum_err_count(s->e);
    thrum_err_drop(s->e);
    return NULL;
}

/* Kills [E2]: only that load orders the other's look before our writing. */
static void the_last_owner_may_write(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        pthread_t thread;
        thrum_err *e = group_of(&App, 2);
        struct sharer sharer = {.e = thrum_err_ref(e)};
        assert_int_equal(pthread_create(&thread, NULL, look_and_drop, &sharer),
                         0);
        while (!error_is_exclusive(e))
            sched_yield();
        assert_ptr_equal(thrum_err_add(e, numbered(&Other, 2)), e);
        assert_int_equal(thrum_err_count(e), 3);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(sharer.leaves, 2);
        thrum_err_drop(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(add_with_success_is_the_other),
        cmocka_unit_test(add_keeps_the_primary_and_the_order),
        cmocka_unit_test(add_keeps_sixteen_and_counts_the_rest),
        cmocka_unit_test(add_does_not_count_cancellations_beside_sixteen),
        cmocka_unit_test(add_does_not_change_what_others_see),
        cmocka_unit_test(add_takes_the_same_error_twice),
        cmocka_unit_test(a_leaf_outlives_its_group_if_kept),
        cmocka_unit_test(split_takes_the_leaves_of_a_kind),
        cmocka_unit_test(split_takes_all_or_nothing),
        cmocka_unit_test(split_leaves_behind_what_was_only_counted),
        cmocka_unit_test(split_does_not_change_what_others_see),
        cmocka_unit_test(an_error_is_shared_between_threads),
        cmocka_unit_test(the_last_owner_may_write),
    };
    return cmocka_run_group_tests_name("error_group", tests, NULL, NULL);
}
