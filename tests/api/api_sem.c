/* Are there never more inside than there are permits, do they go round in order,
 * tasks and threads alike, and is none lost to a cancel? */
#include "lib/api.h"

#include <pthread.h>

enum { TASKS = 8, ROUNDS = 3000 };

struct pool {
    thrum_sem sem;
    _Atomic unsigned inside, began, canceled, had;
    unsigned permits;
};

static void semaphores_count(void **state)
{
    thrum_sem two = THRUM_SEM_INIT(2), none = {0};

    (void)state;
    assert_int_equal(sizeof two, 16);
    assert_true(thrum_sem_try_acquire(&two));
    assert_int_equal(thrum_sem_acquire(&two), 0);
    assert_false(thrum_sem_try_acquire(&two));
    assert_false(thrum_sem_try_acquire(&none));
    thrum_sem_release(&none);
    assert_true(thrum_sem_try_acquire(&none));
    thrum_sem_init(&two, 1);
    assert_true(thrum_sem_try_acquire(&two));
    assert_false(thrum_sem_try_acquire(&two));
}

static thrum_err *use_pool(void *arg)
{
    struct pool *p = arg;

    for (size_t i = 0; i < scaled(ROUNDS) + 5; i++) {
        THRUM_TRY(thrum_sem_acquire(&p->sem));
        CHECK(atomic_fetch_add(&p->inside, 1) < p->permits);
        if (i % 4 == 0)
            thrum_yield();
        atomic_fetch_sub(&p->inside, 1);
        thrum_sem_release(&p->sem);
    }
    return NULL;
}

static void *use_pool_in_thread(void *arg)
{
    return use_pool(arg);
}

static thrum_err *share_pool(void *arg)
{
    (void)arg;
    for (unsigned permits = 1; permits <= 3; permits++) {
        struct pool p = {.permits = permits};
        pthread_t thread;
        thrum_scope s;
        void *e;

        thrum_sem_init(&p.sem, permits);
        thrum_scope_open(&s, .name = "pool");
        CHECK(pthread_create(&thread, NULL, use_pool_in_thread, &p) == 0);
        for (int i = 0; i < TASKS; i++)
            CHECK(thrum_spawn(&s, use_pool, &p, 0) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(pthread_join(thread, &e) == 0);
        expect_ok(e);
        for (unsigned i = 0; i < permits; i++)
            CHECK(thrum_sem_try_acquire(&p.sem));
        CHECK(!thrum_sem_try_acquire(&p.sem));
    }
    return NULL;
}

static void no_more_are_inside_than_there_are_permits(void **state)
{
    (void)state;
    on_threads(share_pool, NULL);
}

static thrum_err *take_permit(void *arg)
{
    struct pool *p = arg;
    unsigned number = atomic_fetch_add(&p->began, 1);

    THRUM_TRY(thrum_sem_acquire(&p->sem));
    CHECK(workers > 1 || atomic_load(&p->had) == number);
    atomic_fetch_add(&p->had, 1);
    return NULL;
}

static thrum_err *one_by_one(void *arg)
{
    struct pool p = {.permits = 0};
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "line");
    for (int i = 0; i < TASKS; i++)
        CHECK(thrum_spawn(&s, take_permit, &p, 0) == 0);
    await_count(&p.began, TASKS);
    for (unsigned i = 1; i <= TASKS; i++) {
        thrum_sem_release(&p.sem);
        if (workers == 1)
            CHECK(!thrum_sem_try_acquire(&p.sem)); /* it is somebody's */
        await_count(&p.had, i);
    }
    return thrum_scope_close(&s, NULL);
}

static void permits_go_to_who_has_waited_longest(void **state)
{
    (void)state;
    on_runtimes(one_by_one, NULL);
}

static thrum_err *take_or_give_up(void *arg)
{
    struct pool *p = arg;

    atomic_fetch_add(&p->began, 1);
    atomic_fetch_add(thrum_sem_acquire(&p->sem) == 0 ? &p->had : &p->canceled,
                     1);
    return NULL;
}

static thrum_err *cancel_takers(void *arg)
{
    (void)arg;
    for (int round = 0; round < 50; round++) {
        struct pool p = {.permits = 0};
        thrum_scope s;
        unsigned left = 0;

        thrum_scope_open(&s, .name = "takers");
        for (int i = 0; i < TASKS; i++)
            CHECK(thrum_spawn(&s, take_or_give_up, &p, 0) == 0);
        if (round % 2)
            await_count(&p.began, TASKS);
        for (int i = 0; i < TASKS / 2; i++)
            thrum_sem_release(&p.sem);
        thrum_scope_cancel(&s, NULL);
        expect_ok(thrum_scope_close(&s, NULL));
        while (thrum_sem_try_acquire(&p.sem))
            left++;
        CHECK(atomic_load(&p.had) + left == TASKS / 2);
        CHECK(atomic_load(&p.had) + atomic_load(&p.canceled) == TASKS);
    }
    return NULL;
}

static void a_cancel_loses_no_permit(void **state)
{
    (void)state;
    on_runtimes(cancel_takers, NULL);
}

static void release_too_many(void)
{
    thrum_sem full = THRUM_SEM_INIT(UINT32_MAX);

    thrum_sem_release(&full);
}

static void more_permits_than_can_be_counted_are_a_mistake(void **state)
{
    (void)state;
    assert_stops(release_too_many, "thrum_sem_release", "more permits");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(semaphores_count),
        cmocka_unit_test(no_more_are_inside_than_there_are_permits),
        cmocka_unit_test(permits_go_to_who_has_waited_longest),
        cmocka_unit_test(a_cancel_loses_no_permit),
        cmocka_unit_test(more_permits_than_can_be_counted_are_a_mistake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
