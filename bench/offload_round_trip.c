/* What does it cost to run something off the workers?
 *
 * one: a task offloads an empty function and waits, over and over. Its floor is
 * a job handed to another thread and back, with one mutex and two condition
 * variables. many: a hundred thousand calls given to the pool at once, for each.
 * Its floor is a list under a mutex that one thread fills and another empties.
 * tasks: a hundred thousand tasks offload at the same time, and each waits.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <thrum.h>

#include "bench.h"

static long singles, many;
static atomic_long runs;

static thrum_err *job(void *unused)
{
    (void)unused;
    atomic_fetch_add_explicit(&runs, 1, memory_order_relaxed);
    return NULL;
}

/* -------------------------------------------------------------- the floors */

struct work {
    struct work *next;
    thrum_fn *fn;
};

struct desk {
    pthread_mutex_t lock;
    pthread_cond_t work_came, all_done;
    struct work *first;
    long wanted, done;
};

static void *clerk(void *arg)
{
    struct desk *desk = arg;

    pthread_mutex_lock(&desk->lock);
    while (desk->done < desk->wanted) {
        struct work *work = desk->first;

        if (work == NULL) {
            pthread_cond_wait(&desk->work_came, &desk->lock);
            continue;
        }
        desk->first = work->next;
        pthread_mutex_unlock(&desk->lock);
        (void)work->fn(NULL);
        pthread_mutex_lock(&desk->lock);
        desk->done++;
        if (desk->first == NULL)
            pthread_cond_signal(&desk->all_done);
    }
    pthread_mutex_unlock(&desk->lock);
    return NULL;
}

static void hand_over(struct desk *desk, struct work *work)
{
    bool idle;

    pthread_mutex_lock(&desk->lock);
    idle = desk->first == NULL;
    work->next = desk->first;
    desk->first = work;
    pthread_mutex_unlock(&desk->lock);
    if (idle)
        pthread_cond_signal(&desk->work_came);
}

static void wait_until_done(struct desk *desk, long count)
{
    pthread_mutex_lock(&desk->lock);
    while (desk->done < count)
        pthread_cond_wait(&desk->all_done, &desk->lock);
    pthread_mutex_unlock(&desk->lock);
}

static pthread_t open_desk(struct desk *desk, long wanted)
{
    pthread_t thread;

    *desk = (struct desk){.wanted = wanted};
    pthread_mutex_init(&desk->lock, NULL);
    pthread_cond_init(&desk->work_came, NULL);
    pthread_cond_init(&desk->all_done, NULL);
    atomic_store(&runs, 0);
    if (pthread_create(&thread, NULL, clerk, desk) != 0)
        bench_fail("pthread_create");
    return thread;
}

static void floor_one(unsigned workers)
{
    struct work work = {.fn = job};
    struct desk desk;
    pthread_t thread = open_desk(&desk, singles);

    (void)workers;
    for (long i = 0; i < singles; i++) {
        int64_t start = bench_now();

        hand_over(&desk, &work);
        wait_until_done(&desk, i + 1);
        bench_add((double)(bench_now() - start) / 1e3);
    }
    pthread_join(thread, NULL);
    bench_expect("jobs", atomic_load(&runs), singles);
}

static void floor_many(unsigned workers)
{
    struct work *list = calloc((size_t)many, sizeof *list);
    struct desk desk;
    pthread_t thread = open_desk(&desk, many);
    int64_t start = bench_now();

    (void)workers;
    for (long i = 0; i < many; i++) {
        list[i].fn = job;
        hand_over(&desk, &list[i]);
    }
    wait_until_done(&desk, many);
    bench_add((double)(bench_now() - start) / (double)many);
    pthread_join(thread, NULL);
    bench_expect("jobs", atomic_load(&runs), many);
    free(list);
}

/* ---------------------------------------------------------------- offloads */

static thrum_err *offload_singles(void *unused)
{
    (void)unused;
    for (long i = 0; i < singles; i++) {
        int64_t start = bench_now();

        THRUM_TRY(thrum_offload(job, NULL));
        bench_add((double)(bench_now() - start) / 1e3);
    }
    return NULL;
}

static void one(unsigned workers)
{
    atomic_store(&runs, 0);
    bench_call(workers, offload_singles, NULL);
    bench_expect("jobs", atomic_load(&runs), singles);
}

static thrum_err *spawn_many(void *unused)
{
    thrum_scope s;
    int rc = 0;

    (void)unused;
    thrum_scope_open(&s, .name = "calls");
    for (long i = 0; i < many && rc == 0; i++)
        rc = thrum_spawn_blocking(&s, job, NULL, 0);
    return thrum_scope_close(&s, thrum_rc(rc));
}

static thrum_err *offload_once(void *unused)
{
    (void)unused;
    return thrum_offload(job, NULL);
}

static thrum_err *offload_many(void *unused)
{
    thrum_scope s;
    int rc = 0;

    (void)unused;
    thrum_scope_open(&s, .name = "offloads");
    for (long i = 0; i < many && rc == 0; i++)
        rc = thrum_spawn(&s, offload_once, NULL, 0);
    return thrum_scope_close(&s, thrum_rc(rc));
}

static void all_at_once(unsigned workers, thrum_fn *fn)
{
    atomic_store(&runs, 0);
    bench_add(bench_call_ns(workers, fn, NULL) / (double)many);
    bench_expect("jobs", atomic_load(&runs), many);
}

static void calls(unsigned workers)
{
    all_at_once(workers, spawn_many);
}

static void tasks(unsigned workers)
{
    all_at_once(workers, offload_many);
}

static const struct bench_series series = {
    .name = "offload_round_trip",
    .cases = {{"floor", "us", .run = floor_one, .once = true},
              {"floor_many", "ns", .run = floor_many, .once = true},
              {"one", "us", .run = one},
              {"many", "ns", .run = calls, .floor = "floor_many"},
              {"tasks", "ns", .run = tasks, .floor = "floor_many"}},
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    singles = bench_pick(100, 5000, 10000);
    many = bench_pick(1000, 100000, 100000);
    bench_run(&series);
    return bench_end();
}
