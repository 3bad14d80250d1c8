/* Is every failure of the world told, and nothing lost, leaked or stuck? How:
 * stories in which the nth allocation, mapping, guard or thread is refused, for
 * every n there is; the runtime must do the same without a fault afterwards. */
#include <pthread.h>

#include "lib/sweep.h"

#include "task/error.h"

THRUM_KIND(Failed, THRUM_ERROR);

enum { BIG = 5000 };

/* --- start ---------------------------------------------------------------- */

static thrum_err *nothing(void *arg)
{
    return arg;
}

static void start_and_stop(void)
{
    thrum_rt *rt = NULL;
    int rc = thrum_start(&rt, &(thrum_opts){.workers = workers});

    CHECK(rc == 0 || (faulty && (rc == -ENOMEM || rc == -EAGAIN)));
    if (rc < 0)
        return;
    CHECK(thrum_call(rt, nothing, NULL) == NULL);
    CHECK(thrum_stop(rt) == NULL);
}

static void a_start_that_fails_leaves_nothing_behind(void **state)
{
    (void)state;
    sweep_all_outside(start_and_stop);
}

static thrum_err *note_call(void *arg)
{
    *(bool *)arg = true;
    return NULL;
}

static void run_once(void)
{
    bool called = false;
    thrum_err *e = thrum_run(&(thrum_opts){.workers = workers}, note_call,
                             &called);

    CHECK(called == (e == NULL));
    CHECK(e == NULL || thrum_err_is(e, &THRUM_NOMEM) ||
          thrum_err_is(e, &THRUM_OS));
    expect_only(e, ENOMEM, EAGAIN);
}

static void a_run_that_cannot_start_does_not_call(void **state)
{
    (void)state;
    sweep_all_outside(run_once);
}

/* --- spawn ---------------------------------------------------------------- */

struct child {
    _Atomic unsigned *calls;
    char more[BIG];
};

static const size_t sizes[] = {sizeof(void *), 64, 65, 300, BIG};

enum { SIZES = sizeof sizes / sizeof *sizes };

static thrum_err *count(void *arg)
{
    struct child *c = arg;

    atomic_fetch_add(c->calls, 1);
    thrum_yield();
    return NULL;
}

/* How many were accepted. */
static unsigned spawn_some(thrum_scope *s, thrum_fn *fn,
                           _Atomic unsigned *calls)
{
    struct child *c = calloc(1, sizeof *c);
    unsigned accepted = 0;

    c->calls = calls;
    for (unsigned i = 0; i < 4 * SIZES; i++) {
        int rc = thrum_spawn(s, fn, c, sizes[i % SIZES]);

        CHECK(rc == 0 || (faulty && rc == -ENOMEM));
        accepted += rc == 0;
    }
    free(c);
    return accepted;
}

static thrum_err *spawn_story(void *arg)
{
    _Atomic unsigned calls = 0;
    unsigned accepted;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "spawns");
    accepted = spawn_some(&s, count, &calls);
    CHECK(thrum_scope_close(&s, NULL) == NULL);
    CHECK(atomic_load(&calls) == accepted);
    return NULL;
}

static void a_spawn_without_memory_says_so_and_is_not_called(void **state)
{
    (void)state;
    sweep_allocations(spawn_story);
}

static thrum_scope *full;

static thrum_err *count_and_spawn(void *arg)
{
    struct child *c = arg;
    struct child *more = calloc(1, sizeof *more);
    _Atomic unsigned *calls = c->calls;

    atomic_fetch_add(calls, 1);
    more->calls = calls;
    for (unsigned i = 0; i < SIZES; i++) {
        int rc = thrum_spawn(full, count, more, sizes[i]);

        CHECK(rc == 0 || (faulty && rc == -ENOMEM));
        if (rc < 0)
            atomic_fetch_add(calls, 1); /* as if: the sum is known */
    }
    free(more);
    return NULL;
}

static thrum_err *limit_story(void *arg)
{
    (void)arg;
    for (unsigned limit = 1; limit < 4; limit++) {
        _Atomic unsigned calls = 0;
        unsigned accepted;
        thrum_scope s;

        thrum_scope_open(&s, .limit = limit);
        full = &s;
        accepted = spawn_some(&s, count_and_spawn, &calls);
        CHECK(thrum_scope_close(&s, NULL) == NULL);
        CHECK(atomic_load(&calls) == accepted * (1 + SIZES));
    }
    return NULL;
}

static void
so_does_one_into_a_full_scope_and_the_permit_is_given_back(void **state)
{
    (void)state;
    sweep_allocations(limit_story);
}

static thrum_err *fail_always(void *arg)
{
    struct child *c = arg;

    atomic_fetch_add(c->calls, 1);
    return thrum_fail(&Failed, "as it should");
}

static thrum_err *failing_story(void *arg)
{
    (void)arg;
    for (thrum_policy p = THRUM_ALL; p <= THRUM_SETTLE; p++) {
        uint64_t untold = error_untold();
        _Atomic unsigned calls = 0;
        unsigned accepted;
        thrum_scope s;
        thrum_err *e;

        thrum_scope_open(&s, .policy = p, .max_errors = 30);
        accepted = spawn_some(&s, fail_always, &calls);
        e = thrum_scope_close(&s, thrum_fail(&Failed, "body"));
        CHECK(atomic_load(&calls) == accepted && e != NULL);
        CHECK(thrum_err_count(e) + (error_untold() - untold) == accepted + 1);
        CHECK(faulty || thrum_err_at(e, accepted) != NULL);
        thrum_err_drop(e);
    }
    return NULL;
}

static void no_failure_becomes_a_success_or_goes_uncounted(void **state)
{
    (void)state;
    sweep_allocations(failing_story);
}

/* --- scopes made on demand ------------------------------------------------ */

static thrum_err *count_child(void *calls)
{
    atomic_fetch_add((_Atomic unsigned *)calls, 1);
    return NULL;
}

static thrum_err *spawn_in_fork(void *calls)
{
    int rc = thrum_spawn(NULL, count_child, calls, 0);

    CHECK(rc == 0 || (faulty && rc == -ENOMEM));
    if (rc < 0)
        atomic_fetch_add((_Atomic unsigned *)calls, 1); /* as if */
    return NULL;
}

/* Without memory for its own, a fork that is called in place uses the scope
 * around. */
static thrum_err *own_scope_story(void *arg)
{
    _Atomic unsigned calls = 0;
    thrum_task task[10];
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "forks");
    for (int i = 0; i < 10; i++)
        thrum_fork(&task[i], spawn_in_fork, &calls);
    for (int i = 10; i-- > 0;)
        CHECK(thrum_join(&task[i]) == NULL);
    CHECK(faulty || atomic_load(&calls) == 10);
    CHECK(thrum_scope_close(&s, NULL) == NULL);
    CHECK(atomic_load(&calls) == 10);
    return NULL;
}

static void what_a_fork_starts_is_joined_without_memory_too(void **state)
{
    (void)state;
    sweep_allocations(own_scope_story);
}

/* --- post ----------------------------------------------------------------- */

static void post_outside(void)
{
    _Atomic unsigned calls = 0, *at = &calls;
    struct child *c = calloc(1, sizeof *c);
    unsigned accepted = 0;
    thrum_rt *rt = NULL;
    int rc = thrum_start(&rt, &(thrum_opts){.workers = workers});

    c->calls = at;
    CHECK(rc == 0 || faulty);
    for (unsigned i = 0; rc == 0 && i < 4 * SIZES; i++) {
        int posted = thrum_post(rt, count, c, sizes[i % SIZES]);

        CHECK(posted == 0 || (faulty && posted == -ENOMEM));
        accepted += posted == 0;
    }
    if (rc == 0)
        CHECK(thrum_stop(rt) == NULL);
    CHECK(atomic_load(&calls) == accepted);
    free(c);
}

static void a_post_without_memory_says_so_and_is_not_called(void **state)
{
    (void)state;
    sweep_all_outside(post_outside);
}

/* --- loops ---------------------------------------------------------------- */

enum { JOBS = 40 };

static thrum_err *fail_job(void *arg)
{
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
    thrum_yield(); /* so that others take the rest */
    return thrum_fail(&Failed, "%p", arg);
}

static thrum_err *gather_story(void *arg)
{
    uint64_t untold = error_untold();
    _Atomic unsigned calls = 0;
    thrum_job job[JOBS];
    thrum_err *e;

    (void)arg;
    for (int i = 0; i < JOBS; i++)
        job[i] = (thrum_job){.fn = fail_job, .arg = &calls};
    e = thrum_gather(job, JOBS, THRUM_ALL);
    CHECK(thrum_err_count(e) + (error_untold() - untold) ==
          atomic_load(&calls));
    thrum_err_drop(e);

    CHECK(thrum_gather(job, JOBS, THRUM_SETTLE) == NULL);
    for (int i = 0; i < JOBS; i++) {
        CHECK(job[i].err != NULL);
        thrum_err_drop(job[i].err);
    }
    return NULL;
}

static void gathering_keeps_its_errors_without_memory(void **state)
{
    (void)state;
    sweep_allocations(gather_story);
}

struct sum {
    uint64_t of;
    char more[600];
};

static void sum_init(void *acc, void *ctx)
{
    (void)ctx;
    ((struct sum *)acc)->of = 0;
}

static void sum_merge(void *into, void *from, void *ctx)
{
    (void)ctx;
    ((struct sum *)into)->of += ((struct sum *)from)->of;
}

static thrum_err *sum_fold(size_t lo, size_t hi, void *acc, void *ctx)
{
    (void)ctx;
    for (size_t i = lo; i < hi; i++)
        ((struct sum *)acc)->of += i;
    thrum_yield();
    return NULL;
}

static thrum_err *reduce(size_t size)
{
    thrum_reduction how = {size, sum_init, sum_merge, sum_fold};
    struct sum sum = {0};
    thrum_err *e = thrum_reduce(0, 1000, 20, &how, &sum, NULL);

    CHECK(e != NULL || sum.of == 499500);
    return e;
}

static thrum_err *reduce_story(void *arg)
{
    (void)arg;
    expect_only(reduce(sizeof(struct sum)), ENOMEM, ENOMEM);
    expect_only(reduce(offsetof(struct sum, more)), ENOMEM, ENOMEM);
    return NULL;
}

static void a_reduction_without_memory_says_so(void **state)
{
    (void)state;
    sweep_allocations(reduce_story);
}

/* --- offload -------------------------------------------------------------- */

struct offload {
    _Atomic unsigned *calls, *failures;
};

static thrum_err *count_call(void *arg)
{
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
    return NULL;
}

static thrum_err *count_through(void *arg)
{
    return count_call(*(_Atomic unsigned **)arg);
}

static thrum_err *offload_once(void *arg)
{
    struct offload *o = arg;
    thrum_err *e = thrum_offload(count_call, o->calls);

    if (e != NULL)
        atomic_fetch_add(o->failures, 1);
    expect_only(e, EAGAIN, ENOMEM);
    return NULL;
}

static thrum_err *offload_story(void *arg)
{
    _Atomic unsigned calls = 0, failures = 0;
    struct offload o = {&calls, &failures};
    thrum_task task[8];

    (void)arg;
    for (int i = 0; i < 8; i++)
        thrum_fork(&task[i], offload_once, &o);
    for (int i = 8; i-- > 0;)
        CHECK(thrum_join(&task[i]) == NULL);
    CHECK(atomic_load(&calls) + atomic_load(&failures) == 8);
    return NULL;
}

static void an_offload_that_fails_was_not_called(void **state)
{
    (void)state;
    sweep_allocations(offload_story);
    sweep_os(offload_story, FAIL_THREAD);
    sweep_os(offload_story, FAIL_MAP);
}

static thrum_err *blocking_story(void *arg)
{
    _Atomic unsigned calls = 0, *at = &calls;
    unsigned refused = 0, failed;
    thrum_err *e;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .policy = THRUM_SETTLE);
    for (int i = 0; i < 8; i++) {
        int rc = thrum_spawn_blocking(&s, count_through, &at, sizeof at);

        CHECK(rc == 0 || rc == -ENOMEM);
        refused += rc != 0;
    }
    e = thrum_scope_close(&s, NULL);
    failed = (unsigned)thrum_err_count(e);
    expect_only(e, EAGAIN, ENOMEM);
    if (failed != 1) /* or there was no memory for a group */
        CHECK(atomic_load(&calls) + refused + failed == 8);
    return NULL;
}

static void a_blocking_child_is_called_or_its_error_arrives(void **state)
{
    (void)state;
    sweep_allocations(blocking_story);
    sweep_os(blocking_story, FAIL_THREAD);
    sweep_os(blocking_story, FAIL_MAP);
}

/* Calls that need each other, while one thread is refused: it is asked for
 * again, or one of them says that it was not called. */
struct pair {
    _Atomic unsigned here, missing;
};

static unsigned meeting;

static thrum_err *meet_blocking(void *arg)
{
    struct pair *p = arg;

    atomic_fetch_add(&p->here, 1);
    while (atomic_load(&p->here) + atomic_load(&p->missing) < meeting)
        CHECK(thrum_sleep(THRUM_US(20)) == 0); /* it blocks here */
    return NULL;
}

static thrum_err *offload_to_meet(void *arg)
{
    struct pair *p = arg;
    thrum_err *e = thrum_offload(meet_blocking, p);

    if (e != NULL)
        atomic_fetch_add(&p->missing, 1);
    expect_only(e, EAGAIN, ENOMEM);
    return NULL;
}

static thrum_err *meet_story(void *arg)
{
    struct pair p = {0};
    thrum_task task[8];

    (void)arg;
    for (unsigned i = 0; i < meeting; i++)
        thrum_fork(&task[i], offload_to_meet, &p);
    for (unsigned i = meeting; i-- > 0;)
        CHECK(thrum_join(&task[i]) == NULL);
    CHECK(atomic_load(&p.here) + atomic_load(&p.missing) == meeting);
    return NULL;
}

static void the_blocking_pool_grows_after_a_refusal(void **state)
{
    (void)state;
    for (meeting = 2; meeting <= 5; meeting++) {
        sweep_max_blocking = meeting;
        sweep_os(meet_story, FAIL_THREAD);
        sweep_os(meet_story, FAIL_MAP);
    }
    sweep_max_blocking = 0;
}

/* Tasks that block their threads until all have come, while one thread for a worker
 * in their place is refused: it is asked for again. */
static thrum_err *come_blocking(void *arg)
{
    pthread_barrier_t *all = arg;
    int rc;

    thrum_block_enter();
    rc = pthread_barrier_wait(all);
    thrum_block_leave();
    CHECK(rc == 0 || rc == PTHREAD_BARRIER_SERIAL_THREAD);
    return NULL;
}

static thrum_err *block_story(void *arg)
{
    pthread_barrier_t all;
    thrum_task task[4];

    (void)arg;
    CHECK(pthread_barrier_init(&all, NULL, 4) == 0);
    for (int i = 0; i < 4; i++)
        thrum_fork(&task[i], come_blocking, &all);
    for (int i = 4; i-- > 0;)
        CHECK(thrum_join(&task[i]) == NULL);
    CHECK(pthread_barrier_destroy(&all) == 0);
    return NULL;
}

static void a_worker_that_is_refused_is_asked_for_again(void **state)
{
    (void)state;
    sweep_os(block_story, FAIL_THREAD);
    sweep_os(block_story, FAIL_MAP);
}

static void hundreds_of_faults_were_met(void **state)
{
    (void)state;
    print_message("           %llu faults struck\n",
                  (unsigned long long)faults_met);
    assert_true(faults_met > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_that_fails_leaves_nothing_behind),
        cmocka_unit_test(a_run_that_cannot_start_does_not_call),
        cmocka_unit_test(a_spawn_without_memory_says_so_and_is_not_called),
        cmocka_unit_test(
            so_does_one_into_a_full_scope_and_the_permit_is_given_back),
        cmocka_unit_test(no_failure_becomes_a_success_or_goes_uncounted),
        cmocka_unit_test(what_a_fork_starts_is_joined_without_memory_too),
        cmocka_unit_test(a_post_without_memory_says_so_and_is_not_called),
        cmocka_unit_test(gathering_keeps_its_errors_without_memory),
        cmocka_unit_test(a_reduction_without_memory_says_so),
        cmocka_unit_test(an_offload_that_fails_was_not_called),
        cmocka_unit_test(a_blocking_child_is_called_or_its_error_arrives),
        cmocka_unit_test(the_blocking_pool_grows_after_a_refusal),
        cmocka_unit_test(a_worker_that_is_refused_is_asked_for_again),
        cmocka_unit_test(hundreds_of_faults_were_met),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
