/* What stands in the queue of the blocking pool: is it taken out when it is canceled,
 * wherever it stands, and do the others come, in order? And what does a call know of
 * who asked for it? How: a pool of one thread, that is kept busy by doors. */
#include "lib/door.h"

/* --- in the queue --------------------------------------------------------- */

struct comer {
    _Atomic unsigned *next;
    unsigned index;
};

static thrum_err *come(void *arg)
{
    struct comer *c = arg;

    CHECK(atomic_fetch_add(c->next, 1) == c->index);
    return NULL;
}

static void spawn_comer(thrum_scope *s, _Atomic unsigned *next, unsigned index)
{
    struct comer c = {next, index};

    CHECK(thrum_spawn_blocking(s, come, &c, sizeof c) == 0);
}

static void spawn_never(thrum_scope *s)
{
    for (int i = 0; i < 2; i++)
        CHECK(thrum_spawn_blocking(s, never, NULL, 0) == 0);
}

/* The thread has those that came before the second door opened for itself: of these
 * the first ones are canceled, and of those that came after it the last ones. */
static thrum_err *out_of_both_lists(void *arg)
{
    struct door first = {0, 0}, second = {0, 0};
    _Atomic unsigned next = 0;
    thrum_scope stay, go;

    (void)arg;
    thrum_scope_open(&stay);
    CHECK(thrum_spawn_blocking(&stay, pass, &first, 0) == 0);
    await_count(&first.inside, 1);
    thrum_scope_open(&go);
    CHECK(thrum_spawn_blocking(&stay, pass, &second, 0) == 0);
    spawn_never(&go);
    spawn_comer(&stay, &next, 0);
    open_door(&first);
    await_count(&second.inside, 1);
    spawn_comer(&stay, &next, 1);
    spawn_never(&go);
    thrum_scope_cancel(&go, NULL);
    expect_ok(thrum_scope_close(&go, NULL)); /* the second door is closed */
    spawn_comer(&stay, &next, 2);
    open_door(&second);
    expect_ok(thrum_scope_close(&stay, NULL));
    CHECK(atomic_load(&next) == 3);
    return NULL;
}

static void who_is_canceled_leaves_from_anywhere(void **state)
{
    (void)state;
    with_one_thread(out_of_both_lists, NULL);
}

/* --- for whom ------------------------------------------------------------- */

static thrum_err *never_with_copy(void *arg)
{
    int copy = 0;

    (void)arg;
    return thrum_offload_ex(never, &copy, .size = sizeof copy);
}

/* The thread is there, and does nothing else. */
static thrum_err *too_late(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s);
    thrum_scope_cancel(&s, NULL);
    for (size_t i = 0; i < scaled(2000) + 10; i++) {
        expect_kind(thrum_offload(never, NULL), &THRUM_CANCELED);
        expect_kind(never_with_copy(NULL), &THRUM_CANCELED);
        CHECK(thrum_spawn_blocking(&s, never, NULL, 0) == 0);
    }
    return thrum_scope_close(&s, NULL);
}

static void who_was_canceled_before_is_not_called(void **state)
{
    (void)state;
    with_one_thread(too_late, NULL);
}

static thrum_err *note_trace(void *trace)
{
    *(thrum_trace_id *)trace = thrum_trace_id_current();
    return NULL;
}

static thrum_err *traced(void *arg)
{
    thrum_trace_id borrowed = {0, 0}, copied = {0, 0};
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .trace = {7, 77});
    expect_ok(thrum_offload(note_trace, &borrowed));
    expect_ok(thrum_offload_ex(note_trace, &copied, .size = sizeof copied));
    CHECK(borrowed.hi == 7 && borrowed.lo == 77);
    CHECK(copied.hi == 7 && copied.lo == 77);
    return thrum_scope_close(&s, NULL);
}

static void a_call_has_the_trace_of_who_asked(void **state)
{
    (void)state;
    on_runtimes(traced, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_canceled_leaves_from_anywhere),
        cmocka_unit_test(who_was_canceled_before_is_not_called),
        cmocka_unit_test(a_call_has_the_trace_of_who_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
