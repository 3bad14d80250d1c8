/* Are forks that are joined before newer ones done with when those are: do the next
 * ones lie where they lay, whoever makes them? */
#include "lib/api.h"

struct early {
    thrum_task task;
    atomic_int calls;
    bool joined;
};

static thrum_err *run_once(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return NULL;
}

static void begin(struct early *e)
{
    thrum_fork(&e->task, run_once, &e->calls);
}

static void join_if(struct early *e, bool now)
{
    if (e->joined || !now)
        return;
    expect_ok(thrum_join(&e->task));
    CHECK(atomic_load(&e->calls) == 1);
    e->joined = true;
}

/* Oldest first, as an array of threads is joined, or in between. The place of the
 * first fork. */
static struct thrum_job_ *join_early_ones(unsigned round)
{
    struct early e[4] = {0};

    begin(&e[0]);
    begin(&e[1]);
    join_if(&e[0], round % 2 == 0);
    begin(&e[2]);
    join_if(&e[1], round % 3 == 0);
    begin(&e[3]);
    join_if(&e[3], round % 5 == 0);
    for (int i = 0; i < 4; i++)
        join_if(&e[i], true);
    return e[0].task.slot_;
}

static thrum_err *join_early_often(void *arg)
{
    struct thrum_job_ *first = join_early_ones(0);

    (void)arg;
    for (unsigned round = 1; round < 60; round++)
        CHECK(join_early_ones(round) == first);
    return NULL;
}

static void slots_are_used_again_at_once(void **state)
{
    (void)state;
    on_runtimes(join_early_often, NULL);
}

/* It knows its place, and forks where the others did. */
THRUM_TASK(long, walk, int, n)
{
    long b;

    if (n < 2)
        return n;
    (void)join_early_ones((unsigned)n);
    THRUM_FORK(walk, n - 1);
    b = THRUM_CALL(walk, n - 2);
    return THRUM_JOIN(walk) + b;
}

static thrum_err *call_walk(void *arg)
{
    (void)arg;
    CHECK(walk(10) == 55);
    return NULL;
}

static void by_typed_forks_too(void **state)
{
    (void)state;
    on_runtimes(call_walk, NULL);
}

THRUM_PROC(run_it, atomic_int *, calls)
{
    expect_ok(run_once(calls));
}

/* The typed fork is the newer one, and lies above the one that is joined. */
THRUM_PROC(join_below, struct early *, older, atomic_int *, inner)
{
    THRUM_FORK(run_it, inner);
    join_if(older, true);
    THRUM_JOIN(run_it);
}

static thrum_err *join_in_a_typed_body(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        struct early older = {0};
        atomic_int inner = 0;

        begin(&older);
        join_below(&older, &inner);
        CHECK(atomic_load(&inner) == 1);
    }
    return NULL;
}

static void a_typed_body_may_join_its_callers_fork(void **state)
{
    (void)state;
    on_runtimes(join_in_a_typed_body, NULL);
}

/* As many as several segments hold, each joined while all later ones are open. */
static thrum_err *join_many_oldest_first(void *arg)
{
    enum { MANY = 2000 };
    struct early *e = calloc(MANY, sizeof *e);

    (void)arg;
    CHECK(e != NULL);
    for (int round = 0; round < 2; round++) {
        struct thrum_job_ *first = e[0].task.slot_;

        memset((void *)e, 0, MANY * sizeof *e);
        for (int i = 0; i < MANY; i++)
            begin(&e[i]);
        for (int i = 0; i < MANY; i++)
            join_if(&e[i], true);
        CHECK(round == 0 || e[0].task.slot_ == first);
    }
    free(e);
    return NULL;
}

static void thousands_are_joined_oldest_first(void **state)
{
    (void)state;
    on_runtimes(join_many_oldest_first, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_used_again_at_once),
        cmocka_unit_test(by_typed_forks_too),
        cmocka_unit_test(a_typed_body_may_join_its_callers_fork),
        cmocka_unit_test(thousands_are_joined_oldest_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
