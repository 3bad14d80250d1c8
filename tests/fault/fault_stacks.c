/* Is a stack had, or its lack told, when a mapping or a guard is refused? How:
 * stories that need many stacks, or long ones, as in fault_runtime. */
#include "lib/sweep.h"

/* --- stacks and segments -------------------------------------------------- */

static thrum_err *meet_task(void *arg)
{
    _Atomic unsigned *here = arg;

    atomic_fetch_add(here, 1);
    while (atomic_load(here) < 60)
        thrum_yield();
    return NULL;
}

static thrum_err *stack_story(void *arg)
{
    _Atomic unsigned here = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "stacks");
    for (int i = 0; i < 60; i++)
        while (thrum_spawn(&s, meet_task, &here, 0) < 0)
            CHECK(faulty);
    CHECK(thrum_scope_close(&s, NULL) == NULL);
    return NULL;
}

static void stacks_are_had_when_one_mapping_or_guard_is_refused(void **state)
{
    (void)state;
    sweep_os(stack_story, FAIL_MAP);
    sweep_os(stack_story, FAIL_GUARD);
}

static thrum_err *emit_two(void *arg)
{
    THRUM_TRY(thrum_gen_emit(arg));
    return thrum_rc(thrum_gen_emit(arg));
}

/* So many that stacks are mapped for them. */
static thrum_err *generator_story(void *arg)
{
    enum { OPEN = 60 };
    thrum_gen *g = calloc(OPEN, sizeof *g);
    long item = 1;

    (void)arg;
    for (int i = 0; i < OPEN; i++) {
        int rc;

        thrum_gen_open(&g[i], emit_two, &item, sizeof item);
        while ((rc = thrum_gen_next(&g[i], &item)) != 1)
            CHECK(rc == -ENOMEM && faulty); /* it has not begun */
    }
    for (int i = 0; i < OPEN; i++) {
        CHECK(thrum_gen_next(&g[i], &item) == 1);
        CHECK(thrum_gen_close(&g[i]) == NULL);
    }
    free(g);
    return NULL;
}

static void a_generator_that_has_no_stack_begins_later(void **state)
{
    (void)state;
    sweep_os(generator_story, FAIL_MAP);
}

THRUM_PROC(add, _Atomic unsigned *, to)
{
    atomic_fetch_add(to, 1);
}

THRUM_TASK(unsigned, many_forks, unsigned, n)
{
    _Atomic unsigned sum = 0;

    for (unsigned i = 0; i < n; i++)
        THRUM_FORK(add, &sum);
    for (unsigned i = 0; i < n; i++)
        THRUM_JOIN(add);
    return atomic_load(&sum);
}

static thrum_err *segment_story(void *arg)
{
    (void)arg;
    CHECK(many_forks(4000) == 4000);
    return NULL;
}

static void segments_are_had_when_one_mapping_is_refused(void **state)
{
    (void)state;
    sweep_os(segment_story, FAIL_MAP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_are_had_when_one_mapping_or_guard_is_refused),
        cmocka_unit_test(a_generator_that_has_no_stack_begins_later),
        cmocka_unit_test(segments_are_had_when_one_mapping_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
