/* Is the checker right? Litmus tests with known answers: what C11 allows must
 * be seen, what it forbids must never be, and planted bugs must be found. */
#include "base/atomic.h"
#include "os/barrier.h"
#include "os/clock.h"
#include "os/futex.h"

#include <errno.h>
#include <stdlib.h>

static _Atomic uint32_t x, y, word;
static uint32_t r[4];
static int data, watched_data;

static void setup(void)
{
    store_relaxed(&x, 0);
    store_relaxed(&y, 0);
    store_relaxed(&word, 0);
    r[0] = r[1] = r[2] = r[3] = 99;
    data = 0;
    model_watch(&watched_data, sizeof watched_data);
}

/* A thread is a line; a function each would be six. */
#define THREAD(name, ...)                                                      \
    static void name(void)                                                     \
    {                                                                          \
        __VA_ARGS__;                                                           \
    }

/* An outcome, as a question of two kinds: may it be, must it not be. */
#define UNUSED __attribute__((unused))
#define OUTCOME(name, cond)                                                    \
    UNUSED static void name##_seen(void)                                       \
    {                                                                          \
        if (cond)                                                              \
            model_witness();                                                   \
    }                                                                          \
    UNUSED static void name##_never(void)                                      \
    {                                                                          \
        MODEL_ASSERT(!(cond));                                                 \
    }

#define ALLOWED(what, outcome, ...)                                            \
    {                                                                          \
        .name = what, .setup = setup, .threads = {__VA_ARGS__},                \
        .check = outcome##_seen, .executions = 4000, .allows = true            \
    }
#define FORBIDDEN(what, outcome, ...)                                          \
    {                                                                          \
        .name = what, .setup = setup, .threads = {__VA_ARGS__},                \
        .check = outcome##_never, .executions = 20000, .preemptions = 3        \
    }
#define FOUND(what, failure, ...)                                              \
    {                                                                          \
        .name = what, .setup = setup, .threads = {__VA_ARGS__},                \
        .executions = 4000, .finds = failure                                   \
    }
#define T0(body)                                                               \
    {                                                                          \
        "T0", body                                                             \
    }
#define T1(body)                                                               \
    {                                                                          \
        "T1", body                                                             \
    }
#define T2(body)                                                               \
    {                                                                          \
        "T2", body                                                             \
    }
#define T3(body)                                                               \
    {                                                                          \
        "T3", body                                                             \
    }

/* ------------------------------------------- store buffering: both miss */

THREAD(sb_x_relaxed, store_relaxed(&x, 1), r[0] = load_relaxed(&y))
THREAD(sb_y_relaxed, store_relaxed(&y, 1), r[1] = load_relaxed(&x))
THREAD(sb_x_rel_acq, store_release(&x, 1), r[0] = load_acquire(&y))
THREAD(sb_y_rel_acq, store_release(&y, 1), r[1] = load_acquire(&x))
THREAD(sb_x_seq_cst, store_seq_cst(&x, 1), r[0] = load_seq_cst(&y))
THREAD(sb_y_seq_cst, store_seq_cst(&y, 1), r[1] = load_seq_cst(&x))
THREAD(sb_x_sc_acq, store_seq_cst(&x, 1), r[0] = load_acquire(&y))
THREAD(sb_x_rmw, exchange_seq_cst(&x, 1), r[0] = load_seq_cst(&y))
THREAD(sb_y_rmw, add_seq_cst(&y, 1), r[1] = load_seq_cst(&x))
THREAD(sb_x_rmw_ar, exchange_acq_rel(&x, 1), r[0] = load_acquire(&y))
THREAD(sb_y_rmw_ar, add_acq_rel(&y, 1), r[1] = load_acquire(&x))

/* The asymmetric pair, and what is left when either half is gone. */
THREAD(sb_x_light, store_relaxed(&x, 1), barrier_light(),
       r[0] = load_relaxed(&y))
THREAD(sb_y_light, store_relaxed(&y, 1), barrier_light(),
       r[1] = load_relaxed(&x))
THREAD(sb_x_heavy, store_relaxed(&x, 1), barrier_heavy(),
       r[0] = load_relaxed(&y))
THREAD(sb_y_heavy, store_relaxed(&y, 1), barrier_heavy(),
       r[1] = load_relaxed(&x))
THREAD(sb_y_late_heavy, store_relaxed(&y, 1), r[1] = load_relaxed(&x),
       barrier_heavy())

OUTCOME(both_miss, r[0] == 0 && r[1] == 0)

/* ------------------------------ message passing: the flag but not the data */

THREAD(mp_write_relaxed, store_relaxed(&x, 1), store_relaxed(&y, 1))
THREAD(mp_write_release, store_relaxed(&x, 1), store_release(&y, 1))
THREAD(mp_write_swap, store_relaxed(&x, 1), exchange_acq_rel(&y, 1))
THREAD(mp_write_heavy, store_relaxed(&x, 1), barrier_heavy(),
       store_relaxed(&y, 1))
THREAD(mp_read_relaxed, r[0] = load_relaxed(&y), r[1] = load_relaxed(&x))
THREAD(mp_read_acquire, r[0] = load_acquire(&y), r[1] = load_relaxed(&x))
THREAD(mp_read_light, r[0] = load_relaxed(&y), barrier_light(),
       r[1] = load_relaxed(&x))
THREAD(mp_read_swap, r[0] = exchange_acquire(&y, 7), r[1] = load_relaxed(&x))

OUTCOME(stale_data, r[0] == 1 && r[1] == 0)

/* --------------------------------- load buffering: out of thin air, or not */

THREAD(lb_y, r[0] = load_relaxed(&x), store_relaxed(&y, 1))
THREAD(lb_x, r[1] = load_relaxed(&y), store_relaxed(&x, 1))

OUTCOME(from_the_future, r[0] == 1 && r[1] == 1)

/* -------------------------- independent reads of independent writes (IRIW) */

THREAD(write_x_relaxed, store_relaxed(&x, 1))
THREAD(write_y_relaxed, store_relaxed(&y, 1))
THREAD(write_x_release, store_release(&x, 1))
THREAD(write_y_release, store_release(&y, 1))
THREAD(write_x_seq_cst, store_seq_cst(&x, 1))
THREAD(write_y_seq_cst, store_seq_cst(&y, 1))
THREAD(read_xy_acquire, r[0] = load_acquire(&x), r[1] = load_acquire(&y))
THREAD(read_yx_acquire, r[2] = load_acquire(&y), r[3] = load_acquire(&x))
THREAD(read_xy_seq_cst, r[0] = load_seq_cst(&x), r[1] = load_seq_cst(&y))
THREAD(read_yx_seq_cst, r[2] = load_seq_cst(&y), r[3] = load_seq_cst(&x))

OUTCOME(two_orders, r[0] == 1 && r[1] == 0 && r[2] == 1 && r[3] == 0)

/* ----------------- causality: through a third thread (WRC), and back (RWC) */

THREAD(pass_on_release, r[0] = load_acquire(&x), store_release(&y, 1))
THREAD(pass_on_relaxed, r[0] = load_acquire(&x), store_relaxed(&y, 1))
THREAD(pass_on_unread, r[0] = load_relaxed(&x), store_release(&y, 1))
THREAD(read_after_y, r[1] = load_acquire(&y), r[2] = load_relaxed(&x))
THREAD(look_xy_seq_cst, r[0] = load_seq_cst(&x), r[1] = load_seq_cst(&y))
THREAD(look_xy_acq_sc, r[0] = load_acquire(&x), r[1] = load_seq_cst(&y))
THREAD(y_then_x_seq_cst, store_seq_cst(&y, 1), r[2] = load_seq_cst(&x))

OUTCOME(effect_without_cause, r[0] == 1 && r[1] == 1 && r[2] == 0)
OUTCOME(cause_after_effect, r[0] == 1 && r[1] == 0 && r[2] == 0)

/* ------------------------------------------ one location is always coherent */

THREAD(write_x_twice, store_relaxed(&x, 1), store_relaxed(&x, 2))
THREAD(read_x_twice, r[0] = load_relaxed(&x), r[1] = load_relaxed(&x))
THREAD(swap_then_read, exchange_acq_rel(&x, 5), r[0] = load_relaxed(&x))

OUTCOME(newer_then_older, r[0] != 99 && r[0] > r[1])
OUTCOME(own_store_unseen, r[0] == 0)

/* ----------------------------------------------- read-modify-write accesses */

THREAD(increment_relaxed, add_relaxed(&x, 1))

static void take_by_cas(void)
{
    uint32_t free_word = 0;

    if (cas_acq_rel(&word, &free_word, 1))
        add_relaxed(&x, 1);
    else
        MODEL_ASSERT(free_word == 1);
}

static void take_by_look_and_store(void)
{
    if (load_seq_cst(&word) == 0) {
        store_seq_cst(&word, 1);
        add_relaxed(&x, 1);
    }
}

static void stale_cas(void)
{
    uint32_t wanted = 3;

    cas_relaxed(&x, &wanted, 4);
    r[0] = wanted;
    r[1] = load_relaxed(&x);
}

OUTCOME(adds_are_lost, load_relaxed(&x) != 3)
OUTCOME(not_one_winner, load_relaxed(&x) != 1)
OUTCOME(cas_read_an_old_value, r[0] == 1 && load_relaxed(&x) == 2)

/* -------------------------------------------------------- release sequences */

THREAD(head_of_sequence, store_relaxed(&x, 1), store_release(&y, 1))
THREAD(continue_by_add, add_relaxed(&y, 1))
THREAD(cut_by_store, store_relaxed(&y, load_relaxed(&y) + 1))
THREAD(read_end_of_sequence, r[0] = load_acquire(&y), r[1] = load_relaxed(&x))

OUTCOME(sequence_carries_nothing, r[0] == 2 && r[1] == 0)

/* --------------------------------------------------------------- plain data */

static void publish(void)
{
    data = 1;
    model_plain_write(&data);
    store_release(&y, 1);
}

static void publish_relaxed(void)
{
    data = 1;
    model_plain_write(&data);
    store_relaxed(&y, 1);
}

static void publish_and_touch(void)
{
    publish();
    model_plain_write(&data);
}

static void consume(void)
{
    if (load_acquire(&y) == 1)
        model_plain_read(&data);
}

static void publish_watched(void)
{
    watched_data = 1;
    store_release(&y, 1);
}

static void consume_watched(void)
{
    if (load_acquire(&y) == 1)
        MODEL_ASSERT(watched_data == 1);
}

static void consume_watched_early(void)
{
    if (load_relaxed(&y) == 1)
        MODEL_ASSERT(watched_data == 1);
}

static void overwrite(void)
{
    if (load_relaxed(&y) == 1)
        model_plain_write(&data);
}

/* ------------------------------------------------------ sleeping and waking */

static void wait_for_word(void)
{
    while (load_acquire(&word) == 0)
        futex_wait(&word, 0, CLOCK_NEVER);
    model_plain_read(&data);
}

static void wait_once(void)
{
    if (load_acquire(&word) == 0)
        futex_wait(&word, 0, CLOCK_NEVER);
    MODEL_ASSERT(load_acquire(&word) == 1);
}

static void wait_on_another_word(void)
{
    if (load_acquire(&word) == 0)
        futex_wait(&x, 0, CLOCK_NEVER);
}

static void wait_with_deadline(void)
{
    int64_t deadline = clock_now() + 1000000;
    int rc = 0;

    while (load_acquire(&word) == 0 && rc != -ETIMEDOUT)
        rc = futex_wait(&word, 0, deadline);
    r[0] = (uint32_t)(rc == -ETIMEDOUT);
    MODEL_ASSERT(rc != -ETIMEDOUT || clock_now() >= deadline);
}

static void post(void)
{
    model_plain_write(&data);
    store_release(&word, 1);
    futex_wake(&word, 1);
}

static void post_silently(void)
{
    store_release(&word, 1);
}

static void post_to_another_word(void)
{
    store_release(&word, 1);
    futex_wake(&x, 1);
}

static bool one_is_left_asleep(void)
{
    return load_relaxed(&word) == 1;
}

THREAD(spin_on_word, while (load_acquire(&word) == 0) cpu_relax())

OUTCOME(it_timed_out, r[0] == 1)
OUTCOME(it_was_woken, r[0] == 0)

/* ----------------------------------------------------------------- the rest */

THREAD(die, abort())
THREAD(jump_to_nowhere, *(volatile int *)(uintptr_t)data = 0)
THREAD(idle_thread, (void)0)

static struct {
    _Atomic uint8_t one;
    _Atomic int16_t two;
    _Atomic int four;
    _Atomic int64_t eight;
    _Atomic(const char *) pointer;
    _Atomic bool truth;
} sizes;

static void use_all_sizes(void)
{
    static const char text[] = "text";
    int16_t expected = -2;

    store_relaxed(&sizes.one, 0x1ff);
    MODEL_ASSERT(load_relaxed(&sizes.one) == 0xff);
    MODEL_ASSERT(add_relaxed(&sizes.one, 2) == 0xff);
    MODEL_ASSERT(load_relaxed(&sizes.one) == 1);
    store_relaxed(&sizes.two, -2);
    MODEL_ASSERT(cas_seq_cst(&sizes.two, &expected, -3));
    MODEL_ASSERT(!cas_seq_cst(&sizes.two, &expected, -4) && expected == -3);
    store_release(&sizes.four, -1);
    MODEL_ASSERT(sub_acq_rel(&sizes.four, 1) == -1);
    MODEL_ASSERT(load_acquire(&sizes.four) == -2);
    store_seq_cst(&sizes.eight, INT64_MIN);
    MODEL_ASSERT(exchange_seq_cst(&sizes.eight, -1) == INT64_MIN);
    MODEL_ASSERT(load_seq_cst(&sizes.eight) == -1);
    store_release(&sizes.pointer, text);
    MODEL_ASSERT(load_acquire(&sizes.pointer) == text);
    MODEL_ASSERT(exchange_acq_rel(&sizes.pointer, NULL) == text);
    store_relaxed(&sizes.truth, true);
    MODEL_ASSERT(load_relaxed(&sizes.truth));
}

/* What its owner writes plainly, before others know of it, counts. */
static void use_memory_anew(void)
{
    store_relaxed(&x, 1);
    *(uint32_t *)(void *)&x = 7;
    MODEL_ASSERT(load_relaxed(&x) == 7);
}

static const struct model_scenario scenarios[] = {
    ALLOWED("sb_relaxed", both_miss, T0(sb_x_relaxed), T1(sb_y_relaxed)),
    ALLOWED("sb_release_acquire", both_miss, T0(sb_x_rel_acq),
            T1(sb_y_rel_acq)),
    ALLOWED("sb_one_side_seq_cst", both_miss, T0(sb_x_seq_cst),
            T1(sb_y_rel_acq)),
    ALLOWED("sb_one_load_acquire", both_miss, T0(sb_x_sc_acq),
            T1(sb_y_seq_cst)),
    ALLOWED("sb_rmw_acq_rel", both_miss, T0(sb_x_rmw_ar), T1(sb_y_rmw_ar)),
    FORBIDDEN("sb_seq_cst", both_miss, T0(sb_x_seq_cst), T1(sb_y_seq_cst)),
    FORBIDDEN("sb_rmw_seq_cst", both_miss, T0(sb_x_rmw), T1(sb_y_rmw)),

    FORBIDDEN("sb_light_heavy", both_miss, T0(sb_x_light), T1(sb_y_heavy)),
    FORBIDDEN("sb_heavy_heavy", both_miss, T0(sb_x_heavy), T1(sb_y_heavy)),
    ALLOWED("sb_light_light", both_miss, T0(sb_x_light), T1(sb_y_light)),
    ALLOWED("sb_light_alone", both_miss, T0(sb_x_light), T1(sb_y_relaxed)),
    ALLOWED("sb_heavy_alone", both_miss, T0(sb_x_relaxed), T1(sb_y_heavy)),
    ALLOWED("sb_heavy_too_late", both_miss, T0(sb_x_light),
            T1(sb_y_late_heavy)),

    ALLOWED("mp_relaxed", stale_data, T0(mp_write_relaxed),
            T1(mp_read_relaxed)),
    ALLOWED("mp_release_relaxed", stale_data, T0(mp_write_release),
            T1(mp_read_relaxed)),
    ALLOWED("mp_relaxed_acquire", stale_data, T0(mp_write_relaxed),
            T1(mp_read_acquire)),
    FORBIDDEN("mp_release_acquire", stale_data, T0(mp_write_release),
              T1(mp_read_acquire)),
    FORBIDDEN("mp_rmw", stale_data, T0(mp_write_swap), T1(mp_read_swap)),
    FORBIDDEN("mp_heavy_light", stale_data, T0(mp_write_heavy),
              T1(mp_read_light)),
    ALLOWED("mp_heavy_alone", stale_data, T0(mp_write_heavy),
            T1(mp_read_relaxed)),

    FORBIDDEN("lb_relaxed", from_the_future, T0(lb_y), T1(lb_x)),

    ALLOWED("iriw_acquire", two_orders, T0(write_x_release),
            T1(write_y_release), T2(read_xy_acquire), T3(read_yx_acquire)),
    ALLOWED("iriw_seq_cst_writes", two_orders, T0(write_x_seq_cst),
            T1(write_y_seq_cst), T2(read_xy_acquire), T3(read_yx_acquire)),
    ALLOWED("iriw_seq_cst_reads", two_orders, T0(write_x_relaxed),
            T1(write_y_relaxed), T2(read_xy_seq_cst), T3(read_yx_seq_cst)),
    FORBIDDEN("iriw_seq_cst", two_orders, T0(write_x_seq_cst),
              T1(write_y_seq_cst), T2(read_xy_seq_cst), T3(read_yx_seq_cst)),

    FORBIDDEN("wrc_release", effect_without_cause, T0(write_x_relaxed),
              T1(pass_on_release), T2(read_after_y)),
    ALLOWED("wrc_relaxed", effect_without_cause, T0(write_x_relaxed),
            T1(pass_on_relaxed), T2(read_after_y)),
    FORBIDDEN("wrc_reads_stay_in_order", effect_without_cause,
              T0(write_x_relaxed), T1(pass_on_unread), T2(read_after_y)),
    FORBIDDEN("rwc_seq_cst", cause_after_effect, T0(write_x_seq_cst),
              T1(look_xy_seq_cst), T2(y_then_x_seq_cst)),
    ALLOWED("rwc_acquire", cause_after_effect, T0(write_x_seq_cst),
            T1(look_xy_acq_sc), T2(y_then_x_seq_cst)),

    FORBIDDEN("reads_of_one_location", newer_then_older, T0(write_x_twice),
              T1(read_x_twice)),
    FORBIDDEN("read_of_own_store", own_store_unseen, T0(swap_then_read),
              T1(write_x_twice)),

    FORBIDDEN("adds", adds_are_lost, T0(increment_relaxed),
              T1(increment_relaxed), T2(increment_relaxed)),
    FORBIDDEN("cas_has_one_winner", not_one_winner, T0(take_by_cas),
              T1(take_by_cas), T2(take_by_cas)),
    ALLOWED("look_and_store_has_two", not_one_winner,
            T0(take_by_look_and_store), T1(take_by_look_and_store)),
    ALLOWED("cas_fails_on_an_old_value", cas_read_an_old_value,
            T0(write_x_twice), T1(stale_cas)),
    FORBIDDEN("failed_cas_is_coherent", newer_then_older, T0(write_x_twice),
              T1(stale_cas)),

    FORBIDDEN("release_sequence", sequence_carries_nothing,
              T0(head_of_sequence), T1(continue_by_add),
              T2(read_end_of_sequence)),
    ALLOWED("release_sequence_cut", sequence_carries_nothing,
            T0(head_of_sequence), T1(cut_by_store), T2(read_end_of_sequence)),

    {.name = "published_data",
     .setup = setup,
     .threads = {T0(publish), T1(consume), T2(consume)},
     .preemptions = 4},
    {.name = "published_watched_data",
     .setup = setup,
     .threads = {T0(publish_watched), T1(consume_watched)},
     .preemptions = 4},
    FOUND("race_on_watched_data", "a read after a write", T0(publish_watched),
          T1(consume_watched_early)),
    FOUND("race_read", "a read after a write", T0(publish_relaxed),
          T1(consume)),
    FOUND("race_after_publishing", "data race", T0(publish_and_touch),
          T1(consume)),
    FOUND("race_writes", "two writes", T0(publish), T1(overwrite)),

    {.name = "wake",
     .setup = setup,
     .threads = {T0(wait_for_word), T1(post)},
     .preemptions = 4,
     .spurious = true},
    {.name = "wait_with_deadline",
     .setup = setup,
     .threads = {T0(wait_with_deadline)},
     .executions = 1000},
    ALLOWED("deadline_before_wake", it_timed_out, T0(wait_with_deadline),
            T1(post)),
    ALLOWED("wake_before_deadline", it_was_woken, T0(wait_with_deadline),
            T1(post)),
    {.name = "one_may_rest",
     .setup = setup,
     .threads = {T0(wait_on_another_word), T1(post)},
     .may_rest = one_is_left_asleep,
     .executions = 1000},
    FOUND("wake_forgotten", "deadlock", T0(wait_for_word), T1(post_silently)),
    FOUND("wake_of_another", "deadlock", T0(wait_for_word),
          T1(post_to_another_word)),
    FOUND("wait_on_another", "deadlock", T0(wait_on_another_word), T1(post)),
    FOUND("one_wake_for_two", "deadlock", T0(wait_for_word), T1(wait_for_word),
          T2(post)),
    {.name = "wait_without_loop",
     .setup = setup,
     .threads = {T0(wait_once), T1(post)},
     .spurious = true,
     .finds = "load_acquire(&word) == 1"},

    {.name = "spin",
     .setup = setup,
     .threads = {T0(spin_on_word), T1(spin_on_word), T2(post)},
     .preemptions = 4},
    FOUND("spin_for_ever", "livelock", T0(spin_on_word), T1(idle_thread)),
    FOUND("crash", "crash", T0(jump_to_nowhere), T1(idle_thread)),
    FOUND("abort", "abort", T0(die), T1(idle_thread)),
    {.name = "all_sizes",
     .setup = setup,
     .threads = {T0(use_all_sizes)},
     .executions = 100},
    {.name = "memory_anew",
     .setup = setup,
     .threads = {T0(use_memory_anew)},
     .executions = 100},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_self", scenarios});
}
