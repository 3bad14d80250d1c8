/* Does a scope wait for all that was spawned in it, and fold their errors as the
 * header says, whatever the schedule? How: children in a known order, and many
 * in an unknown one. */
#include "lib/api.h"

THRUM_KIND(First, THRUM_ERROR);
THRUM_KIND(Second, THRUM_ERROR);

static thrum_err *count(void *arg)
{
    atomic_fetch_add(*(_Atomic unsigned **)arg, 1);
    return NULL;
}

static thrum_err *count_late(void *arg)
{
    CHECK(thrum_sleep(THRUM_US(200)) == 0);
    return count(arg);
}

/* Until the scope is canceled. */
static thrum_err *count_canceled(void *arg)
{
    thrum_err_drop(wait_for_cancel(NULL));
    return count(arg);
}

/* --- waiting -------------------------------------------------------------- */

static thrum_err *close_empty(void *arg)
{
    thrum_scope s;
    thrum_err *e = thrum_fail(&First, "body");

    (void)arg;
    thrum_scope_open(&s, .name = "empty");
    CHECK(thrum_scope_close(&s, NULL) == NULL);
    thrum_scope_open(&s, .name = "empty", .policy = THRUM_SETTLE, .limit = 1,
                     .max_errors = 1);
    CHECK(thrum_scope_close(&s, e) == e);
    CHECK(thrum_err_index(e) == SIZE_MAX && thrum_err_count(e) == 1);
    thrum_err_drop(e);
    return NULL;
}

static void an_empty_scope_gives_back_what_its_body_gave(void **state)
{
    (void)state;
    on_runtimes(close_empty, NULL);
    expect_ok(close_empty(NULL)); /* a thread that is no worker */
}

static thrum_err *close_waits(void *arg)
{
    _Atomic unsigned n = 0, *at = &n;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "waits");
    for (int i = 0; i < 50; i++) {
        CHECK(thrum_spawn(&s, count, &at, sizeof at) == 0);
        CHECK(thrum_spawn(&s, count_late, &at, sizeof at) == 0);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&n) == 100);
    return NULL;
}

static void closing_waits_for_all_children(void **state)
{
    (void)state;
    on_runtimes(close_waits, NULL);
}

struct nest {
    unsigned depth;
    _Atomic unsigned *n;
    thrum_scope *outer;
};

/* Children that spawn into their own scope, and into one far above. */
static thrum_err *grow_family(void *arg)
{
    struct nest *me = arg, child = {me->depth - 1, me->n, me->outer};

    atomic_fetch_add(me->n, 1);
    if (me->depth == 0)
        return NULL;
    CHECK(thrum_spawn(NULL, grow_family, &child, sizeof child) == 0);
    CHECK(thrum_spawn(me->outer, grow_family, &child, sizeof child) == 0);
    if (me->depth % 2 == 0)
        thrum_yield();
    return NULL;
}

static thrum_err *close_waits_for_grandchildren(void *arg)
{
    _Atomic unsigned n = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "family");
    CHECK(thrum_spawn(&s, grow_family, (&(struct nest){9, &n, &s}),
                      sizeof(struct nest)) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&n) == 1023);
    return NULL;
}

static void closing_waits_for_what_children_spawn(void **state)
{
    (void)state;
    on_runtimes(close_waits_for_grandchildren, NULL);
}

static thrum_err *spawn_to_innermost(void *arg)
{
    _Atomic unsigned n = 0, *at = &n;
    thrum_scope outer, inner;

    (void)arg;
    thrum_scope_open(&outer, .name = "outer");
    thrum_scope_open(&inner, .name = "inner");
    CHECK(thrum_spawn(NULL, count_late, &at, sizeof at) == 0);
    expect_ok(thrum_scope_close(&inner, NULL));
    CHECK(atomic_load(&n) == 1);
    CHECK(thrum_spawn(NULL, count_late, &at, sizeof at) == 0);
    expect_ok(thrum_scope_close(&outer, NULL));
    CHECK(atomic_load(&n) == 2);
    return NULL;
}

static void no_scope_given_means_the_innermost(void **state)
{
    (void)state;
    on_runtimes(spawn_to_innermost, NULL);
}

/* A task's own scope is closed before its parent hears of its end. */
static thrum_err *spawn_and_go(void *arg)
{
    CHECK(thrum_spawn(NULL, count_canceled, arg, sizeof(void *)) == 0);
    return thrum_fail(&First, "parent");
}

static thrum_err *own_scopes(void *arg)
{
    _Atomic unsigned n = 0, *at = &n;
    thrum_err *e;

    (void)arg;
    e = thrum_with(spawn_and_go, &at, .name = "with");
    CHECK(atomic_load(&n) == 1 && thrum_err_is(e, &First));
    thrum_err_drop(e);

    thrum_scope s;
    thrum_scope_open(&s, .name = "s");
    CHECK(thrum_spawn(&s, spawn_and_go, &at, sizeof at) == 0);
    e = thrum_scope_close(&s, NULL);
    CHECK(atomic_load(&n) == 2 && thrum_err_is(e, &First));
    CHECK(thrum_err_index(e) == 0);
    thrum_err_drop(e);
    return NULL;
}

static void every_task_has_a_scope_of_its_own(void **state)
{
    (void)state;
    on_runtimes(own_scopes, NULL);
}

/* --- errors --------------------------------------------------------------- */

struct failing {
    struct gate *turn; /* NULL: at once */
    unsigned when;     /* fails as the when-th */
    const thrum_kind *kind;
};

static thrum_err *fail_in_turn(void *arg)
{
    struct failing *f = arg;

    if (f->turn != NULL)
        await_count(&f->turn->here, f->when);
    return f->kind == NULL ? NULL : thrum_fail(f->kind, "turn %u", f->when);
}

static void spawn_failing(thrum_scope *s, struct failing f)
{
    CHECK(thrum_spawn(s, fail_in_turn, &f, sizeof f) == 0);
}

/* Of 5 children 1, 2 and 4 fail. 4 fails first: the others wait until it has left
 * the scope, which is learned from the cancel, or from the limit letting in one
 * more. */
static thrum_err *fold_errors(thrum_policy policy)
{
    struct gate g;
    thrum_scope s;

    gate_init(&g, 0);
    thrum_scope_open(&s, .name = "fold", .policy = policy, .limit = 5);
    spawn_failing(&s, (struct failing){&g, 1, NULL});
    spawn_failing(&s, (struct failing){&g, 1, &First});
    spawn_failing(&s, (struct failing){&g, 1, &Second});
    spawn_failing(&s, (struct failing){&g, 1, NULL});
    spawn_failing(&s, (struct failing){NULL, 0, &Second});
    if (policy == THRUM_ALL)
        await_cancel();
    else
        spawn_failing(&s, (struct failing){NULL, 0, NULL});
    atomic_store(&g.here, 1);
    return thrum_scope_close(&s, NULL);
}

static thrum_err *fold_all(void *arg)
{
    thrum_err *e = fold_errors(THRUM_ALL);

    (void)arg;
    CHECK(thrum_err_count(e) == 3);
    CHECK(thrum_err_index(e) == 4 && thrum_err_kind(e) == &Second);
    CHECK(strcmp(thrum_err_msg(e), "turn 0") == 0);
    expect_indices(e, 3, (size_t[]){4, 1, 2});
    return NULL;
}

static thrum_err *fold_settled(void *arg)
{
    thrum_err *e = fold_errors(THRUM_SETTLE);

    (void)arg;
    CHECK(thrum_err_count(e) == 3 && thrum_err_kind(e) == &First);
    expect_indices(e, 3, (size_t[]){1, 2, 4});
    return NULL;
}

static void what_failed_first_leads_if_all_shall_succeed(void **state)
{
    (void)state;
    on_runtimes(fold_all, NULL);
}

static void the_lowest_index_leads_if_each_may_fail(void **state)
{
    (void)state;
    on_runtimes(fold_settled, NULL);
}

static thrum_err *body_ranks_last(void *arg)
{
    (void)arg;
    for (thrum_policy p = THRUM_ALL; p <= THRUM_SETTLE; p++) {
        struct gate g;
        thrum_scope s;
        thrum_err *e;

        gate_init(&g, 0);
        thrum_scope_open(&s, .name = "body", .policy = p);
        spawn_failing(&s, (struct failing){NULL, 0, &Second});
        spawn_failing(&s, (struct failing){&g, 1, &Second});
        if (p == THRUM_ALL)
            await_cancel(); /* else the body were the first to fail */
        atomic_store(&g.here, 1);
        e = thrum_scope_close(&s, thrum_fail(&First, "body"));
        CHECK(thrum_err_count(e) == 3);
        CHECK(thrum_err_kind(e) == &Second);
        CHECK(strcmp(thrum_err_msg(thrum_err_at(e, 2)), "body") == 0);
        expect_indices(e, 3, (size_t[]){0, 1, SIZE_MAX});
    }
    return NULL;
}

static void the_error_of_the_body_ranks_last(void **state)
{
    (void)state;
    on_runtimes(body_ranks_last, NULL);
}

static thrum_err *cancel_or_fail(void *arg)
{
    unsigned i = *(unsigned *)arg;

    return i % 2 == 0 ? thrum_rc(-ECANCELED) : thrum_fail(&First, "%u", i);
}

static thrum_err *cancellations_last(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "canceled", .policy = THRUM_SETTLE);
    for (unsigned i = 0; i < 6; i++)
        CHECK(thrum_spawn(&s, cancel_or_fail, &i, sizeof i) == 0);
    expect_indices(thrum_scope_close(&s, NULL), 6,
                   (size_t[]){1, 3, 5, 0, 2, 4});
    return NULL;
}

static void cancellations_come_after_failures(void **state)
{
    (void)state;
    on_runtimes(cancellations_last, NULL);
}

/* --- many errors ---------------------------------------------------------- */

static thrum_err *fail_by_index(void *arg)
{
    return thrum_fail(&First, "%u", *(unsigned *)arg);
}

static thrum_err *fail_many(unsigned n, unsigned max_errors)
{
    thrum_scope s;

    thrum_scope_open(&s, .policy = THRUM_SETTLE, .max_errors = max_errors);
    for (unsigned i = 0; i < n; i++)
        CHECK(thrum_spawn(&s, fail_by_index, &i, sizeof i) == 0);
    return thrum_scope_close(&s, NULL);
}

static void lowest_are_kept(thrum_err *e, size_t n, size_t kept)
{
    size_t i = 0;

    CHECK(thrum_err_count(e) == n);
    for (const thrum_err *leaf; (leaf = thrum_err_at(e, i)) != NULL; i++) {
        char wanted[16];

        snprintf(wanted, sizeof wanted, "%zu", i);
        CHECK(thrum_err_index(leaf) == i);
        CHECK(strcmp(thrum_err_msg(leaf), wanted) == 0);
    }
    CHECK(i == kept);
    thrum_err_drop(e);
}

static thrum_err *keep_some(void *arg)
{
    (void)arg;
    lowest_are_kept(fail_many(100, 0), 100, 16);
    lowest_are_kept(fail_many(100, 1), 100, 1);
    lowest_are_kept(fail_many(100, 99), 100, 99);
    lowest_are_kept(fail_many(100, 100), 100, 100);
    lowest_are_kept(fail_many(100, 1000), 100, 100);
    return NULL;
}

static void as_many_errors_are_kept_as_asked_for(void **state)
{
    (void)state;
    on_runtimes(keep_some, NULL);
}

static void all_fail_and_the_body(unsigned n, unsigned max_errors, size_t kept)
{
    for (thrum_policy p = THRUM_SETTLE; p <= THRUM_ANY; p++) {
        thrum_scope s;
        thrum_err *e;

        thrum_scope_open(&s, .policy = p, .max_errors = max_errors);
        for (unsigned i = 0; i < n; i++)
            CHECK(thrum_spawn(&s, fail_by_index, &i, sizeof i) == 0);
        e = thrum_scope_close(&s, thrum_fail(&Second, "body"));
        CHECK(thrum_err_count(e) == n + 1);
        CHECK(thrum_err_at(e, kept - 1) && !thrum_err_at(e, kept));
        CHECK(thrum_err_has(e, &Second) == (kept > n || p == THRUM_ANY));
        thrum_err_drop(e);
    }
}

static thrum_err *keep_with_body(void *arg)
{
    (void)arg;
    all_fail_and_the_body(20, 19, 19);
    all_fail_and_the_body(20, 0, 16);
    all_fail_and_the_body(20, 21, 21);
    all_fail_and_the_body(20, 1000, 21);
    return NULL;
}

static void so_too_where_the_body_fails_besides(void **state)
{
    (void)state;
    on_runtimes(keep_with_body, NULL);
}

static thrum_err *a_million_failures(void *arg)
{
    size_t n = scaled(1000000);

    (void)arg;
    lowest_are_kept(fail_many((unsigned)n, 0), n, 16);
    return NULL;
}

static void a_million_failures_leave_the_same_errors_each_time(void **state)
{
    (void)state;
    on_threads(a_million_failures, NULL);
}

/* --- scopes and forks ----------------------------------------------------- */

static thrum_err *fork_around(void *arg)
{
    _Atomic unsigned n = 0, *at = &n;
    thrum_task a, b;
    thrum_scope s;

    (void)arg;
    thrum_fork(&a, count, &at);
    thrum_scope_open(&s, .name = "inside");
    thrum_fork(&b, count_late, &at);
    CHECK(thrum_spawn(&s, count_late, &at, sizeof at) == 0);
    expect_ok(thrum_join(&b));
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&n) >= 2);
    expect_ok(thrum_join(&a));
    CHECK(atomic_load(&n) == 3);
    return NULL;
}

static void a_fork_may_be_open_around_a_scope(void **state)
{
    (void)state;
    on_runtimes(fork_around, NULL);
}

static thrum_err *fork_that_spawns(void *arg)
{
    return thrum_spawn(NULL, count_late, arg, sizeof(void *)) == 0
               ? NULL
               : thrum_fail(&First, "no memory");
}

/* What a fork spawns is its own, also when it is called at the join. */
static thrum_err *forks_spawn(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        _Atomic unsigned n = 0, *at = &n;
        thrum_task task[10];
        thrum_scope s;

        thrum_scope_open(&s, .name = "forks");
        for (int k = 0; k < 10; k++)
            thrum_fork(&task[k], fork_that_spawns, &at);
        if (i % 2 == 0)
            thrum_yield();
        for (unsigned k = 10; k-- > 0;) {
            expect_ok(thrum_join(&task[k]));
            CHECK(atomic_load(&n) >= 10 - k);
        }
        CHECK(atomic_load(&n) == 10);
        expect_ok(thrum_scope_close(&s, NULL));
    }
    return NULL;
}

static void what_a_fork_spawns_belongs_to_the_fork(void **state)
{
    (void)state;
    on_runtimes(forks_spawn, NULL);
}

/* To whom it is another's scope waits, as its owner would. */
struct strangers {
    _Atomic(thrum_scope *) full;
    _Atomic unsigned waits, here, most;
};

static thrum_err *be_here(void *arg)
{
    struct strangers *s = *(struct strangers **)arg;
    unsigned here = atomic_fetch_add(&s->here, 1) + 1;

    if (here > atomic_load(&s->most))
        atomic_store(&s->most, here);
    thrum_yield();
    atomic_fetch_sub(&s->here, 1);
    return NULL;
}

static thrum_err *own_it(void *arg)
{
    struct strangers *s = *(struct strangers **)arg;
    thrum_scope full;

    thrum_scope_open(&full, .name = "another's", .limit = 1);
    atomic_store(&s->full, &full);
    await_count(&s->waits, 20);
    return thrum_scope_close(&full, NULL);
}

static thrum_err *spawn_there(void *arg)
{
    struct strangers *s = *(struct strangers **)arg;

    while (atomic_load(&s->full) == NULL)
        thrum_yield();
    CHECK(thrum_spawn(atomic_load(&s->full), be_here, arg, sizeof s) == 0);
    atomic_fetch_add(&s->waits, 1);
    return NULL;
}

static thrum_err *others_full(void *arg)
{
    struct strangers all = {.full = NULL}, *at = &all;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "strangers");
    CHECK(thrum_spawn(&s, own_it, &at, sizeof at) == 0);
    for (int i = 0; i < 20; i++)
        CHECK(thrum_spawn(&s, spawn_there, &at, sizeof at) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&all.most) == 1);
    return NULL;
}

static void others_wait_for_a_place_in_a_full_scope(void **state)
{
    (void)state;
    on_runtimes(others_full, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_scope_gives_back_what_its_body_gave),
        cmocka_unit_test(closing_waits_for_all_children),
        cmocka_unit_test(closing_waits_for_what_children_spawn),
        cmocka_unit_test(no_scope_given_means_the_innermost),
        cmocka_unit_test(every_task_has_a_scope_of_its_own),
        cmocka_unit_test(what_failed_first_leads_if_all_shall_succeed),
        cmocka_unit_test(the_lowest_index_leads_if_each_may_fail),
        cmocka_unit_test(cancellations_come_after_failures),
        cmocka_unit_test(as_many_errors_are_kept_as_asked_for),
        cmocka_unit_test(so_too_where_the_body_fails_besides),
        cmocka_unit_test(a_million_failures_leave_the_same_errors_each_time),
        cmocka_unit_test(a_fork_may_be_open_around_a_scope),
        cmocka_unit_test(what_a_fork_spawns_belongs_to_the_fork),
        cmocka_unit_test(the_error_of_the_body_ranks_last),
        cmocka_unit_test(others_wait_for_a_place_in_a_full_scope),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
