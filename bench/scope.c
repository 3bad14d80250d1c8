/* What do a scope, its deadline, a cancel and a failure cost?
 *
 * open: a scope opened and closed with nothing in it. deadline: the same with a
 * timeout that does not come. canceled: one thrum_canceled(). cancel: a hundred
 * thousand tasks that sleep for an hour, ended by one cancel, until the last has
 * ended, for each. failing: a million tasks that fail, spawned into one scope,
 * for each; succeeding: the same without a failure, its floor. The floor of the
 * others is a call through a pointer.
 */
#include <stdatomic.h>

#include <thrum.h>

#include "bench.h"

static long singles, parked, many;
static atomic_long asleep;

static thrum_err *succeed(void *unused)
{
    (void)unused;
    return NULL;
}

static thrum_err *fail(void *unused)
{
    (void)unused;
    return thrum_rc(-5);
}

static void call(unsigned workers)
{
    thrum_fn *fn = bench_hide(&succeed);
    int64_t start = bench_now();

    (void)workers;
    for (long i = 0; i < singles; i++)
        if (fn(NULL) != NULL)
            bench_fail("a call failed");
    bench_add((double)(bench_now() - start) / (double)singles);
}

/* ---------------------------------------------------------------- one scope */

static thrum_err *open_all(void *unused)
{
    thrum_scope s;

    (void)unused;
    for (long i = 0; i < singles; i++) {
        thrum_scope_open(&s);
        THRUM_TRY(thrum_scope_close(&s, NULL));
    }
    return NULL;
}

static thrum_err *time_all(void *unused)
{
    thrum_scope s;

    (void)unused;
    for (long i = 0; i < singles; i++) {
        thrum_scope_open(&s, .timeout = THRUM_SEC(60));
        THRUM_TRY(thrum_scope_close(&s, NULL));
    }
    return NULL;
}

static thrum_err *ask_all(void *unused)
{
    (void)unused;
    for (long i = 0; i < singles; i++)
        if (thrum_canceled())
            bench_fail("it was canceled");
    return NULL;
}

static void open_close(unsigned workers)
{
    bench_add(bench_call_ns(workers, open_all, NULL) / (double)singles);
}

static void with_deadline(unsigned workers)
{
    bench_add(bench_call_ns(workers, time_all, NULL) / (double)singles);
}

static void ask(unsigned workers)
{
    bench_add(bench_call_ns(workers, ask_all, NULL) / (double)singles);
}

/* ------------------------------------------------------------------- cancel */

static thrum_err *sleep_long(void *unused)
{
    (void)unused;
    atomic_fetch_add(&asleep, 1);
    return thrum_rc(thrum_sleep(THRUM_SEC(3600)));
}

static thrum_err *cancel_all(void *ns)
{
    thrum_scope s;
    thrum_err *err;
    int64_t start;
    int rc = 0;

    atomic_store(&asleep, 0);
    thrum_scope_open(&s, .name = "parked");
    for (long i = 0; i < parked && rc == 0; i++)
        rc = thrum_spawn(&s, sleep_long, NULL, 0);
    while (rc == 0 && atomic_load(&asleep) < parked)
        thrum_yield();
    thrum_yield();
    start = bench_now();
    thrum_scope_cancel(&s, "enough");
    err = thrum_scope_close(&s, thrum_rc(rc));
    *(double *)ns = (double)(bench_now() - start);
    rc = thrum_sleep(THRUM_MS(700)); /* so many stacks give their pages back */
    return thrum_err_add(err, thrum_rc(rc));
}

static void cancel(unsigned workers)
{
    double ns = 0;

    bench_call(workers, cancel_all, &ns);
    bench_add(ns / (double)parked);
}

/* ----------------------------------------------------------------- failures */

static thrum_err *spawn_all(thrum_fn *fn)
{
    thrum_scope s;
    int rc = 0;

    thrum_scope_open(&s, .name = "many", .policy = THRUM_SETTLE);
    for (long i = 0; i < many && rc == 0; i++)
        rc = thrum_spawn(&s, fn, NULL, 0);
    return thrum_scope_close(&s, thrum_rc(rc));
}

static thrum_err *spawn_failing(void *unused)
{
    thrum_err *err = spawn_all(fail);

    (void)unused;
    bench_expect("failures", (int64_t)thrum_err_count(err), many);
    for (size_t i = 0; i < 16; i++) /* the same in every run */
        bench_expect("kept", (int64_t)thrum_err_index(thrum_err_at(err, i)),
                     (int64_t)i);
    thrum_err_drop(err);
    return NULL;
}

static thrum_err *spawn_succeeding(void *unused)
{
    (void)unused;
    return spawn_all(succeed);
}

static void failing(unsigned workers)
{
    bench_add(bench_call_ns(workers, spawn_failing, NULL) / (double)many);
}

static void succeeding(unsigned workers)
{
    bench_add(bench_call_ns(workers, spawn_succeeding, NULL) / (double)many);
}

static const struct bench_series series = {
    .name = "scope",
    .cases = {{"floor", "ns", .run = call, .once = true},
              {"open", "ns", .run = open_close},
              {"deadline", "ns", .run = with_deadline},
              {"canceled", "ns", .run = ask},
              {"succeeding", "ns", .run = succeeding},
              {"failing", "ns", .run = failing, .floor = "succeeding"},
              {"cancel", "ns", .run = cancel}},
    .rounds = 7,
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    singles = bench_pick(1000, 1000000, 1000000);
    parked = bench_pick(100, 100000, 100000);
    many = bench_pick(10000, 1000000, 1000000);
    bench_run(&series);
    return bench_end();
}
