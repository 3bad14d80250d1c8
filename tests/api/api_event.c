/* Does an event wake all who wait, whoever sets it: a task, a thread, a signal
 * handler that has interrupted anything? And what does a cancel do to who waits?
 * Signals are sent to threads that use the library all the while. */
#include "lib/api.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

enum { TASKS = 8, ROUNDS = 100 };

struct meeting {
    thrum_event event, back;
    _Atomic unsigned began, woken, canceled, told;
    unsigned before; /* plain: what is done before the event is set */
    thrum_scope *scope;
};

/* --- setting and waiting -------------------------------------------------- */

static void is_set_until_reset(void **state)
{
    thrum_event e = {0};

    (void)state;
    assert_false(thrum_event_is_set(&e));
    thrum_event_reset(&e);
    assert_false(thrum_event_is_set(&e));
    thrum_event_set(&e);
    thrum_event_set(&e);
    assert_true(thrum_event_is_set(&e));
    assert_int_equal(thrum_event_wait(&e), 0);
    assert_int_equal(thrum_event_wait(&e), 0);
    thrum_event_reset(&e);
    assert_false(thrum_event_is_set(&e));
    thrum_event_reset(&e);
    thrum_event_set(&e);
    assert_int_equal(thrum_event_wait(&e), 0);
}

static thrum_err *wait_for_it(void *arg)
{
    struct meeting *m = arg;

    atomic_fetch_add(&m->began, 1);
    THRUM_TRY(thrum_event_wait(&m->event));
    CHECK(m->before == 1);
    CHECK(thrum_event_is_set(&m->event));
    atomic_fetch_add(&m->woken, 1);
    return NULL;
}

static void *wait_in_thread(void *arg)
{
    expect_ok(wait_for_it(arg));
    return NULL;
}

static void *set_in_thread(void *arg)
{
    struct meeting *m = arg;

    m->before = 1;
    thrum_event_set(&m->event);
    return NULL;
}

static thrum_err *meet(void *arg)
{
    (void)arg;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct meeting m = {.before = 0};
        pthread_t waiter, setter;
        thrum_scope s;

        thrum_scope_open(&s, .name = "waiters");
        CHECK(pthread_create(&waiter, NULL, wait_in_thread, &m) == 0);
        for (int i = 0; i < TASKS; i++)
            CHECK(thrum_spawn(&s, wait_for_it, &m, 0) == 0);
        await_count(&m.began, round % (TASKS + 2));
        if (round % 2)
            (void)set_in_thread(&m);
        else
            CHECK(pthread_create(&setter, NULL, set_in_thread, &m) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(pthread_join(waiter, NULL) == 0);
        if (round % 2 == 0)
            CHECK(pthread_join(setter, NULL) == 0);
        CHECK(atomic_load(&m.woken) == TASKS + 1);
    }
    return NULL;
}

static void all_are_woken_tasks_and_threads_by_both(void **state)
{
    (void)state;
    on_threads(meet, NULL);
}

static thrum_err *echo(void *arg)
{
    struct meeting *m = arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        THRUM_TRY(thrum_event_wait(&m->event));
        thrum_event_reset(&m->event);
        CHECK(m->before++ == 2 * i);
        thrum_event_set(&m->back);
    }
    return NULL;
}

static thrum_err *call_and_answer(void *arg)
{
    struct meeting m = {.before = 0};
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "echo");
    CHECK(thrum_spawn(&s, echo, &m, 0) == 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        thrum_event_set(&m.event);
        CHECK(thrum_event_wait(&m.back) == 0);
        thrum_event_reset(&m.back);
        CHECK(m.before++ == 2 * i + 1);
    }
    return thrum_scope_close(&s, NULL);
}

static void with_reset_it_happens_again(void **state)
{
    (void)state;
    on_runtimes(call_and_answer, NULL);
}

/* One that is set and undone at once has happened for those who waited. */
static thrum_err *pulse(void *arg)
{
    (void)arg;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct meeting m = {.before = 1};
        thrum_scope s, canceled;

        if (workers > 1)
            return NULL; /* no telling who waits already */
        thrum_scope_open(&s, .name = "waiters");
        thrum_scope_open(&canceled, .name = "canceled");
        for (int i = 0; i < TASKS; i++) {
            CHECK(thrum_spawn(&s, wait_for_it, &m, 0) == 0);
            CHECK(thrum_spawn(&canceled, wait_for_it, &m, 0) == 0);
        }
        await_count(&m.began, 2 * TASKS);
        if (round % 2)
            thrum_scope_cancel(&canceled, NULL); /* they leave later */
        thrum_event_set(&m.event);
        expect_ok(thrum_scope_close(&canceled, NULL));
        expect_ok(thrum_scope_close(&s, NULL));
    }
    return NULL;
}

static void all_who_wait_are_woken_whoever_leaves(void **state)
{
    (void)state;
    on_runtimes(pulse, NULL);
}

/* The waiter's stack is where the event lies, as in a bridge from a callback. */
static void *call_back(void *event)
{
    thrum_event_set(event);
    return NULL;
}

static thrum_err *wait_for_callback(void *unused)
{
    thrum_event done = {0};
    pthread_t thread;

    (void)unused;
    CHECK(pthread_create(&thread, NULL, call_back, &done) == 0);
    CHECK(pthread_detach(thread) == 0);
    CHECK(thrum_event_wait(&done) == 0);
    memset(&done, 0xee, sizeof done); /* nobody touches it any more */
    return NULL;
}

static thrum_err *many_callbacks(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "callbacks", .limit = 8);
    for (unsigned i = 0; i < ROUNDS; i++)
        CHECK(thrum_spawn(&s, wait_for_callback, NULL, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static void it_may_be_gone_as_soon_as_the_waiter_returns(void **state)
{
    (void)state;
    on_threads(many_callbacks, NULL);
}

/* --- cancel --------------------------------------------------------------- */

static thrum_err *wait_or_be_canceled(void *arg)
{
    struct meeting *m = arg;

    atomic_fetch_add(&m->began, 1);
    atomic_fetch_add(
        thrum_event_wait(&m->event) == 0 ? &m->woken : &m->canceled, 1);
    return NULL;
}

static thrum_err *set_it(void *arg)
{
    (void)set_in_thread(arg);
    return NULL;
}

static thrum_err *cancel_and_set(void *arg)
{
    (void)arg;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct meeting m = {.before = 0};
        thrum_scope some, others;

        thrum_scope_open(&others, .name = "others");
        thrum_scope_open(&some, .name = "some");
        for (int i = 0; i < TASKS; i++)
            CHECK(thrum_spawn(i % 2 ? &some : &others, wait_or_be_canceled, &m,
                              0) == 0);
        if (round % 4)
            await_count(&m.began, TASKS);
        CHECK(thrum_spawn(&others, set_it, &m, 0) == 0);
        if (round % 2)
            thrum_yield();
        thrum_scope_cancel(&some, NULL);
        expect_ok(thrum_scope_close(&some, NULL));
        expect_ok(thrum_scope_close(&others, NULL));
        CHECK(atomic_load(&m.woken) >= TASKS / 2);
        CHECK(atomic_load(&m.woken) + atomic_load(&m.canceled) == TASKS);
    }
    return NULL;
}

static void a_cancel_ends_the_wait_and_nobody_elses(void **state)
{
    (void)state;
    on_threads(cancel_and_set, NULL);
}

enum { CROWD = 10000 };

/* Were each to look for his place among all others, this would take minutes. */
static thrum_err *cancel_crowd(void *arg)
{
    struct meeting m = {.before = 0};
    unsigned n = (unsigned)scaled(CROWD);
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "crowd");
    for (unsigned i = 0; i < n; i++)
        CHECK(thrum_spawn(&s, wait_or_be_canceled, &m, 0) == 0);
    await_count(&m.began, n);
    thrum_scope_cancel(&s, NULL);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&m.canceled) == n);
    return NULL;
}

static void a_crowd_is_canceled_at_once(void **state)
{
    (void)state;
    on_runtimes(cancel_crowd, NULL);
}

static thrum_err *ask_canceled(void *arg)
{
    thrum_event set = {0};

    (void)arg;
    thrum_event_set(&set);
    await_cancel();
    CHECK(thrum_event_wait(&set) == -ECANCELED);
    return NULL;
}

static thrum_err *cancel_before(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "canceled");
    CHECK(thrum_spawn(&s, ask_canceled, NULL, 0) == 0);
    thrum_scope_cancel(&s, NULL);
    return thrum_scope_close(&s, NULL);
}

static void who_is_canceled_is_told_even_if_it_is_set(void **state)
{
    (void)state;
    on_runtimes(cancel_before, NULL);
}

static thrum_err *wait_in_time(void *event)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "in time", .timeout = THRUM_MS(1));
    return thrum_scope_close(&s, thrum_rc(thrum_event_wait(event)));
}

static void *wait_in_time_in_thread(void *event)
{
    return wait_in_time(event);
}

static thrum_err *run_out_of_time(void *arg)
{
    thrum_event never = {0};
    pthread_t thread;
    void *e;

    (void)arg;
    expect_kind(wait_in_time(&never), &THRUM_TIMEOUT);
    CHECK(pthread_create(&thread, NULL, wait_in_time_in_thread, &never) == 0);
    CHECK(pthread_join(thread, &e) == 0);
    expect_kind(e, &THRUM_TIMEOUT);
    return NULL;
}

static void a_deadline_ends_it(void **state)
{
    (void)state;
    on_threads(run_out_of_time, NULL);
}

/* --- signals -------------------------------------------------------------- */

static thrum_event beat;
static size_t wanted_beats;
static _Atomic unsigned beats, stop;

static void on_signal(int number)
{
    (void)number;
    thrum_event_set(&beat);
}

static void handle(int number)
{
    struct sigaction action = {.sa_handler = on_signal,
                               .sa_flags = SA_ONSTACK | SA_RESTART};

    assert_int_equal(sigaction(number, &action, NULL), 0);
}

/* Each beat is set by a signal and by nothing else. */
static thrum_err *follow_beat(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < scaled(wanted_beats) + 5; i++) {
        CHECK(thrum_event_wait(&beat) == 0);
        thrum_event_reset(&beat);
        atomic_fetch_add(&beats, 1);
    }
    atomic_store(&stop, 1);
    return NULL;
}

static thrum_err *nothing(void *unused)
{
    return unused;
}

static struct {
    thrum_rt *rt;
    thrum_mutex mutex;
    thrum_sem sem;
    thrum_event never;
} used;

/* What a thread can do with the library: submit, take, set, wait in vain. */
static void use_all(void)
{
    thrum_event now = {0};
    thrum_scope s;

    CHECK(thrum_post(used.rt, nothing, NULL, 0) == 0);
    thrum_mutex_lock(&used.mutex);
    thrum_mutex_unlock(&used.mutex);
    thrum_sem_release(&used.sem);
    CHECK(thrum_sem_acquire(&used.sem) == 0);
    thrum_event_set(&now);
    CHECK(thrum_event_wait(&now) == 0);
    thrum_scope_open(&s, .name = "vain", .timeout = THRUM_US(1));
    expect_kind(thrum_scope_close(&s, thrum_rc(thrum_event_wait(&used.never))),
                &THRUM_TIMEOUT);
    thrum_scope_open(&s, .name = "beat", .timeout = THRUM_US(1));
    thrum_err_drop(thrum_scope_close(&s, thrum_rc(thrum_event_wait(&beat))));
}

static void *use_all_in_thread(void *arg)
{
    char stack[64 << 10];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};

    (void)arg;
    CHECK(sigaltstack(&other, NULL) == 0);
    while (atomic_load(&stop) == 0)
        use_all();
    other.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&other, NULL) == 0);
    return NULL;
}

static void start_beat(unsigned n)
{
    thrum_opts opts = {.workers = n};

    memset(&used, 0, sizeof used);
    atomic_store(&stop, 0);
    thrum_event_reset(&beat);
    assert_int_equal(thrum_start(&used.rt, &opts), 0);
    assert_int_equal(thrum_post(used.rt, follow_beat, NULL, 0), 0);
}

static void handlers_that_interrupt_a_thread_may_set_it(void **state)
{
    pthread_t thread;

    (void)state;
    handle(SIGUSR1);
    wanted_beats = 500;
    for (workers = 1; workers <= 4; workers *= 2) {
        start_beat(workers);
        assert_int_equal(pthread_create(&thread, NULL, use_all_in_thread, NULL),
                         0);
        while (atomic_load(&stop) == 0) {
            unsigned seen = atomic_load(&beats);

            pthread_kill(thread, SIGUSR1);
            for (int i = 0; i < 100 && atomic_load(&beats) == seen; i++)
                sched_yield();
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        expect_ok(thrum_stop(used.rt));
    }
}

/* Of the signals that are not the thread's own fault workers take SIGPROF only.
 * ThreadSanitizer calls a handler at the next atomic access, as a function of its
 * own: on the stack of the task, where it cannot be told from one. */
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { DEFERS_SIGNALS = 1 };
#else
enum { DEFERS_SIGNALS = 0 };
#endif

static _Atomic(pthread_t) worker_ids[2];

static thrum_err *keep_worker_busy(void *arg)
{
    _Atomic(pthread_t) *id = arg;

    while (atomic_load(&stop) == 0) {
        thrum_scope s;

        atomic_store(id, pthread_self());
        thrum_scope_open(&s, .name = "busy");
        for (int i = 0; i < 10; i++)
            CHECK(thrum_spawn(&s, nothing, NULL, 0) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
        thrum_yield();
    }
    return NULL;
}

static void and_handlers_that_interrupt_a_worker(void **state)
{
    (void)state;
    if (DEFERS_SIGNALS)
        skip();
    handle(SIGPROF);
    wanted_beats = 30;
    for (workers = 1; workers <= 2; workers++) {
        start_beat(workers);
        for (unsigned i = 0; i < workers; i++) {
            atomic_store(&worker_ids[i], 0);
            assert_int_equal(
                thrum_post(used.rt, keep_worker_busy, &worker_ids[i], 0), 0);
        }
        for (unsigned i = 0; atomic_load(&stop) == 0; i++) {
            pthread_t id = atomic_load(&worker_ids[i % workers]);
            unsigned seen = atomic_load(&beats);

            if (id != 0)
                pthread_kill(id, SIGPROF);
            for (int k = 0; k < 100 && atomic_load(&beats) == seen; k++)
                sched_yield();
        }
        expect_ok(thrum_stop(used.rt));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_set_until_reset),
        cmocka_unit_test(all_are_woken_tasks_and_threads_by_both),
        cmocka_unit_test(with_reset_it_happens_again),
        cmocka_unit_test(all_who_wait_are_woken_whoever_leaves),
        cmocka_unit_test(it_may_be_gone_as_soon_as_the_waiter_returns),
        cmocka_unit_test(a_cancel_ends_the_wait_and_nobody_elses),
        cmocka_unit_test(a_crowd_is_canceled_at_once),
        cmocka_unit_test(who_is_canceled_is_told_even_if_it_is_set),
        cmocka_unit_test(a_deadline_ends_it),
        cmocka_unit_test(handlers_that_interrupt_a_thread_may_set_it),
        cmocka_unit_test(and_handlers_that_interrupt_a_worker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
