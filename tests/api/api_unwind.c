/* Are the C++ exceptions that are caught the task's own, whatever suspends it and
 * wherever it goes on? How: a stand-in for the C++ run time keeps two words for each
 * thread, as that does (install.sh has the real one); each task has values of its own
 * in them while many wait and move. */
#include "lib/api.h"

struct globals {
    void *caught;
    unsigned uncaught;
};

void *__cxa_get_globals(void);

/* Not inlined, as its address is another one after each suspension. */
__attribute__((noinline)) void *__cxa_get_globals(void)
{
    static _Thread_local struct globals here;
    struct globals *at = &here;

    __asm__ volatile("" : "+r"(at));
    return at;
}

static void set(void *caught, unsigned uncaught)
{
    *(struct globals *)__cxa_get_globals() = (struct globals){caught, uncaught};
}

static bool is_still(void *caught, unsigned uncaught)
{
    struct globals *at = __cxa_get_globals();

    return at->caught == caught && at->uncaught == uncaught;
}

static thrum_err *nothing(void *arg)
{
    return arg;
}

/* It begins with none, and leaves none. */
static thrum_err *throw_and_yield(void *arg)
{
    set(&arg, 2);
    thrum_yield();
    CHECK(is_still(&arg, 2));
    set(NULL, 0);
    return NULL;
}

static thrum_err *emit(void *arg)
{
    int item = 0;

    CHECK(is_still(NULL, 0));
    set(&item, 5);
    THRUM_TRY(thrum_gen_emit(&item));
    CHECK(is_still(&item, 5));
    thrum_yield();
    THRUM_TRY(thrum_gen_emit(&item));
    CHECK(is_still(&item, 5));
    set(NULL, 0);
    return arg;
}

static void generate(void *mine, unsigned n)
{
    thrum_gen g;
    int item;

    thrum_gen_open(&g, emit, NULL, sizeof item);
    for (int i = 0; i < 3; i++) {
        CHECK(thrum_gen_next(&g, &item) == (i < 2));
        CHECK(is_still(mine, n));
        thrum_yield();
    }
    expect_ok(thrum_gen_close(&g));
}

/* What suspends, by number. */
static void suspend(void *mine, unsigned how)
{
    thrum_task task;

    switch (how % 5) {
    case 0:
        thrum_yield();
        break;
    case 1:
        CHECK(thrum_sleep(THRUM_US(1)) == 0);
        break;
    case 2:
        expect_ok(thrum_offload(nothing, NULL));
        break;
    case 3:
        generate(mine, how);
        break;
    default:
        thrum_fork(&task, throw_and_yield, NULL);
        thrum_yield();
        CHECK(is_still(mine, how));
        thrum_yield();
        set(NULL, 0); /* the join may call it */
        expect_ok(thrum_join(&task));
        set(mine, how);
        break;
    }
}

static thrum_err *keep_own(void *arg)
{
    unsigned base = *(unsigned *)arg;

    CHECK(is_still(NULL, 0));
    for (unsigned i = 0; i < scaled(100) + 8; i++) {
        set(&base, base + i);
        suspend(&base, base + i);
        CHECK(is_still(&base, base + i));
    }
    set(NULL, 0);
    return NULL;
}

static thrum_err *keep_many(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "handlers");
    for (unsigned i = 1; i < 20; i++)
        CHECK(thrum_spawn(&s, keep_own, &i, sizeof i) == 0);
    return thrum_scope_close(&s, NULL);
}

/* The words of a thread are its tasks' in turn, and a switch orders nothing. */
static void skip_without_order(void)
{
    const char *nosync = getenv("TSAN_NOSYNC");

    if (nosync == NULL || nosync[0] == '\0')
        return;
    print_message("skipped: thread-locals, which TSAN_NOSYNC misjudges\n");
    skip();
}

static void what_is_caught_stays_with_the_task(void **state)
{
    (void)state;
    skip_without_order();
    on_runtimes(keep_many, NULL);
}

static void what_the_host_of_a_guest_has_caught_stays_his(void **state)
{
    thrum_rt *rt;

    (void)state;
    skip_without_order();
    set(&rt, 3);
    CHECK(thrum_start(&rt, &(thrum_opts){.guest = true}) == 0);
    CHECK(is_still(&rt, 3));
    expect_ok(thrum_call(rt, keep_many, NULL));
    CHECK(is_still(&rt, 3));
    expect_ok(thrum_stop(rt));
    CHECK(is_still(&rt, 3));
    set(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_caught_stays_with_the_task),
        cmocka_unit_test(what_the_host_of_a_guest_has_caught_stays_his),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
