/* Does each job leave the inbox once, and each adder's in the order he added
 * them, and does the counter come back to zero? Plain payload: ThreadSanitizer
 * fails when [B1] -> [B2] does not carry it. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "lib/stress.h"
#include "os/thread.h"
#include "parts/inbox.h"

enum { ADDERS = 3, TAKERS = 2 };

struct item {
    struct thrum_job_ job;
    uint64_t adder, number, taken; /* plain: the inbox orders them */
};

struct adder {
    struct thread thread;
    struct item *items;
    uint64_t index, n, seed;
};

static struct inbox inbox;
static _Atomic uint64_t taken, all;

static void add_some(struct adder *a, uint64_t at, uint64_t n)
{
    for (uint64_t i = at; i < at + n; i++)
        a->items[i] = (struct item){
            .job.next = i + 1 < at + n ? &a->items[i + 1].job : NULL,
            .adder = a->index,
            .number = i};
    if (n == 1)
        inbox_add(&inbox, &a->items[at].job);
    else
        inbox_add_all(&inbox, &a->items[at].job);
}

static void add(void *arg)
{
    struct adder *a = arg;
    struct rng r;

    rng_init(&r, a->seed);
    for (uint64_t i = 0, some; i < a->n; i += some) {
        some = 1 + rng_below(&r, 4);
        some = some > a->n - i ? a->n - i : some;
        add_some(a, i, some);
        must(load_relaxed(&all) > 0);
        if (rng_below(&r, 100) == 0)
            sched_yield();
    }
}

static void take(void *unused)
{
    (void)unused;
    while (load_relaxed(&taken) < load_relaxed(&all)) {
        struct thrum_job_ *job = inbox_take_all(&inbox);
        uint64_t next[ADDERS] = {0}, n = 0;

        if (job == NULL) {
            sched_yield();
            continue;
        }
        for (; job != NULL; n++) {
            struct item *i = (struct item *)(void *)job;

            must(i->taken++ == 0);
            must(i->number >= next[i->adder]); /* in one batch */
            next[i->adder] = i->number + 1;
            job = job->next;
        }
        add_relaxed(&taken, n);
    }
}

static void one_round(struct adder *a, uint64_t seed)
{
    struct thread taker[TAKERS];

    inbox_init(&inbox);
    store_relaxed(&taken, 0);
    for (int i = 0; i < TAKERS; i++)
        must(thread_start(&taker[i], "taker", 0, take, NULL) == 0);
    for (uint64_t i = 0; i < ADDERS; i++) {
        a[i].index = i;
        a[i].seed = seed + i;
        must(thread_start(&a[i].thread, "adder", 0, add, &a[i]) == 0);
    }
    for (int i = 0; i < ADDERS; i++)
        thread_join(&a[i].thread);
    for (int i = 0; i < TAKERS; i++)
        thread_join(&taker[i]);
    must(load_relaxed(&inbox.count) == 0);
    must(!inbox_any(&inbox));
    for (int i = 0; i < ADDERS; i++)
        for (uint64_t k = 0; k < a[i].n; k++)
            must(a[i].items[k].taken == 1);
}

int main(void)
{
    struct adder a[ADDERS];
    uint64_t seed, n = stress_scale(60000), total = 0;

    for (int i = 0; i < ADDERS; i++) {
        a[i].n = n;
        a[i].items = calloc(n, sizeof *a[i].items);
        must(a[i].items != NULL);
    }
    store_relaxed(&all, n * ADDERS);
    for (stress_begin(8); stress_next(&seed); total += n * ADDERS)
        one_round(a, seed);
    printf("%llu jobs\n", (unsigned long long)total);
    for (int i = 0; i < ADDERS; i++)
        free(a[i].items);
    return 0;
}
