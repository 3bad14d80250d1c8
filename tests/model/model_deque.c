/* Deque, an owner that forks and joins against thieves: each fork is run once,
 * and who runs it sees what the forker wrote, the joiner what the runner wrote.
 * With membarrier, and without. */
#include "parts/deque.c"

#include <string.h>

#include "os/barrier.h"

enum { FORKS = 5, RESULT = 100, ARENA = 6 };

static const struct thrum_site_ site = {NULL, "fork", ""};
static const struct thrum_site_ done = {NULL, "done", ""};
static const struct thrum_site_ joined = {NULL, "joined", ""};
static struct thrum_scope *const scope = (struct thrum_scope *)&site;

static _Alignas(SEGMENT_BYTES) char arena[ARENA][SEGMENT_BYTES];
static struct thrum_deque_ *first, *second;
static _Atomic uint32_t hungry;
static int runs[FORKS];

/* the owner's: the newest fork that is not joined, or a sentinel */
static struct thrum_job_ *newest;
static int forked;

/* ----------------------------------------------- what the inline code calls */

/* Without membarrier everybody is always hungry; here nobody minds. A segment
 * that was filled has a next one, whose sentinel stands for the last slot. */
struct thrum_job_ *thrum_publish_slow_(struct thrum_job_ *slot)
{
    struct thrum_deque_ *segment = thrum_deque_of_(slot);

    if (!thrum_is_last_(slot))
        return slot;
    if (load_relaxed(&segment->next) == NULL) {
        deque_init(second, first, &hungry, !barrier_start());
        store_relaxed(&second->scope, scope);
        deque_link(segment, second);
    }
    return sentinel(second);
}

/* ---------------------------------------------------------------- the owner */

static void fork_one(void)
{
    int id = forked++;

    memcpy((newest + 1)->u.bytes, &id, sizeof id);
    newest = thrum_publish_(first, newest + 1, &site);
}

static void run(struct thrum_job_ *slot)
{
    int id;

    memcpy(&id, slot->u.bytes, sizeof id);
    MODEL_ASSERT(id >= 0 && id < FORKS);
    MODEL_ASSERT(load_relaxed(&slot->site) == &site);
    MODEL_ASSERT(runs[id] == 0);
    runs[id]++;
    id += RESULT;
    memcpy(slot->u.bytes, &id, sizeof id);
}

static void wait_until_done(struct thrum_job_ *slot, int expected)
{
    int result;

    while (load_acquire(&slot->site) != &done)
        cpu_relax();
    memcpy(&result, slot->u.bytes, sizeof result);
    MODEL_ASSERT(result == expected + RESULT);
}

/* With those that were joined early, and lie below. */
static void give_back(struct thrum_job_ *slot)
{
    struct thrum_job_ *below;

    newest = slot - 1;
    while ((below = deque_fork(newest)) != NULL &&
           load_relaxed(&below->site) == &joined) {
        deque_forget(below);
        newest = below - 1;
    }
}

/* The newest one, as the inline code and sched/fork.c do it. */
static void join_one(int id)
{
    struct thrum_job_ *slot = newest;

    if (thrum_take_back_(slot)) {
        newest = slot - 1;
        run(slot);
    } else if (deque_take_back(newest, &slot) == TAKE_MINE) {
        give_back(slot);
        run(slot);
    } else {
        wait_until_done(slot, id);
        deque_forget(slot);
        give_back(slot);
    }
}

/* Without memory for a stack to wait on, another job is run on this one. */
static void join_one_and_work_meanwhile(int id)
{
    struct thrum_job_ *slot;

    if (deque_take_back(newest, &slot) == TAKE_MINE) {
        run(slot);
    } else {
        newest = deque_newest(first);
        MODEL_ASSERT(newest == slot);
        fork_one();
        join_one(forked - 1);
        wait_until_done(slot, id);
        deque_forget(slot);
    }
    newest = slot - 1;
}

/* Any of this stack's forks, as sched/fork.c does it: only the oldest can be
 * taken, so those that are older are run on the way. */
static void join_early(struct thrum_job_ *slot, int id)
{
    struct thrum_job_ *job;

    while (!deque_taken(slot)) {
        if (deque_steal(first, true, 1, &job) != STEAL_GOT)
            continue;
        run(job);
        store_release(&job->site, &done);
    }
    wait_until_done(slot, id);
    store_relaxed(&slot->site, &joined);
    deque_claim(first, 1);
}

static void fork_join_one(void)
{
    fork_one();
    join_one(0);
}

static void fork_join_twice(void)
{
    fork_one();
    join_one(0);
    fork_one();
    join_one(1);
}

static void fork_three_join_three(void)
{
    fork_one();
    fork_one();
    fork_one();
    join_one(2);
    join_one(1);
    join_one(0);
}

static void fork_two_join_one_fork_one(void)
{
    fork_one();
    fork_one();
    join_one(1);
    fork_one();
    join_one(2);
    join_one(0);
}

static void fork_across_twice(void)
{
    fork_one();
    fork_one();
    fork_one();
    join_one(2);
    fork_one();
    join_one(3);
    join_one(1);
    join_one(0);
}

static void fork_two_join_the_oldest_first(void)
{
    fork_one();
    fork_one();
    join_early(newest - 1, 0);
    join_one(1);
    MODEL_ASSERT(newest == sentinel(first));
    fork_one();
    join_one(2);
}

/* The owner takes the last of a segment, and the first of the next. */
static void fork_across_join_early(void)
{
    fork_one();
    fork_one();
    fork_one();
    fork_one();
    join_early(newest - 1, 2);
    join_one(3);
    join_one(1);
    join_one(0);
    fork_one();
    join_one(4);
}

/* The first may be claimed, together with the second or alone, or taken. */
static void fork_three_join_the_oldest_first(void)
{
    fork_one();
    fork_one();
    fork_one();
    join_early(newest - 2, 0);
    join_one(2);
    join_one(1);
    MODEL_ASSERT(newest == sentinel(first));
}

/* As who is asked to let others go first, to have the next join come by. */
static void fork_three_claim_all(void)
{
    fork_one();
    fork_one();
    deque_claim(first, UINT32_MAX);
    fork_one();
    deque_claim(first, UINT32_MAX);
    join_one(2);
    join_one(1);
    fork_one();
    join_one(3);
    join_one(0);
}

static void fork_one_join_it_at_work(void)
{
    fork_one();
    join_one_and_work_meanwhile(0);
}

/* Before a stack is put away, its forks go where others find them. */
static void fork_two_give_all(void)
{
    struct thrum_job_ *job, *given[2];
    int n = 0;

    fork_one();
    fork_one();
    while (deque_any_own(first))
        if (deque_steal(first, true, 1, &job) == STEAL_GOT)
            given[n++] = job;
    while (n > 0) {
        run(given[--n]);
        store_release(&given[n]->site, &done);
    }
    join_one(1);
    join_one(0);
}

/* ------------------------------------------------------------------ thieves */

/* Who joined a fork may use its slot again at once. */
static void steal(uint32_t n)
{
    struct thrum_job_ *job, *next;

    if (deque_steal(first, false, n, &job) != STEAL_GOT)
        return;
    for (; job != NULL; job = next) {
        next = job->next;
        MODEL_ASSERT(job->taken == scope);
        run(job);
        store_release(&job->site, &done);
    }
}

static void steal_one(void)
{
    steal(1);
}

static void steal_two_at_once(void)
{
    steal(2);
}

static void steal_twice(void)
{
    steal_one();
    steal_one();
}

/* ---------------------------------------------------------------- scenarios */

/* Slots of a segment begin at a border, its head lies below; never at a multiple
 * of 4 GiB. */
static struct thrum_deque_ *segment_at(int n)
{
    char *border = arena[n];

    if ((uint32_t)(uintptr_t)arena[1] == 0 ||
        (uint32_t)(uintptr_t)arena[3] == 0)
        border += SEGMENT_BYTES;
    return (struct thrum_deque_ *)(void *)(border - SEGMENT_HEAD);
}

static void clear(struct thrum_deque_ *segment, struct thrum_job_ *from)
{
    memset((void *)segment, 0, SEGMENT_HEAD);
    memset((void *)from, 0, FORKS * sizeof *from);
}

static void setup(void)
{
    first = segment_at(1);
    second = segment_at(3);
    clear(first, deque_first_slot(first));
    clear(second, deque_first_slot(second));
    store_relaxed(&hungry, !barrier_start());
    deque_init(first, first, &hungry, !barrier_start());
    deque_set_scope(first, first->head, scope);
    newest = sentinel(first);
    forked = 0;
    memset(runs, 0, sizeof runs);

    model_name(&first->top, "top");
    model_name(&first->fenced, "top (fenced)");
    model_name(&second->top, "top of second");
    model_name(&second->fenced, "top of second (fenced)");
    model_name(&first->next, "next");
    model_name(&hungry, "hungry");
    model_name(deque_first_slot(first), "slot 0");
    model_name(deque_first_slot(first) + 1, "slot 1");
    model_name(deque_first_slot(first) + 2, "slot 2");
    model_name(deque_first_slot(second), "slot 0 of second");
    model_watch(arena, sizeof arena);
}

/* Two slots are left in the first segment: those before them were stolen, and
 * are not joined before the end. */
static void setup_near_the_end(void)
{
    struct thrum_job_ *slot;

    setup();
    for (slot = deque_first_slot(first); slot < deque_last_slot(first) - 1;
         slot++)
        store_relaxed(&slot->scope, IN_USE);
    memset((void *)slot, 0, 3 * sizeof *slot);
    store_relaxed(first->real, next_tag(0, place_of(slot)));
    newest = slot - 1;
    model_name(slot, "last slot but one");
    model_name(slot + 1, "last slot");
}

static void each_ran_once(void)
{
    for (int i = 0; i < forked; i++)
        MODEL_ASSERT(runs[i] == 1);
    MODEL_ASSERT(!deque_any_own(first));
}

static void each_ran_once_and_all_is_empty(void)
{
    each_ran_once();
    MODEL_ASSERT(newest == sentinel(first));
    MODEL_ASSERT(deque_newest(first) == newest);
    MODEL_ASSERT(place_in(load_relaxed(first->real)) == place_of(newest + 1));
}

#define SCENARIO(what, barrier, prepare, verify, bound, ...)                   \
    {                                                                          \
        .name = what, .setup = prepare, .threads = {__VA_ARGS__},              \
        .check = verify, .preemptions = bound, .membarrier = barrier,          \
        .executions = 250000                                                   \
    }
#define FROM_START(what, bound, ...)                                           \
    SCENARIO(what, true, setup, each_ran_once_and_all_is_empty, bound,         \
             __VA_ARGS__),                                                     \
        SCENARIO(what "_fenced", false, setup, each_ran_once_and_all_is_empty, \
                 bound, __VA_ARGS__)
#define NEAR_END(what, ...)                                                    \
    SCENARIO(what, true, setup_near_the_end, each_ran_once, 0, __VA_ARGS__),   \
        SCENARIO(what "_fenced", false, setup_near_the_end, each_ran_once, 0,  \
                 __VA_ARGS__)

static const struct model_scenario scenarios[] = {
    FROM_START("last_fork", 3, {"owner", fork_join_one}, {"thief", steal_one}),
    FROM_START("last_fork_two_thieves", 0, {"owner", fork_join_one},
               {"thief", steal_one}, {"thief2", steal_one}),
    FROM_START("owner_and_thief", 2, {"owner", fork_three_join_three},
               {"thief", steal_twice}),
    FROM_START("owner_and_two_thieves", 0, {"owner", fork_three_join_three},
               {"thief", steal_twice}, {"thief2", steal_one}),
    FROM_START("slot_used_again", 0, {"owner", fork_join_twice},
               {"thief", steal_twice}, {"thief2", steal_one}),
    FROM_START("fork_after_join", 0, {"owner", fork_two_join_one_fork_one},
               {"thief", steal_twice}, {"thief2", steal_one}),
    FROM_START("owner_gives_its_forks", 0, {"owner", fork_two_give_all},
               {"thief", steal_twice}, {"thief2", steal_one}),
    FROM_START("joined_out_of_order", 0,
               {"owner", fork_two_join_the_oldest_first},
               {"thief", steal_twice}, {"thief2", steal_one}),
    FROM_START("work_while_joining", 0, {"owner", fork_one_join_it_at_work},
               {"thief", steal_twice}, {"thief2", steal_one}),
    FROM_START("claimed_by_its_owner", 0, {"owner", fork_three_claim_all},
               {"thief", steal_two_at_once}),
    FROM_START("claimed_by_its_owner_too", 0, {"owner", fork_three_claim_all},
               {"thief", steal_one}, {"thief2", steal_one}),
    NEAR_END("grow_claimed", {"owner", fork_three_claim_all},
             {"thief", steal_twice}),
    FROM_START("two_at_once", 2, {"owner", fork_three_join_three},
               {"thief", steal_two_at_once}),
    FROM_START("two_at_once_or_one", 0, {"owner", fork_three_join_three},
               {"thief", steal_two_at_once}, {"thief2", steal_one}),
    FROM_START("two_at_once_and_slots_used_again", 0,
               {"owner", fork_two_join_one_fork_one},
               {"thief", steal_two_at_once}, {"thief2", steal_two_at_once}),
    FROM_START("two_at_once_joined_out_of_order", 0,
               {"owner", fork_three_join_the_oldest_first},
               {"thief", steal_two_at_once}, {"thief2", steal_one}),
    NEAR_END("grow_two_at_once", {"owner", fork_three_join_three},
             {"thief", steal_two_at_once}, {"thief2", steal_two_at_once}),
    NEAR_END("grow", {"owner", fork_three_join_three}, {"thief", steal_twice},
             {"thief2", steal_one}),
    NEAR_END("grow_and_shrink", {"owner", fork_across_twice},
             {"thief", steal_twice}, {"thief2", steal_one}),
    NEAR_END("grow_and_join_out_of_order", {"owner", fork_across_join_early},
             {"thief", steal_twice}),
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_deque", scenarios});
}
