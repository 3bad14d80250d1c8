/* What does it cost to start an empty task and wait for it?
 *
 * await: a scope with one task in it, opened and closed. fork: one fork and its
 * join. many: a million tasks spawned into one scope, which is then closed, for
 * each task. array: a million forks, joined oldest first, for each. first: the same
 * in a runtime of its own, which touches its memory for the first time. The floor is
 * a call through a pointer.
 */
#include <stdlib.h>
#include <string.h>

#include <thrum.h>

#include "bench.h"

static long singles, many;
static long calls;         /* of tasks that nothing runs beside */
static unsigned char *ran; /* by each of many: how often */
static thrum_task *forks;

static thrum_err *count(void *unused)
{
    (void)unused;
    calls++;
    return NULL;
}

/* A counter that all share would cost more than the rest. */
static thrum_err *mark(void *at)
{
    ++*(unsigned char *)at;
    return NULL;
}

static void call(unsigned workers)
{
    thrum_fn *fn = bench_hide(&count);
    int64_t start = bench_now();

    (void)workers;
    calls = 0;
    for (long i = 0; i < singles; i++)
        if (fn(NULL) != NULL)
            bench_fail("a call failed");
    bench_add((double)(bench_now() - start) / (double)singles);
    bench_expect("calls", calls, singles);
}

static thrum_err *await_all(void *unused)
{
    thrum_scope s;

    (void)unused;
    for (long i = 0; i < singles; i++) {
        int rc;

        thrum_scope_open(&s, .name = "one");
        rc = thrum_spawn(&s, count, NULL, 0);
        THRUM_TRY(thrum_scope_close(&s, thrum_rc(rc)));
    }
    return NULL;
}

static thrum_err *fork_all(void *unused)
{
    (void)unused;
    for (long i = 0; i < singles; i++) {
        thrum_task task;

        thrum_fork(&task, count, NULL);
        THRUM_TRY(thrum_join(&task));
    }
    return NULL;
}

static void one_by_one(unsigned workers, thrum_fn *fn)
{
    calls = 0;
    bench_add(bench_call_ns(workers, fn, NULL) / (double)singles);
    bench_expect("calls", calls, singles);
}

static void await(unsigned workers)
{
    one_by_one(workers, await_all);
}

static void fork_join(unsigned workers)
{
    one_by_one(workers, fork_all);
}

static thrum_err *spawn_all(void *unused)
{
    thrum_scope s;
    int rc = 0;

    (void)unused;
    thrum_scope_open(&s, .name = "many");
    for (long i = 0; i < many && rc == 0; i++)
        rc = thrum_spawn(&s, mark, ran + i, 0);
    return thrum_scope_close(&s, thrum_rc(rc));
}

static thrum_err *fork_array(void *unused)
{
    thrum_err *err = NULL;

    (void)unused;
    for (long i = 0; i < many; i++)
        thrum_fork(&forks[i], mark, ran + i);
    for (long i = 0; i < many; i++)
        err = thrum_err_add(err, thrum_join(&forks[i]));
    return err;
}

static void all_at_once(unsigned workers, thrum_fn *fn)
{
    memset(ran, 0, (size_t)many);
    bench_add(bench_call_ns(workers, fn, NULL) / (double)many);
    for (long i = 0; i < many; i++)
        bench_expect("calls", ran[i], 1);
}

static void spawn_many(unsigned workers)
{
    all_at_once(workers, spawn_all);
}

static void join_array(unsigned workers)
{
    all_at_once(workers, fork_array);
}

static thrum_err *time_fork_array(void *ns)
{
    int64_t start = bench_now();
    thrum_err *err = fork_array(NULL);

    *(double *)ns = (double)(bench_now() - start);
    return err;
}

static void join_array_first(unsigned workers)
{
    thrum_opts opts = {.workers = workers};
    double ns;

    memset(ran, 0, (size_t)many);
    if (thrum_run(&opts, time_fork_array, &ns) != NULL)
        bench_fail("a runtime of its own");
    bench_add(ns / (double)many);
    for (long i = 0; i < many; i++)
        bench_expect("calls", ran[i], 1);
}

static const struct bench_series series = {
    .name = "spawn_join",
    .cases = {{"floor", "ns", .run = call, .once = true},
              {"await", "ns", .run = await},
              {"fork", "ns", .run = fork_join},
              {"many", "ns", .run = spawn_many},
              {"array", "ns", .run = join_array},
              {"first", "ns", .run = join_array_first}},
    .rounds = 11,
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    singles = bench_pick(1000, 1000000, 1000000);
    many = bench_pick(10000, 1000000, 1000000);
    ran = malloc((size_t)many);
    forks = malloc((size_t)many * sizeof *forks);
    if (ran == NULL || forks == NULL)
        bench_fail("no memory");
    bench_run(&series);
    free(forks);
    free(ran);
    return bench_end();
}
