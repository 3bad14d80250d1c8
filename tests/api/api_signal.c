/* Does a signal come to who waits for it, once, with what the kernel knows of it;
 * and to nobody who was canceled? */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/api.h"

enum { WAITERS = 8, CROWD = 100 };

static sigset_t all, usr1, queued; /* queued: SIGRTMIN, which is counted */

static void send(int signal)
{
    CHECK(kill(getpid(), signal) == 0);
}

static void queue(int value)
{
    CHECK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = value}) ==
          0);
}

static bool is_pending(int signal)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, signal) == 1;
}

/* --- one ------------------------------------------------------------------ */

static thrum_err *pending(void *arg)
{
    siginfo_t info;

    (void)arg;
    send(SIGUSR1);
    send(SIGUSR1); /* such a signal is pending once */
    send(SIGUSR2);
    CHECK(thrum_signal_wait(&usr1, &info) == SIGUSR1);
    CHECK(info.si_signo == SIGUSR1 && info.si_code == SI_USER);
    CHECK(info.si_pid == getpid() && info.si_uid == getuid());
    CHECK(!is_pending(SIGUSR1));
    CHECK(thrum_signal_wait(&all, NULL) == SIGUSR2);
    return NULL;
}

static void one_that_is_pending_is_taken_at_once(void **state)
{
    (void)state;
    on_threads(pending, NULL);
}

static _Atomic unsigned begun, ended;

/* On one worker it is asleep when the others see that it has begun. */
static thrum_err *wait_for_usr1(void *arg)
{
    (void)arg;
    atomic_fetch_add(&begun, 1);
    CHECK(thrum_signal_wait(&usr1, NULL) == SIGUSR1);
    atomic_fetch_add(&ended, 1);
    return NULL;
}

static thrum_err *coming(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 20; i++) {
        thrum_scope s;

        atomic_store(&begun, 0);
        atomic_store(&ended, 0);
        thrum_scope_open(&s);
        CHECK(thrum_spawn(&s, wait_for_usr1, NULL, 0) == 0);
        await_count(&begun, 1);
        send(SIGUSR2);
        CHECK(atomic_load(&ended) == 0);
        send(SIGUSR1);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(thrum_signal_wait(&all, NULL) == SIGUSR2);
    }
    return NULL;
}

static void one_that_comes_ends_the_wait(void **state)
{
    (void)state;
    on_threads(coming, NULL);
}

/* --- a cancel ------------------------------------------------------------- */

static thrum_err *wait_in_vain(void *arg)
{
    (void)arg;
    CHECK(thrum_signal_wait(&usr1, NULL) == -ECANCELED);
    return thrum_rc(-ECANCELED);
}

static thrum_err *canceled(void *arg)
{
    thrum_task t;
    thrum_err *e;

    (void)arg;
    expect_kind(thrum_with(wait_in_vain, NULL, .timeout = THRUM_MS(1)),
                &THRUM_TIMEOUT);
    thrum_fork(&t, wait_in_vain, NULL);
    thrum_task_cancel(&t);
    e = thrum_join(&t);
    expect_kind(e, &THRUM_CANCELED);

    send(SIGUSR1); /* nobody who is canceled takes it */
    e = thrum_with(wait_in_vain, NULL, .deadline = 1);
    expect_kind(e, &THRUM_TIMEOUT);
    CHECK(thrum_signal_wait(&usr1, NULL) == SIGUSR1);
    return NULL;
}

static void a_cancel_ends_the_wait_and_takes_nothing(void **state)
{
    (void)state;
    on_threads(canceled, NULL);
}

/* --- many ----------------------------------------------------------------- */

static _Atomic unsigned got; /* bits */

static thrum_err *take_one(void *arg)
{
    siginfo_t info;
    unsigned bit;

    (void)arg;
    atomic_fetch_add(&begun, 1);
    CHECK(thrum_signal_wait(&queued, &info) == SIGRTMIN);
    bit = 1u << info.si_value.sival_int;
    CHECK((atomic_fetch_or(&got, bit) & bit) == 0);
    return NULL;
}

static thrum_err *many(void *arg)
{
    thrum_scope s;

    (void)arg;
    atomic_store(&begun, 0);
    atomic_store(&got, 0);
    thrum_scope_open(&s);
    for (int i = 0; i < WAITERS; i++)
        CHECK(thrum_spawn(&s, take_one, NULL, 0) == 0);
    for (int i = 0; i < WAITERS; i++) {
        await_count(&begun, WAITERS / 2 + (unsigned)i / 2);
        queue(i);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&got) == (1u << WAITERS) - 1);
    return NULL;
}

static void of_several_each_gets_one(void **state)
{
    (void)state;
    on_threads(many, NULL);
}

/* With descriptors for few. */
static thrum_err *crowd(void *unused)
{
    struct rlimit before, few;
    thrum_scope s;

    (void)unused;
    atomic_store(&begun, 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = before;
    few.rlim_cur = (rlim_t)footprint().fds + CROWD / 2;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    thrum_scope_open(&s);
    for (int i = 0; i < CROWD; i++)
        CHECK(thrum_spawn(&s, wait_for_usr1, NULL, 0) == 0);
    for (unsigned i = 1; i <= CROWD; i++) {
        await_count(&begun, CROWD);
        send(SIGUSR1);
        await_count(&ended, i);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    return NULL;
}

static void a_crowd_needs_one_descriptor(void **state)
{
    (void)state;
    atomic_store(&ended, 0);
    expect_ok(thrum_run(NULL, crowd, NULL));
}

/* --- outside -------------------------------------------------------------- */

static void *outside(void *arg)
{
    siginfo_t info;

    atomic_fetch_add(&begun, 1);
    CHECK(thrum_signal_wait(&queued, &info) == SIGRTMIN);
    CHECK(info.si_value.sival_int == 7);
    return arg;
}

static void a_thread_that_is_no_worker_waits(void **state)
{
    pthread_t t;

    (void)state;
    atomic_store(&begun, 0);
    assert_int_equal(pthread_create(&t, NULL, outside, NULL), 0);
    block_count(&begun, 1);
    queue(7);
    assert_int_equal(pthread_join(t, NULL), 0);
}

/* --- what is left --------------------------------------------------------- */

static void no_descriptor_to_be_had_is_an_error(void **state)
{
    struct rlimit before, none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(thrum_signal_wait(&usr1, NULL), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void no_descriptor_is_left(void **state)
{
    size_t before = footprint().fds;

    (void)state;
    on_threads(canceled, NULL);
    assert_int_equal(footprint().fds, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_pending_is_taken_at_once),
        cmocka_unit_test(one_that_comes_ends_the_wait),
        cmocka_unit_test(a_cancel_ends_the_wait_and_takes_nothing),
        cmocka_unit_test(of_several_each_gets_one),
        cmocka_unit_test(a_crowd_needs_one_descriptor),
        cmocka_unit_test(a_thread_that_is_no_worker_waits),
        cmocka_unit_test(no_descriptor_to_be_had_is_an_error),
        cmocka_unit_test(no_descriptor_is_left),
    };

    if (is_emulated()) {
        puts("skipped: an emulator has the signals for itself");
        return 77;
    }
    usr1 = thrum_signals_block(SIGUSR1);
    queued = thrum_signals_block(SIGRTMIN);
    all = thrum_signals_block(SIGUSR1, SIGUSR2);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
