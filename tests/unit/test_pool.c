/* Does the blocking pool grow again after it was as large as it may be? How: the part
 * of it that decides, on a pool without threads. */
/* The source once more; cmocka has a name that it has, too. */
#define pool_submit   submit_here
#define pool_sweep    sweep_here
#define pool_of       of_here
#define pool_here     here_here
#define thrum_offload offload_here
#include "await/offload.c"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static void who_was_full_grows_again(void **state)
{
    struct pool p = {.most = 4, .threads = 4, .grow = 1};
    struct blocking_thread *called = NULL;

    (void)state;
    assert_int_equal(stuck(&p, &called), 0); /* there is no room */
    p.threads = 1;                           /* the others have retired */
    assert_int_equal(stuck(&p, &called), 2);
    assert_int_equal(stuck(&p, &called), 1);
    assert_null(called);
    assert_int_equal(p.starting, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_full_grows_again),
    };

    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
