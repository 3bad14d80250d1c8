/* Does all that is a task's move with it? Tasks yield, sleep and wait at random
 * depths on several workers; after each they check their frames, registers that
 * a call preserves, floating point, errno where nothing promised otherwise, and
 * that thread-locals are those of the thread they are on now. */
/* link: -lm */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <thrum/offload.h>
#include <thrum/run.h>
#include <thrum/task.h>

#include "base/atomic.h"
#include "lib/stress.h"

enum { TASKS = 40, DEPTH = 12 };

static _Thread_local pthread_t of_thread;
static _Atomic uint64_t moves, stays;

/* The thread this runs on, twice: by pthread and by a thread-local. */
static __attribute__((noinline)) pthread_t thread_now(void)
{
    __asm__ volatile("" ::: "memory");
    if (of_thread == 0)
        of_thread = pthread_self();
    must(pthread_equal(of_thread, pthread_self()));
    return pthread_self();
}

static __attribute__((noinline)) void set_errno(int e)
{
    errno = e;
    __asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) int get_errno(void)
{
    __asm__ volatile("" ::: "memory");
    return errno;
}

static thrum_err *nothing(void *arg)
{
    return arg;
}

/* Whether errno is kept: a pool that grows makes threads. */
static bool go_away(struct rng *r)
{
    thrum_task t;

    switch (rng_below(r, 8)) {
    case 0:
        must(thrum_sleep(THRUM_US(1 + rng_below(r, 50))) == 0);
        break;
    case 1:
    case 2:
    case 3: /* whoever is free goes on with it */
        must(thrum_offload(nothing, NULL) == NULL);
        return false;
    case 4:
        thrum_fork(&t, nothing, NULL);
        thrum_yield();
        must(thrum_join(&t) == NULL);
        break;
    default:
        thrum_yield();
    }
    return true;
}

/* Values that the compiler keeps in registers and on the frame across the call:
 * more than there are registers to preserve. */
static __attribute__((noinline)) uint64_t dive(struct rng *r, int depth,
                                               uint64_t x)
{
    uint64_t a = x ^ 1, b = x * 3, c = x + 7, d = ~x, e = x << 3, f = x >> 5;
    double g = (double)(x % 1000) + 0.5, h = sqrt(g);
    unsigned char frame[64];
    pthread_t before = thread_now();

    memset(frame, (int)(x & 255), sizeof frame);
    set_errno((int)(x % 100) + 1);
    if (go_away(r))
        must(get_errno() == (int)(x % 100) + 1);
    if (pthread_equal(before, thread_now()))
        add_relaxed(&stays, 1);
    else
        add_relaxed(&moves, 1);

    if (depth > 0)
        x = dive(r, depth - 1, x * 5 + 1);
    (void)go_away(r);
    for (size_t i = 0; i < sizeof frame; i++)
        must(frame[i] == frame[0]);
    must(h == sqrt(g));
    return x + a + b + c + d + e + f + (uint64_t)g;
}

/* The same without going anywhere. */
static uint64_t expected(int depth, uint64_t x)
{
    uint64_t a = x ^ 1, b = x * 3, c = x + 7, d = ~x, e = x << 3, f = x >> 5;
    uint64_t g = x % 1000;

    if (depth > 0)
        x = expected(depth - 1, x * 5 + 1);
    return x + a + b + c + d + e + f + g;
}

static thrum_err *travel(void *seed)
{
    uint64_t x = *(uint64_t *)seed;
    struct rng r;

    rng_init(&r, x);
    for (int i = 0; i < 3; i++, x++)
        must(dive(&r, DEPTH, x) == expected(DEPTH, x));
    return NULL;
}

static thrum_err *send_all(void *seed)
{
    for (uint64_t i = 0; i < TASKS; i++) {
        uint64_t own = *(uint64_t *)seed * 1000 + i;

        must(thrum_spawn(NULL, travel, &own, sizeof own) == 0);
    }
    return NULL;
}

int main(void)
{
    uint64_t seed;

    for (stress_begin(stress_scale(40)); stress_next(&seed);) {
        thrum_opts opts = {.workers = 2 + (unsigned)(seed % 4)};

        must(thrum_run(&opts, send_all, &seed) == NULL);
    }
    printf("%llu times moved, %llu times not\n",
           (unsigned long long)load_relaxed(&moves),
           (unsigned long long)load_relaxed(&stays));
    must(load_relaxed(&moves) > 100);
    return 0;
}
