/* Where the kernel refuses epoll_pwait2: is a wait as long, and is that asked once? Is
 * all told anew that is added again? Does who is told see what came before?
 * How: the function of the C library that makes the call is defined here. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/poll.h"

enum { WAITS = 3 };

static unsigned asked;

long syscall(long number, ...)
{
    static long (*real)(long, ...);
    va_list list;
    long a[6];

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_epoll_pwait2) {
        asked++;
        errno = ENOSYS;
        return -1;
    }
    if (real == NULL)
        *(void **)(void *)&real = dlsym(RTLD_NEXT, "syscall");
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void what_is_refused_is_asked_once(void **state)
{
    struct poll_event event;
    struct poll_set set;

    (void)state;
    assert_int_equal(poll_open(&set), 0);
    (void)poll_wait(&set, &event, 1, 0); /* the new eventfd is an edge */
    for (int i = 0; i < WAITS; i++) {
        int64_t until = clock_now() + 1;

        errno = EXDEV;
        assert_int_equal(poll_wait(&set, &event, 1, until), 0);
        assert_int_equal(errno, EXDEV);
        assert_true(clock_now() >= until);
    }
    assert_int_equal(asked, 1);
    poll_interrupt(&set);
    assert_int_equal(poll_wait(&set, &event, 1, INT64_MAX - 1), 1);
    assert_null(poll_key(&event));
    assert_int_equal(asked, 1);
    poll_close(&set);
}

/* It may have been taken out in vain (io/fd.c), by who closed what had its number
 * before; and what is told meanwhile is then taken for the other's. */
static void what_is_added_again_is_told_again(void **state)
{
    struct poll_event event;
    struct poll_set set;
    int ends[2], key;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(poll_open(&set), 0);
    (void)poll_wait(&set, &event, 1, 0); /* the new eventfd is an edge */
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(poll_add(&set, ends[0], &key), 0);
        assert_int_equal(poll_wait(&set, &event, 1, 0), 1);
        assert_ptr_equal(poll_key(&event), &key);
        assert_int_equal(poll_what(&event), POLL_READ);
        assert_int_equal(poll_wait(&set, &event, 1, 0), 0);
    }
    poll_close(&set);
    close(ends[0]);
    close(ends[1]);
}

static void *read_the_key(void *set)
{
    struct poll_event event;

    do /* the new eventfd is an edge */
        (void)poll_wait(set, &event, 1, CLOCK_NEVER);
    while (poll_key(&event) == NULL);
    return (void *)(uintptr_t) * (int *)poll_key(&event);
}

/* Only ThreadSanitizer can tell. */
static void who_is_told_sees_what_came_before(void **state)
{
    pthread_t reader;
    struct poll_set set;
    int ends[2], key;
    void *seen;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(poll_open(&set), 0);
    assert_int_equal(pthread_create(&reader, NULL, read_the_key, &set), 0);
    key = 7;
    assert_int_equal(poll_add(&set, ends[1], &key), 0);
    assert_int_equal(pthread_join(reader, &seen), 0);
    assert_int_equal((uintptr_t)seen, 7);
    poll_close(&set);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_refused_is_asked_once),
        cmocka_unit_test(what_is_added_again_is_told_again),
        cmocka_unit_test(who_is_told_sees_what_came_before),
    };

    return cmocka_run_group_tests_name("poll", tests, NULL, NULL);
}
