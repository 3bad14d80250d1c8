/* Has a scope with a limit at most as many children at once, and as many, and what
 * becomes of those that its children spawn? How: counts of calls on 1, 2 and 4
 * workers. */
#include "lib/api.h"

THRUM_KIND(Wrong, THRUM_ERROR);

enum { DEPTH = 20000 / SCALE, MANY = 5000000 / SCALE };

struct limited {
    _Atomic unsigned now, most, ended;
    unsigned limit;
    thrum_scope *s;
};

static void enter(struct limited *l)
{
    unsigned now = atomic_fetch_add(&l->now, 1) + 1;
    unsigned most = atomic_load(&l->most);

    CHECK(now <= l->limit);
    while (now > most && !atomic_compare_exchange_weak(&l->most, &most, now))
        ;
}

static void leave(struct limited *l)
{
    atomic_fetch_sub(&l->now, 1);
    atomic_fetch_add(&l->ended, 1);
}

static thrum_err *stay_a_while(void *arg)
{
    struct limited *l = *(struct limited **)arg;

    enter(l);
    for (int i = 0; i < 3; i++)
        thrum_yield();
    leave(l);
    return NULL;
}

static void limited_init(struct limited *l, unsigned limit, thrum_scope *s)
{
    atomic_init(&l->now, 0);
    atomic_init(&l->most, 0);
    atomic_init(&l->ended, 0);
    l->limit = limit;
    l->s = s;
}

static thrum_err *spawn_limited(void *arg)
{
    (void)arg;
    for (unsigned limit = 1; limit < 8; limit += 3) {
        struct limited l, *at = &l;
        thrum_scope s;

        limited_init(&l, limit, &s);
        thrum_scope_open(&s, .limit = limit);
        for (unsigned i = 0; i < 200; i++) {
            CHECK(thrum_spawn(&s, stay_a_while, &at, sizeof at) == 0);
            CHECK(i + 1 - atomic_load(&l.ended) <= limit + 1);
        }
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(atomic_load(&l.ended) == 200);
    }
    return NULL;
}

static void a_limited_scope_has_no_more_children_than_that(void **state)
{
    (void)state;
    on_runtimes(spawn_limited, NULL);
}

/* As many as the limit says do run at once: they meet. */
static thrum_err *meet(void *arg)
{
    gate_meet(*(struct gate **)arg);
    return NULL;
}

static thrum_err *limited_meet(void *arg)
{
    struct gate g, *at = &g;
    thrum_scope s;

    (void)arg;
    gate_init(&g, 20);
    thrum_scope_open(&s, .limit = 20);
    for (int i = 0; i < 20; i++)
        CHECK(thrum_spawn(&s, meet, &at, sizeof at) == 0);
    return thrum_scope_close(&s, NULL);
}

static void a_limited_scope_has_as_many_children_at_once_as_that(void **state)
{
    (void)state;
    on_runtimes(limited_meet, NULL);
}

struct family {
    struct limited *l;
    unsigned depth;
};

static thrum_err *spawn_into_full(void *arg)
{
    struct family *f = arg, child = {f->l, f->depth - 1};

    if (f->depth > 0)
        for (int i = 0; i < 3; i++)
            CHECK(thrum_spawn(f->l->s, spawn_into_full, &child, sizeof child) ==
                  0);
    if (f->depth % 2 == 0)
        thrum_yield();
    atomic_fetch_add(&f->l->ended, 1);
    return f->depth == 0 ? thrum_fail(&Wrong, "leaf") : NULL;
}

static thrum_err *full_scopes(void *arg)
{
    (void)arg;
    for (unsigned limit = 1; limit < 4; limit++) {
        struct limited l;
        thrum_scope s;
        thrum_err *e;

        limited_init(&l, limit, &s);
        thrum_scope_open(&s, .limit = limit);
        CHECK(thrum_spawn(&s, spawn_into_full, (&(struct family){&l, 4}),
                          sizeof(struct family)) == 0);
        e = thrum_scope_close(&s, NULL);
        CHECK(atomic_load(&l.ended) == 121); /* 1 + 3 + 9 + 27 + 81 */
        CHECK(thrum_err_count(e) == 81);
        thrum_err_drop(e);
    }
    return NULL;
}

static void a_child_of_a_full_scope_calls_what_it_spawns_there(void **state)
{
    (void)state;
    on_runtimes(full_scopes, NULL);
}

static thrum_err *spawn_from_depth(void *arg)
{
    struct limited *l = *(struct limited **)arg;

    atomic_fetch_add(&l->ended, 1);
    if (atomic_load(&l->ended) < 50)
        CHECK(thrum_spawn(l->s, spawn_from_depth, arg, sizeof l) == 0);
    return NULL;
}

/* Not a child itself, but inside one: by a fork, by a scope, by a grandchild. */
static thrum_err *with_a_fork(void *arg)
{
    thrum_task task;

    thrum_fork(&task, spawn_from_depth, arg);
    thrum_yield();
    return thrum_join(&task);
}

static thrum_err *with_a_scope(void *arg)
{
    return thrum_with(with_a_fork, arg, .name = "within");
}

static thrum_err *with_a_grandchild(void *arg)
{
    CHECK(thrum_spawn(NULL, with_a_scope, arg, sizeof(void *)) == 0);
    return NULL;
}

static thrum_err *deep_in_full(void *arg)
{
    struct limited l, *at = &l;
    thrum_scope s;

    (void)arg;
    limited_init(&l, 1, &s);
    thrum_scope_open(&s, .limit = 1);
    CHECK(thrum_spawn(&s, with_a_grandchild, &at, sizeof at) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&l.ended) == 50);
    return NULL;
}

static void so_does_who_is_deep_in_a_child_of_a_full_scope(void **state)
{
    (void)state;
    on_runtimes(deep_in_full, NULL);
}

/* One after the other, each by the one before: many times what fits onto a
 * stack. */
static thrum_err *spawn_the_next(void *arg)
{
    struct family *f = arg, next = {f->l, f->depth - 1};

    if (f->depth > 0)
        CHECK(thrum_spawn(f->l->s, spawn_the_next, &next, sizeof next) == 0);
    atomic_fetch_add(&f->l->ended, 1);
    return f->depth == 0 ? thrum_fail(&Wrong, "leaf") : NULL;
}

static thrum_err *chain_in_full(void *arg)
{
    unsigned depth = 5000 / SCALE;
    struct limited l;
    thrum_scope s;
    thrum_err *e;

    (void)arg;
    limited_init(&l, 1, &s);
    thrum_scope_open(&s, .limit = 1);
    CHECK(thrum_spawn(&s, spawn_the_next, (&(struct family){&l, depth}),
                      sizeof(struct family)) == 0);
    e = thrum_scope_close(&s, NULL);
    CHECK(atomic_load(&l.ended) == depth + 1);
    CHECK(thrum_err_is(e, &Wrong) && thrum_err_count(e) == 1);
    thrum_err_drop(e);
    return NULL;
}

static void a_chain_in_a_full_scope_needs_no_larger_stack(void **state)
{
    (void)state;
    on_threads(chain_in_full, NULL);
}

/* Where the chain ends, very many: not one of them looks through all of it. */
static thrum_err *count_one(void *limited)
{
    struct limited *l = limited;

    atomic_fetch_add(&l->ended, 1);
    return NULL;
}

static thrum_err *spawn_many_at_the_end(void *arg)
{
    struct family *f = arg, next = {f->l, f->depth - 1};

    if (f->depth > 0)
        return thrum_rc(
            thrum_spawn(f->l->s, spawn_many_at_the_end, &next, sizeof next));
    for (int i = 0; i < MANY; i++)
        CHECK(thrum_spawn(f->l->s, count_one, f->l, 0) == 0);
    return NULL;
}

static thrum_err *many_in_a_chain(void *arg)
{
    struct limited l;
    thrum_scope s;

    (void)arg;
    limited_init(&l, 1, &s);
    thrum_scope_open(&s, .limit = 1);
    CHECK(thrum_spawn(&s, spawn_many_at_the_end, (&(struct family){&l, DEPTH}),
                      sizeof(struct family)) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(atomic_load(&l.ended) == MANY);
    return NULL;
}

static void how_deep_a_chain_is_does_not_matter_to_who_spawns(void **state)
{
    (void)state;
    expect_ok(thrum_run(NULL, many_in_a_chain, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limited_scope_has_no_more_children_than_that),
        cmocka_unit_test(a_limited_scope_has_as_many_children_at_once_as_that),
        cmocka_unit_test(a_child_of_a_full_scope_calls_what_it_spawns_there),
        cmocka_unit_test(so_does_who_is_deep_in_a_child_of_a_full_scope),
        cmocka_unit_test(a_chain_in_a_full_scope_needs_no_larger_stack),
        cmocka_unit_test(how_deep_a_chain_is_does_not_matter_to_who_spawns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
