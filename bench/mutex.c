/* What do the things that tasks share cost: a mutex, a semaphore, an event?
 *
 * free: one task locks and unlocks a mutex that nobody else wants; contended: two
 * workers, a task on each that does nothing else; crowd: a hundred tasks on two
 * workers that do so, each lock. The floors are a pthread mutex: of one thread, of
 * two, of two once more. sem: a permit taken and given back. event: two tasks on
 * one worker set and await events in turn, from one to the other; its floor is two
 * threads with a condition variable.
 */
#include <pthread.h>

#include <thrum.h>

#include "bench.h"

enum { PAIR = 2, CROWD = 100 };

static long turns, meetings;

/* What is locked, and those who lock, do not share a line with anything else. */
static struct {
    _Alignas(64) thrum_mutex mutex;
    _Alignas(64) pthread_mutex_t pthread_mutex;
    _Alignas(64) long count;
    _Alignas(64) thrum_sem sem;
} shared = {.pthread_mutex = PTHREAD_MUTEX_INITIALIZER,
            .sem = THRUM_SEM_INIT(1)};

/* -------------------------------------------------------------- the floors */

static void *lock_pthread(void *times)
{
    for (long i = *(long *)times; i > 0; i--) {
        pthread_mutex_lock(&shared.pthread_mutex);
        shared.count++;
        pthread_mutex_unlock(&shared.pthread_mutex);
    }
    return NULL;
}

static void lock_in_threads(unsigned n)
{
    pthread_t threads[PAIR];
    long each = turns / n;
    int64_t start = bench_now();

    shared.count = 0;
    for (unsigned i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, lock_pthread, &each) != 0)
            bench_fail("pthread_create");
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    bench_add((double)(bench_now() - start) / (double)turns);
    bench_expect("turns", shared.count, turns);
}

static void floor_free(unsigned unused)
{
    (void)unused;
    lock_in_threads(1);
}

static void floor_contended(unsigned unused)
{
    (void)unused;
    lock_in_threads(PAIR);
}

/* Two threads, and whose turn it is. */
struct pair {
    pthread_mutex_t lock;
    pthread_cond_t turned[PAIR];
    long turn;
};

static void play(struct pair *p, long me)
{
    for (long i = 0; i < meetings; i++) {
        pthread_mutex_lock(&p->lock);
        while (p->turn % PAIR != me)
            pthread_cond_wait(&p->turned[me], &p->lock);
        p->turn++;
        pthread_cond_signal(&p->turned[PAIR - 1 - me]);
        pthread_mutex_unlock(&p->lock);
    }
}

static void *play_second(void *pair)
{
    play(pair, 1);
    return NULL;
}

static void floor_event(unsigned unused)
{
    struct pair pair = {
        PTHREAD_MUTEX_INITIALIZER,
        {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER},
        0,
    };
    int64_t start = bench_now();
    pthread_t thread;

    (void)unused;
    if (pthread_create(&thread, NULL, play_second, &pair) != 0)
        bench_fail("pthread_create");
    play(&pair, 0);
    pthread_join(thread, NULL);
    bench_add((double)(bench_now() - start) / (double)(PAIR * meetings));
}

/* ------------------------------------------------------------------ mutexes */

static thrum_err *lock_mutex(void *times)
{
    for (long i = *(long *)times; i > 0; i--) {
        thrum_mutex_lock(&shared.mutex);
        shared.count++;
        thrum_mutex_unlock(&shared.mutex);
    }
    return NULL;
}

static thrum_err *lock_in_tasks(void *tasks)
{
    long n = *(long *)tasks, each = turns / n;
    thrum_scope s;
    int rc = 0;

    thrum_scope_open(&s, .name = "lockers");
    for (long i = 0; i < n && rc == 0; i++)
        rc = thrum_spawn(&s, lock_mutex, &each, sizeof each);
    return thrum_scope_close(&s, thrum_rc(rc));
}

static void measure(unsigned workers, long tasks)
{
    shared.count = 0;
    bench_add(bench_call_ns(workers, lock_in_tasks, &tasks) / (double)turns);
    bench_expect("turns", shared.count, turns);
}

static void free_mutex(unsigned workers)
{
    measure(workers, 1);
}

static void contended(unsigned unused)
{
    (void)unused;
    measure(PAIR, PAIR);
}

static void crowd(unsigned unused)
{
    (void)unused;
    measure(PAIR, CROWD);
}

/* ------------------------------------------------------- semaphores, events */

static thrum_err *take_and_give(void *unused)
{
    (void)unused;
    for (long i = 0; i < turns; i++) {
        THRUM_TRY(thrum_sem_acquire(&shared.sem));
        thrum_sem_release(&shared.sem);
    }
    return NULL;
}

static void sem(unsigned workers)
{
    bench_add(bench_call_ns(workers, take_and_give, NULL) / (double)turns);
}

static thrum_event events[PAIR];

static thrum_err *meet(void *unused)
{
    (void)unused;
    for (long i = 0; i < meetings; i++) {
        THRUM_TRY(thrum_event_wait(&events[0]));
        thrum_event_reset(&events[0]);
        thrum_event_set(&events[1]);
    }
    return NULL;
}

static thrum_err *meet_each_other(void *unused)
{
    thrum_scope s;
    int rc;

    (void)unused;
    thrum_scope_open(&s, .name = "meetings");
    rc = thrum_spawn(&s, meet, NULL, 0);
    for (long i = 0; i < meetings && rc == 0; i++) {
        thrum_event_set(&events[0]);
        rc = thrum_event_wait(&events[1]);
        thrum_event_reset(&events[1]);
    }
    return thrum_scope_close(&s, thrum_rc(rc));
}

static void event(unsigned workers)
{
    bench_add(bench_call_ns(workers, meet_each_other, NULL) /
              (double)(PAIR * meetings));
}

static const struct bench_series series = {
    .name = "mutex",
    .cases = {{"floor", "ns", .run = floor_free, .once = true},
              {"floor_contended", "ns", .run = floor_contended, .once = true},
              {"floor_event", "ns", .run = floor_event, .once = true},
              {"free", "ns", .run = free_mutex, .once = true},
              {"contended", "ns", .run = contended, .once = true,
               .floor = "floor_contended"},
              {"crowd", "ns", .run = crowd, .once = true,
               .floor = "floor_contended"},
              {"sem", "ns", .run = sem, .once = true},
              {"event", "ns", .run = event, .once = true,
               .floor = "floor_event"}},
    .rounds = 11,
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    turns = bench_pick(20000, 2000000, 10000000);
    meetings = bench_pick(200, 20000, 100000);
    bench_run(&series);
    return bench_end();
}
