/* Do tasks that were woken have their turn, while all workers are busy with what
 * never waits: forks and joins, scopes, loops? And what such a task begins, and does
 * not wait for? How: each of these goes on until one who sleeps has been woken some
 * times, or what he has begun has. Nobody else would end it. */
#include "lib/api.h"

#include <errno.h>

#include <thrum/fork.h>

static _Atomic unsigned over;

static bool is_over(void)
{
    return atomic_load(&over) != 0;
}

static thrum_err *sleep_and_end_it(void *arg)
{
    for (int i = 0; i < 3; i++)
        CHECK(thrum_sleep(THRUM_MS(1)) == 0);
    atomic_store(&over, 1);
    return arg;
}

static thrum_err *see(void *begun)
{
    thrum_event_set(begun);
    return NULL;
}

/* As a server does that accepts, and waits for more. */
static thrum_err *begin_some_and_end_it(void *arg)
{
    for (int i = 0; i < 3; i++) {
        thrum_event begun = {0};
        thrum_scope s;

        thrum_scope_open(&s, .name = "requests");
        CHECK(thrum_spawn(&s, see, &begun, 0) == 0);
        CHECK(thrum_event_wait(&begun) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
    }
    atomic_store(&over, 1);
    return arg;
}

/* They are nobody's whom they could wait for. */
static thrum_err *begin_in_the_background(void *arg)
{
    for (int i = 0; i < 3; i++) {
        static thrum_event begun; /* who sets it is waited for by nobody */

        CHECK(thrum_spawn(thrum_root(), see, &begun, 0) == 0);
        CHECK(thrum_event_wait(&begun) == 0);
        thrum_event_reset(&begun);
    }
    atomic_store(&over, 1);
    return arg;
}

/* --- what never waits ----------------------------------------------------- */

static thrum_err *tree(void *depth)
{
    uintptr_t below = (uintptr_t)depth - 1;
    thrum_task t;
    thrum_err *e;

    if (below == 0)
        return NULL;
    thrum_fork(&t, tree, (void *)below);
    e = tree((void *)below);
    return thrum_err_add(e, thrum_join(&t));
}

static thrum_err *forks(void *arg)
{
    while (!is_over())
        expect_ok(tree((void *)(uintptr_t)8));
    return arg;
}

THRUM_TASK(long, fib, int, n)
{
    if (n < 2)
        return n;
    THRUM_FORK(fib, n - 1);
    long b = THRUM_CALL(fib, n - 2);
    return THRUM_JOIN(fib) + b;
}

static thrum_err *typed_forks(void *arg)
{
    while (!is_over())
        CHECK(fib(10) == 55);
    return arg;
}

static thrum_err *one_fork(void *arg)
{
    while (!is_over()) {
        thrum_task t;

        thrum_fork(&t, tree, (void *)(uintptr_t)1);
        expect_ok(thrum_join(&t));
    }
    return arg;
}

static thrum_err *branch(void *depth)
{
    uintptr_t below = (uintptr_t)depth - 1;
    thrum_scope s;

    if (below == 0)
        return NULL;
    thrum_scope_open(&s, .name = "branch");
    for (int i = 0; i < 2; i++)
        CHECK(thrum_spawn(&s, branch, (void *)below, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static thrum_err *scopes(void *arg)
{
    while (!is_over())
        expect_ok(branch((void *)(uintptr_t)8));
    return arg;
}

static thrum_err *awaits(void *arg)
{
    while (!is_over())
        expect_ok(branch((void *)(uintptr_t)2));
    return arg;
}

static thrum_err *until_over(size_t lo, size_t hi, void *ctx)
{
    (void)lo;
    (void)hi;
    (void)ctx;
    return is_over() ? thrum_rc(-EINTR) : NULL;
}

static thrum_err *loop(void *arg)
{
    thrum_err *e = thrum_for(0, SIZE_MAX / 4, 100, until_over, arg);

    CHECK(thrum_err_is(e, &THRUM_OS));
    thrum_err_drop(e);
    return NULL;
}

static thrum_err *gathers(void *arg)
{
    thrum_job job[3] = {{.fn = tree, .arg = (void *)(uintptr_t)1},
                        {.fn = tree, .arg = (void *)(uintptr_t)2},
                        {.fn = tree, .arg = (void *)(uintptr_t)1}};

    (void)arg;
    while (!is_over())
        expect_ok(thrum_gather(job, 3, THRUM_ALL));
    return NULL;
}

/* ---------------------------------------------------------------------------------- */

struct busy {
    thrum_fn *fn, *other;
    unsigned workers;
};

static thrum_err *keep_busy(void *arg)
{
    const struct busy *b = arg;
    thrum_scope s;

    thrum_scope_open(&s, .name = "busy");
    CHECK(thrum_spawn(&s, b->other, NULL, 0) == 0);
    thrum_yield();
    for (unsigned i = 0; i < b->workers; i++)
        CHECK(thrum_spawn(&s, b->fn, NULL, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static void others_have_their_turn(thrum_fn *fn)
{
    thrum_fn *const others[] = {sleep_and_end_it, begin_some_and_end_it,
                                begin_in_the_background};

    for (unsigned i = 0; i < 2 * sizeof others / sizeof others[0]; i++) {
        thrum_opts opts = {.workers = 1 + i % 2};
        struct busy b = {fn, others[i / 2], opts.workers};

        atomic_store(&over, 0);
        expect_ok(thrum_run(&opts, keep_busy, &b));
    }
}

static void while_all_fork_and_join(void **state)
{
    (void)state;
    others_have_their_turn(forks);
    others_have_their_turn(one_fork);
}

static void while_all_make_typed_forks(void **state)
{
    (void)state;
    others_have_their_turn(typed_forks);
}

static void while_all_open_and_close_scopes(void **state)
{
    (void)state;
    others_have_their_turn(scopes);
    others_have_their_turn(awaits);
}

static void while_all_run_parts_of_loops(void **state)
{
    (void)state;
    others_have_their_turn(loop);
    others_have_their_turn(gathers);
}

/* --- requests that compute -------------------------------------------------- */

enum { REQUESTS = 5 };

static _Atomic uintptr_t who_computes;
static _Atomic unsigned answered;
static thrum_event all_answered;

/* Goes on until it has seen three times that another one computed. What it spawned
 * before it let that one go first is the next to call when it goes on: among the
 * others' it would wait for all of them. */
static thrum_err *request(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    unsigned turns = 0;

    atomic_store(&who_computes, me);
    while (turns < 3) {
        expect_ok(branch((void *)(uintptr_t)3));
        turns += atomic_exchange(&who_computes, me) != me;
    }
    if (atomic_fetch_add(&answered, 1) + 1 == REQUESTS)
        thrum_event_set(&all_answered);
    return NULL;
}

static thrum_err *serve(void *arg)
{
    for (uintptr_t i = 0; i < REQUESTS; i++)
        CHECK(thrum_spawn(thrum_root(), request, (void *)(i + 1), 0) == 0);
    CHECK(thrum_event_wait(&all_answered) == 0);
    return arg;
}

/* One worker: of two each could go on with one of them alone. */
static void requests_that_compute_take_turns(void **state)
{
    thrum_opts opts = {.workers = 1};

    (void)state;
    expect_ok(thrum_run(&opts, serve, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(while_all_fork_and_join),
        cmocka_unit_test(while_all_make_typed_forks),
        cmocka_unit_test(while_all_open_and_close_scopes),
        cmocka_unit_test(while_all_run_parts_of_loops),
        cmocka_unit_test(requests_that_compute_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
