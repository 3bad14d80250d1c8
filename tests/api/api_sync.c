/* What all waits for what tasks share have in common: a deadline ends them, in tasks
 * and in threads, and who is canceled already is told at once. */
#include "lib/api.h"

#include <pthread.h>

static void in_a_task_and_in_a_thread(void *(*fn)(void *), void *arg,
                                      const thrum_kind *kind)
{
    pthread_t thread;
    void *e;

    expect_kind(fn(arg), kind);
    CHECK(pthread_create(&thread, NULL, fn, arg) == 0);
    CHECK(pthread_join(thread, &e) == 0);
    expect_kind(e, kind);
}

/* A scope with a child that runs `fn` once it is canceled. */
static thrum_err *canceled_first(thrum_err *(*fn)(void *))
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "canceled");
    CHECK(thrum_spawn(&s, fn, NULL, 0) == 0);
    thrum_scope_cancel(&s, NULL);
    return thrum_scope_close(&s, NULL);
}

static thrum_sem no_permit;
static thrum_rwlock written, read;
static thrum_latch not_done = THRUM_LATCH_INIT(1);
static thrum_barrier for_two = THRUM_BARRIER_INIT(2);

static int wait_for_nothing(int which)
{
    switch (which) {
    case 0:
        return thrum_sem_acquire(&no_permit);
    case 1:
        return thrum_rwlock_rdlock_cancelable(&written);
    case 2:
        return thrum_rwlock_wrlock_cancelable(&read);
    case 3:
        return thrum_latch_wait(&not_done);
    default:
        return thrum_barrier_wait(&for_two);
    }
}

enum { WAITS = 5 };

static void *wait_in_time(void *which)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "in time", .timeout = THRUM_MS(1));
    return thrum_scope_close(&s, thrum_rc(wait_for_nothing(*(int *)which)));
}

static thrum_err *run_out_of_time(void *arg)
{
    (void)arg;
    for (int which = 0; which < WAITS; which++)
        in_a_task_and_in_a_thread(wait_in_time, &which, &THRUM_TIMEOUT);
    return NULL;
}

static void a_deadline_ends_each_wait(void **state)
{
    (void)state;
    assert_true(thrum_rwlock_trywrlock(&written));
    assert_true(thrum_rwlock_tryrdlock(&read));
    on_runtimes(run_out_of_time, NULL);
}

static thrum_err *wait_canceled(void *arg)
{
    thrum_sem one = THRUM_SEM_INIT(1);
    thrum_rwlock free_one = {0};
    thrum_latch done = {0};
    thrum_barrier alone = THRUM_BARRIER_INIT(1);

    (void)arg;
    await_cancel();
    CHECK(thrum_sem_acquire(&one) == -ECANCELED);
    CHECK(thrum_sem_try_acquire(&one));
    CHECK(thrum_rwlock_rdlock_cancelable(&free_one) == -ECANCELED);
    CHECK(thrum_rwlock_wrlock_cancelable(&free_one) == -ECANCELED);
    thrum_rwlock_rdlock(&free_one);
    thrum_rwlock_rdunlock(&free_one);
    thrum_rwlock_wrlock(&free_one);
    CHECK(thrum_latch_wait(&done) == -ECANCELED);
    CHECK(thrum_barrier_wait(&alone) == -ECANCELED);
    for (int which = 0; which < WAITS; which++)
        CHECK(wait_for_nothing(which) == -ECANCELED);
    return NULL;
}

static thrum_err *cancel_before(void *arg)
{
    (void)arg;
    return canceled_first(wait_canceled);
}

static void who_is_canceled_already_is_told_at_once(void **state)
{
    (void)state;
    on_runtimes(cancel_before, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_ends_each_wait),
        cmocka_unit_test(who_is_canceled_already_is_told_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
