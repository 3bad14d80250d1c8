/* Does a condition wake who waits, in order, none too few; has who returns from a
 * wait always the mutex; and is no signal lost to one who is canceled? Waiters are
 * counted under the mutex: who has it sees those that wait. */
#include "lib/api.h"

#include <pthread.h>

enum { TASKS = 6, ROUNDS = 30, ITEMS = 20000, ROOM = 4 };

struct shared {
    thrum_mutex lock;
    thrum_cond changed;
    unsigned waiting, woken, canceled; /* lock */
    bool open;                         /* lock */
};

/* Lock it when so many wait. */
static void lock_when_waiting(struct shared *s, unsigned wanted)
{
    for (;;) {
        thrum_mutex_lock(&s->lock);
        if (s->waiting == wanted)
            return;
        thrum_mutex_unlock(&s->lock);
        thrum_yield();
    }
}

/* --- signals -------------------------------------------------------------- */

static thrum_err *wait_once(void *arg)
{
    struct shared *s = arg;
    unsigned number;
    int rc;

    thrum_mutex_lock(&s->lock);
    number = s->waiting++;
    rc = thrum_cond_wait(&s->changed, &s->lock);
    CHECK(!thrum_mutex_trylock(&s->lock));
    if (rc == 0)
        CHECK(number == s->woken++);
    else
        s->canceled++;
    thrum_mutex_unlock(&s->lock);
    return thrum_rc(rc);
}

static thrum_err *signal_each(void *arg)
{
    struct shared shared = {.open = false};
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "waiters");
    thrum_cond_signal(&shared.changed); /* to nobody, and forgotten */
    thrum_cond_broadcast(&shared.changed);
    for (unsigned i = 0; i < TASKS; i++) {
        CHECK(thrum_spawn(&s, wait_once, &shared, 0) == 0);
        lock_when_waiting(&shared, i + 1);
        thrum_mutex_unlock(&shared.lock);
    }
    for (unsigned i = 0; i < TASKS; i++) {
        lock_when_waiting(&shared, TASKS);
        CHECK(shared.woken == i);
        thrum_cond_signal(&shared.changed);
        while (shared.woken == i) {
            thrum_mutex_unlock(&shared.lock);
            thrum_yield();
            thrum_mutex_lock(&shared.lock);
        }
        CHECK(shared.woken == i + 1);
        thrum_mutex_unlock(&shared.lock);
    }
    return thrum_scope_close(&s, NULL);
}

static void a_signal_wakes_one_who_has_waited_longest(void **state)
{
    (void)state;
    on_runtimes(signal_each, NULL);
}

static thrum_err *wait_until_open(void *arg)
{
    struct shared *s = arg;
    int rc = 0;

    thrum_mutex_lock(&s->lock);
    s->waiting++;
    while (rc == 0 && !s->open)
        rc = thrum_cond_wait(&s->changed, &s->lock);
    s->woken++;
    thrum_mutex_unlock(&s->lock);
    return thrum_rc(rc);
}

static void *wait_in_thread(void *arg)
{
    expect_ok(wait_until_open(arg));
    return NULL;
}

static thrum_err *wake_all(void *arg)
{
    (void)arg;
    for (int round = 0; round < ROUNDS; round++) {
        struct shared shared = {.open = false};
        pthread_t thread;
        thrum_scope s;

        thrum_scope_open(&s, .name = "waiters");
        CHECK(pthread_create(&thread, NULL, wait_in_thread, &shared) == 0);
        for (unsigned i = 0; i < TASKS; i++)
            CHECK(thrum_spawn(&s, wait_until_open, &shared, 0) == 0);
        lock_when_waiting(&shared, TASKS + 1);
        shared.open = true;
        if (round % 2)
            thrum_cond_broadcast(&shared.changed);
        thrum_mutex_unlock(&shared.lock);
        if (round % 2 == 0)
            thrum_cond_broadcast(&shared.changed);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(shared.woken == TASKS + 1);
    }
    return NULL;
}

static void a_broadcast_wakes_all_tasks_and_threads(void **state)
{
    (void)state;
    on_threads(wake_all, NULL);
}

/* --- a buffer ------------------------------------------------------------- */

struct buffer {
    thrum_mutex lock;
    thrum_cond filled, emptied;
    size_t count, put, got, sum;
};

static thrum_err *put_all(void *arg)
{
    struct buffer *b = arg;
    int rc = 0;

    for (size_t i = 1; i <= scaled(ITEMS) && rc == 0; i++) {
        thrum_mutex_lock(&b->lock);
        while (rc == 0 && b->count == ROOM)
            rc = thrum_cond_wait(&b->emptied, &b->lock);
        b->count++;
        b->put++;
        thrum_cond_signal(&b->filled);
        thrum_mutex_unlock(&b->lock);
    }
    return thrum_rc(rc);
}

static thrum_err *get_all(void *arg)
{
    struct buffer *b = arg;
    int rc = 0;

    for (size_t i = 1; i <= scaled(ITEMS) && rc == 0; i++) {
        thrum_mutex_lock(&b->lock);
        while (rc == 0 && b->count == 0)
            rc = thrum_cond_wait(&b->filled, &b->lock);
        CHECK(b->count-- > 0);
        b->got++;
        thrum_mutex_unlock(&b->lock);
        thrum_cond_signal(&b->emptied);
    }
    return thrum_rc(rc);
}

static void *put_all_in_thread(void *arg)
{
    expect_ok(put_all(arg));
    return NULL;
}

static thrum_err *pass_through_buffer(void *arg)
{
    struct buffer b = {.count = 0};
    pthread_t thread;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "buffer");
    CHECK(pthread_create(&thread, NULL, put_all_in_thread, &b) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(thrum_spawn(&s, i < 1 ? put_all : get_all, &b, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(b.count == 0 && b.put == b.got && b.got == 2 * scaled(ITEMS));
    return NULL;
}

static void a_bounded_buffer_loses_nothing(void **state)
{
    (void)state;
    on_threads(pass_through_buffer, NULL);
}

/* --- cancel --------------------------------------------------------------- */

static thrum_err *wait_canceled(void *arg)
{
    struct shared *s = arg;

    thrum_mutex_lock(&s->lock);
    s->waiting++;
    CHECK(thrum_cond_wait(&s->changed, &s->lock) == -ECANCELED);
    CHECK(!thrum_mutex_trylock(&s->lock));
    /* At once, the mutex not released: nobody changes anything meanwhile. */
    s->open = true;
    CHECK(thrum_cond_wait(&s->changed, &s->lock) == -ECANCELED);
    CHECK(s->open);
    s->open = false;
    thrum_mutex_unlock(&s->lock);
    return NULL;
}

static thrum_err *cancel_waiters(void *arg)
{
    (void)arg;
    for (int round = 0; round < ROUNDS; round++) {
        struct shared shared = {.open = false};
        thrum_scope s;

        thrum_scope_open(&s, .name = "waiters");
        for (int i = 0; i < TASKS; i++)
            CHECK(thrum_spawn(&s, wait_canceled, &shared, 0) == 0);
        lock_when_waiting(&shared, TASKS);
        thrum_scope_cancel(&s, NULL);
        CHECK(!shared.open); /* they are awake, and wait for the mutex */
        thrum_mutex_unlock(&shared.lock);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(thrum_mutex_trylock(&shared.lock));
    }
    return NULL;
}

static void who_is_canceled_has_the_mutex(void **state)
{
    (void)state;
    on_runtimes(cancel_waiters, NULL);
}

static thrum_err *wait_or_be_canceled(void *arg)
{
    struct shared *s = arg;
    int rc;

    thrum_mutex_lock(&s->lock);
    s->waiting++;
    rc = thrum_cond_wait(&s->changed, &s->lock);
    *(rc == 0 ? &s->woken : &s->canceled) += 1;
    thrum_mutex_unlock(&s->lock);
    return NULL;
}

static thrum_err *cancel_it(void *scope)
{
    thrum_scope_cancel(scope, NULL);
    return NULL;
}

/* So many signals, as many waiters, half of them canceled at the same time: each
 * signal wakes one as long as one waits that has not been canceled. */
static thrum_err *signal_and_cancel(void *arg)
{
    (void)arg;
    for (int round = 0; round < ROUNDS; round++) {
        struct shared shared = {.open = false};
        thrum_scope some, others;
        thrum_task t;

        thrum_scope_open(&others, .name = "others");
        thrum_scope_open(&some, .name = "some");
        for (int i = 0; i < TASKS; i++)
            CHECK(thrum_spawn(i % 2 ? &some : &others, wait_or_be_canceled,
                              &shared, 0) == 0);
        lock_when_waiting(&shared, TASKS);
        thrum_mutex_unlock(&shared.lock);
        thrum_fork(&t, cancel_it, &some);
        if (workers > 1)
            thrum_yield();
        for (int i = 0; i < TASKS; i++)
            thrum_cond_signal(&shared.changed);
        expect_ok(thrum_join(&t));
        expect_ok(thrum_scope_close(&some, NULL));
        expect_ok(thrum_scope_close(&others, NULL));
        CHECK(shared.woken >= TASKS / 2);
        CHECK(shared.woken + shared.canceled == TASKS);
    }
    return NULL;
}

static void no_signal_is_lost_to_the_canceled(void **state)
{
    (void)state;
    on_runtimes(signal_and_cancel, NULL);
}

static thrum_err *wait_in_time(void *arg)
{
    struct shared *s = arg;
    thrum_scope scope;
    int rc;

    thrum_mutex_lock(&s->lock);
    thrum_scope_open(&scope, .name = "in time", .timeout = THRUM_MS(1));
    rc = thrum_cond_wait(&s->changed, &s->lock);
    CHECK(!thrum_mutex_trylock(&s->lock));
    thrum_mutex_unlock(&s->lock);
    return thrum_scope_close(&scope, thrum_rc(rc));
}

static void *wait_in_time_in_thread(void *arg)
{
    return wait_in_time(arg);
}

static thrum_err *run_out_of_time(void *arg)
{
    struct shared shared = {.open = false};
    pthread_t thread;
    void *e;

    (void)arg;
    expect_kind(wait_in_time(&shared), &THRUM_TIMEOUT);
    CHECK(pthread_create(&thread, NULL, wait_in_time_in_thread, &shared) == 0);
    CHECK(pthread_join(thread, &e) == 0);
    expect_kind(e, &THRUM_TIMEOUT);
    return NULL;
}

static void a_deadline_ends_it(void **state)
{
    (void)state;
    on_threads(run_out_of_time, NULL);
}

/* --- mistakes ------------------------------------------------------------- */

static void wait_without_the_mutex(void)
{
    thrum_mutex m = {0};
    thrum_cond c = {0};

    (void)!thrum_cond_wait(&c, &m);
}

static void to_wait_without_the_mutex_ends_the_program(void **state)
{
    (void)state;
    assert_stops(wait_without_the_mutex, "thrum_cond_wait", "nobody has");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_wakes_one_who_has_waited_longest),
        cmocka_unit_test(a_broadcast_wakes_all_tasks_and_threads),
        cmocka_unit_test(a_bounded_buffer_loses_nothing),
        cmocka_unit_test(who_is_canceled_has_the_mutex),
        cmocka_unit_test(no_signal_is_lost_to_the_canceled),
        cmocka_unit_test(a_deadline_ends_it),
        cmocka_unit_test(to_wait_without_the_mutex_ends_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
