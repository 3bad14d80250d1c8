/* Do forks run once, give their result to whoever joins them in whatever order,
 * and run while the forker waits? How: each case on 1, 2 and 4 workers, with
 * forks that are joined in place, taken by others, or handed over by a wait. */
#include "lib/api.h"

/* --- results -------------------------------------------------------------- */

THRUM_TASK(long, fib, int, n)
{
    if (n < 2)
        return n;
    THRUM_FORK(fib, n - 1);
    long b = THRUM_CALL(fib, n - 2);
    return THRUM_JOIN(fib) + b;
}

static thrum_err *call_fib(void *arg)
{
    (void)arg;
    CHECK(fib(22) == 17711);
    return NULL;
}

static void typed_forks_compute_fibonacci_numbers(void **state)
{
    (void)state;
    on_runtimes(call_fib, NULL);
}

struct plain_fib {
    int n;
    long result;
};

static thrum_err *plain_fib(void *arg)
{
    struct plain_fib *f = arg;
    struct plain_fib a = {.n = f->n - 1}, b = {.n = f->n - 2};
    thrum_task task;

    if (f->n < 2) {
        f->result = f->n;
        return NULL;
    }
    thrum_fork(&task, plain_fib, &a);
    expect_ok(plain_fib(&b));
    expect_ok(thrum_join(&task));
    f->result = a.result + b.result;
    return NULL;
}

static thrum_err *call_plain_fib(void *arg)
{
    struct plain_fib f = {.n = 20};

    (void)arg;
    expect_ok(plain_fib(&f));
    CHECK(f.result == 6765);
    return NULL;
}

static void plain_forks_compute_fibonacci_numbers(void **state)
{
    (void)state;
    on_runtimes(call_plain_fib, NULL);
}

/* Where the fork is taken by another worker, or another stack, on purpose. */
enum how { IN_PLACE, YIELDED, SLEPT, HOWS };

static void pass_time(enum how how)
{
    if (how == YIELDED)
        thrum_yield();
    if (how == SLEPT)
        CHECK(thrum_sleep(THRUM_US(20)) == 0);
}

struct four {
    uint64_t a, b, c, d;
};

THRUM_TASK(struct four, turn, uint64_t, a, double, b, char, c, void *, d)
{
    return (struct four){(uint64_t)(uintptr_t)d, (uint64_t)c, (uint64_t)b, a};
}

THRUM_PROC(count_up, unsigned *, at, unsigned, by)
{
    *at += by;
}

THRUM_TASK(int, typed_forms, enum how, how)
{
    unsigned count = 0;
    struct four got;

    THRUM_FORK(turn, UINT64_MAX, 7.0, 'x', &count);
    THRUM_FORK(count_up, &count, 3);
    pass_time(how);
    THRUM_JOIN(count_up);
    CHECK(count == 3);
    got = THRUM_JOIN(turn);
    CHECK(got.a == (uint64_t)(uintptr_t)&count && got.b == 'x');
    CHECK(got.c == 7 && got.d == UINT64_MAX);
    THRUM_CALL(count_up, &count, 1);
    CHECK(count == 4);
    return 0;
}

static thrum_err *call_typed_forms(void *arg)
{
    (void)arg;
    for (enum how how = IN_PLACE; how < HOWS; how++)
        CHECK(typed_forms(how) == 0);
    return NULL;
}

static void typed_tasks_take_32_bytes_and_give_32_back(void **state)
{
    (void)state;
    on_runtimes(call_typed_forms, NULL);
}

THRUM_DECLARE_TASK(bool, is_even, unsigned, n)
THRUM_DECLARE_PROC(is_odd, unsigned, n, bool *, out)

THRUM_DEFINE(bool, is_even, unsigned, n)
{
    bool odd = false;

    if (n == 0)
        return true;
    THRUM_FORK(is_odd, n - 1, &odd);
    THRUM_JOIN(is_odd);
    return odd;
}

THRUM_DEFINE(void, is_odd, unsigned, n, bool *, out)
{
    if (n == 0) {
        *out = false;
        return;
    }
    THRUM_FORK(is_even, n - 1);
    *out = THRUM_JOIN(is_even);
}

static thrum_err *call_even_odd(void *arg)
{
    bool odd;

    (void)arg;
    CHECK(is_even(100) && !is_even(101));
    is_odd(101, &odd);
    CHECK(odd);
    return NULL;
}

static void typed_tasks_declared_ahead_call_each_other(void **state)
{
    (void)state;
    on_runtimes(call_even_odd, NULL);
}

THRUM_KIND(Broken, THRUM_ERROR);

static thrum_err *give_back(void *arg)
{
    return arg;
}

static thrum_err *join_errors(void *arg)
{
    (void)arg;
    for (enum how how = IN_PLACE; how < HOWS; how++) {
        thrum_err *e = thrum_fail(&Broken, "x");
        thrum_task a, b;

        thrum_fork(&a, give_back, e);
        thrum_fork(&b, give_back, NULL);
        pass_time(how);
        CHECK(thrum_join(&b) == NULL);
        CHECK(thrum_join(&a) == e);
        thrum_err_drop(e);
    }
    return NULL;
}

static void join_returns_the_very_error_of_the_fork(void **state)
{
    (void)state;
    on_runtimes(join_errors, NULL);
}

/* --- order ---------------------------------------------------------------- */

struct once {
    _Atomic unsigned calls;
};

static thrum_err *run_once(void *arg)
{
    struct once *o = arg;

    CHECK(atomic_fetch_add(&o->calls, 1) == 0);
    return NULL;
}

/* The nth order of four. */
static void permutation(unsigned n, unsigned order[4])
{
    unsigned left[4] = {0, 1, 2, 3};

    for (unsigned i = 0, count = 4; i < 4; i++, count--) {
        unsigned pick = n % count;

        n /= count;
        order[i] = left[pick];
        memmove(&left[pick], &left[pick + 1],
                (count - pick - 1) * sizeof *left);
    }
}

/* wait_at: before which join to let time pass. */
static void join_permuted(unsigned n, unsigned wait_at, enum how how)
{
    struct once done[4] = {0};
    thrum_task task[4];
    unsigned order[4];

    permutation(n, order);
    for (int i = 0; i < 4; i++)
        thrum_fork(&task[i], run_once, &done[i]);
    for (unsigned i = 0; i < 4; i++) {
        if (i == wait_at)
            pass_time(how);
        expect_ok(thrum_join(&task[order[i]]));
        CHECK(atomic_load(&done[order[i]].calls) == 1);
    }
}

static thrum_err *all_permutations(void *arg)
{
    thrum_task outer;
    struct once done = {0};

    (void)arg;
    thrum_fork(&outer, run_once, &done);
    for (unsigned n = 0; n < 24; n++)
        for (unsigned wait_at = 0; wait_at < 4; wait_at++)
            for (enum how how = IN_PLACE; how < HOWS; how++)
                join_permuted(n, wait_at, how);
    expect_ok(thrum_join(&outer));
    return NULL;
}

static void four_forks_are_joined_in_any_order(void **state)
{
    (void)state;
    on_runtimes(all_permutations, NULL);
}

static thrum_err *join_and_fork_again(void *arg)
{
    struct once done[6] = {0};
    thrum_task task[6];

    (void)arg;
    for (int i = 0; i < 4; i++)
        thrum_fork(&task[i], run_once, &done[i]);
    expect_ok(thrum_join(&task[1]));
    expect_ok(thrum_join(&task[2]));
    thrum_fork(&task[4], run_once, &done[4]);
    thrum_yield();
    thrum_fork(&task[5], run_once, &done[5]);
    expect_ok(thrum_join(&task[0]));
    expect_ok(thrum_join(&task[5]));
    expect_ok(thrum_join(&task[3]));
    expect_ok(thrum_join(&task[4]));
    for (int i = 0; i < 6; i++)
        CHECK(atomic_load(&done[i].calls) == 1);
    return NULL;
}

static void forks_may_follow_joins_out_of_order(void **state)
{
    (void)state;
    on_runtimes(join_and_fork_again, NULL);
}

/* --- many ----------------------------------------------------------------- */

/* A segment holds some 510 forks; the borders are looked for around it. */
enum { MANY = 5000, BORDER_LOW = 500, BORDER_HIGH = 520 };

struct many {
    struct once done[MANY];
    thrum_task task[MANY];
};

static struct many *fork_many(struct many *m, enum how how)
{
    for (unsigned i = 0; i < MANY; i++)
        atomic_init(&m->done[i].calls, 0);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 1000 == 999)
            pass_time(how);
        thrum_fork(&m->task[i], run_once, &m->done[i]);
    }
    return m;
}

static void all_ran_once(struct many *m)
{
    for (unsigned i = 0; i < MANY; i++)
        CHECK(atomic_load(&m->done[i].calls) == 1);
}

static thrum_err *join_many(void *arg)
{
    struct many *m = arg;

    for (enum how how = IN_PLACE; how < HOWS; how++) {
        fork_many(m, how);
        for (unsigned i = MANY; i-- > 0;)
            expect_ok(thrum_join(&m->task[i]));
        all_ran_once(m);

        fork_many(m, how);
        for (unsigned i = 0; i < MANY; i++)
            expect_ok(thrum_join(&m->task[i]));
        all_ran_once(m);

        fork_many(m, how); /* every prime step: an order like a random one */
        for (unsigned i = 0; i < MANY; i++)
            expect_ok(thrum_join(&m->task[i * 1237 % MANY]));
        all_ran_once(m);
    }
    return NULL;
}

static void five_thousand_forks_are_open_and_joined_in_any_order(void **state)
{
    struct many *m = malloc(sizeof *m);

    (void)state;
    on_runtimes(join_many, m);
    free(m);
}

THRUM_PROC(add_one, _Atomic unsigned *, to)
{
    atomic_fetch_add_explicit(to, 1, memory_order_relaxed);
}

THRUM_TASK(unsigned, typed_many, enum how, how)
{
    _Atomic unsigned sum = 0;

    for (unsigned i = 0; i < MANY; i++) {
        if (i % 1000 == 999)
            pass_time(how);
        THRUM_FORK(add_one, &sum);
    }
    for (unsigned i = 0; i < MANY; i++)
        THRUM_JOIN(add_one);
    return atomic_load(&sum);
}

/* Up and down over the border between two segments. */
THRUM_TASK(unsigned, typed_border, unsigned, base, enum how, how)
{
    _Atomic unsigned sum = 0;
    unsigned open = 0;

    for (; open < base; open++)
        THRUM_FORK(add_one, &sum);
    for (unsigned turn = 1; turn < 8; turn++) {
        for (unsigned i = 0; i < turn; i++)
            THRUM_FORK(add_one, &sum);
        pass_time(how);
        for (unsigned i = 0; i < turn; i++)
            THRUM_JOIN(add_one);
    }
    for (; open > 0; open--)
        THRUM_JOIN(add_one);
    return atomic_load(&sum);
}

static thrum_err *call_typed_many(void *arg)
{
    (void)arg;
    for (enum how how = IN_PLACE; how < HOWS; how++) {
        CHECK(typed_many(how) == MANY);
        for (unsigned base = BORDER_LOW; base < BORDER_HIGH; base++)
            CHECK(typed_border(base, how) == base + 28);
        CHECK(typed_border(2 * BORDER_HIGH, how) == 2 * BORDER_HIGH + 28);
    }
    return NULL;
}

static void five_thousand_typed_forks_are_open_at_once(void **state)
{
    (void)state;
    on_runtimes(call_typed_many, NULL);
}

/* Plain forks over the border too, and a mixture with typed ones. */
static thrum_err *plain_border(void *arg)
{
    struct many *m = arg;

    for (unsigned base = BORDER_LOW; base < BORDER_HIGH; base++) {
        for (unsigned i = 0; i < base; i++) {
            atomic_init(&m->done[i].calls, 0);
            thrum_fork(&m->task[i], run_once, &m->done[i]);
        }
        CHECK(fib(10) == 55);
        thrum_yield();
        CHECK(fib(10) == 55);
        expect_ok(thrum_join(&m->task[base - 2]));
        expect_ok(thrum_join(&m->task[base - 1]));
        for (unsigned i = base - 2; i-- > 0;)
            expect_ok(thrum_join(&m->task[i]));
        for (unsigned i = 0; i < base; i++)
            CHECK(atomic_load(&m->done[i].calls) == 1);
    }
    return NULL;
}

static void forks_of_both_sorts_mix_at_a_border_of_segments(void **state)
{
    struct many *m = malloc(sizeof *m);

    (void)state;
    on_runtimes(plain_border, m);
    free(m);
}

struct deep {
    unsigned left;
    enum how how;
};

static thrum_err *go_deep(void *arg)
{
    struct deep *d = arg, next = {d->left - 1, d->how};
    thrum_task task;

    if (d->left == 0)
        return NULL;
    thrum_fork(&task, go_deep, &next);
    if (d->left % 16 == 0)
        pass_time(d->how);
    return thrum_join(&task);
}

static thrum_err *call_deep(void *arg)
{
    (void)arg;
    for (enum how how = IN_PLACE; how < HOWS; how++)
        expect_ok(go_deep(&(struct deep){SANITIZED ? 100 : 200, how}));
    return NULL;
}

static void forks_nest_deeply(void **state)
{
    (void)state;
    on_runtimes(call_deep, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typed_forks_compute_fibonacci_numbers),
        cmocka_unit_test(plain_forks_compute_fibonacci_numbers),
        cmocka_unit_test(typed_tasks_take_32_bytes_and_give_32_back),
        cmocka_unit_test(typed_tasks_declared_ahead_call_each_other),
        cmocka_unit_test(join_returns_the_very_error_of_the_fork),
        cmocka_unit_test(four_forks_are_joined_in_any_order),
        cmocka_unit_test(forks_may_follow_joins_out_of_order),
        cmocka_unit_test(five_thousand_forks_are_open_and_joined_in_any_order),
        cmocka_unit_test(five_thousand_typed_forks_are_open_at_once),
        cmocka_unit_test(forks_of_both_sorts_mix_at_a_border_of_segments),
        cmocka_unit_test(forks_nest_deeply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
