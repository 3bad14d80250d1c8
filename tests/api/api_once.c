/* Onces, barriers, latches: does each let through whom it should, tasks and threads
 * alike, and what does a cancel leave behind? */
#include "lib/api.h"

#include <pthread.h>

enum { TASKS = 8 };

/* A scope with a child that runs `fn` once it is canceled. */
static thrum_err *canceled_first(thrum_err *(*fn)(void *))
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "canceled");
    CHECK(thrum_spawn(&s, fn, NULL, 0) == 0);
    thrum_scope_cancel(&s, NULL);
    return thrum_scope_close(&s, NULL);
}

/* --- once ----------------------------------------------------------------- */

THRUM_KIND(NotYet, THRUM_ERROR);

struct thing {
    thrum_once once;
    unsigned made, tries, failures; /* by who makes it, one at a time */
    _Atomic unsigned had, failed, began, go;
};

static thrum_err *make(void *arg)
{
    struct thing *t = arg;

    t->tries++;
    thrum_yield();
    if (t->tries <= t->failures)
        return thrum_fail(&NotYet, "try %u", t->tries);
    t->made++;
    return NULL;
}

static thrum_err *want(void *arg)
{
    struct thing *t = arg;
    thrum_err *e = thrum_once_call(&t->once, make, t);

    if (e == NULL) {
        CHECK(t->made == 1);
        atomic_fetch_add(&t->had, 1);
        return NULL;
    }
    atomic_fetch_add(&t->failed, 1);
    expect_kind(e, &NotYet);
    return NULL;
}

static void *want_in_thread(void *arg)
{
    return want(arg);
}

static thrum_err *want_all(void *arg)
{
    (void)arg;
    for (unsigned failures = 0; failures <= TASKS + 1; failures++) {
        struct thing t = {.failures = failures};
        pthread_t thread;
        thrum_scope s;

        thrum_scope_open(&s, .name = "wanted");
        CHECK(pthread_create(&thread, NULL, want_in_thread, &t) == 0);
        for (int i = 0; i < TASKS; i++)
            CHECK(thrum_spawn(&s, want, &t, 0) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(atomic_load(&t.failed) == failures);
        CHECK(atomic_load(&t.had) == TASKS + 1 - failures);
        CHECK(t.made == (failures <= TASKS));
    }
    return NULL;
}

static void it_is_made_once_and_each_failure_is_one_callers(void **state)
{
    (void)state;
    on_threads(want_all, NULL);
}

static thrum_err *make_slowly(void *arg)
{
    struct thing *t = arg;

    atomic_fetch_add(&t->began, 1);
    await_count(&t->go, 1);
    t->made++;
    return NULL;
}

static thrum_err *make_it(void *arg)
{
    struct thing *t = arg;

    return thrum_once_call(&t->once, make_slowly, t);
}

static thrum_err *never_made(void *arg)
{
    struct thing *t = arg;
    thrum_err *e;

    atomic_fetch_add(&t->began, 1);
    e = thrum_once_call(&t->once, make_slowly, t);
    expect_kind(e, &THRUM_CANCELED);
    return NULL;
}

static thrum_err *cancel_wanting(void *arg)
{
    struct thing t = {.made = 0};
    thrum_scope s, canceled;

    (void)arg;
    thrum_scope_open(&s, .name = "maker");
    CHECK(thrum_spawn(&s, make_it, &t, 0) == 0);
    await_count(&t.began, 1);
    thrum_scope_open(&canceled, .name = "canceled");
    for (int i = 0; i < TASKS; i++)
        CHECK(thrum_spawn(&canceled, never_made, &t, 0) == 0);
    await_count(&t.began, TASKS + 1);
    thrum_scope_cancel(&canceled, NULL);
    expect_ok(thrum_scope_close(&canceled, NULL));
    atomic_store(&t.go, 1);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(t.made == 1);
    return NULL;
}

static void who_waits_for_it_may_be_canceled(void **state)
{
    (void)state;
    on_runtimes(cancel_wanting, NULL);
}

static struct thing made_thing, new_thing;

static thrum_err *ask_canceled(void *arg)
{
    await_cancel();
    (void)arg;
    expect_ok(thrum_once_call(&made_thing.once, make, &made_thing));
    expect_kind(thrum_once_call(&new_thing.once, make, &new_thing),
                &THRUM_CANCELED);
    CHECK(new_thing.tries == 0);
    return NULL;
}

static thrum_err *ask_when_canceled(void *arg)
{
    (void)arg;
    memset(&made_thing, 0, sizeof made_thing);
    memset(&new_thing, 0, sizeof new_thing);
    expect_ok(thrum_once_call(&made_thing.once, make, &made_thing));
    return canceled_first(ask_canceled);
}

static void what_has_been_made_is_had_even_when_canceled(void **state)
{
    (void)state;
    on_runtimes(ask_when_canceled, NULL);
}

/* --- barriers ------------------------------------------------------------- */

struct phases {
    thrum_barrier barrier;
    _Atomic unsigned came, last, canceled, began;
};

static thrum_err *walk(void *arg)
{
    struct phases *p = arg;

    for (unsigned phase = 1; phase <= 20; phase++) {
        int rc;

        atomic_fetch_add(&p->came, 1);
        rc = thrum_barrier_wait(&p->barrier);
        CHECK(rc == 0 || rc == 1);
        CHECK(atomic_load(&p->came) >= phase * TASKS);
        CHECK(atomic_load(&p->came) <= (phase + 1) * TASKS);
        atomic_fetch_add(&p->last, (unsigned)rc);
    }
    return NULL;
}

static void *walk_in_thread(void *arg)
{
    return walk(arg);
}

static thrum_err *walk_together(void *arg)
{
    struct phases p = {.barrier = THRUM_BARRIER_INIT(TASKS)};
    thrum_barrier other;
    pthread_t thread;
    thrum_scope s;

    (void)arg;
    CHECK(thrum_barrier_init(&other, 0) == -EINVAL);
    CHECK(thrum_barrier_init(&other, 1) == 0);
    CHECK(thrum_barrier_wait(&other) == 1 && thrum_barrier_wait(&other) == 1);
    thrum_scope_open(&s, .name = "walk");
    CHECK(pthread_create(&thread, NULL, walk_in_thread, &p) == 0);
    for (int i = 1; i < TASKS; i++)
        CHECK(thrum_spawn(&s, walk, &p, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(atomic_load(&p.last) == 20);
    return NULL;
}

static void none_goes_on_before_all_have_come(void **state)
{
    (void)state;
    on_threads(walk_together, NULL);
}

static thrum_err *come_or_not(void *arg)
{
    struct phases *p = arg;
    int rc;

    atomic_fetch_add(&p->began, 1);
    rc = thrum_barrier_wait(&p->barrier);
    if (rc == -ECANCELED)
        atomic_fetch_add(&p->canceled, 1);
    else
        atomic_fetch_add(&p->came, 1);
    return NULL;
}

/* Three are to meet; of two one is canceled: it has come, with a third, or not. */
static thrum_err *cancel_meeting(void *arg)
{
    (void)arg;
    for (int round = 0; round < 60; round++) {
        struct phases p = {.barrier = THRUM_BARRIER_INIT(3)};
        thrum_scope s, canceled;
        unsigned missing;

        thrum_scope_open(&s, .name = "come");
        thrum_scope_open(&canceled, .name = "canceled");
        CHECK(thrum_spawn(&s, come_or_not, &p, 0) == 0);
        CHECK(thrum_spawn(&canceled, come_or_not, &p, 0) == 0);
        if (round % 3)
            await_count(&p.began, 2);
        if (round % 2)
            CHECK(thrum_spawn(&s, come_or_not, &p, 0) == 0);
        thrum_scope_cancel(&canceled, NULL);
        expect_ok(thrum_scope_close(&canceled, NULL));
        /* Those who have not come are as many as were canceled, or two less. */
        missing = atomic_load(&p.canceled) == 0 ? 0 : round % 2 ? 1 : 2;
        CHECK(missing > 0 || round % 2);
        for (unsigned i = 0; i < missing; i++)
            CHECK(thrum_spawn(&s, come_or_not, &p, 0) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(atomic_load(&p.came) == 3);
    }
    return NULL;
}

static void who_is_canceled_has_not_come(void **state)
{
    (void)state;
    on_runtimes(cancel_meeting, NULL);
}

static void wait_at_one_for_nobody(void)
{
    thrum_barrier b = {0};

    (void)!thrum_barrier_wait(&b);
}

static void a_barrier_for_nobody_ends_the_program(void **state)
{
    (void)state;
    assert_stops(wait_at_one_for_nobody, "thrum_barrier_wait", "nobody");
}

/* --- latches -------------------------------------------------------------- */

struct work {
    thrum_latch latch;
    unsigned results[TASKS]; /* plain */
    _Atomic unsigned next, seen, canceled;
};

static thrum_err *do_one(void *arg)
{
    struct work *w = arg;

    w->results[atomic_fetch_add(&w->next, 1)] = 1;
    thrum_latch_done(&w->latch);
    return NULL;
}

static thrum_err *wait_for_all(void *arg)
{
    struct work *w = arg;

    THRUM_TRY(thrum_latch_wait(&w->latch));
    for (int i = 0; i < TASKS; i++)
        CHECK(w->results[i] == 1);
    atomic_fetch_add(&w->seen, 1);
    return NULL;
}

static void *wait_for_all_in_thread(void *arg)
{
    return wait_for_all(arg);
}

static thrum_err *work_and_wait(void *arg)
{
    (void)arg;
    for (int round = 0; round < 30; round++) {
        struct work w = {.latch = THRUM_LATCH_INIT(TASKS / 2)};
        pthread_t thread;
        thrum_scope s;

        thrum_latch_add(&w.latch, TASKS - TASKS / 2);
        thrum_scope_open(&s, .name = "work");
        CHECK(pthread_create(&thread, NULL, wait_for_all_in_thread, &w) == 0);
        for (int i = 0; i < TASKS; i++) {
            CHECK(thrum_spawn(&s, wait_for_all, &w, 0) == 0);
            CHECK(thrum_spawn(&s, do_one, &w, 0) == 0);
        }
        expect_ok(wait_for_all(&w));
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(atomic_load(&w.seen) == TASKS + 2);
        thrum_latch_init(&w.latch, 0);
        CHECK(thrum_latch_wait(&w.latch) == 0);
        thrum_latch_add(&w.latch, 1);
        thrum_latch_done(&w.latch);
        CHECK(thrum_latch_wait(&w.latch) == 0);
    }
    return NULL;
}

static void who_waits_sees_all_that_was_done(void **state)
{
    (void)state;
    on_threads(work_and_wait, NULL);
}

/* On the waiter's stack: gone as soon as it returns. */
static thrum_err *count_down(void *latch)
{
    thrum_latch_done(latch);
    return NULL;
}

static thrum_err *wait_here(void *outside)
{
    thrum_latch latch = THRUM_LATCH_INIT(2);

    CHECK(thrum_spawn(outside, count_down, &latch, 0) == 0);
    CHECK(thrum_spawn(outside, count_down, &latch, 0) == 0);
    CHECK(thrum_latch_wait(&latch) == 0);
    memset(&latch, 0xee, sizeof latch);
    return NULL;
}

static thrum_err *many_latches(void *arg)
{
    thrum_scope s, outside;

    (void)arg;
    thrum_scope_open(&outside, .name = "outside");
    thrum_scope_open(&s, .name = "latches");
    for (int i = 0; i < 100; i++)
        CHECK(thrum_spawn(&s, wait_here, &outside, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    return thrum_scope_close(&outside, NULL);
}

static void a_latch_may_be_gone_as_soon_as_the_waiter_returns(void **state)
{
    (void)state;
    on_runtimes(many_latches, NULL);
}

static void do_more_than_there_is(void)
{
    thrum_latch l = THRUM_LATCH_INIT(1);

    thrum_latch_done(&l);
    thrum_latch_done(&l);
}

static void to_do_more_than_there_is_ends_the_program(void **state)
{
    (void)state;
    assert_stops(do_more_than_there_is, "thrum_latch_done", "nothing is left");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_made_once_and_each_failure_is_one_callers),
        cmocka_unit_test(who_waits_for_it_may_be_canceled),
        cmocka_unit_test(what_has_been_made_is_had_even_when_canceled),
        cmocka_unit_test(none_goes_on_before_all_have_come),
        cmocka_unit_test(who_is_canceled_has_not_come),
        cmocka_unit_test(a_barrier_for_nobody_ends_the_program),
        cmocka_unit_test(who_waits_sees_all_that_was_done),
        cmocka_unit_test(a_latch_may_be_gone_as_soon_as_the_waiter_returns),
        cmocka_unit_test(to_do_more_than_there_is_ends_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
