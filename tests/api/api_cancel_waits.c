/* Does a cancel end every wait, whoever asks for it? What is left out then, and
 * what begins nevertheless? How: waits of an hour, loops without end. */
#include "lib/api.h"

#include <pthread.h>

THRUM_KIND(Real, THRUM_ERROR);

/* --- every wait is ended -------------------------------------------------- */

struct deep {
    unsigned depth;
    _Atomic unsigned *began;
};

/* Waits in children, in forks and in scopes, at every depth. */
static thrum_err *wait_in_a_tree(void *arg)
{
    struct deep *d = arg, below = {d->depth - 1, d->began};
    thrum_scope s;
    thrum_task t;
    thrum_err *e;

    if (d->depth == 0)
        return wait_for_cancel(d->began);
    CHECK(thrum_spawn(NULL, wait_in_a_tree, &below, sizeof below) == 0);
    thrum_fork(&t, wait_in_a_tree, &below);
    thrum_scope_open(&s, .policy = THRUM_SETTLE);
    CHECK(thrum_spawn(&s, wait_for_cancel, d->began, 0) == 0);
    e = thrum_scope_close(&s, wait_for_cancel(d->began));
    CHECK(thrum_err_is(e, &THRUM_CANCELED));
    return thrum_err_add(e, thrum_join(&t));
}

static unsigned waits_of(unsigned depth)
{
    return depth == 0 ? 1 : 2 + 2 * waits_of(depth - 1);
}

static thrum_err *cancel_tree(void *arg)
{
    (void)arg;
    for (unsigned depth = 0; depth < 5; depth++) {
        struct deep d = {depth, NULL};
        _Atomic unsigned began = 0;
        thrum_scope s;

        d.began = &began;
        thrum_scope_open(&s, .name = "tree");
        CHECK(thrum_spawn(&s, wait_in_a_tree, &d, sizeof d) == 0);
        /* A fork that nobody took waits for its join: the others are there. */
        await_count(&began, depth == 0 ? 1 : 2 + waits_of(depth - 1));
        thrum_scope_cancel(&s, NULL);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(atomic_load(&began) <= waits_of(depth));
    }
    return NULL;
}

static void all_waits_inside_are_ended_however_deep(void **state)
{
    (void)state;
    on_runtimes(cancel_tree, NULL);
}

struct canceler {
    thrum_scope *s;
    _Atomic unsigned *began, done;
    unsigned wanted;
};

static thrum_err *cancel_it(void *arg)
{
    struct canceler *c = arg;

    await_count(c->began, c->wanted);
    thrum_scope_cancel(c->s, "by a child");
    return NULL;
}

static thrum_err *never(void *unused)
{
    (void)unused;
    CHECK(false);
    return NULL;
}

static thrum_err *keep_place(void *arg)
{
    await_count(arg, 1);
    return NULL;
}

/* The body waits for a place in `full`, in a scope inside that is canceled. */
static thrum_err *cancel_spawner(void *arg)
{
    (void)arg;
    for (int round = 0; round < 20; round++) {
        _Atomic unsigned began = 0, leave = 0;
        struct canceler c = {.began = &began, .wanted = round % 2};
        thrum_scope full, mine;

        thrum_scope_open(&full, .name = "full", .limit = 1);
        CHECK(thrum_spawn(&full, keep_place, &leave, 0) == 0);
        thrum_scope_open(&mine, .name = "mine");
        c.s = &mine;
        CHECK(thrum_spawn(&mine, cancel_it, &c, 0) == 0);
        atomic_store(&began, 1);
        CHECK(thrum_spawn(&full, never, NULL, 0) == -ECANCELED);
        CHECK(thrum_spawn(&full, never, NULL, 0) == -ECANCELED);
        expect_ok(thrum_scope_close(&mine, NULL));
        atomic_store(&leave, 1);
        CHECK(thrum_spawn(&full, keep_place, &leave, 0) == 0); /* waits */
        expect_ok(thrum_scope_close(&full, NULL));
    }
    return NULL;
}

static void who_waits_for_a_place_in_a_full_scope_is_told(void **state)
{
    (void)state;
    on_runtimes(cancel_spawner, NULL);
}

static void *cancel_in_thread(void *arg)
{
    struct canceler *c = arg;

    block_count(c->began, c->wanted);
    thrum_scope_cancel(c->s, "by a thread");
    atomic_store(&c->done, 1);
    return NULL;
}

static thrum_err *wait_until_done(void *arg)
{
    struct canceler *c = arg;

    thrum_err_drop(wait_for_cancel(c->began));
    await_count(&c->done, 1); /* or the scope were gone too early */
    return thrum_rc(-ECANCELED);
}

static thrum_err *cancel_from_thread(void *arg)
{
    (void)arg;
    for (int round = 0; round < 10; round++) {
        _Atomic unsigned began = 0;
        struct canceler c = {.began = &began, .wanted = 8};
        pthread_t thread;
        thrum_scope s;

        atomic_init(&c.done, 0);
        thrum_scope_open(&s, .name = "s");
        c.s = &s;
        CHECK(pthread_create(&thread, NULL, cancel_in_thread, &c) == 0);
        for (int i = 0; i < 8; i++)
            CHECK(thrum_spawn(&s, wait_until_done, &c, 0) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(pthread_join(thread, NULL) == 0);
    }
    return NULL;
}

static void another_thread_may_cancel(void **state)
{
    (void)state;
    on_threads(cancel_from_thread, NULL);
}

static thrum_err *cancel_from_child(void *arg)
{
    _Atomic unsigned began = 0;
    struct canceler c = {.began = &began, .wanted = 8};
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "s");
    c.s = &s;
    for (int i = 0; i < 4; i++)
        CHECK(thrum_spawn(&s, cancel_it, &c, 0) == 0); /* all of them do it */
    for (int i = 0; i < 8; i++)
        CHECK(thrum_spawn(&s, wait_for_cancel, &began, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&began) == 8);
    return NULL;
}

static void children_may_cancel_all_at_once(void **state)
{
    (void)state;
    on_runtimes(cancel_from_child, NULL);
}

/* --- what has not begun --------------------------------------------------- */

static thrum_err *count(void *arg)
{
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
    return NULL;
}

static thrum_err *skip_forks(void *arg)
{
    _Atomic unsigned calls = 0;
    thrum_task before[10], after[10];
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "forks");
    for (int i = 0; i < 10; i++)
        thrum_fork(&before[i], count, &calls);
    thrum_scope_cancel(&s, NULL);
    for (int i = 0; i < 10; i++)
        thrum_fork(&after[i], never, NULL);
    if (workers > 1)
        thrum_yield(); /* let them be taken */
    for (int i = 10; i-- > 0;)
        expect_kind(thrum_join(&after[i]), &THRUM_CANCELED);
    for (int i = 10; i-- > 0;) {
        thrum_err *e = thrum_join(&before[i]);

        CHECK(workers > 1 || e != NULL); /* nobody else was there */
        if (e != NULL)
            expect_kind(e, &THRUM_CANCELED);
        else
            CHECK(atomic_fetch_sub(&calls, 1) > 0);
    }
    CHECK(atomic_load(&calls) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static void forks_that_have_not_begun_never_will(void **state)
{
    (void)state;
    on_runtimes(skip_forks, NULL);
}

static thrum_err *begin_spawned(void *arg)
{
    _Atomic unsigned calls = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "spawned");
    for (int i = 0; i < 50; i++)
        CHECK(thrum_spawn(&s, wait_for_cancel, &calls, 0) == 0);
    thrum_scope_cancel(&s, NULL);
    for (int i = 0; i < 50; i++)
        CHECK(thrum_spawn(&s, wait_for_cancel, &calls, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&calls) == 100);
    return NULL;
}

static void a_spawned_task_always_begins(void **state)
{
    (void)state;
    on_runtimes(begin_spawned, NULL);
}

/* --- one fork ------------------------------------------------------------- */

static thrum_err *cancel_unstarted(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        _Atomic unsigned began = 0, calls = 0;
        thrum_task other, t;

        thrum_fork(&other, count, &calls);
        thrum_fork(&t, wait_for_cancel, &began);
        thrum_task_cancel(&t);
        thrum_task_cancel(&t);
        expect_kind(thrum_join(&t), &THRUM_CANCELED);
        CHECK(workers > 1 || atomic_load(&began) == 0);
        expect_ok(thrum_join(&other)); /* none of its business */
        CHECK(atomic_load(&calls) == 1 && !thrum_canceled());
    }
    return NULL;
}

static void a_fork_that_is_canceled_before_it_begins_is_not_called(void **state)
{
    (void)state;
    on_runtimes(cancel_unstarted, NULL);
}

static thrum_err *not_to_be_canceled(void *arg)
{
    await_count(arg, 2);
    CHECK(!thrum_canceled() && thrum_sleep(1) == 0);
    return NULL;
}

static thrum_err *spawn_waits(void *began)
{
    CHECK(thrum_spawn(NULL, wait_for_cancel, began, 0) == 0);
    return wait_for_cancel(began);
}

static thrum_err *cancel_running(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        _Atomic unsigned began = 0, told = 0;
        thrum_task other, t;

        thrum_fork(&other, not_to_be_canceled, &told);
        thrum_fork(&t, i % 2 ? wait_for_cancel : spawn_waits, &began);
        await_count(&began, i % 2 ? 1 : 2);
        thrum_task_cancel(&t);
        thrum_task_cancel(&t);
        expect_kind(thrum_join(&t), &THRUM_CANCELED);
        atomic_store(&told, 2);
        expect_ok(thrum_join(&other));
        CHECK(!thrum_canceled());
    }
    return NULL;
}

static void a_fork_that_runs_is_canceled_with_all_it_spawned(void **state)
{
    (void)state;
    on_runtimes(cancel_running, NULL);
}

static thrum_err *end_slowly(void *arg)
{
    _Atomic unsigned *at = arg;

    atomic_fetch_add(at, 1);
    await_cancel();
    for (int i = 0; i < 20; i++)
        thrum_yield();
    atomic_fetch_add(at, 1);
    return NULL;
}

static thrum_err *cancel_ended(void *arg)
{
    _Atomic unsigned calls = 0;
    thrum_task t;

    (void)arg;
    thrum_fork(&t, count, &calls);
    await_count(&calls, 1);
    thrum_task_cancel(&t);
    expect_ok(thrum_join(&t)); /* it has happened */

    atomic_store(&calls, 0);
    thrum_fork(&t, end_slowly, &calls);
    await_count(&calls, 1);
    thrum_task_cancel(&t);
    expect_ok(thrum_join(&t));
    CHECK(atomic_load(&calls) == 2); /* a join is not cut short */
    return NULL;
}

static void a_join_waits_to_the_end_and_a_late_success_is_kept(void **state)
{
    (void)state;
    on_runtimes(cancel_ended, NULL);
}

/* --- loops ---------------------------------------------------------------- */

enum { MANY = 1000 };

static thrum_scope *to_cancel;
static _Atomic unsigned calls;

static thrum_err *cancel_in_a_job(void *unused)
{
    atomic_fetch_add(&calls, 1);
    thrum_scope_cancel(to_cancel, NULL);
    return unused;
}

static thrum_err *fail_then_cancel(void *unused)
{
    (void)unused;
    atomic_fetch_add(&calls, 1);
    thrum_scope_cancel(to_cancel, NULL);
    return thrum_fail(&Real, "before it was told");
}

static thrum_err *cancel_in_a_call(size_t i, void *unused)
{
    (void)i;
    return cancel_in_a_job(unused);
}

static thrum_err *cancel_in_a_part(size_t lo, size_t hi, void *unused)
{
    (void)lo, (void)hi;
    return cancel_in_a_job(unused);
}

static void add_nothing(void *acc, void *ctx)
{
    (void)acc, (void)ctx;
}

static void merge_nothing(void *into, void *from, void *ctx)
{
    (void)into, (void)from, (void)ctx;
}

static thrum_err *cancel_in_a_fold(size_t lo, size_t hi, void *acc, void *ctx)
{
    (void)lo, (void)hi, (void)acc;
    return cancel_in_a_job(ctx);
}

static thrum_err *gather_canceled(void *unused)
{
    thrum_job jobs[MANY];

    (void)unused;
    for (int i = 0; i < MANY; i++)
        jobs[i] = (thrum_job){.fn = cancel_in_a_job};
    return thrum_gather(jobs, MANY, THRUM_ALL);
}

static thrum_err *settle_canceled(void *unused)
{
    thrum_job jobs[MANY];
    thrum_err *e;

    (void)unused;
    for (int i = 0; i < MANY; i++)
        jobs[i] = (thrum_job){.fn = cancel_in_a_job};
    e = thrum_gather(jobs, MANY, THRUM_SETTLE);
    for (int i = 0; i < MANY; i++)
        CHECK(jobs[i].err == NULL);
    return e;
}

static thrum_err *each_canceled(void *unused)
{
    return thrum_each(SIZE_MAX / 4, cancel_in_a_call, unused);
}

static thrum_err *limited_canceled(void *unused)
{
    return thrum_each(SIZE_MAX / 4, cancel_in_a_call, unused, .limit = 3);
}

/* Ranges that nobody sees the end of. */
static thrum_err *for_canceled(void *unused)
{
    return thrum_for(0, SIZE_MAX / 4, 1, cancel_in_a_part, unused);
}

static thrum_err *adaptive_canceled(void *unused)
{
    return thrum_for(0, SIZE_MAX / 4, 0, cancel_in_a_part, unused);
}

static thrum_err *reduce_canceled(void *unused)
{
    static const thrum_reduction how = {1, add_nothing, merge_nothing,
                                        cancel_in_a_fold};
    char acc;

    return thrum_reduce(0, SIZE_MAX / 4, 1, &how, &acc, unused);
}

static thrum_err *loops(void *arg)
{
    static thrum_fn *const all[] = {
        gather_canceled, settle_canceled,   each_canceled,  limited_canceled,
        for_canceled,    adaptive_canceled, reduce_canceled};

    (void)arg;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        thrum_scope outer, inner;

        thrum_scope_open(&outer, .name = "outer");
        thrum_scope_open(&inner, .name = "inner");
        to_cancel = &outer;
        atomic_store(&calls, 0);
        expect_kind(all[i](NULL), &THRUM_CANCELED);
        CHECK(atomic_load(&calls) >= 1);
        CHECK(workers > 1 || atomic_load(&calls) == 1);
        atomic_store(&calls, 0);
        expect_kind(all[i](NULL), &THRUM_CANCELED); /* none begins now */
        CHECK(atomic_load(&calls) == 0);
        expect_ok(thrum_scope_close(&inner, NULL));
        expect_ok(thrum_scope_close(&outer, NULL));
    }
    return NULL;
}

static void loops_stop_between_their_parts(void **state)
{
    (void)state;
    on_runtimes(loops, NULL);
}

static thrum_err *failures_behind(void *arg)
{
    thrum_job jobs[] = {{.fn = fail_then_cancel}, {.fn = wait_for_cancel}};
    thrum_scope s;
    thrum_err *e;

    (void)arg;
    thrum_scope_open(&s, .name = "s");
    to_cancel = &s;
    e = thrum_gather(jobs, 2, THRUM_SETTLE);
    CHECK(thrum_err_is(e, &THRUM_CANCELED) && thrum_err_count(e) == 2);
    CHECK(thrum_err_is(thrum_err_at(e, 1), &Real));
    CHECK(jobs[0].err == NULL && jobs[1].err == NULL);
    thrum_err_drop(e);
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static void a_settled_gather_that_is_cut_short_keeps_its_failures(void **state)
{
    (void)state;
    on_runtimes(failures_behind, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_waits_inside_are_ended_however_deep),
        cmocka_unit_test(who_waits_for_a_place_in_a_full_scope_is_told),
        cmocka_unit_test(another_thread_may_cancel),
        cmocka_unit_test(children_may_cancel_all_at_once),
        cmocka_unit_test(forks_that_have_not_begun_never_will),
        cmocka_unit_test(a_spawned_task_always_begins),
        cmocka_unit_test(
            a_fork_that_is_canceled_before_it_begins_is_not_called),
        cmocka_unit_test(a_fork_that_runs_is_canceled_with_all_it_spawned),
        cmocka_unit_test(a_join_waits_to_the_end_and_a_late_success_is_kept),
        cmocka_unit_test(loops_stop_between_their_parts),
        cmocka_unit_test(a_settled_gather_that_is_cut_short_keeps_its_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
