/* What does a timer cost, and how late is who sleeps?
 *
 * arm: the deadline of a scope is moved, again and again: one timer canceled, one
 * armed, at a random time; on every worker at once, for each. many: the same
 * while a million others are armed. among: the ones moved are of that million,
 * at random. The floor is a binary heap that one number is put into, and taken
 * out of. woken: two tasks wake each other in turn, for each turn; timed: the
 * same, each turn in a scope with a deadline. The second's floor is the first.
 *
 * late: by how much one wakes late of ten that sleep for 1 to 10 ms, over and
 * over, on an otherwise idle machine. crowd: of a hundred thousand, each once,
 * at a random time within a second. The floor of both is a thread in nanosleep.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include <thrum.h>

#include "bench.h"

enum { DEEP = 1000, WORKERS = 1024, FEW = 10, MS = 1000000 };

static long singles, turns, many, naps, crowd_count;
static thrum_scope *scopes; /* of the many */

static uint32_t drawn(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)*seed * below >> 32);
}

/* Within an hour's last minute: it does not come. */
static thrum_time some_time(uint32_t *seed, thrum_time now)
{
    return now + THRUM_SEC(3600) + (thrum_time)drawn(seed, 1000000000) * 60;
}

/* -------------------------------------------------------------- a bare heap */

static int64_t heap[64];
static int heap_count;

static void heap_put(int64_t key)
{
    int at = heap_count++;

    for (; at > 0 && heap[(at - 1) / 2] > key; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = key;
}

static int64_t heap_take(void)
{
    int64_t least = heap[0], key = heap[--heap_count];
    int at = 0, child;

    while ((child = 2 * at + 1) < heap_count) {
        child += child + 1 < heap_count && heap[child + 1] < heap[child];
        if (heap[child] >= key)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = key;
    return least;
}

static void floor_arm(unsigned workers)
{
    int64_t start = bench_now();
    uint32_t seed = 1;

    (void)workers;
    for (long i = 0; i < singles; i++) {
        int64_t key = some_time(&seed, start);

        bench_hide (&heap_put)(key);
        if (bench_hide(&heap_take)() != key)
            bench_fail("the heap");
    }
    bench_add((double)(bench_now() - start) / (double)singles);
}

/* ------------------------------------------------------- armed and canceled */

static atomic_uint came;

/* Each on a worker of its own. */
static void meet(unsigned workers)
{
    atomic_fetch_add(&came, 1);
    while (atomic_load(&came) < workers)
        ;
}

struct mover {
    unsigned workers, index;
    bool among;
    double ns;
};

static thrum_err *move_deadlines(void *arg)
{
    struct mover *m = arg;
    uint32_t seed = 7 + m->index;
    int64_t start;
    thrum_scope own;

    thrum_scope_open(&own, .name = "moved");
    meet(m->workers);
    start = bench_now();
    for (long i = 0; i < singles; i++)
        thrum_scope_set_deadline(
            m->among ? &scopes[drawn(&seed, (uint32_t)many)] : &own,
            some_time(&seed, start));
    m->ns = (double)(bench_now() - start) / (double)singles;
    return thrum_scope_close(&own, NULL);
}

static thrum_err *move_all(void *arg)
{
    static struct mover all[WORKERS];
    struct mover *first = arg;
    thrum_scope s;
    thrum_err *err;

    first->ns = 0;
    atomic_store(&came, 0);
    thrum_scope_open(&s, .name = "movers");
    for (unsigned i = 0; i < first->workers; i++) {
        all[i] = *first;
        all[i].index = i;
        if (thrum_spawn(&s, move_deadlines, &all[i], 0) < 0)
            bench_fail("thrum_spawn");
    }
    err = thrum_scope_close(&s, NULL);
    for (unsigned i = 0; i < first->workers; i++)
        first->ns += all[i].ns / first->workers;
    return err;
}

static void arm(unsigned workers)
{
    struct mover m = {.workers = workers};

    bench_call(workers, move_all, &m);
    bench_add(m.ns);
}

/* ----------------------------------------------------------- a million more */

static thrum_event over;
static atomic_long armed;

struct holder {
    thrum_scope *scopes;
    long count;
    uint32_t seed;
};

static thrum_err *hold(void *arg)
{
    struct holder *h = arg;
    thrum_time now = thrum_now();
    thrum_err *err = NULL;
    long i;

    for (i = 0; i < h->count; i++)
        thrum_scope_open(&h->scopes[i], .deadline = some_time(&h->seed, now));
    atomic_fetch_add(&armed, i);
    err = thrum_rc(thrum_event_wait(&over));
    while (i-- > 0)
        err = thrum_scope_close(&h->scopes[i], err);
    return err;
}

static thrum_err *move_among_many(void *arg)
{
    thrum_scope s;
    thrum_err *err;

    thrum_event_reset(&over);
    atomic_store(&armed, 0);
    thrum_scope_open(&s, .name = "holders");
    for (long i = 0; i < many; i += DEEP) {
        struct holder h = {scopes + i, many - i < DEEP ? many - i : DEEP,
                           (uint32_t)i + 1};

        if (thrum_spawn(&s, hold, &h, sizeof h) < 0)
            bench_fail("thrum_spawn");
    }
    while (atomic_load(&armed) < many)
        if (thrum_sleep(MS) < 0)
            bench_fail("thrum_sleep");
    err = move_all(arg);
    thrum_event_set(&over);
    return thrum_scope_close(&s, err);
}

static void move_beside_many(unsigned workers, bool among)
{
    struct mover m = {.workers = workers, .among = among};

    bench_call(workers, move_among_many, &m);
    bench_add(m.ns);
}

static void arm_beside_many(unsigned workers)
{
    move_beside_many(workers, false);
}

static void arm_among_many(unsigned workers)
{
    move_beside_many(workers, true);
}

/* --------------------------------------------- a wait that ends before that */

static thrum_sem turn_of[2];

struct player {
    int self;
    bool timed;
};

static thrum_err *take_turn(const struct player *p)
{
    thrum_scope s;

    if (!p->timed)
        return thrum_rc(thrum_sem_acquire(&turn_of[p->self]));
    thrum_scope_open(&s, .timeout = THRUM_SEC(60));
    return thrum_scope_close(&s,
                             thrum_rc(thrum_sem_acquire(&turn_of[p->self])));
}

static thrum_err *play(void *arg)
{
    struct player *p = arg;

    for (long i = 0; i < turns; i++) {
        THRUM_TRY(take_turn(p));
        thrum_sem_release(&turn_of[!p->self]);
    }
    return NULL;
}

static thrum_err *play_both(void *arg)
{
    struct player p = {0, *(bool *)arg}, q = {1, *(bool *)arg};
    thrum_scope s;

    thrum_sem_init(&turn_of[0], 1);
    thrum_sem_init(&turn_of[1], 0);
    thrum_scope_open(&s, .name = "players");
    if (thrum_spawn(&s, play, &p, 0) < 0 || thrum_spawn(&s, play, &q, 0) < 0)
        bench_fail("thrum_spawn");
    return thrum_scope_close(&s, NULL);
}

static void play_turns(unsigned workers, bool timed)
{
    bench_add(bench_call_ns(workers, play_both, &timed) / (double)(2 * turns));
}

static void woken(unsigned workers)
{
    play_turns(workers, false);
}

static void timed(unsigned workers)
{
    play_turns(workers, true);
}

/* ----------------------------------------------------------------- lateness */

static double *lateness; /* us */
static atomic_long taken;

static void sample(int64_t due)
{
    int64_t late = bench_now() - due;

    if (late < 0)
        bench_fail("too early");
    lateness[atomic_fetch_add(&taken, 1)] = (double)late / 1000;
}

static void add_all(long expected)
{
    bench_expect("samples", atomic_load(&taken), expected);
    for (long i = 0; i < expected; i++)
        bench_add(lateness[i]);
    atomic_store(&taken, 0);
}

static void floor_late(unsigned workers)
{
    uint32_t seed = 1;

    (void)workers;
    prctl(PR_SET_TIMERSLACK, 1UL);
    for (long i = 0; i < naps; i++) {
        int64_t ns = MS + drawn(&seed, 9 * MS), due = bench_now() + ns;
        struct timespec at = {.tv_sec = due / 1000000000,
                              .tv_nsec = due % 1000000000};

        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        sample(due);
    }
    add_all(naps);
}

struct sleeper {
    uint32_t seed;
    uint32_t least, span; /* ns */
    long times;
};

static thrum_err *nap(void *arg)
{
    struct sleeper *s = arg;

    for (long i = 0; i < s->times; i++) {
        int64_t ns = s->least + drawn(&s->seed, s->span);
        int64_t due = bench_now() + ns;

        THRUM_TRY(thrum_rc(thrum_sleep(ns)));
        sample(due);
    }
    return NULL;
}

struct dormitory {
    long count;
    struct sleeper each;
};

static thrum_err *nap_all(void *arg)
{
    struct dormitory *d = arg;
    thrum_scope s;

    thrum_scope_open(&s, .name = "sleepers");
    for (long i = 0; i < d->count; i++) {
        struct sleeper each = d->each;

        each.seed = (uint32_t)i * 2654435761U + 1;
        if (thrum_spawn(&s, nap, &each, sizeof each) < 0)
            bench_fail("thrum_spawn");
    }
    return thrum_scope_close(&s, NULL);
}

static void late(unsigned workers)
{
    struct dormitory d = {FEW, {0, MS, 9 * MS, naps / FEW}};

    bench_call(workers, nap_all, &d);
    add_all(naps / FEW * FEW);
}

/* On a runtime of its own: one that has run so many gives their stacks back to
 * the kernel, which takes a while, and then others on all processors are told. */
static void crowd(unsigned workers)
{
    struct dormitory d = {crowd_count, {0, 1000 * MS, 1000 * MS, 1}};

    if (thrum_report(thrum_run(&(thrum_opts){.workers = workers}, nap_all, &d)))
        bench_fail("crowd");
    add_all(crowd_count);
}

static const struct bench_series series = {
    .name = "timers",
    .cases = {{"floor", "ns", .run = floor_arm, .once = true},
              {"arm", "ns", .run = arm},
              {"many", "ns", .run = arm_beside_many},
              {"among", "ns", .run = arm_among_many},
              {"woken", "ns", .run = woken},
              {"timed", "ns", .run = timed, .floor = "woken"},
              {"floor_late", "us", .run = floor_late, .once = true},
              {"late", "us", .run = late, .floor = "floor_late"},
              {"crowd", "us", .run = crowd, .floor = "floor_late"}},
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    singles = bench_pick(1000, 1000000, 2000000);
    turns = bench_pick(100, 500000, 500000);
    many = bench_pick(2500, 1000000, 1000000);
    naps = bench_pick(20, 1000, 3000);
    crowd_count = bench_pick(100, 100000, 100000);
    scopes = calloc((size_t)many, sizeof *scopes);
    lateness = calloc((size_t)(naps + crowd_count), sizeof *lateness);
    if (scopes == NULL || lateness == NULL)
        bench_fail("out of memory");
    bench_run(&series);
    free(scopes);
    free(lateness);
    return bench_end();
}
