/* Is a cancel a level: seen by every wait inside the scope, up to the next
 * shield, again and again? What does a close make of it? How: waits of an hour
 * that only a cancel can end. */
#include "lib/api.h"

#include <sched.h>

THRUM_KIND(Real, THRUM_ERROR);

/* --- what a close makes of it --------------------------------------------- */

enum {
    NO = 0,
    YES = 1,
    ANY = -1,
    /* what the children come to */
    FAIL = 1,
    CUT_SHORT = 2,
};

/* The table of thrum/scope.h. */
static const struct row {
    int leaves, outer, deadline, cancel;
    const thrum_kind *of_scope, *of_task;
} table[] = {
    {FAIL, ANY, ANY, ANY, &Real, &Real},
    {FAIL | CUT_SHORT, ANY, ANY, ANY, &Real, &Real},
    {CUT_SHORT, YES, ANY, ANY, &THRUM_CANCELED, &THRUM_CANCELED},
    {CUT_SHORT, NO, YES, ANY, &THRUM_TIMEOUT, &THRUM_TIMEOUT},
    {CUT_SHORT, NO, NO, YES, NULL, &THRUM_CANCELED},
    {0, ANY, ANY, ANY, NULL, NULL},
};

enum { ROWS = sizeof table / sizeof *table };

/* One line of it, with nothing left open. */
struct line {
    const struct row *row;
    bool outer, deadline, cancel;
    bool late;    /* children are spawned after the cancel */
    bool by_body; /* no children: the body says how it went */
    thrum_scope *around;
};

static thrum_err *be_real(void *unused)
{
    (void)unused;
    return thrum_fail(&Real, "real");
}

static thrum_err *succeed_late(void *unused)
{
    for (int i = 0; i < 3; i++)
        thrum_yield();
    return unused;
}

static void cancel_as_told(const struct line *l, thrum_scope *s)
{
    if (l->outer)
        thrum_scope_cancel(l->around, "outer");
    if (l->deadline)
        thrum_scope_set_deadline(s, thrum_now() - 1);
    if (l->cancel)
        thrum_scope_cancel(s, "own");
}

static void spawn_leaves(const struct line *l, thrum_scope *s)
{
    _Atomic unsigned began = 0;

    if (l->row->leaves & CUT_SHORT) {
        CHECK(thrum_spawn(s, wait_for_cancel, l->late ? NULL : &began, 0) == 0);
        if (!l->late)
            await_count(&began, 1);
    }
    if (l->row->leaves & FAIL)
        CHECK(thrum_spawn(s, be_real, NULL, 0) == 0);
    CHECK(thrum_spawn(s, succeed_late, NULL, 0) == 0);
}

/* Given to the close of s, or returned. */
static thrum_err *live_through(const struct line *l, thrum_scope *s)
{
    thrum_err *body = NULL, *cut = NULL;

    if (l->by_body) {
        cancel_as_told(l, s);
        if (l->row->leaves & FAIL)
            body = be_real(NULL);
        if (l->row->leaves & CUT_SHORT)
            cut = wait_for_cancel(NULL);
        return l->late ? thrum_err_add(cut, body) : thrum_err_add(body, cut);
    }
    if (!l->late)
        spawn_leaves(l, s);
    cancel_as_told(l, s);
    if (l->late)
        spawn_leaves(l, s);
    return NULL;
}

static thrum_err *live_as_task(void *line)
{
    return live_through(line, NULL);
}

static void level_holds(bool canceled)
{
    CHECK(thrum_canceled() == canceled);
    for (int i = 0; i < 3; i++) {
        CHECK(thrum_sleep(0) == (canceled ? -ECANCELED : 0));
        CHECK(thrum_checkpoint() == (canceled ? -ECANCELED : 0));
    }
}

static void as_scope(struct line *l)
{
    thrum_scope outer, s;

    thrum_scope_open(&outer, .name = "outer");
    l->around = &outer;
    thrum_scope_open(&s, .name = "s");
    expect_kind(thrum_scope_close(&s, live_through(l, &s)), l->row->of_scope);
    level_holds(l->outer);
    expect_ok(thrum_scope_close(&outer, NULL));
    level_holds(false);
}

/* A fork: called at its join, or taken before. */
static void as_task(struct line *l, bool taken)
{
    thrum_scope outer;
    thrum_task t;

    thrum_scope_open(&outer, .name = "outer");
    l->around = &outer;
    thrum_fork(&t, live_as_task, l);
    if (taken)
        thrum_yield();
    expect_kind(thrum_join(&t), l->row->of_task);
    level_holds(l->outer);
    expect_ok(thrum_scope_close(&outer, NULL));
}

static bool matches(int wanted, bool is)
{
    return wanted == ANY || wanted == is;
}

static thrum_err *every_line(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROWS * 32; i++) {
        const struct row *row = &table[i / 32];
        struct line l = {.row = row,
                         .outer = i & 1,
                         .deadline = i & 2,
                         .cancel = i & 4,
                         .late = i & 8,
                         .by_body = i & 16};
        bool any = l.outer || l.deadline || l.cancel;

        if (!matches(row->outer, l.outer) ||
            !matches(row->deadline, l.deadline) ||
            !matches(row->cancel, l.cancel))
            continue;
        if (row->leaves & CUT_SHORT && !any && (l.by_body || l.late))
            continue; /* nothing would end the wait */
        as_scope(&l);
        if (l.by_body && row->leaves == (FAIL | CUT_SHORT))
            continue; /* what a fork returns is its own affair */
        as_task(&l, false);
        as_task(&l, true);
    }
    return NULL;
}

static void a_close_makes_of_a_cancel_what_the_table_says(void **state)
{
    (void)state;
    on_runtimes(every_line, NULL);
}

static thrum_err *cancel_myself(void *unused)
{
    thrum_scope_cancel(NULL, "enough");
    thrum_scope_cancel(NULL, "the first reason stays");
    CHECK(thrum_sleep(HOUR) == -ECANCELED);
    (void)unused;
    return thrum_rc(-ECANCELED);
}

static thrum_err *reasons(void *arg)
{
    thrum_task t;
    thrum_err *e;

    (void)arg;
    thrum_fork(&t, cancel_myself, NULL);
    e = thrum_join(&t);
    CHECK(thrum_err_is(e, &THRUM_CANCELED));
    CHECK(strstr(thrum_err_msg(e), "enough") != NULL);
    thrum_err_drop(e);
    CHECK(!thrum_canceled());
    return NULL;
}

static void the_reason_is_told_and_no_scope_means_the_innermost(void **state)
{
    (void)state;
    on_runtimes(reasons, NULL);
}

/* --- a level -------------------------------------------------------------- */

static thrum_err *wait_again_and_again(void *arg)
{
    for (int i = 0; i < 5; i++) {
        CHECK(thrum_sleep(HOUR) == -ECANCELED);
        CHECK(thrum_sleep(0) == -ECANCELED);
        CHECK(thrum_sleep(-1) == -ECANCELED);
        CHECK(thrum_checkpoint() == -ECANCELED);
        CHECK(thrum_canceled());
        thrum_yield();
    }
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
    return NULL;
}

static thrum_err *level(void *arg)
{
    _Atomic unsigned n = 0;
    thrum_scope s, inner;

    (void)arg;
    thrum_scope_open(&s, .name = "level");
    for (int i = 0; i < 20; i++)
        CHECK(thrum_spawn(&s, wait_again_and_again, &n, 0) == 0);
    thrum_scope_cancel(&s, NULL);
    thrum_scope_cancel(&s, NULL);
    for (int i = 0; i < 20; i++)
        CHECK(thrum_spawn(&s, wait_again_and_again, &n, 0) == 0);
    expect_ok(wait_again_and_again(&n));
    thrum_scope_open(&inner, .name = "opened later");
    expect_ok(wait_again_and_again(&n));
    CHECK(thrum_spawn(&inner, wait_again_and_again, &n, 0) == 0);
    expect_ok(thrum_scope_close(&inner, NULL));
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&n) == 43);
    CHECK(!thrum_canceled() && thrum_sleep(0) == 0);
    return NULL;
}

static void every_wait_says_so_again_until_the_close(void **state)
{
    (void)state;
    on_runtimes(level, NULL);
}

static thrum_err *inner_only(void *arg)
{
    thrum_scope outer, inner;

    (void)arg;
    thrum_scope_open(&outer, .name = "outer");
    thrum_scope_open(&inner, .name = "inner");
    thrum_scope_cancel(&inner, NULL);
    CHECK(thrum_canceled());
    expect_ok(thrum_scope_close(&inner, thrum_rc(thrum_sleep(HOUR))));
    CHECK(!thrum_canceled() && thrum_sleep(1) == 0);
    expect_ok(thrum_scope_close(&outer, NULL));
    return NULL;
}

static void what_is_around_a_canceled_scope_is_not_canceled(void **state)
{
    (void)state;
    on_runtimes(inner_only, NULL);
}

static thrum_err *not_canceled(void *arg)
{
    CHECK(!thrum_canceled() && thrum_checkpoint() == 0);
    CHECK(thrum_sleep(THRUM_US(100)) == 0);
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
    return NULL;
}

static thrum_err *shielded_child(void *arg)
{
    _Atomic unsigned *n = arg;
    thrum_scope s;

    thrum_scope_open(&s, .name = "shield", .shield = true);
    atomic_fetch_add(n, 1);
    for (int i = 0; i < 3; i++)
        expect_ok(not_canceled(n));
    CHECK(thrum_spawn(&s, not_canceled, n, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    return wait_for_cancel(NULL); /* back in the open */
}

static thrum_err *shields(void *arg)
{
    _Atomic unsigned n = 0;
    thrum_scope outer, s, inner;
    thrum_task t;

    (void)arg;
    thrum_scope_open(&outer, .name = "outer");
    for (int i = 0; i < 4; i++)
        CHECK(thrum_spawn(&outer, shielded_child, &n, 0) == 0);
    await_count(&n, 4); /* they are behind it, and may sleep there */
    thrum_scope_cancel(&outer, NULL);
    thrum_scope_open(&s, .name = "shield", .shield = true);
    thrum_fork(&t, not_canceled, &n);
    expect_ok(thrum_join(&t));
    thrum_scope_open(&inner, .name = "behind");
    expect_ok(not_canceled(&n));
    thrum_scope_cancel(&inner, NULL); /* what comes from inside is heard */
    expect_ok(thrum_scope_close(&inner, wait_for_cancel(NULL)));
    thrum_scope_cancel(&s, NULL);
    expect_ok(thrum_scope_close(&s, wait_for_cancel(NULL)));
    level_holds(true);
    expect_ok(thrum_scope_close(&outer, NULL));
    CHECK(atomic_load(&n) == 4 * 5 + 2);
    return NULL;
}

static void a_shield_stops_what_comes_from_outside(void **state)
{
    (void)state;
    on_runtimes(shields, NULL);
}

/* --- asking --------------------------------------------------------------- */

static thrum_err *set_flag(void *arg)
{
    atomic_store((_Atomic unsigned *)arg, 1);
    return NULL;
}

static thrum_err *check_often(void *arg)
{
    _Atomic unsigned flag = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "compute");
    CHECK(thrum_spawn(&s, set_flag, &flag, 0) == 0);
    while (atomic_load(&flag) == 0)
        CHECK(thrum_checkpoint() == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static void a_checkpoint_lets_others_run(void **state)
{
    (void)state;
    on_runtimes(check_often, NULL);
}

/* A recursion of forks, by one worker: how many calls are open at once? */
static struct walk {
    size_t open, most;
} walked;

enum { DEPTH = 12 };

static thrum_err *walk(void *depth)
{
    uintptr_t below = (uintptr_t)depth - 1;
    thrum_task t;
    thrum_err *e;

    if (++walked.open > walked.most)
        walked.most = walked.open;
    CHECK(thrum_checkpoint() == 0);
    if (below > 0) {
        thrum_fork(&t, walk, (void *)below);
        e = walk((void *)below);
        expect_ok(thrum_err_add(e, thrum_join(&t)));
    }
    walked.open--;
    return NULL;
}

static void checkpoints_leave_a_recursion_as_deep_as_it_is(void **state)
{
    thrum_opts one = {.workers = 1};

    (void)state;
    for (int i = 0; i < 30; i++) { /* a worker may have looked for work first */
        expect_ok(thrum_run(&one, walk, (void *)(uintptr_t)DEPTH));
        assert_int_equal(walked.open, 0);
        assert_int_equal(walked.most, DEPTH);
    }
}

static void where_no_scope_is_open_nothing_is_canceled(void **state)
{
    thrum_scope s;

    (void)state;
    assert_false(thrum_canceled());
    assert_int_equal(thrum_checkpoint(), 0);
    assert_int_equal(thrum_sleep(0), 0);
    assert_true(thrum_deadline() == INT64_MAX);

    thrum_scope_open(&s, .name = "of a thread");
    assert_false(thrum_canceled());
    thrum_scope_cancel(NULL, NULL);
    assert_true(thrum_canceled());
    assert_int_equal(thrum_checkpoint(), -ECANCELED);
    assert_int_equal(thrum_sleep(HOUR), -ECANCELED);
    expect_ok(thrum_scope_close(&s, thrum_rc(-ECANCELED)));
    assert_false(thrum_canceled());
}

static thrum_err *job_asks(void *arg)
{
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
    while (!thrum_canceled())
        sched_yield();
    CHECK(thrum_checkpoint() == -ECANCELED);
    return thrum_rc(-ECANCELED);
}

static thrum_err *offload_both(void *arg)
{
    thrum_err *e = thrum_offload(job_asks, arg);

    CHECK(thrum_err_is(e, &THRUM_CANCELED));
    e = thrum_offload(wait_for_cancel, arg); /* there it blocks */
    CHECK(thrum_err_is(e, &THRUM_CANCELED));
    return thrum_rc(-ECANCELED);
}

static thrum_err *cancel_offloaded(void *arg)
{
    _Atomic unsigned began = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "s");
    for (int i = 0; i < 8; i++)
        CHECK(thrum_spawn(&s, offload_both, &began, 0) == 0);
    await_count(&began, 8);
    thrum_scope_cancel(&s, NULL);
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static thrum_err *offload_a_wait(void *arg)
{
    return thrum_offload(wait_for_cancel, arg);
}

static thrum_err *cancel_blocked(void *arg)
{
    _Atomic unsigned began = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "s");
    for (int i = 0; i < 4; i++)
        CHECK(thrum_spawn(&s, offload_a_wait, &began, 0) == 0);
    await_count(&began, 4); /* they may sleep there now */
    thrum_scope_cancel(&s, NULL);
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static void a_job_of_offload_asks_for_the_task_that_waits(void **state)
{
    (void)state;
    on_runtimes(cancel_offloaded, NULL);
    on_runtimes(cancel_blocked, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_close_makes_of_a_cancel_what_the_table_says),
        cmocka_unit_test(the_reason_is_told_and_no_scope_means_the_innermost),
        cmocka_unit_test(every_wait_says_so_again_until_the_close),
        cmocka_unit_test(what_is_around_a_canceled_scope_is_not_canceled),
        cmocka_unit_test(a_shield_stops_what_comes_from_outside),
        cmocka_unit_test(a_checkpoint_lets_others_run),
        cmocka_unit_test(checkpoints_leave_a_recursion_as_deep_as_it_is),
        cmocka_unit_test(where_no_scope_is_open_nothing_is_canceled),
        cmocka_unit_test(a_job_of_offload_asks_for_the_task_that_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
