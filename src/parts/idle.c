#include "parts/idle.h"

#include "os/barrier.h"

void idle_init(struct idle *idle, unsigned workers, bool fenced)
{
    idle->fenced = fenced;
    store_relaxed(&idle->words, (workers + 63) / 64); /* as below */
    store_relaxed(&idle->alone, workers == 1);
    store_relaxed(&idle->hungry, 0); /* no other thread knows it yet */
    store_relaxed(&idle->searching, 0);
    for (int i = 0; i < IDLE_WORDS; i++)
        store_relaxed(&idle->asleep[i], 0);
}

void idle_grow(struct idle *idle, unsigned workers)
{
    /* Whoever sees the new worker asleep, in the words of [I3] and [I4], sees
     * these as well. */
    store_relaxed(&idle->words, (workers + 63) / 64);
    store_relaxed(&idle->alone, workers < 2);
}

void idle_search(struct idle *idle)
{
    add_seq_cst(&idle->searching, 1); /* [I4] */
}

static unsigned words_of(struct idle *idle)
{
    return load_relaxed(&idle->words); /* idle_grow says why that suffices */
}

bool idle_any_asleep(struct idle *idle)
{
    unsigned words = words_of(idle);

    for (unsigned i = 0; i < words; i++)
        if (load_seq_cst(&idle->asleep[i]) != 0) /* [I6] */
            return true;
    return false;
}

bool idle_is_asleep(struct idle *idle, unsigned worker)
{
    return load_seq_cst(&idle->asleep[worker / 64]) >> worker % 64 &
           1; /* [I6] */
}

unsigned idle_asleep_count(struct idle *idle)
{
    unsigned n = 0, words = words_of(idle);

    for (unsigned i = 0; i < words; i++) /* a hint */
        n += (unsigned)__builtin_popcountll(load_relaxed(&idle->asleep[i]));
    return n;
}

bool idle_any_searching(struct idle *idle)
{
    return load_seq_cst(&idle->searching) != 0; /* [I6] */
}

bool idle_found(struct idle *idle)
{
    return add_seq_cst(&idle->searching, (uint32_t)-1) == 1 && /* [I4] */
           idle_any_asleep(idle);
}

void idle_ask(struct idle *idle)
{
    if (load_relaxed(&idle->alone) != 0) /* likewise */
        return;
    or_seq_cst(&idle->hungry, IDLE_WORK); /* [I2] */
    if (!idle->fenced)
        barrier_heavy(); /* [I2] */
}

void idle_want(struct idle *idle)
{
    if (load_relaxed(&idle->alone) == 0 &&
        (load_relaxed(&idle->hungry) & IDLE_WORK) == 0)
        (void)or_seq_cst(&idle->hungry, IDLE_WORK); /* [I2]: no store may hide
                                                     * [I1] */
}

void idle_sleep(struct idle *idle, unsigned worker)
{
    _Atomic uint64_t *word = &idle->asleep[worker / 64];

    or_seq_cst(word, UINT64_C(1) << worker % 64); /* [I3] */
    add_seq_cst(&idle->searching, (uint32_t)-1);  /* [I4] */
    idle_ask(idle);
}

/* Clear the bit if it is set: from here the worker is a searcher. */
static bool take_bit(struct idle *idle, unsigned i, uint64_t bit)
{
    /* Count first: at no time is a woken worker neither asleep nor counted. */
    add_seq_cst(&idle->searching, 1);              /* [I4] */
    if (and_seq_cst(&idle->asleep[i], ~bit) & bit) /* [I3] */
        return true;
    add_seq_cst(&idle->searching, (uint32_t)-1); /* [I4] */
    return false;
}

bool idle_wake(struct idle *idle, unsigned worker)
{
    return take_bit(idle, worker / 64, UINT64_C(1) << worker % 64);
}

bool idle_rouse(struct idle *idle, unsigned worker)
{
    return idle_wake(idle, worker);
}

/* One sleeper, made a searcher; or IDLE_NOBODY. *raced: a bit was gone, so our
 * passing count may have been taken for a searcher's. */
static int take_any(struct idle *idle, bool *raced)
{
    unsigned words = words_of(idle);

    *raced = false;
    for (unsigned i = 0; i < words; i++) {
        uint64_t word = load_seq_cst(&idle->asleep[i]); /* [I6] */

        while (word != 0) {
            unsigned n = (unsigned)__builtin_ctzll(word);

            if (take_bit(idle, i, UINT64_C(1) << n))
                return (int)(i * 64 + n);
            *raced = true;
            word &= word - 1;
        }
    }
    return IDLE_NOBODY;
}

int idle_notify(struct idle *idle)
{
    bool raced = true;
    int worker = IDLE_NOBODY;

    while (raced && worker == IDLE_NOBODY) {
        if (idle_any_searching(idle)) /* it finds the job */
            return IDLE_NOBODY;
        worker = take_any(idle, &raced);
    }
    return worker;
}

bool idle_answer(struct idle *idle)
{
    return (and_seq_cst(&idle->hungry, ~(uint32_t)IDLE_WORK) & /* [I7] */
            IDLE_WORK) != 0;
}

void idle_ask_turns(struct idle *idle, bool asked)
{
    if (asked)
        or_seq_cst(&idle->hungry, IDLE_TURN); /* [I9] a hint: shows no job */
    else if (load_relaxed(&idle->hungry) & IDLE_TURN)
        and_seq_cst(&idle->hungry, ~(uint32_t)IDLE_TURN); /* [I9] */
}
