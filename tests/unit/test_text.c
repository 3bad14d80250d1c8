/* Does text hold what has room, in whole pieces, and nothing beyond? */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "task/text.h"

enum { ROOM = 8 };

static void pieces_are_added_while_there_is_room(void **state)
{
    char place[ROOM + 1];
    struct text t = text_begin(place, ROOM);

    (void)state;
    place[ROOM] = '!';
    assert_string_equal(place, "");
    assert_true(text_add(&t, "%s", "abc"));
    assert_true(text_add(&t, "%d", 1234));
    assert_string_equal(place, "abc1234");
    assert_false(t.cut);
    assert_true(text_add(&t, "%s", ""));
    assert_false(text_add(&t, "%c", 'x'));
    assert_string_equal(place, "abc1234");
    assert_true(t.cut);
    assert_int_equal(place[ROOM], '!');
}

static void what_has_no_room_is_left_out_as_a_whole(void **state)
{
    char place[ROOM];
    struct text t = text_begin(place, sizeof place);

    (void)state;
    assert_true(text_add(&t, "ab"));
    assert_false(text_add(&t, "%s", "cdefgh"));
    assert_string_equal(place, "ab");
    assert_true(text_add(&t, "%s", "cdefg"));
    assert_string_equal(place, "abcdefg");
    assert_true(t.cut);
}

static void the_least_place_holds_nothing(void **state)
{
    char place[1] = {'!'};
    struct text t = text_begin(place, sizeof place);

    (void)state;
    assert_int_equal(place[0], '\0');
    assert_false(text_add(&t, "a"));
    assert_int_equal(place[0], '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_added_while_there_is_room),
        cmocka_unit_test(what_has_no_room_is_left_out_as_a_whole),
        cmocka_unit_test(the_least_place_holds_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
