/* Is a clean-up that there was no memory to note told of, whatever else becomes of
 * its scope? How: stories that defer more than a scope has room for, with every nth
 * allocation refused; each clean-up was called, or is in the error. */
#include "lib/sweep.h"

#include "task/error.h"

enum { CLEAN_UPS = 40 };

static thrum_err *count_call(void *calls)
{
    atomic_fetch_add((_Atomic unsigned *)calls, 1);
    return NULL;
}

static thrum_err *defer_story(void *arg)
{
    uint64_t untold = error_untold();
    _Atomic unsigned calls = 0;
    bool canceled;
    thrum_scope s;
    thrum_err *e;

    (void)arg;
    thrum_scope_open(&s, .name = "clean-ups", .max_errors = CLEAN_UPS);
    for (int i = 0; i < CLEAN_UPS; i++)
        thrum_defer(&s, count_call, &calls);
    canceled = thrum_canceled();
    e = thrum_scope_close(&s, NULL);
    CHECK(canceled == (e != NULL) && (faulty || e == NULL));
    CHECK(atomic_load(&calls) + thrum_err_count(e) +
              (error_untold() - untold) ==
          CLEAN_UPS);
    expect_only(e, ENOMEM, ENOMEM);
    return NULL;
}

static thrum_err *succeed(void *arg)
{
    (void)arg;
    return NULL;
}

static thrum_err *defer_beside_a_winner_story(void *arg)
{
    uint64_t untold = error_untold();
    _Atomic unsigned calls = 0;
    thrum_scope s;
    thrum_err *e;
    int rc;

    thrum_scope_open(&s, .policy = THRUM_ANY, .max_errors = CLEAN_UPS);
    rc = thrum_spawn(&s, succeed, arg, 0);
    CHECK(rc == 0 || (faulty && rc == -ENOMEM));
    for (int i = 0; i < CLEAN_UPS; i++)
        thrum_defer(&s, count_call, &calls);
    e = thrum_scope_close(&s, thrum_rc(thrum_checkpoint()));
    CHECK(rc < 0 || atomic_load(&calls) + thrum_err_count(e) +
                            (error_untold() - untold) ==
                        CLEAN_UPS);
    thrum_err_drop(e);
    return NULL;
}

struct late {
    thrum_scope s;
    _Atomic unsigned calls;
};

static thrum_err *defer_more(void *late)
{
    struct late *l = late;

    for (int i = 0; i < CLEAN_UPS; i++)
        thrum_defer(&l->s, count_call, &l->calls);
    return NULL;
}

static thrum_err *defer_late_story(void *arg)
{
    uint64_t untold = error_untold();
    struct late l = {.calls = 0};
    thrum_err *e;

    (void)arg;
    thrum_scope_open(&l.s, .max_errors = CLEAN_UPS);
    thrum_defer(&l.s, defer_more, &l);
    e = thrum_scope_close(&l.s, NULL);
    CHECK(atomic_load(&l.calls) + thrum_err_count(e) +
              (error_untold() - untold) ==
          CLEAN_UPS);
    expect_only(e, ENOMEM, ENOMEM);
    return NULL;
}

static void it_cancels_the_scope_and_is_told(void **state)
{
    (void)state;
    sweep_allocations(defer_story);
}

static void so_it_is_where_a_child_has_won(void **state)
{
    (void)state;
    sweep_allocations(defer_beside_a_winner_story);
}

static void so_it_is_where_a_clean_up_defers_it(void **state)
{
    (void)state;
    sweep_allocations(defer_late_story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_cancels_the_scope_and_is_told),
        cmocka_unit_test(so_it_is_where_a_child_has_won),
        cmocka_unit_test(so_it_is_where_a_clean_up_defers_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
