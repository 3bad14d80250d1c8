/* Error values: does each function of thrum/err.h do what its comment says?
 * How: called one by one. Groups, reports and memory have their own files. */
#include "task/error.h"

#include "base/alloc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

THRUM_KIND(App, THRUM_ERROR, .code = 500);
THRUM_KIND(NotFound, App, .code = 404);
THRUM_KIND(Stale, NotFound);
THRUM_KIND(Other, THRUM_ERROR);

static thrum_err *numbered(const thrum_kind *kind, int number)
{
    return thrum_fail(kind, "number %d", number);
}

static void assert_message(const thrum_err *e, const char *message)
{
    assert_non_null(e);
    assert_string_equal(thrum_err_msg(e), message);
}

static int disarm(void **state)
{
    (void)state;
    alloc_fail_never();
    error_set_context(NULL);
    return 0;
}

/* --- making -------------------------------------------------------------- */

static void fetch(struct error_context *context)
{
    strcpy(context->path, "main > fetch");
    context->last = strlen("main > ");
}

static void fail_keeps_kind_message_place_and_task(void **state)
{
    (void)state;
    error_set_context(fetch);
    thrum_err *e = thrum_fail(&NotFound, "no user %d of %s", 7, "x");

    assert_message(e, "no user 7 of x");
    assert_ptr_equal(thrum_err_kind(e), &NotFound);
    assert_non_null(strstr(thrum_err_where(e), "test_error.c:"));
    assert_string_equal(thrum_err_task(e), "fetch");
    assert_string_equal(thrum_err_path(e), "main > fetch");
    assert_null(thrum_err_cause(e));
    assert_int_equal(thrum_err_count(e), 1);
    assert_ptr_equal(thrum_err_at(e, 0), e);
    assert_null(thrum_err_at(e, 1));
    assert_true(thrum_err_index(e) == SIZE_MAX);
    thrum_err_drop(e);
}

static void fail_outside_a_task_has_no_task_name(void **state)
{
    (void)state;
    thrum_err *e = thrum_fail(&App, "x");
    assert_null(thrum_err_task(e));
    thrum_err_drop(e);
}

static void fail_cuts_a_long_message_between_two_characters(void **state)
{
    (void)state;
    for (size_t ascii = 0; ascii < 4; ascii++) {
        char text[3000] = "aaaa";
        for (size_t i = ascii; i + 3 < sizeof(text); i += 3)
            memcpy(text + i, "\xE2\x82\xAC", 4); /* the euro sign */
        thrum_err *e = thrum_fail(&App, "%s", text);
        size_t length = strlen(thrum_err_msg(e));
        assert_in_range(length, ERROR_MESSAGE_BYTES - 4,
                        ERROR_MESSAGE_BYTES - 1);
        assert_string_equal(thrum_err_msg(e) + length - 3, "...");
        assert_int_equal((length - 3 - ascii) % 3, 0);
        assert_memory_equal(thrum_err_msg(e), text, length - 3);
        thrum_err_drop(e);
    }
}

static void fail_keeps_a_message_that_just_fits(void **state)
{
    (void)state;
    thrum_err *e = thrum_fail(&App, "%01023d", 7);
    assert_int_equal(strlen(thrum_err_msg(e)), 1023);
    assert_int_equal(thrum_err_msg(e)[1022], '7');
    thrum_err_drop(e);
}

static void rc_of_a_count_is_success(void **state)
{
    (void)state;
    assert_null(thrum_rc(0));
    assert_null(thrum_rc(1));
    assert_null(thrum_rc(INT64_MAX));
}

static void rc_names_every_errno_value_without_allocating(void **state)
{
    (void)state;
    alloc_fail_from(1);
    for (int number = 1; number <= 133; number++) {
        thrum_err *e = thrum_rc(-number);
        assert_non_null(e);
        assert_ptr_equal(e, thrum_rc(-number));
        assert_true(thrum_err_is(e, &THRUM_ERROR));
        if (number == 41 || number == 58) { /* Linux skips them */
            assert_int_equal(thrum_err_errno(e), 0);
            continue;
        }
        assert_int_equal(thrum_err_errno(e), number);
        if (number != ETIMEDOUT)
            assert_message(e, strerror(number));
        thrum_err_drop(e);
        thrum_err_drop(e); /* once too often does not matter */
        assert_ptr_equal(thrum_err_ref(e), e);
    }
    assert_int_equal(alloc_failures(), 0);
}

static void rc_sorts_by_kind(void **state)
{
    (void)state;
    assert_ptr_equal(thrum_err_kind(thrum_rc(-ECANCELED)), &THRUM_CANCELED);
    assert_ptr_equal(thrum_err_kind(thrum_rc(-ETIMEDOUT)), &THRUM_TIMEOUT);
    assert_ptr_equal(thrum_err_kind(thrum_rc(-ENOMEM)), &THRUM_NOMEM);
    assert_ptr_equal(thrum_err_kind(thrum_rc(-EPIPE)), &THRUM_OS);
}

static void rc_of_an_unknown_number_is_still_an_error(void **state)
{
    (void)state;
    const int64_t numbers[] = {-134, -4095, INT32_MIN, INT64_MIN, -INT64_MAX};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_true(thrum_err_is(thrum_rc(numbers[i]), &THRUM_OS));
        assert_int_equal(thrum_err_errno(thrum_rc(numbers[i])), 0);
    }
}

static void wrap_keeps_the_cause(void **state)
{
    (void)state;
    thrum_err *root = thrum_rc(-ECONNREFUSED);
    thrum_err *e = thrum_wrap(numbered(&Other, 1), &NotFound, "outer %d", 2);

    assert_message(e, "outer 2");
    assert_message(thrum_err_cause(e), "number 1");
    assert_null(thrum_err_cause(thrum_err_cause(e)));
    thrum_err_drop(e);
    e = thrum_wrap(thrum_wrap(root, &Other, "a"), &App, "b");
    assert_ptr_equal(thrum_err_cause(thrum_err_cause(e)), root);
    thrum_err_drop(e);
}

static void wrap_of_nothing_is_an_error(void **state)
{
    (void)state;
    thrum_err *e = thrum_wrap(NULL, &App, "x");
    assert_message(e, "x");
    assert_null(thrum_err_cause(e));
    thrum_err_drop(e);
}

static void a_chain_keeps_its_roots_and_its_top(void **state)
{
    (void)state;
    thrum_err *e = numbered(&Other, 0);
    for (int i = 1; i <= 1000; i++)
        e = thrum_wrap(e, &App, "link %d", i);

    const thrum_err *link = e;
    assert_message(link, "link 1000");
    for (int i = ERROR_CHAIN_MAX - 2; i >= 1; i--) {
        char message[32];
        link = thrum_err_cause(link);
        snprintf(message, sizeof(message), "link %d", i);
        assert_message(link, message);
    }
    link = thrum_err_cause(link);
    assert_message(link, "number 0");
    assert_null(thrum_err_cause(link));
    thrum_err_drop(e);
}

static void a_chain_through_groups_is_bounded_too(void **state)
{
    (void)state;
    thrum_err *e = numbered(&Other, 0);
    for (int i = 0; i < 1000; i++) {
        e = thrum_wrap(e, &App, "link");
        e = i % 2 ? thrum_err_add(e, numbered(&App, i))
                  : thrum_err_add(numbered(&App, i), e);
    }
    unsigned links = 0;
    for (const thrum_err *at = e; at; at = thrum_err_cause(at))
        links++;
    assert_in_range(links, 1, ERROR_CHAIN_MAX);
    thrum_err_drop(e);
}

static thrum_err *try_error(thrum_err *e)
{
    THRUM_TRY(e);
    return numbered(&Other, 99);
}

static thrum_err *try_count(long rc, int *evaluated)
{
    THRUM_TRY((*evaluated)++ ? 0 : rc);
    return numbered(&Other, 99);
}

static void try_hands_up_both_conventions(void **state)
{
    (void)state;
    int evaluated = 0;
    thrum_err *e = numbered(&App, 1);
    assert_ptr_equal(try_error(e), e);
    thrum_err_drop(e);
    e = try_count(-EPIPE, &evaluated);
    assert_int_equal(thrum_err_errno(e), EPIPE);
    assert_int_equal(evaluated, 1);
}

static void try_goes_on_after_success(void **state)
{
    (void)state;
    int evaluated = 0;
    thrum_err *e = try_error(NULL);
    assert_message(e, "number 99");
    thrum_err_drop(e);
    e = try_count(5, &evaluated);
    assert_message(e, "number 99");
    thrum_err_drop(e);
}

/* --- asking -------------------------------------------------------------- */

static void is_looks_up_the_kinds_and_down_the_causes(void **state)
{
    (void)state;
    thrum_err *e = thrum_wrap(numbered(&Stale, 1), &Other, "outer");
    assert_true(thrum_err_is(e, &Other));
    assert_true(thrum_err_is(e, &Stale));
    assert_true(thrum_err_is(e, &NotFound));
    assert_true(thrum_err_is(e, &App));
    assert_true(thrum_err_is(e, &THRUM_ERROR));
    assert_false(thrum_err_is(e, &THRUM_OS));
    thrum_err_drop(e);

    e = numbered(&App, 1);
    assert_false(thrum_err_is(e, &NotFound)); /* a parent is no child */
    thrum_err_drop(e);
}

static void is_does_not_look_beside_the_primary(void **state)
{
    (void)state;
    thrum_err *e = thrum_err_add(numbered(&App, 0), numbered(&Other, 1));
    assert_false(thrum_err_is(e, &Other));
    assert_true(thrum_err_has(e, &Other));
    assert_true(thrum_err_has(e, &App));
    assert_false(thrum_err_has(e, &THRUM_OS));
    thrum_err_drop(e);
}

static void has_looks_below_every_leaf(void **state)
{
    (void)state;
    thrum_err *deep = thrum_err_add(numbered(&App, 0), thrum_rc(-EPIPE));
    thrum_err *e = thrum_wrap(deep, &Other, "middle");
    e = thrum_err_add(numbered(&App, 1), e);
    e = thrum_wrap(e, &App, "outer");
    assert_true(thrum_err_has(e, &THRUM_OS));
    assert_false(thrum_err_is(e, &THRUM_OS));
    assert_false(thrum_err_has(e, &THRUM_NOMEM));
    thrum_err_drop(e);
}

/* 2^60 ways down to one error. */
static void has_asks_a_cause_that_two_share_once(void **state)
{
    (void)state;
    thrum_err *e = numbered(&App, 0);

    for (int i = 0; i < 60; i++) {
        thrum_err *one = thrum_wrap(thrum_err_ref(e), &App, "one");
        e = thrum_err_add(one, thrum_wrap(e, &App, "two"));
    }
    assert_true(thrum_err_has(e, &App));
    assert_false(thrum_err_has(e, &Other));
    thrum_err_drop(e);
}

static void a_timeout_is_no_cancellation(void **state)
{
    (void)state;
    assert_false(thrum_err_is(thrum_rc(-ETIMEDOUT), &THRUM_CANCELED));
    assert_false(thrum_err_is(thrum_rc(-ECANCELED), &THRUM_TIMEOUT));
}

static void code_is_the_nearest_that_is_not_zero(void **state)
{
    (void)state;
    thrum_err *e = numbered(&Stale, 1);
    assert_int_equal(thrum_err_code(e), 404);
    thrum_err_drop(e);
    assert_int_equal(thrum_err_code(thrum_rc(-EPIPE)), 0);
}

static void errno_comes_from_the_chain_or_the_kind(void **state)
{
    (void)state;
    thrum_err *e = thrum_wrap(thrum_wrap(thrum_rc(-EPIPE), &App, "a"), &App,
                              "b");
    assert_int_equal(thrum_err_errno(e), EPIPE);
    thrum_err_drop(e);
    const struct {
        const thrum_kind *kind;
        int number;
    } cases[] = {{&THRUM_TIMEOUT, ETIMEDOUT},
                 {&THRUM_CANCELED, ECANCELED},
                 {&THRUM_NOMEM, ENOMEM},
                 {&THRUM_DEADLOCK, EDEADLK},
                 {&App, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        e = numbered(cases[i].kind, 1);
        assert_int_equal(thrum_err_errno(e), cases[i].number);
        thrum_err_drop(e);
    }
}

static void success_answers_every_question(void **state)
{
    (void)state;
    char text[4] = "xyz";
    thrum_err *none = NULL;
    assert_false(thrum_err_is(NULL, &THRUM_ERROR));
    assert_false(thrum_err_has(NULL, &THRUM_ERROR));
    assert_null(thrum_err_split(&none, &THRUM_ERROR));
    assert_string_equal(thrum_err_msg(NULL), "");
    assert_null(thrum_err_kind(NULL));
    assert_int_equal(thrum_err_code(NULL), 0);
    assert_int_equal(thrum_err_errno(NULL), 0);
    assert_null(thrum_err_where(NULL));
    assert_null(thrum_err_task(NULL));
    assert_null(thrum_err_cause(NULL));
    assert_int_equal(thrum_err_count(NULL), 0);
    assert_null(thrum_err_at(NULL, 0));
    assert_true(thrum_err_index(NULL) == SIZE_MAX);
    assert_int_equal(thrum_err_format(NULL, text, sizeof(text)), 0);
    assert_string_equal(text, "");
    assert_null(thrum_err_ref(NULL));
    thrum_err_drop(NULL);
}

#define TEST(name) cmocka_unit_test_teardown(name, disarm)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fail_keeps_kind_message_place_and_task),
        TEST(fail_outside_a_task_has_no_task_name),
        TEST(fail_cuts_a_long_message_between_two_characters),
        TEST(fail_keeps_a_message_that_just_fits),
        TEST(rc_of_a_count_is_success),
        TEST(rc_names_every_errno_value_without_allocating),
        TEST(rc_sorts_by_kind),
        TEST(rc_of_an_unknown_number_is_still_an_error),
        TEST(wrap_keeps_the_cause),
        TEST(wrap_of_nothing_is_an_error),
        TEST(a_chain_keeps_its_roots_and_its_top),
        TEST(a_chain_through_groups_is_bounded_too),
        TEST(try_hands_up_both_conventions),
        TEST(try_goes_on_after_success),
        TEST(is_looks_up_the_kinds_and_down_the_causes),
        TEST(is_does_not_look_beside_the_primary),
        TEST(has_looks_below_every_leaf),
        TEST(has_asks_a_cause_that_two_share_once),
        TEST(a_timeout_is_no_cancellation),
        TEST(code_is_the_nearest_that_is_not_zero),
        TEST(errno_comes_from_the_chain_or_the_kind),
        TEST(success_answers_every_question),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
