/* Timers of two workers: who arms and removes them, each in a heap of his own or
 * of another, against who fires what is due. Each is fired or removed, not both;
 * and when all is quiet the earliest of all is not later than any in a heap, and
 * whoever made it earlier was told so. */
#include "base/heap.c"
#include "parts/timers.c"

enum { HEAPS = 2, TIMERS = 3, NOW = 15, DUE = 10, LATER = 20, LAST = 30 };

static struct timers ts;
static struct timer_heap heaps[HEAPS];
static struct timer timers[TIMERS];
static int fired[TIMERS], removed[TIMERS];
static _Atomic uint32_t told; /* that there is an earlier one */

static void ring(struct timer *t)
{
    fired[t - timers]++;
}

static void arm(int heap, int timer, int64_t at, void (*fire)(struct timer *))
{
    if (timers_add(&heaps[heap], &timers[timer], at, fire))
        store_relaxed(&told, 1);
}

static void ring_and_arm(struct timer *t)
{
    ring(t);
    arm(1, (int)(t - timers), LATER, ring);
}

static void fire(void)
{
    timers_fire(&ts, NOW);
}

/* ------------------------------------------------------------------ threads */

static void arm_due(void)
{
    arm(0, 0, DUE, ring);
}

static void arm_later(void)
{
    arm(1, 1, LATER, ring);
}

/* The first one on a worker that is new. */
static void join_and_arm(void)
{
    timers_join(&ts, &heaps[1]);
    arm(1, 1, DUE, ring);
}

static void arm_and_remove(void)
{
    arm(0, 0, DUE, ring);
    removed[0] = timers_remove(&timers[0]);
}

/* One that another has armed, on another worker. */
static void remove_it(void)
{
    removed[2] = timers_remove(&timers[2]);
}

/* ---------------------------------------------------------------- scenarios */

static void prepare(int count)
{
    timers_init(&ts);
    store_relaxed(&told, 0);
    for (int i = 0; i < count; i++)
        timers_join(&ts, &heaps[i]);
    for (int i = 0; i < TIMERS; i++) {
        fired[i] = removed[i] = 0;
        store_relaxed(&timers[i].in, NULL);
    }
    model_name(&ts, "timers");
    model_name(heaps, "heaps");
    for (int i = 0; i < HEAPS; i++) {
        model_watch(&heaps[i].heap, sizeof heaps[i].heap);
        model_watch(&heaps[i].next, sizeof heaps[i].next);
    }
    for (int i = 0; i < TIMERS; i++)
        model_watch(&timers[i].node, sizeof timers[i].node);
    model_watch(fired, sizeof fired);
}

static void one_heap(void)
{
    prepare(1);
}

static void one_is_due(void)
{
    prepare(HEAPS);
    arm(0, 2, DUE, ring);
}

static void one_is_armed_anew(void)
{
    prepare(HEAPS);
    arm(0, 2, DUE, ring_and_arm);
}

static void one_is_last(void)
{
    prepare(HEAPS);
    arm(1, 2, LAST, ring);
    store_relaxed(&told, 0);
}

static bool is_in(int i)
{
    return load_relaxed(&timers[i].in) != NULL;
}

/* I1, I2, I3 */
static void all_is_known(void)
{
    int64_t earliest = timers_earliest(&ts), own;

    for (int i = 0; i < HEAPS; i++) {
        own = load_relaxed(&heaps[i].earliest);
        MODEL_ASSERT(heaps[i].heap.least == NULL ||
                     own <= heaps[i].heap.least->key);
        MODEL_ASSERT(earliest <= own);
    }
    for (int i = 0; i < TIMERS; i++)
        MODEL_ASSERT(fired[i] + removed[i] <= 1 || !is_in(i));
}

static void two_were_armed(void)
{
    all_is_known();
    MODEL_ASSERT(load_relaxed(&told) == 1);
    MODEL_ASSERT(fired[0] + is_in(0) == 1);
    MODEL_ASSERT(is_in(1));
}

static void one_was_armed(void)
{
    all_is_known();
    MODEL_ASSERT(load_relaxed(&told) == 1);
    MODEL_ASSERT(fired[1] + is_in(1) == 1);
}

static void it_is_gone(void)
{
    all_is_known();
    for (int i = 0; i < TIMERS; i += 2)
        MODEL_ASSERT(fired[i] + removed[i] == 1 || i == 0);
    MODEL_ASSERT(!is_in(0) && !is_in(2));
}

/* Who was too late to remove it finds it armed anew, or not: it is told. */
static void it_was_fired_or_removed(void)
{
    all_is_known();
    MODEL_ASSERT(fired[2] == 1 || removed[2] == 1);
    MODEL_ASSERT(fired[2] == 0 || is_in(2) != removed[2]);
}

#define SCENARIO(what, prepared, asked, ...)                                   \
    {                                                                          \
        .name = what, .setup = prepared, .threads = {__VA_ARGS__},             \
        .check = asked, .executions = 6000                                     \
    }

static const struct model_scenario scenarios[] = {
    SCENARIO("armed_while_fired", one_is_last, two_were_armed, {"a", arm_due},
             {"b", arm_later}, {"keeper", fire}),
    SCENARIO("armed_while_two_fire", one_is_due, all_is_known, {"b", arm_later},
             {"keeper", fire}, {"other", fire}),
    SCENARIO("joined_while_fired", one_heap, one_was_armed, {"b", join_and_arm},
             {"keeper", fire}),
    SCENARIO("removed_while_fired", one_is_due, it_is_gone,
             {"a", arm_and_remove}, {"b", remove_it}, {"keeper", fire}),
    SCENARIO("removed_while_armed_anew", one_is_armed_anew,
             it_was_fired_or_removed, {"b", remove_it}, {"keeper", fire}),
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_timers", scenarios});
}
