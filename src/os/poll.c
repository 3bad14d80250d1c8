#include "os/poll.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/base.h"
#include "base/sanitize.h"
#include "os/clock.h"
#include "os/fail.h"

static _Atomic bool is_coarse; /* code: relaxed */

/* tsan_promise, tsan_rely: ThreadSanitizer takes the uses of a descriptor before
 * its close for a race, unless it is told that they have ended. */

static int add(struct poll_set *set, int op, int fd, void *key)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLPRI |
                                          EPOLLRDHUP | EPOLLET};
    int saved = errno;
    int rc;

    event.data.ptr = key;
    if (key != NULL)
        tsan_release(key); /* the kernel tells it, with all that came before */
    tsan_rely(set);
    if (SANITIZE_NOSYNC) /* a number may be another file's by now: it is asked */
        tsan_ignore_begin();
    rc = epoll_ctl(set->epoll, op, fd, &event) < 0 ? -errno : 0;
    if (SANITIZE_NOSYNC)
        tsan_ignore_end();
    tsan_promise(set);
    errno = saved;
    return rc;
}

static int open_both(struct poll_set *set)
{
    set->timer = -1;
    if (fail_now(FAIL_POLL))
        return -EMFILE;
    set->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (set->epoll < 0)
        return -errno;
    set->wakeup = fail_now(FAIL_POLL) ? (errno = EMFILE, -1)
                                      : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (set->wakeup < 0) {
        int rc = -errno;

        close(set->epoll);
        return rc;
    }
    return 0;
}

/* The eventfd is never read: each write is an edge. */
int poll_open(struct poll_set *set)
{
    int saved = errno;
    int rc = open_both(set);

    if (rc == 0 && (rc = poll_add(set, set->wakeup, NULL)) < 0)
        poll_close(set);
    tsan_promise(set);
    errno = saved;
    return rc;
}

void poll_close(struct poll_set *set)
{
    tsan_rely(set);
    if (set->timer >= 0)
        close(set->timer);
    close(set->wakeup);
    close(set->epoll);
}

/* The timer is never read either: it is set anew. That an eventfd may be written to
 * is told once, and is no news. */
int poll_open_timed(struct poll_set *set)
{
    struct poll_event none[2];
    int saved = errno;
    int rc = poll_open(set);

    if (rc < 0)
        return rc;
    set->timer = fail_now(FAIL_POLL)
                     ? (errno = EMFILE, -1)
                     : timerfd_create(CLOCK_MONOTONIC,
                                      TFD_CLOEXEC | TFD_NONBLOCK);
    rc = set->timer < 0 ? -errno : poll_add(set, set->timer, NULL);
    if (rc < 0)
        poll_close(set);
    else
        (void)poll_wait(set, none, 2, 0);
    errno = saved;
    return rc;
}

int poll_add(struct poll_set *set, int fd, void *key)
{
    int rc;

    if (fail_now(FAIL_WATCH))
        return -ENOSPC;
    rc = add(set, EPOLL_CTL_ADD, fd, key);
    return rc == -EEXIST ? poll_check(set, fd, key) : rc;
}

int poll_check(struct poll_set *set, int fd, void *key)
{
    return add(set, EPOLL_CTL_MOD, fd, key);
}

/* Where the kernel has no nanoseconds (before 5.11), or a container's filter does
 * not know them (which may say EPERM), milliseconds, rounded up. It is asked once:
 * valgrind writes some lines each time. */
static int wait_coarse(struct poll_set *set, struct epoll_event *events,
                       int most, int64_t ns)
{
    int64_t ms = ns / 1000000 + (ns % 1000000 != 0);

    return epoll_wait(set->epoll, events, most,
                      ms > INT32_MAX ? INT32_MAX : (int)ms);
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000,
                             .tv_nsec = (long)(ns % 1000000000)};
}

static int64_t left_until(int64_t until)
{
    int64_t ns = until - clock_now();

    return ns < 0 ? 0 : ns;
}

static int wait_until(struct poll_set *set, struct epoll_event *events,
                      int most, int64_t until)
{
    int64_t ns = left_until(until);
    struct timespec left = timespec_of(ns);
    int n;

    if (load_relaxed(&is_coarse)) /* a hint: who misses it asks once more */
        return wait_coarse(set, events, most, ns);
    n = (int)syscall(SYS_epoll_pwait2, set->epoll, events, most, &left, NULL,
                     0);
    if (n >= 0 || errno == EINTR)
        return n;
    n = wait_coarse(set, events, most, ns);
    if (n >= 0) /* so it was nothing else that was wrong */
        store_relaxed(&is_coarse, true);
    return n;
}

static void acquire_keys(const struct poll_event *events, int n)
{
    for (int i = 0; i < n; i++)
        if (poll_key(&events[i]) != NULL)
            tsan_acquire(poll_key(&events[i]));
}

int poll_wait(struct poll_set *set, struct poll_event *events, int most,
              int64_t until)
{
    struct epoll_event *raw = &events->of; /* nothing else is in it */
    int saved = errno;
    int n;

    tsan_rely(set);
    if (until == 0 || until == CLOCK_NEVER)
        n = (int)syscall(SYS_epoll_pwait, set->epoll, raw, most,
                         until == 0 ? 0 : -1, NULL, 0);
    else
        n = wait_until(set, raw, most, until);
    if (unlikely(n < 0 && errno != EINTR))
        die_refused("epoll_pwait", errno);
    acquire_keys(events, n);
    tsan_promise(set);
    errno = saved;
    return n < 0 ? 0 : n;
}

void poll_interrupt(struct poll_set *set)
{
    static const uint64_t one = 1;
    int saved = errno;

    tsan_rely(set);
    (void)!write(set->wakeup, &one, sizeof one);
    tsan_promise(set);
    errno = saved;
}

void poll_ready_at(struct poll_set *set, int64_t until)
{
    struct itimerspec at = {{0, 0}, {0, 0}}; /* it is set to no time */
    int saved = errno;

    if (until != CLOCK_NEVER)
        at.it_value = timespec_of(until > 0 ? until : 1);
    (void)timerfd_settime(set->timer, TFD_TIMER_ABSTIME, &at, NULL);
    errno = saved;
}

void poll_until_ready(struct poll_set *set, int64_t until)
{
    struct pollfd p = {.fd = set->epoll, .events = POLLIN};
    int saved = errno;

    if (until == CLOCK_NEVER) {
        (void)ppoll(&p, 1, NULL, NULL);
    } else {
        struct timespec left = timespec_of(left_until(until));

        (void)ppoll(&p, 1, &left, NULL);
    }
    errno = saved;
}
