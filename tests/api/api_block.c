/* Do others run while tasks block their threads, or compute? How: tasks that need
 * each other and keep their workers, more of them than there are workers: with
 * pthread's means, in the kernel, announced and not; in loops. And is the number
 * of workers what was asked for last? */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/api.h"

static pthread_barrier_t barrier;

static void meet(void)
{
    int rc = pthread_barrier_wait(&barrier);

    CHECK(rc == 0 || rc == PTHREAD_BARRIER_SERIAL_THREAD);
}

/* As many as n children, who all meet. */
static thrum_err *spawn_all(thrum_fn *fn, unsigned n, void *arg)
{
    thrum_scope s;

    CHECK(pthread_barrier_init(&barrier, NULL, n) == 0);
    thrum_scope_open(&s, .name = "block");
    for (unsigned i = 0; i < n; i++)
        CHECK(thrum_spawn(&s, fn, arg, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(pthread_barrier_destroy(&barrier) == 0);
    return NULL;
}

/* ---------------------------------------------------------------- announced */

static thrum_err *meet_announced(void *arg)
{
    thrum_block_enter();
    meet();
    thrum_block_leave();
    return arg;
}

static thrum_err *many_meet(void *arg)
{
    for (int i = 0; i < 10; i++)
        THRUM_TRY(spawn_all(meet_announced, 12, arg));
    return NULL;
}

static void who_says_that_it_blocks_is_replaced(void **state)
{
    (void)state;
    on_threads(many_meet, NULL);
}

static thrum_err *meet_forked(void *arg)
{
    meet();
    return arg;
}

/* What it forked is in reach, too. */
static thrum_err *fork_and_meet(void *arg)
{
    thrum_task t[3];

    CHECK(pthread_barrier_init(&barrier, NULL, 4) == 0);
    for (int i = 0; i < 3; i++)
        thrum_fork(&t[i], i == 2 ? meet_forked : meet_announced, NULL);
    thrum_block_enter();
    thrum_block_enter();
    meet();
    thrum_block_leave();
    thrum_block_leave();
    for (int i = 3; i-- > 0;)
        THRUM_TRY(thrum_join(&t[i]));
    CHECK(pthread_barrier_destroy(&barrier) == 0);
    return arg;
}

static void so_is_one_with_forks(void **state)
{
    (void)state;
    on_threads(fork_and_meet, NULL);
}

/* Nothing is wrong with a wait in between, or with one that has no other half. */
static thrum_err *wait_between(void *arg)
{
    for (int i = 0; i < 100; i++) {
        thrum_block_enter();
        thrum_yield();
        if (i % 3 != 0)
            thrum_block_leave();
        if (i % 10 == 0)
            CHECK(thrum_sleep(1) == 0);
    }
    return arg;
}

static thrum_err *waiters_and_blockers(void *arg)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "waiters");
    for (int i = 0; i < 8; i++)
        CHECK(thrum_spawn(&s, wait_between, NULL, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    return spawn_all(meet_announced, 8, arg);
}

static void what_waits_in_between_does_no_harm(void **state)
{
    (void)state;
    thrum_block_enter(); /* no worker: nothing happens */
    thrum_block_leave();
    on_runtimes(wait_between, NULL);
    on_threads(waiters_and_blockers, NULL);
}

/* -------------------------------------------------------------- unannounced */

enum { TRIES = 20 };

static struct told {
    pthread_mutex_t lock;
    unsigned count[2]; /* lock, as all */
    char name[64], where[256];
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Atomic unsigned told_of[2];

static void tell(const char *name, const char *where, bool computes, void *user)
{
    CHECK(user == &told);
    if (strcmp(name, "main") == 0 && workers > 1)
        return; /* it may have to wait for a barrier's last one */
    pthread_mutex_lock(&told.lock);
    told.count[computes]++;
    snprintf(told.name, sizeof told.name, "%s", name);
    snprintf(told.where, sizeof told.where, "%s", where);
    pthread_mutex_unlock(&told.lock);
    atomic_fetch_add(&told_of[computes], 1);
}

static void run_and_be_told(unsigned n, thrum_fn *fn)
{
    thrum_opts opts = {.workers = n, .on_stuck = tell, .user = &told};
    thrum_rt *rt;

    atomic_store(&told_of[0], 0);
    atomic_store(&told_of[1], 0);
    memset(told.count, 0, sizeof told.count);
    workers = n;
    assert_int_equal(thrum_start(&rt, &opts), 0);
    expect_ok(thrum_call(rt, fn, NULL));
    expect_ok(thrum_stop(rt));
}

static thrum_err *meet_silently(void *arg)
{
    meet();
    return arg;
}

static thrum_err *all_block(void *arg)
{
    THRUM_TRY(spawn_all(meet_silently, workers + 2, arg));
    return spawn_all(meet_silently, workers + 2, arg);
}

static void who_blocks_and_says_nothing_is_found_and_told_of_once(void **state)
{
    (void)state;
    if (is_emulated()) { /* what it shows of threads is its own */
        puts("skipped: an emulator");
        return;
    }
    for (unsigned n = 2; n <= 4; n++) {
        /* One that does not get a CPU before it blocks is taken to compute. */
        for (int i = 0; i < TRIES && (i == 0 || told.count[0] == 0); i++)
            run_and_be_told(n, all_block);
        assert_int_equal(told.count[0], 1);
        assert_string_equal(told.name, "fn"); /* as it was spawned */
        assert_non_null(strstr(told.where, "api_block.c:"));
    }
}

/* ------------------------------------------------------------- that compute */

static _Atomic unsigned computing, done;

static thrum_err *compute(void *arg)
{
    atomic_fetch_add(&computing, 1);
    while (atomic_load(&done) == 0 || atomic_load(&told_of[1]) == 0)
        ;
    return arg;
}

static thrum_err *be_last(void *arg)
{
    atomic_store(&done, 1);
    return arg;
}

/* More than there are workers, and then one that ends them. */
static thrum_err *all_compute(void *arg)
{
    thrum_scope s;

    atomic_store(&computing, 0);
    atomic_store(&done, 0);
    thrum_scope_open(&s, .name = "compute");
    for (unsigned i = 0; i < 2 * workers - 1; i++)
        CHECK(thrum_spawn(&s, compute, NULL, 0) == 0);
    CHECK(thrum_spawn(&s, be_last, NULL, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    return arg;
}

static void others_run_though_all_workers_compute(void **state)
{
    (void)state;
    for (unsigned n = 2; n <= 4; n++) {
        run_and_be_told(n, all_compute);
        assert_true(told.count[1] > 0);
    }
}

static thrum_err *beside_another(void *arg)
{
    thrum_scope s;

    atomic_store(&done, 0);
    thrum_scope_open(&s, .name = "alone");
    CHECK(thrum_spawn(&s, be_last, NULL, 0) == 0);
    while (atomic_load(&told_of[1]) == 0)
        ;
    CHECK(atomic_load(&done) == 0);
    return thrum_scope_close(&s, arg);
}

static void one_worker_that_was_asked_for_is_the_only_one(void **state)
{
    (void)state;
    run_and_be_told(1, beside_another);
    assert_int_equal(told.count[1], 1);
    assert_int_equal(atomic_load(&done), 1);
}

/* ---------------------------------------------------------- more, and fewer */

static thrum_err *count_one(void *arg)
{
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
    return NULL;
}

static thrum_err *nap(void *arg)
{
    CHECK(thrum_sleep(THRUM_US(10)) == 0);
    return count_one(arg);
}

/* From inside, while there is work, and with tasks that block. */
static thrum_err *grow_and_shrink(void *arg)
{
    _Atomic unsigned ran = 0;
    const unsigned many = (unsigned)scaled(5000) + 20;
    thrum_scope s;

    thrum_scope_open(&s, .name = "resized");
    for (unsigned i = 0; i < many; i++) {
        CHECK(thrum_spawn(&s, i % 4 == 0 ? nap : count_one, &ran, 0) == 0);
        if (i % 16 == 0)
            CHECK(thrum_resize(NULL, 1 + i / 16 % 4) == 0);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&ran) == many);
    return arg;
}

static thrum_err *grow_and_shrink_and_meet(void *arg)
{
    THRUM_TRY(grow_and_shrink(arg));
    return spawn_all(meet_announced, 6, arg);
}

static void nothing_is_lost_as_workers_come_and_go(void **state)
{
    (void)state;
    on_runtimes(grow_and_shrink, NULL);
    on_threads(grow_and_shrink_and_meet, NULL);
}

static thrum_err *keep(void *gate)
{
    gate_block(gate);
    return NULL;
}

/* So many run at once: to keep a worker is no reason for another, as nobody
 * waits. */
static thrum_err *keep_all(void *arg)
{
    struct gate gate;
    thrum_scope s;

    gate_init(&gate, *(unsigned *)arg);
    thrum_scope_open(&s, .name = "kept");
    for (unsigned i = 0; i < gate.all; i++)
        CHECK(thrum_spawn(&s, keep, &gate, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static void there_are_as_many_as_asked_for(void **state)
{
    unsigned all = 5;
    thrum_rt *rt;

    (void)state;
    assert_int_equal(thrum_resize(NULL, 2), -ESRCH);
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = 1}), 0);
    assert_int_equal(thrum_resize(rt, 1025), -EINVAL);
    assert_int_equal(thrum_resize(rt, all), 0);
    assert_true(footprint().threads > all);
    expect_ok(thrum_call(rt, keep_all, &all));
    assert_int_equal(thrum_resize(rt, 1), 0);
    all = 1;
    expect_ok(thrum_call(rt, keep_all, &all));
    assert_int_equal(thrum_resize(rt, 0), 0);
    expect_ok(thrum_call(rt, keep_all, &all));
    expect_ok(thrum_stop(rt));
}

/* In a child of fork(2) there are no others. */
static thrum_err *fork_blocked(void *rt)
{
    pid_t child;
    int status;

    thrum_block_enter();
    child = fork();
    if (child == 0) {
        thrum_block_leave();
        thrum_block_enter();
        _exit(thrum_resize(rt, 2) == -ENOTRECOVERABLE ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    thrum_block_leave();
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return NULL;
}

static void a_child_of_fork_is_told(void **state)
{
    thrum_rt *rt;

    (void)state;
    if (SANITIZED || is_emulated()) {
        puts("skipped: the fork of threads");
        return;
    }
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = 2}), 0);
    expect_ok(thrum_call(rt, fork_blocked, rt));
    expect_ok(thrum_stop(rt));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_says_that_it_blocks_is_replaced),
        cmocka_unit_test(so_is_one_with_forks),
        cmocka_unit_test(what_waits_in_between_does_no_harm),
        cmocka_unit_test(who_blocks_and_says_nothing_is_found_and_told_of_once),
        cmocka_unit_test(others_run_though_all_workers_compute),
        cmocka_unit_test(one_worker_that_was_asked_for_is_the_only_one),
        cmocka_unit_test(nothing_is_lost_as_workers_come_and_go),
        cmocka_unit_test(there_are_as_many_as_asked_for),
        cmocka_unit_test(a_child_of_fork_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
