/* Does thrum_gather call every job, all at once if they need each other, and give
 * each error its index? How: jobs that count, meet, fail in a known order. */
#include "lib/api.h"

THRUM_KIND(Odd, THRUM_ERROR);
THRUM_KIND(Early, THRUM_ERROR);

enum { JOBS = 100 };

struct each_job {
    thrum_job job[JOBS];
    _Atomic unsigned called[JOBS];
    unsigned index[JOBS];
    struct gate g;
};

static struct each_job *shared;

static void prepare(struct each_job *e, thrum_fn *fn)
{
    shared = e;
    gate_init(&e->g, JOBS);
    for (unsigned i = 0; i < JOBS; i++) {
        atomic_init(&e->called[i], 0);
        e->index[i] = i;
        e->job[i] = (thrum_job){.fn = fn, .arg = &e->index[i]};
    }
}

static void all_called_once(struct each_job *e)
{
    for (unsigned i = 0; i < JOBS; i++)
        CHECK(atomic_load(&e->called[i]) == 1);
}

static unsigned called(void *arg)
{
    unsigned i = *(unsigned *)arg;

    atomic_fetch_add(&shared->called[i], 1);
    return i;
}

static thrum_err *succeed(void *arg)
{
    (void)called(arg);
    return NULL;
}

static thrum_err *meet(void *arg)
{
    (void)called(arg);
    gate_meet(&shared->g);
    return NULL;
}

static thrum_err *meet_and_fail_odd(void *arg)
{
    unsigned i = called(arg);

    gate_meet(&shared->g);
    return i % 2 == 0 ? NULL : thrum_fail(&Odd, "job %u", i);
}

static thrum_err *fail_odd(void *arg)
{
    unsigned i = called(arg);

    return i % 2 == 0 ? NULL : thrum_fail(&Odd, "job %u", i);
}

/* --- calls ---------------------------------------------------------------- */

static thrum_err *gather_none(void *arg)
{
    (void)arg;
    CHECK(thrum_gather(NULL, 0, THRUM_ALL) == NULL);
    CHECK(thrum_gather(NULL, 0, THRUM_SETTLE) == NULL);
    return NULL;
}

static void no_jobs_are_a_success(void **state)
{
    (void)state;
    on_runtimes(gather_none, NULL);
}

static thrum_err *gather_all(void *arg)
{
    struct each_job *e = arg;

    for (thrum_policy p = THRUM_ALL; p <= THRUM_SETTLE; p++) {
        for (size_t n = 1; n <= JOBS; n = n * 3 + 1) {
            prepare(e, succeed);
            expect_ok(thrum_gather(e->job, n, p));
            for (unsigned i = 0; i < JOBS; i++)
                CHECK(atomic_load(&e->called[i]) == (i < n));
        }
        prepare(e, meet);
        expect_ok(thrum_gather(e->job, JOBS, p));
        all_called_once(e);
    }
    return NULL;
}

static void every_job_is_called_once_and_may_wait_for_any_other(void **state)
{
    struct each_job *e = malloc(sizeof *e);

    (void)state;
    on_runtimes(gather_all, e);
    free(e);
}

static thrum_err *keep_worker(void *arg)
{
    gate_block(arg);
    return NULL;
}

static thrum_err *gather_blocking(void *arg)
{
    (void)arg;
    for (size_t turn = 0; turn < scaled(300) + 4; turn++) {
        thrum_job job[4];
        struct gate g;

        gate_init(&g, workers);
        for (unsigned i = 0; i < workers; i++)
            job[i] = (thrum_job){.fn = keep_worker, .arg = &g};
        expect_ok(thrum_gather(job, workers, THRUM_ALL));
        if (turn % 64 == 0)
            CHECK(thrum_sleep(THRUM_US(200)) == 0); /* let workers park */
    }
    return NULL;
}

static void jobs_that_keep_their_workers_run_at_once(void **state)
{
    (void)state;
    on_threads(gather_blocking, NULL);
}

/* --- errors --------------------------------------------------------------- */

static thrum_err *gather_failing(void *arg)
{
    struct each_job *e = arg;
    thrum_err *err;
    size_t previous = 0, i = 1;

    prepare(e, meet_and_fail_odd); /* none fails before all have begun */
    err = thrum_gather(e->job, JOBS, THRUM_ALL);
    all_called_once(e);
    CHECK(thrum_err_count(err) == JOBS / 2);
    for (const thrum_err *leaf; (leaf = thrum_err_at(err, i)) != NULL; i++) {
        CHECK(thrum_err_is(leaf, &Odd));
        CHECK(thrum_err_index(leaf) % 2 == 1);
        CHECK(i == 1 || thrum_err_index(leaf) > previous);
        previous = thrum_err_index(leaf);
    }
    CHECK(i == 16 && thrum_err_index(err) % 2 == 1);
    CHECK(previous <= 33); /* the lowest, but for the one that leads */
    thrum_err_drop(err);
    return NULL;
}

static void the_errors_of_all_jobs_come_as_one(void **state)
{
    struct each_job *e = malloc(sizeof *e);

    (void)state;
    on_runtimes(gather_failing, e);
    free(e);
}

static thrum_err *gather_until_failure(void *arg)
{
    struct each_job *e = arg;
    unsigned calls = 0;
    thrum_err *err;

    prepare(e, fail_odd);
    err = thrum_gather(e->job, JOBS, THRUM_ALL);
    for (unsigned i = 0; i < JOBS; i++) {
        CHECK(atomic_load(&e->called[i]) <= 1);
        calls += i % 2 == 1 && atomic_load(&e->called[i]) == 1;
    }
    CHECK(thrum_err_is(err, &Odd) && !thrum_err_has(err, &THRUM_CANCELED));
    CHECK(thrum_err_count(err) == calls);
    CHECK(workers > 1 || calls == 1); /* nobody else had begun */
    thrum_err_drop(err);
    return NULL;
}

static void after_a_failure_jobs_that_have_not_begun_are_left_out(void **state)
{
    struct each_job *e = malloc(sizeof *e);

    (void)state;
    on_runtimes(gather_until_failure, e);
    free(e);
}

/* Job 7 fails when all have begun; the others wait until it has. On one worker
 * they go on when that has been told; on more it may be told late. */
static thrum_err *fail_after_7(void *arg)
{
    unsigned i = called(arg);

    if (i == 7) {
        await_count(&shared->g.here, 9);
        atomic_fetch_add(&shared->g.here, 1);
        return thrum_fail(&Early, "the first");
    }
    atomic_fetch_add(&shared->g.here, 1);
    await_count(&shared->g.here, 10);
    return thrum_fail(&Odd, "%u", i);
}

static thrum_err *gather_first(void *arg)
{
    struct each_job *e = arg;
    thrum_err *err;

    prepare(e, fail_after_7);
    err = thrum_gather(e->job, 10, THRUM_ALL);
    CHECK(thrum_err_count(err) == 10 && thrum_err_has(err, &Early));
    if (workers == 1)
        expect_indices(err, 10, (size_t[]){7, 0, 1, 2, 3, 4, 5, 6, 8, 9});
    else
        thrum_err_drop(err);
    return NULL;
}

static void what_failed_first_leads(void **state)
{
    struct each_job *e = malloc(sizeof *e);

    (void)state;
    on_runtimes(gather_first, e);
    free(e);
}

static thrum_err *gather_settled(void *arg)
{
    struct each_job *e = arg;

    prepare(e, fail_odd);
    for (unsigned i = 0; i < JOBS; i++) /* what was there is not looked at */
        e->job[i].err = (thrum_err *)(uintptr_t)0x5A5A5A5A;
    CHECK(thrum_gather(e->job, JOBS, THRUM_SETTLE) == NULL);
    all_called_once(e);
    for (unsigned i = 0; i < JOBS; i++) {
        char wanted[16];

        CHECK((e->job[i].err != NULL) == (i % 2 == 1));
        snprintf(wanted, sizeof wanted, "job %u", i);
        if (i % 2 == 1)
            CHECK(strcmp(thrum_err_msg(e->job[i].err), wanted) == 0);
        thrum_err_drop(e->job[i].err);
    }
    return NULL;
}

static void settled_errors_are_left_in_the_jobs(void **state)
{
    struct each_job *e = malloc(sizeof *e);

    (void)state;
    on_runtimes(gather_settled, e);
    free(e);
}

/* --- nesting -------------------------------------------------------------- */

struct tree {
    unsigned depth;
    _Atomic unsigned *leaves;
};

static thrum_err *gather_tree(void *arg)
{
    struct tree *t = arg, child = {t->depth - 1, t->leaves};
    thrum_job job[3];

    if (t->depth == 0) {
        if (atomic_fetch_add(t->leaves, 1) % 7 == 0)
            thrum_yield();
        return NULL;
    }
    for (int i = 0; i < 3; i++)
        job[i] = (thrum_job){.fn = gather_tree, .arg = &child};
    return thrum_gather(job, 3, THRUM_ALL);
}

static thrum_err *gather_deep(void *arg)
{
    _Atomic unsigned leaves = 0;

    (void)arg;
    expect_ok(gather_tree(&(struct tree){SCALE == 1 ? 7 : 5, &leaves}));
    CHECK(atomic_load(&leaves) == (SCALE == 1 ? 2187 : 243));
    return NULL;
}

static void gathering_nests(void **state)
{
    (void)state;
    on_runtimes(gather_deep, NULL);
}

/* Alone: the others are not. */
static thrum_err *be_canceled(void *unused)
{
    (void)unused;
    thrum_scope_cancel(NULL, NULL);
    return thrum_rc(thrum_sleep(0));
}

static thrum_err *count_on(void *arg)
{
    CHECK(thrum_checkpoint() == 0);
    ++*(_Atomic unsigned *)arg;
    return NULL;
}

static thrum_err *gather_one_canceled(void *unused)
{
    _Atomic unsigned counted = 0;
    thrum_job jobs[JOBS] = {{.fn = be_canceled}};
    thrum_err *e;

    (void)unused;
    for (int i = 1; i < JOBS; i++)
        jobs[i] = (thrum_job){.fn = count_on, .arg = &counted};
    e = thrum_gather(jobs, JOBS, THRUM_ALL);
    CHECK(thrum_err_kind(e) == &THRUM_CANCELED && thrum_err_count(e) == 1);
    thrum_err_drop(e);
    CHECK(counted == JOBS - 1);
    return NULL;
}

static void a_job_canceled_alone_cancels_nobody(void **state)
{
    (void)state;
    on_runtimes(gather_one_canceled, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_jobs_are_a_success),
        cmocka_unit_test(every_job_is_called_once_and_may_wait_for_any_other),
        cmocka_unit_test(jobs_that_keep_their_workers_run_at_once),
        cmocka_unit_test(the_errors_of_all_jobs_come_as_one),
        cmocka_unit_test(after_a_failure_jobs_that_have_not_begun_are_left_out),
        cmocka_unit_test(what_failed_first_leads),
        cmocka_unit_test(settled_errors_are_left_in_the_jobs),
        cmocka_unit_test(gathering_nests),
        cmocka_unit_test(a_job_canceled_alone_cancels_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
