/* Does a sleeper wake when it is woken, when its time is over, and else not?
 * Words that differ, deadlines that passed, and threads that wake each other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/base.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/thread.h"

enum { SLEEPERS = 4, ROUNDS = 2000 };

static void a_word_that_differs_is_not_slept_on(void **state)
{
    _Atomic uint32_t word = 1;

    (void)state;
    assert_int_equal(futex_wait(&word, 0, CLOCK_NEVER), -EAGAIN);
    assert_int_equal(futex_wait(&word, 0, 0), -EAGAIN);
}

static void a_deadline_that_passed_ends_the_wait_at_once(void **state)
{
    _Atomic uint32_t word = 1;

    (void)state;
    assert_int_equal(futex_wait(&word, 1, clock_now() - 1), -ETIMEDOUT);
    assert_int_equal(futex_wait(&word, 1, 1), -ETIMEDOUT);
    assert_int_equal(futex_wait(&word, 1, 0), -ETIMEDOUT);
    assert_int_equal(futex_wait(&word, 1, -1), -ETIMEDOUT);
    assert_int_equal(futex_wait(&word, 1, INT64_MIN), -ETIMEDOUT);
}

static void a_wait_does_not_end_before_its_deadline(void **state)
{
    _Atomic uint32_t word = 1;
    int64_t deadline = clock_now() + 3000000;
    int rc;

    (void)state;
    do
        rc = futex_wait(&word, 1, deadline);
    while (rc == 0); /* woken for no reason */
    assert_int_equal(rc, -ETIMEDOUT);
    assert_true(clock_now() >= deadline);
}

static void errno_is_left_alone(void **state)
{
    _Atomic uint32_t word = 1;

    (void)state;
    errno = 77;
    futex_wait(&word, 0, CLOCK_NEVER);
    futex_wait(&word, 1, 0);
    futex_wake(&word, 1);
    assert_int_equal(errno, 77);
}

static void await_value(_Atomic uint32_t *word, uint32_t value)
{
    for (;;) {
        uint32_t seen = load_acquire(word);

        if (seen == value)
            return;
        futex_wait(word, seen, CLOCK_NEVER);
    }
}

static void give_value(_Atomic uint32_t *word, uint32_t value)
{
    store_release(word, value);
    futex_wake(word, 1);
}

static void answer_each_round(void *arg)
{
    _Atomic uint32_t *turn = arg;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        await_value(turn, 2 * i + 1);
        give_value(turn, 2 * i + 2);
    }
}

/* A wake that got lost would hang here. */
static void two_threads_wake_each_other_in_turn(void **state)
{
    static _Atomic uint32_t turn;
    struct thread other;

    (void)state;
    assert_int_equal(
        thread_start(&other, "answer", 0, answer_each_round, &turn), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        give_value(&turn, 2 * i + 1);
        await_value(&turn, 2 * i + 2);
    }
    thread_join(&other);
}

static void sleep_until_nonzero(void *arg)
{
    _Atomic uint32_t *gate = arg;

    while (load_acquire(gate) == 0)
        futex_wait(gate, 0, CLOCK_NEVER);
}

/* Move all who sleep on one word to another, and say how many those were: how
 * to know, without a guess at time, that somebody is asleep. */
static long move_sleepers(_Atomic uint32_t *from, _Atomic uint32_t *to)
{
    return syscall(SYS_futex, from, FUTEX_CMP_REQUEUE_PRIVATE, 0,
                   (unsigned long)INT_MAX, to, 0);
}

static void as_many_sleepers_wake_as_are_woken(void **state)
{
    static _Atomic uint32_t gate, hall;
    struct thread sleepers[SLEEPERS];
    long asleep = 0;

    (void)state;
    for (int i = 0; i < SLEEPERS; i++)
        assert_int_equal(thread_start(&sleepers[i], "sleeper", 0,
                                      sleep_until_nonzero, &gate),
                         0);
    for (; asleep < SLEEPERS; sched_yield())
        asleep += move_sleepers(&gate, &hall);

    store_release(&gate, 1);
    futex_wake(&hall, 1);
    store_release(&gate, 0); /* the one that woke may have seen 1, or not */
    assert_int_equal(move_sleepers(&hall, &gate), SLEEPERS - 1);

    store_release(&gate, 1);
    futex_wake(&gate, INT_MAX);
    for (int i = 0; i < SLEEPERS; i++)
        thread_join(&sleepers[i]);
}

static struct {
    _Atomic uint32_t word;
    _Atomic int ready;
    _Atomic int returned;
    int rc;
} interrupted;

static void do_nothing(int sig)
{
    (void)sig;
}

static void *sleep_interruptibly(void *arg)
{
    store_release(&interrupted.ready, 1);
    interrupted.rc = futex_wait(&interrupted.word, 0, CLOCK_NEVER);
    store_release(&interrupted.returned, 1);
    return arg;
}

static void a_signal_is_a_wake_for_no_reason(void **state)
{
    struct sigaction action = {.sa_handler = do_nothing};
    pthread_t sleeper;

    (void)state;
    sigaction(SIGUSR1, &action, NULL);
    assert_int_equal(pthread_create(&sleeper, NULL, sleep_interruptibly, NULL),
                     0);
    while (!load_acquire(&interrupted.ready))
        sched_yield();
    while (!load_acquire(&interrupted.returned)) {
        pthread_kill(sleeper, SIGUSR1); /* it may not be asleep yet */
        sched_yield();
    }
    pthread_join(sleeper, NULL);
    assert_int_equal(interrupted.rc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_that_differs_is_not_slept_on),
        cmocka_unit_test(a_deadline_that_passed_ends_the_wait_at_once),
        cmocka_unit_test(a_wait_does_not_end_before_its_deadline),
        cmocka_unit_test(errno_is_left_alone),
        cmocka_unit_test(two_threads_wake_each_other_in_turn),
        cmocka_unit_test(as_many_sleepers_wake_as_are_woken),
        cmocka_unit_test(a_signal_is_a_wake_for_no_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
