/* Do jobs come out as they went in, all of them, however many there are? One
 * thread; several adders and takers are in tests/stress. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/atomic.h"
#include "parts/inbox.h"

enum { MANY = 100000 };

static void a_new_inbox_is_empty(void **state)
{
    struct inbox in;

    (void)state;
    inbox_init(&in);
    assert_false(inbox_any(&in));
    assert_null(inbox_take_all(&in));
}

static void all_are_taken_oldest_first(void **state)
{
    struct thrum_job_ job[3], *first;
    struct inbox in;

    (void)state;
    inbox_init(&in);
    for (int i = 0; i < 3; i++)
        inbox_add(&in, &job[i]);
    first = inbox_take_all(&in);
    assert_ptr_equal(first, &job[0]);
    assert_ptr_equal(first->next, &job[1]);
    assert_ptr_equal(first->next->next, &job[2]);
    assert_null(first->next->next->next);
}

static void a_list_is_added_oldest_first(void **state)
{
    struct thrum_job_ job[5], *at;
    struct inbox in;

    (void)state;
    inbox_init(&in);
    inbox_add(&in, &job[0]);
    for (int i = 1; i < 4; i++)
        job[i].next = i < 3 ? &job[i + 1] : NULL;
    inbox_add_all(&in, &job[1]);
    job[4].next = NULL;
    inbox_add_all(&in, &job[4]);
    assert_int_equal(load_relaxed(&in.count), 5);
    at = inbox_take_all(&in);
    for (int i = 0; i < 5; i++, at = at->next)
        assert_ptr_equal(at, &job[i]);
    assert_null(at);
}

static void a_taker_leaves_nothing(void **state)
{
    struct thrum_job_ job[2];
    struct inbox in;

    (void)state;
    inbox_init(&in);
    inbox_add(&in, &job[0]);
    inbox_add(&in, &job[1]);
    assert_non_null(inbox_take_all(&in));
    assert_false(inbox_any(&in));
    assert_null(inbox_take_all(&in));
    inbox_add(&in, &job[1]);
    assert_ptr_equal(inbox_take_all(&in), &job[1]);
}

/* I1 */
static void the_counter_says_what_is_in(void **state)
{
    struct thrum_job_ job[5];
    struct inbox in;

    (void)state;
    inbox_init(&in);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(load_relaxed(&in.count), i);
        inbox_add(&in, &job[i]);
        assert_true(inbox_any(&in));
    }
    (void)inbox_take_all(&in);
    assert_int_equal(load_relaxed(&in.count), 0);
}

static void it_is_never_full(void **state)
{
    struct thrum_job_ *jobs = calloc(MANY, sizeof *jobs), *at;
    struct inbox in;
    size_t n = 0;

    (void)state;
    assert_non_null(jobs);
    inbox_init(&in);
    for (int i = 0; i < MANY; i++)
        inbox_add(&in, &jobs[i]);
    for (at = inbox_take_all(&in); at != NULL; at = at->next)
        assert_ptr_equal(at, &jobs[n++]);
    assert_int_equal(n, MANY);
    free(jobs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_inbox_is_empty),
        cmocka_unit_test(all_are_taken_oldest_first),
        cmocka_unit_test(a_list_is_added_oldest_first),
        cmocka_unit_test(a_taker_leaves_nothing),
        cmocka_unit_test(the_counter_says_what_is_in),
        cmocka_unit_test(it_is_never_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
