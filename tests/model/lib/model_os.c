/* What os/ offers, for model programs: a kernel that lives in the checker. */
#include "model_core.h"

#include <errno.h>

#include "os/barrier.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/poll.h"
#include "os/thread.h"

enum {
    TICK_NS = 5000, /* so that loops that watch the clock end */
    SPURIOUS = 2    /* returns for no reason, a thread and execution */
};

/* Time does not pass beyond here: a deadline later than this is as good as none,
 * so that a thread that is not told of an earlier one sleeps for ever. */
static const int64_t far = INT64_MAX / 2;

bool barrier_start(void)
{
    return model_now.scenario->membarrier;
}

int64_t clock_now(void)
{
    model_now.now += TICK_NS;
    if (model_now.running)
        sched_due();
    return model_now.now;
}

void thread_yield(void)
{
    model_yield();
}

/* The kernel compares with the newest value, since it takes a lock that every
 * futex_wake takes too; and the caller will not read an older one. */
int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    if (!model_now.running)
        return -EAGAIN;
    model_step();
    if (memory_newest(word) != expected) {
        trace("futex_wait", word, expected, "not expected", NULL);
        return -EAGAIN;
    }
    if (model_now.scenario->spurious && self()->spurious < SPURIOUS &&
        model_choose(8) == 7) {
        self()->spurious++;
        trace("futex_wait", word, expected, "spurious", NULL);
        return 0;
    }

    /* It may pass now, or, see the scheduler, when nobody else can run. */
    if (deadline_ns <= model_now.now ||
        (deadline_ns < far && model_choose(4) == 3)) {
        if (model_now.now < deadline_ns)
            model_now.now = deadline_ns;
        trace("futex_wait", word, expected, "timed out", NULL);
        return -ETIMEDOUT;
    }
    trace("futex_wait", word, expected, "sleeps", NULL);
    if (deadline_ns >= far)
        deadline_ns = CLOCK_NEVER;
    return sched_sleep(word, deadline_ns) ? -ETIMEDOUT : 0;
}

static struct fiber *any_sleeper(const volatile void *word)
{
    struct fiber *sleepers[MODEL_THREADS];
    int n = 0;

    for (int i = 0; i < model_now.thread_count; i++) {
        struct fiber *t = &model_now.threads[i];

        if (t->state == FIBER_ASLEEP && t->sleeps_on == word)
            sleepers[n++] = t;
    }
    return n == 0 ? NULL : sleepers[model_choose(n)];
}

void futex_wake(_Atomic uint32_t *word, int n)
{
    struct fiber *t;

    if (!model_now.running)
        return;
    model_step();
    trace("futex_wake", word, (uint64_t)n, NULL, NULL);
    while (n-- > 0 && (t = any_sleeper(word)) != NULL) {
        trace("wakes", NULL, 0, t->name, NULL);
        sched_wake(t);
    }
}

/* -------------------------------------------------------------- descriptors */

void __tsan_release(const void *p); /* model_plain.c */
void __tsan_acquire(const void *p);

/* A set is two numbers: what is to be told, and whether a wait is to end. */
static void end_a_wait(struct poll_set *set)
{
    struct fiber *t = any_sleeper(set);

    if (t != NULL) {
        trace("wakes", NULL, 0, t->name, NULL);
        sched_wake(t);
    }
}

void poll_interrupt(struct poll_set *set)
{
    if (!model_now.running)
        return;
    model_step();
    trace("poll_interrupt", set, 0, NULL, NULL);
    model_plain_read(set); /* which descriptors */
    if (model_now.scenario->poll_orders)
        __tsan_release(set);
    set->wakeup = 1;
    end_a_wait(set);
}

static void tell(struct poll_set *set)
{
    trace("tell", set, 0, NULL, NULL);
    set->epoll++;
    end_a_wait(set);
}

void model_tell(struct poll_set *set)
{
    model_step();
    tell(set);
}

/* The one descriptor: the set it was added to. */
static struct poll_set *added_to;
static void *added_as;

/* A model of descriptors has a kernel of its own. */
__attribute__((weak)) int poll_add(struct poll_set *set, int fd, void *key)
{
    (void)fd;
    model_step();
    added_to = set;
    added_as = key;
    tell(set); /* it might be ready now */
    return 0;
}

__attribute__((weak)) int poll_check(struct poll_set *set, int fd, void *key)
{
    (void)fd;
    if (!model_now.running)
        return -ENOENT;
    model_step();
    return added_to == set && added_as == key ? 0 : -ENOENT;
}

void model_edge(void)
{
    model_step();
    if (added_to != NULL)
        tell(added_to);
}

/* What was to be told of it is not. */
void model_no_descriptor(void)
{
    if (model_now.running && added_to != NULL)
        added_to->epoll = 0;
    added_to = NULL;
}

static int take_what_is_told(struct poll_set *set, struct poll_event *events)
{
    int n = 0;

    if (set->epoll > 0) {
        set->epoll--;
        events[n].of.events = EPOLLIN;
        events[n++].of.data.ptr = set == added_to ? added_as : set;
    }
    if (set->wakeup) {
        if (model_now.scenario->poll_orders)
            __tsan_acquire(set);
        set->wakeup = 0;
        events[n].of.events = EPOLLIN;
        events[n++].of.data.ptr = NULL;
    }
    trace(n > 0 ? "poll tells" : "poll", set, (uint64_t)n, NULL, NULL);
    return n;
}

int poll_wait(struct poll_set *set, struct poll_event *events, int most,
              int64_t until)
{
    int n;

    (void)most;
    if (!model_now.running)
        return 0;
    model_step();
    model_plain_read(set);
    n = take_what_is_told(set, events);
    if (n > 0 || until <= model_now.now)
        return n;
    if (until < far && model_choose(4) == 3) {
        model_now.now = until;
        return 0;
    }
    do { /* who polls meanwhile may take what we were woken for */
        trace("poll_wait", set, 0, "sleeps", NULL);
        if (sched_sleep(set, until >= far ? CLOCK_NEVER : until))
            return 0;
        n = take_what_is_told(set, events);
    } while (n == 0);
    return n;
}

void poll_until_ready(struct poll_set *set, int64_t until)
{
    if (!model_now.running)
        return;
    model_step();
    while (set->epoll == 0 && !set->wakeup) {
        trace("poll_until_ready", set, 0, "sleeps", NULL);
        if (sched_sleep(set, until >= far ? CLOCK_NEVER : until))
            return;
    }
}
