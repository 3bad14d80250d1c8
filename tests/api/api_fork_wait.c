/* Do forks run while their forker waits, and all at once if they wait for each
 * other? How: children that poll for each other and children that keep their
 * worker, for as many workers as there are; tasks that move between fork and
 * join. */
#include "lib/api.h"

/* --- the forker waits ----------------------------------------------------- */

static thrum_err *raise_flag(void *arg)
{
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
    return NULL;
}

static thrum_err *block_for_flag(void *arg)
{
    block_count(arg, 1);
    return NULL;
}

static thrum_err *fork_then_yield(void *arg)
{
    _Atomic unsigned flag = 0;
    thrum_task task;

    (void)arg;
    thrum_fork(&task, raise_flag, &flag);
    await_count(&flag, 1);
    return thrum_join(&task);
}

static thrum_err *fork_then_sleep(void *arg)
{
    _Atomic unsigned flag = 0;
    thrum_task task;

    (void)arg;
    thrum_fork(&task, raise_flag, &flag);
    while (atomic_load(&flag) == 0)
        CHECK(thrum_sleep(THRUM_US(50)) == 0);
    return thrum_join(&task);
}

static thrum_err *fork_then_offload(void *arg)
{
    _Atomic unsigned flag = 0;
    thrum_task task;

    (void)arg;
    thrum_fork(&task, raise_flag, &flag);
    expect_ok(thrum_offload(block_for_flag, &flag));
    return thrum_join(&task);
}

static thrum_err *join_that_waits(void *arg)
{
    _Atomic unsigned flag = 0;
    thrum_task first, second;

    (void)arg;
    thrum_fork(&first, raise_flag, &flag);
    thrum_fork(&second, fork_then_offload, NULL);
    expect_ok(thrum_join(&second)); /* first can run meanwhile */
    await_count(&flag, 1);
    return thrum_join(&first);
}

static void forks_run_while_the_forker_yields(void **state)
{
    (void)state;
    on_runtimes(fork_then_yield, NULL);
}

static void forks_run_while_the_forker_sleeps(void **state)
{
    (void)state;
    on_runtimes(fork_then_sleep, NULL);
}

static void forks_run_while_the_forker_offloads(void **state)
{
    (void)state;
    on_runtimes(fork_then_offload, NULL);
}

static void forks_run_while_the_forker_waits_in_a_join(void **state)
{
    (void)state;
    on_runtimes(join_that_waits, NULL);
}

THRUM_TASK(unsigned, typed_child, _Atomic unsigned *, flag)
{
    return atomic_fetch_add(flag, 1) + 1;
}

THRUM_TASK(unsigned, typed_waiter, int, kind)
{
    _Atomic unsigned flag = 0;

    THRUM_FORK(typed_child, &flag);
    if (kind == 0)
        await_count(&flag, 1);
    else if (kind == 1)
        while (atomic_load(&flag) == 0)
            CHECK(thrum_sleep(THRUM_US(50)) == 0);
    else
        expect_ok(thrum_offload(block_for_flag, &flag));
    return THRUM_JOIN(typed_child);
}

static thrum_err *call_typed_waiter(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < 3; kind++)
        CHECK(typed_waiter(kind) == 1);
    return NULL;
}

static void typed_forks_run_while_the_forker_waits(void **state)
{
    (void)state;
    on_runtimes(call_typed_waiter, NULL);
}

/* --- they wait for each other --------------------------------------------- */

enum { FORKS = 60 };

static thrum_err *meet(void *arg)
{
    gate_meet(arg);
    return NULL;
}

static thrum_err *forks_meet(void *arg)
{
    thrum_task task[FORKS];
    struct gate g;

    (void)arg;
    gate_init(&g, FORKS);
    for (int i = 0; i < FORKS; i++)
        thrum_fork(&task[i], meet, &g);
    for (int i = FORKS; i-- > 0;)
        expect_ok(thrum_join(&task[i]));
    gate_init(&g, FORKS);
    for (int i = 0; i < FORKS; i++)
        thrum_fork(&task[i], meet, &g);
    for (int i = 0; i < FORKS; i++)
        expect_ok(thrum_join(&task[i]));
    return NULL;
}

static void forks_that_poll_for_each_other_all_run(void **state)
{
    (void)state;
    on_runtimes(forks_meet, NULL);
}

/* A tree of forks whose leaves all meet. */
struct leaves {
    unsigned count;
    struct gate *g;
};

static thrum_err *meet_in_a_tree(void *arg)
{
    struct leaves *all = arg;
    struct leaves low = {all->count / 2, all->g};
    struct leaves high = {all->count - low.count, all->g};
    thrum_task task;

    if (all->count == 1)
        return meet(all->g);
    thrum_fork(&task, meet_in_a_tree, &low);
    expect_ok(meet_in_a_tree(&high));
    return thrum_join(&task);
}

static thrum_err *trees_meet(void *arg)
{
    struct gate g;

    (void)arg;
    gate_init(&g, FORKS);
    return meet_in_a_tree(&(struct leaves){FORKS, &g});
}

static void leaves_of_a_tree_of_forks_meet(void **state)
{
    (void)state;
    on_runtimes(trees_meet, NULL);
}

static thrum_err *block_to_meet(void *arg)
{
    gate_block(arg);
    return NULL;
}

/* Nobody yields: each of the others must be found by a worker of its own. */
static thrum_err *workers_meet(void *arg)
{
    (void)arg;
    for (size_t turn = 0; turn < scaled(400) + 4; turn++) {
        thrum_task task[4];
        struct gate g;

        gate_init(&g, workers);
        for (unsigned i = 1; i < workers; i++)
            thrum_fork(&task[i], block_to_meet, &g);
        gate_block(&g);
        for (unsigned i = workers; i-- > 1;)
            expect_ok(thrum_join(&task[i]));
        if (turn % 64 == 0)
            CHECK(thrum_sleep(THRUM_US(200)) == 0); /* let workers park */
    }
    return NULL;
}

static void forks_that_keep_their_workers_run_at_once(void **state)
{
    (void)state;
    on_threads(workers_meet, NULL);
}

/* The join waits, and whoever runs the fork keeps its worker until the next one
 * has begun: what lies in a queue behind must be seen by others. */
static thrum_err *chain_link(void *arg)
{
    struct leaves *l = arg, next = {l->count - 1, l->g};
    thrum_task task;

    if (l->count == 0)
        return NULL;
    thrum_fork(&task, chain_link, &next);
    gate_block(l->g);
    return thrum_join(&task);
}

static thrum_err *chains_meet(void *arg)
{
    (void)arg;
    for (size_t turn = 0; turn < scaled(400) + 4; turn++) {
        struct gate g;

        gate_init(&g, workers);
        expect_ok(chain_link(&(struct leaves){workers, &g}));
    }
    return NULL;
}

static void nested_forks_that_keep_their_workers_run_at_once(void **state)
{
    (void)state;
    on_threads(chains_meet, NULL);
}

/* --- moving --------------------------------------------------------------- */

struct mover {
    _Atomic unsigned *moved;
    size_t left;
};

static thrum_err *note(void *arg)
{
    ++*(unsigned *)arg;
    return NULL;
}

/* Fork here, wait until this task is elsewhere, join there. */
static thrum_err *move(void *arg)
{
    struct mover *m = arg;

    for (size_t i = 0; i < m->left; i++) {
        unsigned first = 0, second = 0, third = 0;
        int home = thread_id();
        thrum_task a, b, c;

        thrum_fork(&a, note, &first);
        for (int tries = 0; tries < 20 && thread_id() == home; tries++)
            thrum_yield();
        thrum_fork(&b, note, &second);
        thrum_fork(&c, note, &third);
        if (thread_id() != home)
            atomic_fetch_add(m->moved, 1);
        if (i % 2 == 0)
            CHECK(thrum_sleep(THRUM_US(10)) == 0);
        expect_ok(thrum_join(&c));
        expect_ok(thrum_join(&b));
        expect_ok(thrum_join(&a));
        CHECK(first == 1 && second == 1 && third == 1);
    }
    return NULL;
}

static thrum_err *many_move(void *arg)
{
    _Atomic unsigned *moved = arg;
    struct mover m = {moved, scaled(1000) + 10};
    thrum_scope s;

    atomic_store(moved, 0);
    thrum_scope_open(&s, .name = "movers");
    for (int i = 0; i < 12; i++)
        CHECK(thrum_spawn(&s, move, &m, sizeof m) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(workers > 1 || atomic_load(moved) == 0);
    return NULL;
}

static void a_task_moves_between_fork_and_join(void **state)
{
    _Atomic unsigned moved;

    (void)state;
    on_runtimes(many_move, &moved);
    if (atomic_load(&moved) == 0) /* of the last, with 4 workers */
        skip();                   /* nobody asked for one: nothing was shown */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forks_run_while_the_forker_yields),
        cmocka_unit_test(forks_run_while_the_forker_sleeps),
        cmocka_unit_test(forks_run_while_the_forker_offloads),
        cmocka_unit_test(forks_run_while_the_forker_waits_in_a_join),
        cmocka_unit_test(typed_forks_run_while_the_forker_waits),
        cmocka_unit_test(forks_that_poll_for_each_other_all_run),
        cmocka_unit_test(leaves_of_a_tree_of_forks_meet),
        cmocka_unit_test(forks_that_keep_their_workers_run_at_once),
        cmocka_unit_test(nested_forks_that_keep_their_workers_run_at_once),
        cmocka_unit_test(a_task_moves_between_fork_and_join),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
