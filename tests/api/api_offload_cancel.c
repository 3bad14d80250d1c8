/* What becomes of a blocking call whose task is canceled: in the queue, at work,
 * or at work with copies of its arguments? How: a pool of one thread, that is kept
 * busy until the test lets it go. */
#include <sched.h>
#include <unistd.h>

#include "lib/door.h"

THRUM_KIND(Said, THRUM_ERROR);

static thrum_err *offload_pass(void *arg)
{
    return thrum_offload(pass, arg);
}

static _Atomic unsigned reported;

static void count_report(const thrum_err *e, void *user)
{
    (void)user;
    CHECK(thrum_err_is(e, &Said));
    CHECK(strstr(thrum_err_msg(e), "abandoned") != NULL);
    atomic_fetch_add(&reported, 1);
}

/* --- in the queue --------------------------------------------------------- */

static thrum_err *offload_never(void *arg)
{
    return thrum_offload(never, arg);
}

static thrum_err *behind_a_door(void *arg)
{
    struct door d = {0, 0};
    thrum_task t;

    (void)arg;
    thrum_fork(&t, offload_pass, &d);
    await_count(&d.inside, 1);
    expect_kind(thrum_with(offload_never, NULL, .timeout = THRUM_MS(1)),
                &THRUM_TIMEOUT); /* the door is still closed */
    open_door(&d);
    return thrum_join(&t);
}

static void one_in_the_queue_is_not_called(void **state)
{
    (void)state;
    with_one_thread(behind_a_door, count_report);
}

static thrum_err *offload_one_more(void *arg)
{
    (void)arg;
    expect_kind(thrum_offload(never, NULL), &THRUM_CANCELED);
    return NULL;
}

static thrum_err *crowd_behind_a_door(void *arg)
{
    struct door d = {0, 0};
    thrum_scope s;
    thrum_task t;

    (void)arg;
    thrum_fork(&t, offload_pass, &d);
    await_count(&d.inside, 1);
    thrum_scope_open(&s, .policy = THRUM_SETTLE);
    for (size_t i = 0; i < scaled(5000) + 10; i++)
        CHECK(thrum_spawn(&s, offload_one_more, NULL, 0) == 0);
    for (int i = 0; i < 100; i++) /* some are in the queue, as it comes */
        thrum_yield();
    thrum_scope_cancel(&s, "the crowd goes home");
    expect_ok(thrum_scope_close(&s, NULL)); /* all have, the door is closed */
    open_door(&d);
    return thrum_join(&t);
}

static void nor_are_thousands(void **state)
{
    (void)state;
    with_one_thread(crowd_behind_a_door, count_report);
}

/* Some are canceled, the others are not, and come in their order. */
struct visitor {
    unsigned *next;
    _Atomic unsigned *gone; /* who was canceled */
    unsigned index;
};

static thrum_err *visit(void *arg)
{
    struct visitor *v = arg;

    CHECK(*v->next == v->index); /* one thread: they come one by one */
    *v->next += 2;
    return NULL;
}

static thrum_err *visit_or_not(void *arg)
{
    struct visitor *v = arg;

    if (v->index % 2 == 0)
        return thrum_offload(visit, v);
    expect_kind(thrum_with(offload_never, NULL, .timeout = THRUM_US(100)),
                &THRUM_TIMEOUT);
    atomic_fetch_add(v->gone, 1);
    return NULL;
}

static thrum_err *every_other(void *arg)
{
    struct door d = {0, 0};
    _Atomic unsigned gone = 0;
    unsigned next = 0;
    thrum_scope s;
    thrum_task t;

    (void)arg;
    if (workers > 1) /* the order of spawns is that of one worker */
        return NULL;
    thrum_fork(&t, offload_pass, &d);
    await_count(&d.inside, 1);
    thrum_scope_open(&s, .policy = THRUM_SETTLE);
    for (unsigned i = 0; i < 100; i++) {
        struct visitor v = {&next, &gone, i};

        CHECK(thrum_spawn(&s, visit_or_not, &v, sizeof v) == 0);
    }
    await_count(&gone, 50);
    open_door(&d);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(next == 100);
    return thrum_join(&t);
}

static void the_others_keep_their_order(void **state)
{
    (void)state;
    with_one_thread(every_other, count_report);
}

/* --- at work, with borrowed arguments ------------------------------------- */

static thrum_err *until_canceled(void *arg)
{
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
    while (!thrum_canceled())
        sched_yield();
    return thrum_fail(&Said, "canceled, and here is what I have");
}

static thrum_err *offload_until_canceled(void *arg)
{
    thrum_err *e = thrum_offload(until_canceled, arg);

    expect_kind(e, &Said); /* what it returned, not that it was canceled */
    return NULL;
}

static thrum_err *cancel_at_work(void *arg)
{
    _Atomic unsigned began = 0;
    thrum_task t;

    (void)arg;
    thrum_fork(&t, offload_until_canceled, &began);
    await_count(&began, 1);
    thrum_task_cancel(&t);
    expect_ok(thrum_join(&t));
    return NULL;
}

static void one_at_work_is_waited_for(void **state)
{
    (void)state;
    with_one_thread(cancel_at_work, count_report);
}

/* --- with copies ---------------------------------------------------------- */

struct copied {
    struct door *door; /* outlives all */
    _Atomic unsigned *dropped, *was_canceled;
    int value;
    bool fails;
};

static thrum_err *work_on_copy(void *arg)
{
    struct copied *c = arg;

    if (c->door != NULL)
        expect_ok(pass(c->door));
    c->value *= 2;
    if (thrum_canceled())
        atomic_fetch_add(c->was_canceled, 1);
    return c->fails ? thrum_fail(&Said, "too late") : NULL;
}

static void drop(void *copy)
{
    struct copied *c = copy;

    CHECK(c->value == 42 || c->value == 21);
    atomic_fetch_add(c->dropped, 1);
}

static struct door door;
static _Atomic unsigned dropped, was_canceled;

static struct copied begin(bool with_door)
{
    atomic_store(&door.open, 0);
    atomic_store(&door.inside, 0);
    atomic_store(&dropped, 0);
    atomic_store(&was_canceled, 0);
    atomic_store(&reported, 0);
    return (struct copied){.door = with_door ? &door : NULL,
                           .dropped = &dropped,
                           .was_canceled = &was_canceled,
                           .value = 21};
}

static thrum_err *offload_copy(void *arg)
{
    return thrum_offload_ex(work_on_copy, arg, .size = sizeof(struct copied),
                            .drop = drop, .name = "a copy");
}

static thrum_err *there_and_back(void *arg)
{
    struct copied c = begin(false);

    expect_ok(offload_copy(&c));
    CHECK(c.value == 42);
    c.fails = true;
    expect_kind(offload_copy(&c), &Said);
    CHECK(c.value == 84 && atomic_load(&dropped) == 0);
    expect_ok(thrum_offload_ex(pass, (&(struct door){0, 1})));
    return arg;
}

static void a_copy_goes_there_and_back(void **state)
{
    struct copied c = begin(false);

    with_one_thread(there_and_back, count_report);
    expect_ok(offload_copy(&c)); /* a thread that is no worker */
    assert_int_equal(c.value, 42);
    (void)state;
}

static thrum_err *walk_away(void *arg)
{
    bool fails = *(bool *)arg;
    struct copied c = begin(true);
    thrum_task t;

    c.fails = fails;
    thrum_fork(&t, offload_copy, &c);
    await_count(&door.inside, 1);
    thrum_task_cancel(&t);
    expect_kind(thrum_join(&t), &THRUM_CANCELED); /* the door is closed */
    CHECK(c.value == 21 && atomic_load(&dropped) == 0);
    memset(&c, 0xee, sizeof c);
    open_door(&door);
    return NULL;
}

static void its_task_may_leave_it(void **state)
{
    (void)state;
    for (workers = 1; workers <= 4; workers *= 2)
        for (int fails = 0; fails < 2; fails++) {
            thrum_opts opts = {.workers = workers, .on_error = count_report};
            bool f = fails != 0;
            thrum_rt *rt;

            assert_int_equal(thrum_start(&rt, &opts), 0);
            expect_ok(thrum_call(rt, walk_away, &f));
            expect_ok(thrum_stop(rt)); /* waits for it */
            assert_int_equal(atomic_load(&dropped), 1);
            assert_int_equal(atomic_load(&was_canceled), 1);
            assert_int_equal(atomic_load(&reported), fails);
        }
}

static thrum_err *copy_in_the_queue(void *arg)
{
    struct door d = {0, 0};
    struct copied c = begin(true);
    thrum_task t;

    (void)arg;
    thrum_fork(&t, offload_pass, &d);
    await_count(&d.inside, 1);
    expect_kind(thrum_with(offload_copy, &c, .timeout = THRUM_MS(1)),
                &THRUM_TIMEOUT);
    CHECK(c.value == 21 && atomic_load(&door.inside) == 0);
    open_door(&d);
    expect_ok(thrum_join(&t));
    expect_ok(thrum_offload(pass, &(struct door){0, 1})); /* what was behind */
    CHECK(atomic_load(&dropped) == 0); /* it is still the caller's */
    return NULL;
}

static void in_the_queue_nothing_is_dropped(void **state)
{
    (void)state;
    with_one_thread(copy_in_the_queue, count_report);
}

static void hang_in_the_pool(void)
{
    thrum_opts opts = {.workers = 1, .grace = THRUM_MS(20)};
    bool fails = false;
    thrum_rt *rt;
    thrum_err *e;

    CHECK(thrum_start(&rt, &opts) == 0);
    expect_ok(thrum_call(rt, walk_away, &fails));
    atomic_store(&door.open, 0); /* it may have gone already, or stays */
    e = thrum_stop(rt);
    CHECK(e == NULL || thrum_err_is(e, &THRUM_TIMEOUT));
    thrum_err_drop(e);
    _exit(0);
}

static void a_call_that_never_returns_does_not_hang_the_stop(void **state)
{
    (void)state;
    assert_lives(hang_in_the_pool);
}

/* --- with a permit -------------------------------------------------------- */

static thrum_sem two = THRUM_SEM_INIT(2);
static _Atomic unsigned at_work, most;

static thrum_err *work_in_pairs(void *unused)
{
    unsigned now = atomic_fetch_add(&at_work, 1) + 1, seen = atomic_load(&most);

    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
        ;
    sched_yield();
    atomic_fetch_sub(&at_work, 1);
    (void)unused;
    return NULL;
}

static thrum_err *offload_pair(void *arg)
{
    char copy[16] = "a copy";

    THRUM_TRY(thrum_offload_ex(work_in_pairs, arg, .sem = &two));
    return thrum_offload_ex(work_in_pairs, copy, .size = sizeof copy,
                            .sem = &two);
}

static thrum_err *pairs(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "pairs");
    for (int i = 0; i < 40; i++)
        CHECK(thrum_spawn(&s, offload_pair, NULL, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&most) <= 2 && atomic_load(&at_work) == 0);
    return NULL;
}

static thrum_err *offload_with_permit(void *arg)
{
    return thrum_offload_ex(work_on_copy, arg, .size = sizeof(struct copied),
                            .drop = drop, .sem = &two);
}

static thrum_err *keep_a_permit(void *arg)
{
    struct copied c = begin(true);
    thrum_task t;

    (void)arg;
    thrum_fork(&t, offload_with_permit, &c);
    await_count(&door.inside, 1);
    thrum_task_cancel(&t);
    expect_kind(thrum_join(&t), &THRUM_CANCELED);
    CHECK(thrum_sem_try_acquire(&two) && !thrum_sem_try_acquire(&two));
    expect_kind(thrum_with(offload_with_permit, &c, .timeout = THRUM_MS(1)),
                &THRUM_TIMEOUT); /* it waits for one */
    open_door(&door);
    expect_ok(thrum_rc(thrum_sem_acquire(&two))); /* when it has returned */
    thrum_sem_release(&two);
    thrum_sem_release(&two);
    return NULL;
}

static void calls_of_one_kind_are_limited(void **state)
{
    (void)state;
    on_threads(pairs, NULL);
    on_threads(keep_a_permit, NULL);
}

static void drop_of_nothing(void)
{
    struct copied c = begin(false);

    expect_ok(thrum_offload_ex(work_on_copy, &c, .drop = drop));
}

static void misuse_is_told(void **state)
{
    (void)state;
    assert_stops(drop_of_nothing, "nothing that can be dropped", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_in_the_queue_is_not_called),
        cmocka_unit_test(nor_are_thousands),
        cmocka_unit_test(the_others_keep_their_order),
        cmocka_unit_test(one_at_work_is_waited_for),
        cmocka_unit_test(a_copy_goes_there_and_back),
        cmocka_unit_test(its_task_may_leave_it),
        cmocka_unit_test(in_the_queue_nothing_is_dropped),
        cmocka_unit_test(a_call_that_never_returns_does_not_hang_the_stop),
        cmocka_unit_test(calls_of_one_kind_are_limited),
        cmocka_unit_test(misuse_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
