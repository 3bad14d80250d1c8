/* Is a thread what thread.h says: its signals, stacks, name, and no trace of it
 * when it could not be made? Threads report what they find in themselves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/base.h"
#include "os/clock.h"
#include "os/fail.h"
#include "os/futex.h"
#include "os/thread.h"

enum { STACK_BYTES = 192 << 10, TLS_BYTES = 1 << 20 };

/* More than the stacks asked for here: glibc takes it off the stack and says
 * EINVAL if nothing is left. */
static _Thread_local char large[TLS_BYTES];

struct found {
    char name[64];
    sigset_t mask;
    size_t stack_bytes;
    stack_t altstack;
    uintptr_t handler_frame;
};

static volatile uintptr_t frame_of_handler;

static void note_frame(int sig)
{
    (void)sig;
    frame_of_handler = (uintptr_t)__builtin_frame_address(0);
}

static size_t own_stack_bytes(void)
{
    pthread_attr_t attr;
    size_t bytes = 0;

    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstacksize(&attr, &bytes);
    pthread_attr_destroy(&attr);
    return bytes;
}

static void look_around(void *arg)
{
    struct found *f = arg;
    struct sigaction action = {.sa_handler = note_frame,
                               .sa_flags = SA_ONSTACK};

    pthread_getname_np(pthread_self(), f->name, sizeof f->name);
    pthread_sigmask(SIG_SETMASK, NULL, &f->mask);
    f->stack_bytes = own_stack_bytes();
    sigaltstack(NULL, &f->altstack);
    sigaction(SIGTRAP, &action, NULL);
    raise(SIGTRAP);
    f->handler_frame = frame_of_handler;
}

static struct found found_in(const char *name)
{
    struct found f = {0};
    struct thread t;

    assert_int_equal(thread_start(&t, name, STACK_BYTES, look_around, &f), 0);
    thread_join(&t);
    return f;
}

static void only_what_a_thread_does_to_itself_is_open(void **state)
{
    static const int open[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                               SIGTRAP, SIGABRT, SIGPROF};
    static const int closed[] = {SIGINT,  SIGTERM, SIGHUP, SIGUSR1, SIGUSR2,
                                 SIGALRM, SIGCHLD, SIGIO,  SIGPIPE, SIGQUIT};
    struct found f = found_in("mask");

    (void)state;
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        assert_false(sigismember(&f.mask, open[i]));
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++)
        assert_true(sigismember(&f.mask, closed[i]));
    assert_true(sigismember(&f.mask, SIGRTMIN));
}

static void the_makers_mask_is_as_before(void **state)
{
    sigset_t mine, before, after;

    (void)state;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &mine, &before);
    found_in("mask");
    fail_after(FAIL_THREAD, 1);
    assert_int_equal(thread_start(&(struct thread){0}, "no", 0, NULL, NULL),
                     -EAGAIN);
    pthread_sigmask(SIG_SETMASK, &before, &after);
    for (int sig = 1; sig < SIGRTMIN; sig++)
        if (sig < 32) /* the C library keeps those in between */
            assert_int_equal(sigismember(&after, sig), sig == SIGUSR2);
}

/* A busy worker may make one for the pool while a task thinks it only yields. */
static void making_one_leaves_errno_alone(void **state)
{
    struct found f;

    (void)state;
    errno = 77;
    f = found_in("errno");
    assert_int_equal(errno, 77);
    fail_after(FAIL_THREAD, 1);
    assert_int_equal(thread_start(&(struct thread){0}, "no", 0, NULL, NULL),
                     -EAGAIN);
    assert_int_equal(errno, 77);
    assert_string_equal(f.name, "errno");
}

static void a_name_that_is_too_long_is_cut(void **state)
{
    struct found f = found_in("worker-of-the-week");

    (void)state;
    assert_string_equal(f.name, "worker-of-the-w");
    f = found_in("w0");
    assert_string_equal(f.name, "w0");
}

static void the_stack_is_at_least_as_large_as_asked(void **state)
{
    struct found f = found_in("stack");

    (void)state;
    assert_true(f.stack_bytes >= STACK_BYTES);
}

static void read_large(void *arg)
{
    *(int *)arg = large[TLS_BYTES - 1] + 1;
}

static void thread_locals_larger_than_the_stack_do_not_matter(void **state)
{
    struct thread t;
    int result = 0;

    (void)state;
    large[TLS_BYTES - 1] = 1;
    assert_int_equal(thread_start(&t, "large", 0, read_large, &result), 0);
    thread_join(&t);
    assert_int_equal(result, 1);
}

static void handlers_run_on_a_stack_of_their_own(void **state)
{
    struct found f = found_in("altstack");
    uintptr_t low = (uintptr_t)f.altstack.ss_sp;

    (void)state;
    assert_false(f.altstack.ss_flags & SS_DISABLE);
    assert_true(f.altstack.ss_size >= 64 << 10);
    assert_true(f.handler_frame >= low &&
                f.handler_frame < low + f.altstack.ss_size);
}

static void keep_own_altstack(void *arg)
{
    static char room[1 << 20];
    stack_t own = {.ss_sp = room, .ss_size = sizeof room};
    stack_t before, seen;
    struct altstack ours;
    bool *kept = arg;

    sigaltstack(&own, &before);
    if (altstack_map(&ours) == 0) {
        altstack_enter(&ours);
        sigaltstack(NULL, &seen);
        *kept = seen.ss_sp == room;
        altstack_leave(&ours);
        sigaltstack(NULL, &seen);
        *kept = *kept && seen.ss_sp == room;
        altstack_unmap(&ours);
    }
    sigaltstack(&before, NULL);
}

static void a_thread_keeps_a_large_signal_stack_of_its_own(void **state)
{
    struct thread t;
    bool kept = false;

    (void)state;
    assert_int_equal(thread_start(&t, "own", 0, keep_own_altstack, &kept), 0);
    thread_join(&t);
    assert_true(kept);
}

static size_t mapped_pages(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    size_t pages;

    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%zu", &pages), 1);
    fclose(statm);
    return pages;
}

static void nothing_is_left_of_a_thread_that_could_not_be_made(void **state)
{
    enum { TRIES = 500 };
    struct thread t;
    size_t before = mapped_pages();

    (void)state;
    for (int i = 0; i < TRIES; i++) {
        fail_after(i % 2 == 0 ? FAIL_THREAD : FAIL_MAP, 1);
        assert_int_equal(thread_start(&t, "no", 0, read_large, NULL), -EAGAIN);
    }
    assert_true(mapped_pages() < before + TRIES);
}

static void only_the_planned_thread_fails(void **state)
{
    struct thread t;
    int result = 0;

    (void)state;
    fail_after(FAIL_THREAD, 3);
    for (int i = 1; i <= 4; i++) {
        int rc = thread_start(&t, "third", 0, read_large, &result);

        assert_int_equal(rc, i == 3 ? -EAGAIN : 0);
        if (rc == 0)
            thread_join(&t);
    }
    assert_int_equal(fail_after(FAIL_THREAD, 0), 0);
}

static void tell(void *arg)
{
    _Atomic uint32_t *done = arg;

    store_release(done, 1);
    futex_wake(done, 1);
}

static void a_detached_thread_runs_on(void **state)
{
    static _Atomic uint32_t done;
    static struct thread t;

    (void)state;
    assert_int_equal(thread_start(&t, "detached", 0, tell, &done), 0);
    thread_detach(&t);
    while (load_acquire(&done) == 0)
        futex_wait(&done, 0, CLOCK_NEVER);
}

/* Computes until told to sleep, and sleeps until told to end. */
static void compute_then_sleep(void *arg)
{
    _Atomic uint32_t *step = arg;

    while (load_acquire(step) == 0)
        ;
    while (load_acquire(step) == 1)
        futex_wait(step, 1, CLOCK_NEVER);
}

static void it_is_seen_to_compute_and_to_sleep(void **state)
{
    _Atomic uint32_t step = 0;
    struct thread t;
    int64_t used;

    (void)state;
    if (getenv("RUN") != NULL && strstr(getenv("RUN"), "qemu") != NULL)
        skip(); /* what it shows of threads is its own */
    assert_int_equal(
        thread_start(&t, ") S (", STACK_BYTES, compute_then_sleep, &step), 0);
    while (thread_cpu_time(&t) < 1000000)
        thread_yield();
    assert_false(thread_is_asleep(&t));
    store_release(&step, 1);
    while (!thread_is_asleep(&t))
        thread_yield();
    used = thread_cpu_time(&t);
    thread_yield();
    assert_int_equal(thread_cpu_time(&t), used);
    store_release(&step, 2);
    futex_wake(&step, 1);
    thread_join(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_a_thread_does_to_itself_is_open),
        cmocka_unit_test(the_makers_mask_is_as_before),
        cmocka_unit_test(making_one_leaves_errno_alone),
        cmocka_unit_test(a_name_that_is_too_long_is_cut),
        cmocka_unit_test(the_stack_is_at_least_as_large_as_asked),
        cmocka_unit_test(thread_locals_larger_than_the_stack_do_not_matter),
        cmocka_unit_test(handlers_run_on_a_stack_of_their_own),
        cmocka_unit_test(a_thread_keeps_a_large_signal_stack_of_its_own),
        cmocka_unit_test(nothing_is_left_of_a_thread_that_could_not_be_made),
        cmocka_unit_test(only_the_planned_thread_fails),
        cmocka_unit_test(a_detached_thread_runs_on),
        cmocka_unit_test(it_is_seen_to_compute_and_to_sleep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
