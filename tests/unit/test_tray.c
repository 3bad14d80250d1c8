/* Do records come out as they went in, all of them, and does each know one some
 * places ahead? One thread; what makes it safe is the owner's lock. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "parts/tray.h"

enum { MANY = 1000 };

static struct tray_item items[MANY];

static size_t fill(struct tray *t, size_t n)
{
    size_t firsts = 0;

    for (size_t i = 0; i < n; i++)
        firsts += tray_add(t, &items[i]);
    return firsts;
}

static void a_new_tray_is_empty(void **state)
{
    struct tray t = {0};

    (void)state;
    assert_null(tray_take_all(&t));
    assert_int_equal(t.count, 0);
}

static void all_are_taken_oldest_first(void **state)
{
    struct tray t = {0};
    struct tray_item *item;

    (void)state;
    (void)fill(&t, MANY);
    assert_int_equal(t.count, MANY);
    item = tray_take_all(&t);
    for (size_t i = 0; i < MANY; i++, item = item->next)
        assert_ptr_equal(item, &items[i]);
    assert_null(item);
    assert_null(tray_take_all(&t));
}

static void the_first_one_is_told(void **state)
{
    struct tray t = {0};

    (void)state;
    assert_int_equal(fill(&t, MANY), 1);
    assert_true(items[0].next == &items[1]);
    (void)tray_take_all(&t);
    assert_int_equal(fill(&t, 1), 1);
}

static void each_knows_one_some_places_ahead(void **state)
{
    struct tray t = {0};

    (void)state;
    (void)fill(&t, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_ptr_equal(items[i].ahead,
                         i + TRAY_AHEAD < MANY ? &items[i + TRAY_AHEAD] : NULL);
}

/* I1: those that were taken belong to others now. */
static void what_was_taken_is_not_touched(void **state)
{
    struct tray t = {0};

    (void)state;
    (void)fill(&t, TRAY_AHEAD);
    (void)tray_take_all(&t);
    for (size_t i = 0; i < TRAY_AHEAD; i++)
        items[i].ahead = items[i].next = &items[MANY - 1];
    for (size_t i = TRAY_AHEAD; i < MANY - 1; i++)
        (void)tray_add(&t, &items[i]);
    for (size_t i = 0; i < TRAY_AHEAD; i++) {
        assert_ptr_equal(items[i].ahead, &items[MANY - 1]);
        assert_ptr_equal(items[i].next, &items[MANY - 1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_tray_is_empty),
        cmocka_unit_test(all_are_taken_oldest_first),
        cmocka_unit_test(the_first_one_is_told),
        cmocka_unit_test(each_knows_one_some_places_ahead),
        cmocka_unit_test(what_was_taken_is_not_touched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
