/* Is each fork run once, by its owner or by one thief, with what the forker wrote
 * into it? An owner forks and joins at random over several segments, thieves
 * steal; all payload is plain, so ThreadSanitizer fails when [D1], [D2], [D6] or
 * [D7] is too weak to carry it. With membarrier and without. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/base.h"
#include "lib/stress.h"
#include "os/barrier.h"
#include "os/thread.h"
#include "parts/deque.h"

enum { THIEVES = 3, SEGMENTS = 3 };

/* The scope of forks; never followed. */
#define SCOPE ((struct thrum_scope *)(uintptr_t)0x1000)

/* A fork's site word when it has ended elsewhere. */
static const struct thrum_site_ forked = {NULL, "fork", ""};
static const struct thrum_site_ done = {NULL, "done", ""};

/* What a fork computes, from its own record alone. */
struct payload {
    uint64_t in, check, out;
};

static struct thrum_deque_ *segment[SEGMENTS];
static bool fenced;
static _Atomic uint32_t hungry, over;
static _Atomic uint64_t stolen;
static uint64_t own; /* owner only */

static struct payload *payload_of(struct thrum_job_ *slot)
{
    return (struct payload *)(void *)slot->u.bytes;
}

static uint64_t answer_to(uint64_t in)
{
    return in * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

/* Once: the record is changed so that a second time would be seen. */
static void run(struct thrum_job_ *slot)
{
    struct payload *p = payload_of(slot);

    must(p->check == ~p->in);
    p->check = 0;
    p->out = answer_to(p->in);
}

/* Once it is said that one is done its slot may be another's. */
static uint64_t run_all(struct thrum_job_ *job)
{
    struct thrum_job_ *next;
    uint64_t n = 0;

    for (; job != NULL; job = next, n++) {
        next = job->next;
        must(job->taken == SCOPE);
        run(job);
        store_release(&job->site, &done); /* as sched/fork.c does */
    }
    return n;
}

/* Up to so many at once; 0: as many as it is worth while. */
static void thief(void *most)
{
    struct thrum_job_ *jobs;
    uint32_t n = *(const uint32_t *)most;
    uint64_t ran = 0;

    while (load_relaxed(&over) == 0) { /* nothing to carry */
        if (deque_steal(segment[0], false, n ? n : deque_share(segment[0]),
                        &jobs) == STEAL_GOT)
            ran += run_all(jobs);
        else
            sched_yield();
    }
    add_relaxed(&stolen, ran);
}

/* -------------------------------------------------------------------- owner */

struct owner {
    struct thrum_job_ *newest;
    uint64_t open[SEGMENTS * 600], next; /* what was forked, newest last */
    size_t depth;
    struct rng rng;
};

/* A segment is full: what thrum_publish_ leaves to the library. */
static struct thrum_job_ *fill_last(struct thrum_deque_ *full)
{
    struct thrum_job_ *last = deque_last_slot(full);
    int i = 0;

    while (segment[i] != full)
        i++;
    store_relaxed(&last->site, &forked);
    store_release(&last->scope, SCOPE);
    if (load_relaxed(&full->next) == NULL) {
        deque_init(segment[i + 1], segment[0], &hungry, fenced);
        store_relaxed(&segment[i + 1]->scope, SCOPE); /* not linked yet */
        deque_link(full, segment[i + 1]);
    }
    return deque_first_slot(segment[i + 1]) - 1;
}

static void fork_one(struct owner *o)
{
    struct thrum_job_ *slot = o->newest + 1;
    struct thrum_deque_ *s = thrum_deque_of_(slot);

    *payload_of(slot) = (struct payload){o->next, ~o->next, 0};
    o->open[o->depth++] = o->next++;
    if (!thrum_is_last_(slot))
        o->newest = thrum_publish_(s, slot, &forked);
    else
        o->newest = fill_last(s);
}

static void join_one(struct owner *o)
{
    struct thrum_job_ *slot = o->newest;
    bool mine = thrum_take_back_(slot) ||
                deque_take_back(o->newest, &slot) == TAKE_MINE;

    if (mine) {
        run(slot);
        own++;
    } else {
        while (load_acquire(&slot->site) != &done)
            sched_yield();
    }
    must(payload_of(slot)->in == o->open[--o->depth]);
    must(payload_of(slot)->check == 0);
    must(payload_of(slot)->out == answer_to(payload_of(slot)->in));
    if (!mine)
        deque_forget(slot);
    o->newest = slot - 1;
}

/* As a suspending task does: the oldest ones itself. */
static void steal_own(struct owner *o)
{
    struct thrum_job_ *jobs;
    uint32_t most = rng_below(&o->rng, 2) ? 1 : deque_share(segment[0]);

    if (deque_steal(segment[0], true, most, &jobs) == STEAL_GOT)
        (void)run_all(jobs);
}

/* Up and down, mostly near the bottom, where owner and thieves meet; now and
 * then over the border of two segments. */
static void fork_and_join(struct owner *o, uint64_t steps)
{
    size_t most = 2 * SEGMENT_BYTES / 64;

    for (uint64_t i = 0; i < steps; i++) {
        size_t high = rng_below(&o->rng, 200) ? rng_below(&o->rng, 6) : most;
        size_t low = rng_below(&o->rng, 3) ? 0 : high / 2;

        while (o->depth < high) {
            fork_one(o);
            if (rng_below(&o->rng, 64) == 0)
                steal_own(o);
            if (rng_below(&o->rng, 500) == 0)
                sched_yield();
        }
        while (o->depth > low)
            join_one(o);
    }
    while (o->depth > 0)
        join_one(o);
}

static void one_round(uint64_t seed)
{
    static const uint32_t most[THIEVES] = {1, 3, 0};
    static struct owner o;
    struct thread t[THIEVES];

    fenced = seed % 2 == 0 || !barrier_start();
    deque_init(segment[0], segment[0], &hungry, fenced);
    store_relaxed(&segment[0]->scope, SCOPE); /* no thief yet */
    o = (struct owner){.newest = deque_first_slot(segment[0]) - 1};
    rng_init(&o.rng, seed);
    store_relaxed(&over, 0);
    for (int i = 0; i < THIEVES; i++)
        must(thread_start(&t[i], "thief", 0, thief, (void *)&most[i]) == 0);
    fork_and_join(&o, stress_scale(30000));
    store_relaxed(&over, 1);
    for (int i = 0; i < THIEVES; i++)
        thread_join(&t[i]);
    must(!deque_any_own(segment[0]));
}

int main(void)
{
    uint64_t seed;

    for (int i = 0; i < SEGMENTS; i++) {
        char *mem = aligned_alloc(SEGMENT_BYTES, 2 * (size_t)SEGMENT_BYTES);

        must(mem != NULL);
        memset(mem, 0, 2 * (size_t)SEGMENT_BYTES);
        segment[i] = (void *)(mem + SEGMENT_BYTES - SEGMENT_HEAD);
    }
    for (stress_begin(8); stress_next(&seed);)
        one_round(seed);
    printf("%llu taken back, %llu stolen\n", (unsigned long long)own,
           (unsigned long long)load_relaxed(&stolen));
    must(load_relaxed(&stolen) > 0);
    for (int i = 0; i < SEGMENTS; i++)
        free((char *)segment[i] + SEGMENT_HEAD - SEGMENT_BYTES);
    return 0;
}
