/* Is errno the task's own, whatever suspends it and wherever it goes on? How: each
 * task keeps a value of its own in it while many wait and move. */
#include "lib/api.h"

/* The address of errno must not live across a suspension: that is the program's
 * duty, so ours too. */
static __attribute__((noinline)) void set_errno(int value)
{
    errno = value;
    __asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) int get_errno(void)
{
    int value = errno;

    __asm__ volatile("" : "+r"(value));
    return value;
}

static thrum_err *change_errno(void *arg)
{
    set_errno(EDOM);
    return arg;
}

static thrum_err *change_errno_and_yield(void *arg)
{
    set_errno(ERANGE);
    thrum_yield();
    set_errno(EDOM);
    return arg;
}

/* What suspends, by number; the fork it joins is always taken. */
static void suspend(unsigned how)
{
    thrum_task task;

    switch (how % 4) {
    case 0:
        thrum_yield();
        break;
    case 1:
        CHECK(thrum_sleep(THRUM_US(1)) == 0);
        break;
    case 2:
        expect_ok(thrum_offload(change_errno, NULL));
        break;
    default:
        thrum_fork(&task, change_errno_and_yield, NULL);
        thrum_yield();
        thrum_yield();
        set_errno(how);
        CHECK(thrum_sleep(THRUM_US(1)) == 0);
        CHECK(get_errno() == (int)how);
        expect_ok(thrum_join(&task));
        set_errno((int)how); /* a join may call what changes it */
        break;
    }
}

static thrum_err *keep_errno(void *arg)
{
    unsigned base = *(unsigned *)arg;

    for (unsigned i = 0; i < scaled(400) + 8; i++) {
        unsigned value = base * 1000 + i;

        set_errno((int)value);
        suspend(value);
        CHECK(get_errno() == (int)value);
    }
    return NULL;
}

static thrum_err *keep_many(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "errno");
    for (unsigned i = 1; i < 20; i++)
        CHECK(thrum_spawn(&s, keep_errno, &i, sizeof i) == 0);
    return thrum_scope_close(&s, NULL);
}

static void errno_is_kept_across_a_suspension(void **state)
{
    (void)state;
    on_runtimes(keep_many, NULL);
}

static thrum_err *nothing(void *arg)
{
    return arg;
}

static thrum_err *call_all(void *arg)
{
    thrum_job job = {.fn = nothing};
    thrum_scope s;
    thrum_rt *rt;

    set_errno(4711);
    thrum_scope_open(&s, .limit = 2);
    for (int i = 0; i < 10; i++)
        CHECK(thrum_spawn(&s, nothing, NULL, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    expect_ok(thrum_gather(&job, 1, THRUM_ALL));
    CHECK(thrum_start(&rt, &(thrum_opts){.workers = 1}) == 0);
    expect_ok(thrum_call(rt, nothing, NULL));
    CHECK(thrum_post(rt, nothing, NULL, 0) == 0);
    expect_ok(thrum_stop(rt));
    CHECK(get_errno() == 4711);
    return arg;
}

static void no_call_of_the_library_changes_errno(void **state)
{
    (void)state;
    on_threads(call_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errno_is_kept_across_a_suspension),
        cmocka_unit_test(no_call_of_the_library_changes_errno),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
