/* Does exactly one of many wakers win, against a sleeper that falls asleep in the
 * meantime, and does the sleeper see what that one did? The sleeper's frame is
 * plain memory that the winner writes: ThreadSanitizer fails when [W1], [W2] or
 * [W3] does not carry it. A parker per side says when a round begins and ends. */
#include <sched.h>
#include <stdio.h>

#include "base/base.h"
#include "lib/stress.h"
#include "os/clock.h"
#include "os/thread.h"
#include "parts/parker.h"
#include "parts/waiter.h"

enum { WAKERS = 2 }; /* the cause says which one won */

static struct waiter waiter;
static struct {
    uint64_t at_rest, value;
} frame; /* plain: what a stack and its registers would be */
static uint64_t gift[WAKERS]; /* plain: what a waker did before */

static struct parker go[WAKERS], ended[WAKERS], resumed;
static uint64_t rounds, early, late;
static _Atomic uint32_t wins;

static enum wake cause_of(uint64_t me)
{
    return me == 0 ? WAKE_EVENT : WAKE_DEADLINE;
}

static void wake(void *arg)
{
    uint64_t me = (uint64_t)(uintptr_t)arg;

    for (uint64_t i = 1; i <= rounds; i++) {
        enum claim claim;

        (void)parker_park(&go[me], CLOCK_NEVER);
        for (volatile uint64_t k = 0; k < i % 256; k++)
            cpu_relax();
        gift[me] = i;
        claim = waiter_claim(&waiter, cause_of(me));
        if (claim != CLAIM_LOST)
            add_relaxed(&wins, 1);
        if (claim == CLAIM_WAKE) {
            must(frame.at_rest == i); /* [W1] */
            frame.value = i;
            parker_unpark(&resumed);
        }
        parker_unpark(&ended[me]);
    }
}

static void one_round(uint64_t i)
{
    enum wake cause;
    bool asleep;

    waiter_arm(&waiter);
    for (int k = 0; k < WAKERS; k++)
        parker_unpark(&go[(i + (uint64_t)k) % WAKERS]);
    frame.at_rest = i;
    if (i % 4 == 0)
        for (volatile uint64_t k = 0; k < i % 512; k++)
            cpu_relax();
    /* Now and then only wait to be claimed, as a stack does that cannot leave. */
    asleep = i % 3 != 0 && waiter_fall_asleep(&waiter);
    if (asleep) {
        (void)parker_park(&resumed, CLOCK_NEVER);
        must(frame.value == i);
    }
    while ((cause = waiter_cause(&waiter)) < WAKE_EVENT)
        sched_yield();
    must(gift[cause == WAKE_EVENT ? 0 : 1] == i);
    asleep ? late++ : early++;
    for (int k = 0; k < WAKERS; k++)
        (void)parker_park(&ended[k], CLOCK_NEVER);
    must(load_relaxed(&wins) == 1);
    store_relaxed(&wins, 0);
}

int main(void)
{
    uint64_t seed;

    rounds = stress_scale(4000);
    for (int k = 0; k < WAKERS; k++) {
        parker_init(&go[k]);
        parker_init(&ended[k]);
    }
    parker_init(&resumed);
    for (stress_begin(3); stress_next(&seed);) {
        struct thread t[WAKERS];

        for (int k = 0; k < WAKERS; k++)
            must(thread_start(&t[k], "waker", 0, wake, (void *)(uintptr_t)k) ==
                 0);
        for (uint64_t i = 1; i <= rounds; i++)
            one_round(i);
        for (int k = 0; k < WAKERS; k++)
            thread_join(&t[k]);
    }
    printf("%llu claimed early, %llu asleep\n", (unsigned long long)early,
           (unsigned long long)late);
    return 0;
}
