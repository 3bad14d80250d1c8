/* Does each job leave the queue once, in order for whoever takes, while an owner
 * pushes and pops and thieves steal? Plain payload: ThreadSanitizer fails when
 * [Q1] to [Q6] do not carry it. With membarrier and without. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "lib/stress.h"
#include "os/barrier.h"
#include "os/thread.h"
#include "parts/queue.h"

enum { THIEVES = 3 };

struct item {
    struct thrum_job_ job;
    uint64_t number, taken; /* plain: the queue orders them */
};

static struct queue queue;
static struct thrum_scope *const stranger = (void *)&queue;
static _Atomic uint32_t over;
static _Atomic uint64_t stolen;
static uint64_t own; /* owner only */

static uint64_t take(struct thrum_job_ *job)
{
    struct item *i = (struct item *)(void *)job;

    must(i->taken++ == 0);
    return i->number;
}

static void thief(void *unused)
{
    uint64_t n = 0, last = 0;

    (void)unused;
    while (load_relaxed(&over) == 0 || queue_count(&queue) > 0) {
        struct thrum_job_ *job = queue_steal(&queue, 1);

        if (job == NULL) {
            sched_yield();
            continue;
        }
        uint64_t number = take(job);

        must(number > last); /* what I take later was pushed later */
        last = number;
        n++;
    }
    add_relaxed(&stolen, n);
}

static void push_some(struct item *at, uint64_t n)
{
    if (n == 1) {
        queue_push(&queue, &at->job);
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        at[i].job.next = i + 1 < n ? &at[i + 1].job : NULL;
    queue_push_all(&queue, &at->job);
}

static void push_and_pop(struct item *items, uint64_t n, struct rng *r)
{
    struct siblings any = {.or_last = true};
    uint64_t at = 0, last = 0;

    while (at < n) {
        uint64_t some = 1 + rng_below(r, 4);
        struct thrum_job_ *job;

        some = some > n - at ? n - at : some;
        for (uint64_t i = at; i < at + some; i++)
            items[i] = (struct item){
                .job.scope = rng_below(r, 2) == 0 ? NULL : stranger,
                .number = i + 1};
        push_some(&items[at], some);
        at += some;
        for (uint32_t pops = rng_below(r, 5); pops > 0; pops--) {
            if ((job = queue_pop(&queue)) == NULL)
                break;
            uint64_t number = take(job);

            must(number > last);
            last = number;
            own++;
        }
        if (rng_below(r, 8) == 0)
            for (job = queue_pop_half(&queue, 3); job != NULL; own++) {
                struct thrum_job_ *next = job->next;
                uint64_t number = take(job);

                must(number > last);
                last = number;
                job = next;
            }
        if (rng_below(r, 2) == 0 && queue_count(&queue) > 0 &&
            (job = queue_pop_child(&queue, &any)) != NULL) {
            (void)take(job);
            own++;
        }
        if (rng_below(r, 300) == 0)
            sched_yield();
    }
}

int main(void)
{
    uint64_t n = stress_scale(200000), seed;
    struct item *items = calloc(n, sizeof *items);
    struct thread t[THIEVES];

    must(items != NULL);
    for (stress_begin(8); stress_next(&seed);) {
        struct rng r;

        rng_init(&r, seed);
        queue_init(&queue, seed % 2 == 0 || !barrier_start());
        store_relaxed(&over, 0);
        for (int i = 0; i < THIEVES; i++)
            must(thread_start(&t[i], "thief", 0, thief, NULL) == 0);
        push_and_pop(items, n, &r);
        store_relaxed(&over, 1);
        for (int i = 0; i < THIEVES; i++)
            thread_join(&t[i]);
        for (uint64_t i = 0; i < n; i++)
            must(items[i].taken == 1);
    }
    printf("%llu popped, %llu stolen\n", (unsigned long long)own,
           (unsigned long long)load_relaxed(&stolen));
    must(load_relaxed(&stolen) > 0);
    free(items);
    return 0;
}
