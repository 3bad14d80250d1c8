/* Does a mutex keep all others out, whoever they are and however long it is held;
 * does nobody wait for ever; and what does a cancel do to who waits? How: tasks and
 * threads that count without atomics. */
#include "lib/api.h"

#include <pthread.h>

enum { TASKS = 8, ROUNDS = 20000, THREADS = 2 };

struct shared {
    thrum_mutex lock;
    unsigned long count;
    unsigned inside;
    _Atomic unsigned came;
};

/* --- one at a time -------------------------------------------------------- */

static void all_zero_is_free(void **state)
{
    thrum_mutex m = {0};

    (void)state;
    assert_int_equal(sizeof m, 16);
    assert_true(thrum_mutex_trylock(&m));
    assert_false(thrum_mutex_trylock(&m));
    thrum_mutex_unlock(&m);
    thrum_mutex_lock(&m);
    assert_false(thrum_mutex_trylock(&m));
    thrum_mutex_unlock(&m);
    assert_int_equal(thrum_mutex_lock_cancelable(&m), 0);
    thrum_mutex_unlock(&m);
    assert_true(thrum_mutex_trylock(&m));
}

static void count_up(struct shared *s, size_t rounds, bool yields)
{
    for (size_t i = 0; i < rounds; i++) {
        thrum_mutex_lock(&s->lock);
        CHECK(s->inside++ == 0);
        s->count++;
        if (yields && i % 8 == 0)
            thrum_yield();
        CHECK(--s->inside == 0);
        thrum_mutex_unlock(&s->lock);
    }
}

static thrum_err *count_in_task(void *arg)
{
    count_up(arg, scaled(ROUNDS) + 10, true);
    return NULL;
}

static void *count_in_thread(void *arg)
{
    count_up(arg, scaled(ROUNDS) + 10, false);
    return NULL;
}

static thrum_err *mixed_crowd(void *arg)
{
    unsigned threads = *(unsigned *)arg;
    struct shared shared = {.count = 0};
    pthread_t thread[THREADS];
    thrum_scope s;

    thrum_scope_open(&s, .name = "crowd");
    for (unsigned i = 0; i < threads; i++)
        CHECK(pthread_create(&thread[i], NULL, count_in_thread, &shared) == 0);
    for (int i = 0; i < TASKS; i++)
        CHECK(thrum_spawn(&s, count_in_task, &shared, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    for (unsigned i = 0; i < threads; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    CHECK(shared.count == (TASKS + threads) * (scaled(ROUNDS) + 10));
    CHECK(thrum_mutex_trylock(&shared.lock));
    return NULL;
}

static void tasks_are_inside_one_at_a_time_across_waits(void **state)
{
    unsigned threads = 0;

    (void)state;
    on_threads(mixed_crowd, &threads);
}

static void and_so_are_tasks_and_threads(void **state)
{
    unsigned threads = THREADS;

    (void)state;
    on_threads(mixed_crowd, &threads);
}

static thrum_err *take_number(void *arg)
{
    struct shared *s = arg;
    unsigned number = atomic_fetch_add(&s->came, 1);

    thrum_mutex_lock(&s->lock);
    CHECK(s->inside++ == number);
    thrum_mutex_unlock(&s->lock);
    return NULL;
}

static thrum_err *stand_in_line(void *arg)
{
    struct shared shared = {.count = 0};
    thrum_scope s;

    (void)arg;
    if (workers > 1)
        return NULL; /* no telling who came first */
    thrum_scope_open(&s, .name = "line");
    thrum_mutex_lock(&shared.lock);
    for (int i = 0; i < TASKS; i++)
        CHECK(thrum_spawn(&s, take_number, &shared, 0) == 0);
    await_count(&shared.came, TASKS);
    thrum_mutex_unlock(&shared.lock);
    return thrum_scope_close(&s, NULL);
}

/* The first of them comes in vain, twice. */
static thrum_err *overtake_the_line(void *arg)
{
    struct shared shared = {.count = 0};
    thrum_scope s;

    (void)arg;
    if (workers > 1)
        return NULL; /* it may come before */
    thrum_scope_open(&s, .name = "line");
    thrum_mutex_lock(&shared.lock);
    for (int i = 0; i < TASKS; i++)
        CHECK(thrum_spawn(&s, take_number, &shared, 0) == 0);
    await_count(&shared.came, TASKS);
    for (int i = 0; i < 2; i++) {
        thrum_mutex_unlock(&shared.lock);
        CHECK(thrum_mutex_trylock(&shared.lock));
        thrum_yield();
    }
    thrum_mutex_unlock(&shared.lock);
    return thrum_scope_close(&s, NULL);
}

static void who_waits_goes_in_order(void **state)
{
    (void)state;
    on_runtimes(stand_in_line, NULL);
}

static void who_was_woken_in_vain_is_still_the_first(void **state)
{
    (void)state;
    on_threads(overtake_the_line, NULL);
}

struct greedy {
    thrum_mutex lock;
    _Atomic unsigned modest_began, modest_had;
};

static thrum_err *take_again_and_again(void *arg)
{
    struct greedy *g = arg;

    while (atomic_load(&g->modest_had) == 0) {
        thrum_mutex_lock(&g->lock);
        thrum_yield(); /* so that the other finds it taken */
        thrum_mutex_unlock(&g->lock);
        if (atomic_load(&g->modest_began) == 0)
            thrum_yield();
    }
    return NULL;
}

static thrum_err *take_it_once(void *arg)
{
    struct greedy *g = arg;

    atomic_store(&g->modest_began, 1);
    thrum_mutex_lock(&g->lock);
    atomic_store(&g->modest_had, 1);
    thrum_mutex_unlock(&g->lock);
    return NULL;
}

static thrum_err *be_greedy(void *arg)
{
    (void)arg;
    for (int round = 0; round < 10; round++) {
        struct greedy g = {.lock = {0}};
        thrum_scope s;

        thrum_scope_open(&s, .name = "greedy");
        for (unsigned i = 0; i < 3; i++)
            CHECK(thrum_spawn(&s, take_again_and_again, &g, 0) == 0);
        CHECK(thrum_spawn(&s, take_it_once, &g, 0) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
    }
    return NULL;
}

static void who_waits_has_it_before_the_greedy_are_done(void **state)
{
    (void)state;
    on_runtimes(be_greedy, NULL);
}

/* --- cancel --------------------------------------------------------------- */

struct held {
    thrum_mutex lock;
    thrum_scope *scope;
    _Atomic unsigned began, had, given_up;
};

static thrum_err *want_it_anyway(void *arg)
{
    struct held *h = arg;

    atomic_fetch_add(&h->began, 1);
    thrum_mutex_lock(&h->lock);
    CHECK(thrum_canceled());
    atomic_fetch_add(&h->had, 1);
    CHECK(thrum_mutex_lock_cancelable(&h->lock) == -ECANCELED);
    thrum_mutex_unlock(&h->lock);
    CHECK(thrum_mutex_lock_cancelable(&h->lock) ==
          -ECANCELED); /* though free */
    thrum_mutex_lock(&h->lock);
    thrum_mutex_unlock(&h->lock);
    return NULL;
}

static thrum_err *want_it_or_not(void *arg)
{
    struct held *h = arg;
    int rc;

    atomic_fetch_add(&h->began, 1);
    rc = thrum_mutex_lock_cancelable(&h->lock);
    CHECK(rc == -ECANCELED);
    atomic_fetch_add(&h->given_up, 1);
    return thrum_rc(rc);
}

static thrum_err *cancel_lockers(void *arg)
{
    (void)arg;
    for (int round = 0; round < 20; round++) {
        struct held h = {.lock = {0}};
        thrum_scope s;

        thrum_scope_open(&s, .name = "lockers");
        thrum_mutex_lock(&h.lock);
        for (int i = 0; i < TASKS; i++)
            CHECK(thrum_spawn(&s, i % 2 ? want_it_anyway : want_it_or_not, &h,
                              0) == 0);
        await_count(&h.began, TASKS);
        thrum_scope_cancel(&s, NULL);
        await_count(&h.given_up, TASKS / 2);
        CHECK(atomic_load(&h.had) == 0);
        thrum_mutex_unlock(&h.lock);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(atomic_load(&h.had) == TASKS / 2);
        CHECK(thrum_mutex_trylock(&h.lock));
    }
    return NULL;
}

static void a_cancel_ends_the_wait_that_says_so_and_no_other(void **state)
{
    (void)state;
    on_runtimes(cancel_lockers, NULL);
}

static thrum_err *lock_in_time(void *arg)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "in time", .timeout = THRUM_MS(1));
    return thrum_scope_close(&s, thrum_rc(thrum_mutex_lock_cancelable(arg)));
}

static void *lock_in_time_in_thread(void *m)
{
    return lock_in_time(m);
}

static thrum_err *run_out_of_time(void *arg)
{
    thrum_mutex m = {0};
    pthread_t thread;
    void *e;

    (void)arg;
    thrum_mutex_lock(&m);
    expect_kind(lock_in_time(&m), &THRUM_TIMEOUT);
    CHECK(pthread_create(&thread, NULL, lock_in_time_in_thread, &m) == 0);
    CHECK(pthread_join(thread, &e) == 0);
    expect_kind(e, &THRUM_TIMEOUT);
    thrum_mutex_unlock(&m);
    expect_ok(lock_in_time(&m)); /* free: in time */
    return NULL;
}

static void a_deadline_ends_it_in_a_task_and_in_a_thread(void **state)
{
    (void)state;
    on_threads(run_out_of_time, NULL);
}

/* Cancels and releases at once: who was told that he has it does, others not. */
static thrum_err *take_or_give_up(void *arg)
{
    struct shared *s = arg;

    for (int i = 0; i < 50; i++) {
        if (thrum_mutex_lock_cancelable(&s->lock) < 0)
            return NULL;
        CHECK(s->inside++ == 0);
        s->count++;
        thrum_yield();
        s->inside--;
        thrum_mutex_unlock(&s->lock);
    }
    return NULL;
}

static thrum_err *cancel_meanwhile(void *arg)
{
    (void)arg;
    for (int round = 0; round < 50; round++) {
        struct shared shared = {.count = 0};
        thrum_scope some, others;

        thrum_scope_open(&others, .name = "others");
        thrum_scope_open(&some, .name = "some");
        for (int i = 0; i < TASKS; i++)
            CHECK(thrum_spawn(i % 2 ? &some : &others, take_or_give_up, &shared,
                              0) == 0);
        for (int i = 0; i < round; i++)
            thrum_yield();
        thrum_scope_cancel(&some, NULL);
        expect_ok(thrum_scope_close(&some, NULL));
        expect_ok(thrum_scope_close(&others, NULL));
        CHECK(shared.count >= 50 * TASKS / 2);
        CHECK(thrum_mutex_trylock(&shared.lock));
    }
    return NULL;
}

static void a_cancel_loses_nobody_elses_turn(void **state)
{
    (void)state;
    on_runtimes(cancel_meanwhile, NULL);
}

/* --- mistakes ------------------------------------------------------------- */

static void unlock_a_free_one(void)
{
    thrum_mutex m = {0};

    thrum_mutex_lock(&m);
    thrum_mutex_unlock(&m);
    thrum_mutex_unlock(&m);
}

static void to_release_what_nobody_has_ends_the_program(void **state)
{
    (void)state;
    assert_stops(unlock_a_free_one, "thrum_mutex_unlock", "nobody has");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_zero_is_free),
        cmocka_unit_test(tasks_are_inside_one_at_a_time_across_waits),
        cmocka_unit_test(and_so_are_tasks_and_threads),
        cmocka_unit_test(who_waits_goes_in_order),
        cmocka_unit_test(who_was_woken_in_vain_is_still_the_first),
        cmocka_unit_test(who_waits_has_it_before_the_greedy_are_done),
        cmocka_unit_test(a_cancel_ends_the_wait_that_says_so_and_no_other),
        cmocka_unit_test(a_deadline_ends_it_in_a_task_and_in_a_thread),
        cmocka_unit_test(a_cancel_loses_nobody_elses_turn),
        cmocka_unit_test(to_release_what_nobody_has_ends_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
