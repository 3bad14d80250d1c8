/* Is each fork run once, here or elsewhere, and does its join get what it
 * returned, in whatever order? On one worker, where a yield makes forks ready
 * for others: so who takes what is certain. The deaths are those of children. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thrum/run.h>
#include <thrum/task.h>

#include "sched/fork.h"
#include "sched/worker.h"

enum { MANY = 3000 }; /* forks open at once: in three segments */

THRUM_KIND(Odd, THRUM_ERROR, .code = 3);

/* In a task: cmocka's asserts jump to the stack of the test. */
#define must(cond)                                                             \
    do {                                                                       \
        if (!(cond)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                           \
        }                                                                      \
    } while (0)

/* Run it as a task of a runtime with one worker. */
static void in_a_task(thrum_fn *fn, void *arg)
{
    thrum_opts one = {.workers = 1, .stack_size = 1 << 20};

    assert_null(thrum_run(&one, fn, arg));
}

static thrum_err *nothing(void *arg)
{
    return arg;
}

/* A worker that rested asked for a job, and would be given the first one that
 * there is. Answer it, so that what follows is certain. */
static void still_the_hunger(void)
{
    thrum_task t;

    thrum_fork(&t, nothing, NULL);
    must(thrum_join(&t) == NULL);
}

/* --------------------------------------------------- what the forks here do */

static int ran[MANY], order[MANY], count;

static void forget_all(void)
{
    memset(ran, 0, sizeof ran);
    count = 0;
}

static thrum_err *note(void *arg)
{
    int i = (int)(intptr_t)arg;

    ran[i]++;
    order[count++] = i;
    return NULL;
}

static thrum_err *note_late(void *arg)
{
    for (int i = 0; i < 5; i++)
        thrum_yield();
    return note(arg);
}

static thrum_err *fail_if_odd(void *arg)
{
    intptr_t i = (intptr_t)arg;

    return i % 2 == 0 ? NULL : thrum_fail(&Odd, "%d", (int)i);
}

static void fork_many(thrum_task *t, int n, thrum_fn *fn)
{
    still_the_hunger();
    forget_all();
    for (intptr_t i = 0; i < n; i++)
        thrum_fork(&t[i], fn, (void *)i);
}

static void each_ran_once(int n)
{
    must(count == n);
    for (int i = 0; i < n; i++)
        must(ran[i] == 1);
}

static struct thrum_job_ *newest(void)
{
    return deque_newest(&worker_current()->deque);
}

/* ----------------------------------------------------------------- in place */

static thrum_err *join_in_place(void *unused)
{
    struct thrum_job_ *before = newest();
    thrum_task t[3];

    (void)unused;
    fork_many(t, 3, note);
    must(count == 0);
    for (int i = 2; i >= 0; i--)
        must(thrum_join(&t[i]) == NULL);
    each_ran_once(3);
    for (int i = 0; i < 3; i++)
        must(order[i] == 2 - i);
    must(newest() == before);
    return NULL;
}

static void what_nobody_took_runs_at_its_join(void **state)
{
    (void)state;
    in_a_task(join_in_place, NULL);
}

static thrum_err *join_in_any_order(void *unused)
{
    static const int by[][5] = {{0, 1, 2, 3, 4},
                                {0, 2, 4, 1, 3},
                                {4, 0, 3, 1, 2},
                                {2, 3, 4, 0, 1},
                                {1, 4, 0, 3, 2}};

    (void)unused;
    for (size_t k = 0; k < sizeof by / sizeof *by; k++) {
        struct thrum_job_ *before = newest();
        thrum_task t[5];

        fork_many(t, 5, note);
        for (int i = 0; i < 5; i++)
            must(thrum_join(&t[by[k][i]]) == NULL);
        each_ran_once(5);
        must(fork_open_above(worker_current(), before) == NULL);
        must(newest() == before); /* the slots are given back */
    }
    return NULL;
}

static void forks_can_be_joined_in_any_order(void **state)
{
    (void)state;
    in_a_task(join_in_any_order, NULL);
}

static thrum_err *fork_between_joins(void *unused)
{
    thrum_task a, b, c;

    (void)unused;
    still_the_hunger();
    forget_all();
    thrum_fork(&a, note, (void *)0);
    thrum_fork(&b, note, (void *)1);
    must(thrum_join(&a) == NULL);
    thrum_fork(&c, note, (void *)2);
    must(thrum_join(&b) == NULL);
    must(thrum_join(&c) == NULL);
    each_ran_once(3);
    return NULL;
}

static void a_slot_joined_early_is_used_again_after_the_newer_ones(void **state)
{
    (void)state;
    in_a_task(fork_between_joins, NULL);
}

/* -------------------------------------------------------------------- taken */

static thrum_err *join_what_was_taken(void *late)
{
    struct thrum_job_ *before = newest();
    thrum_task t[4];

    fork_many(t, 4, late != NULL ? note_late : note);
    thrum_yield(); /* all four are ready now, and run */
    for (int i = 0; i < 4; i++)
        must(deque_taken(t[i].slot_));
    must(count == (late != NULL ? 0 : 4));
    for (int i = 3; i >= 0; i--)
        must(thrum_join(&t[i]) == NULL);
    each_ran_once(4);
    for (int i = 0; i < 4; i++)
        must(order[i] == i); /* oldest first */
    must(newest() == before);
    return NULL;
}

static void what_was_taken_and_has_ended_is_not_run_again(void **state)
{
    (void)state;
    in_a_task(join_what_was_taken, NULL);
}

static void a_join_waits_for_what_was_taken(void **state)
{
    (void)state;
    in_a_task(join_what_was_taken, "late");
}

static thrum_err *join_taken_and_own(void *unused)
{
    thrum_task t[6];

    (void)unused;
    still_the_hunger();
    forget_all();
    for (intptr_t i = 0; i < 3; i++)
        thrum_fork(&t[i], note_late, (void *)i);
    thrum_yield();
    for (intptr_t i = 3; i < 6; i++)
        thrum_fork(&t[i], note, (void *)i);
    must(deque_taken(t[2].slot_) && !deque_taken(t[3].slot_));
    for (int i = 0; i < 6; i++)
        must(thrum_join(&t[(i * 5 + 2) % 6]) == NULL);
    each_ran_once(6);
    return NULL;
}

static void taken_and_own_forks_are_joined_alike(void **state)
{
    (void)state;
    in_a_task(join_taken_and_own, NULL);
}

static thrum_err *join_failures(void *take)
{
    thrum_task t[4];
    thrum_err *e;

    still_the_hunger();
    for (intptr_t i = 0; i < 4; i++)
        thrum_fork(&t[i], fail_if_odd, (void *)i);
    if (take != NULL)
        thrum_yield();
    for (int i = 3; i >= 0; i--) {
        e = thrum_join(&t[i]);
        must(thrum_err_is(e, &Odd) == (i % 2 == 1));
        thrum_err_drop(e);
    }
    return NULL;
}

static void the_join_returns_the_error_of_its_fork(void **state)
{
    (void)state;
    in_a_task(join_failures, NULL);
    in_a_task(join_failures, "take them first");
}

static thrum_err *take_back(void *unused)
{
    struct thrum_job_ *before = newest();
    thrum_task t;

    (void)unused;
    still_the_hunger();
    forget_all();
    thrum_fork(&t, note, NULL);
    must(fork_open_above(worker_current(), before) == t.slot_);
    must(fork_take_back(t.slot_));
    must(count == 0); /* it never will */
    must(newest() == before);

    thrum_fork(&t, note_late, NULL);
    thrum_yield();
    must(!fork_take_back(t.slot_));
    must(count == 1);
    must(newest() == before);
    return NULL;
}

static void who_forked_can_do_the_job_himself_unless_it_was_taken(void **state)
{
    (void)state;
    in_a_task(take_back, NULL);
}

/* --------------------------------------------------------------------- many */

static thrum_err *join_many(void *how)
{
    static thrum_task t[MANY];
    const char *text = how;

    /* The one before has left none: a change of scope walks through them. */
    must(load_relaxed(&worker_current()->deque.next) == NULL);
    fork_many(t, MANY, note);
    if (text[0] == 't')
        thrum_yield();
    for (int i = 0; i < MANY; i++)
        must(thrum_join(&t[text[1] == 'o' ? i : MANY - 1 - i]) == NULL);
    each_ran_once(MANY);
    return NULL;
}

static void more_forks_than_a_segment_holds_are_joined(void **state)
{
    thrum_rt *rt;

    (void)state;
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = 1}), 0);
    assert_null(thrum_call(rt, join_many, " newest first"));
    assert_null(thrum_call(rt, join_many, " oldest first"));
    assert_null(thrum_call(rt, join_many, "to")); /* taken, oldest first */
    assert_null(thrum_call(rt, join_many, "tn"));
    assert_null(thrum_stop(rt));
}

/* -------------------------------------------------------------------- typed */

THRUM_TASK(long, fib, int, n)
{
    if (n < 2)
        return n;
    THRUM_FORK(fib, n - 1);
    long b = THRUM_CALL(fib, n - 2);
    return THRUM_JOIN(fib) + b;
}

THRUM_TASK(long, lazy_fib, int, n)
{
    if (n < 2)
        return n;
    THRUM_FORK(lazy_fib, n - 1);
    if (n % 3 == 0)
        thrum_yield();
    long b = THRUM_CALL(lazy_fib, n - 2);
    return THRUM_JOIN(lazy_fib) + b;
}

struct list {
    struct list *next;
    int seen;
};

/* As deep as the list is long: all forks are open at once. */
THRUM_PROC(see_all, struct list *, l)
{
    if (l == NULL)
        return;
    THRUM_FORK(see_all, l->next);
    l->seen++;
    THRUM_JOIN(see_all);
}

static thrum_err *call_typed(void *unused)
{
    static struct list list[1500];
    struct thrum_job_ *before = newest();

    (void)unused;
    must(fib(18) == 2584);
    must(lazy_fib(15) == 610);
    for (int i = 0; i < 1499; i++)
        list[i].next = &list[i + 1];
    see_all(list);
    for (int i = 0; i < 1500; i++)
        must(list[i].seen == 1);
    must(newest() == before);
    return NULL;
}

static void typed_tasks_return_their_results(void **state)
{
    (void)state;
    in_a_task(call_typed, NULL);
}

/* The forks of a typed body that was left by a yield were taken, though their
 * places are in its register. */
THRUM_TASK(int, double_of, int, x)
{
    return x * 2;
}

THRUM_TASK(int, sum_of_four, int, from)
{
    int sum;

    THRUM_FORK(double_of, from);
    THRUM_FORK(double_of, from + 1);
    thrum_yield();
    THRUM_FORK(double_of, from + 2);
    THRUM_FORK(double_of, from + 3);
    sum = THRUM_JOIN(double_of) - THRUM_JOIN(double_of);
    must(sum == 2);
    THRUM_FORK(double_of, 100);
    sum = THRUM_JOIN(double_of);
    sum += THRUM_JOIN(double_of);
    return sum + THRUM_JOIN(double_of);
}

static thrum_err *mix_typed(void *unused)
{
    (void)unused;
    still_the_hunger();
    must(sum_of_four(10) == 200 + 22 + 20);
    return NULL;
}

static void typed_forks_may_be_taken_while_their_body_waits(void **state)
{
    (void)state;
    in_a_task(mix_typed, NULL);
}

/* ------------------------------------------------------------------- scopes */

static thrum_err *spawn_one(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_spawn(NULL, note_late, (void *)1, 0));
}

static thrum_err *fork_a_spawner(void *take)
{
    thrum_scope s;
    thrum_task t;

    still_the_hunger();
    forget_all();
    thrum_scope_open(&s, .name = "here");
    thrum_fork(&t, spawn_one, NULL);
    if (take != NULL)
        thrum_yield();
    THRUM_TRY(thrum_join(&t));
    must(count == 1); /* the fork has ended, and so has its child */
    THRUM_TRY(thrum_scope_close(&s, NULL));
    must(count == 1);
    return NULL;
}

static void what_a_fork_spawns_is_joined_with_it(void **state)
{
    (void)state;
    in_a_task(fork_a_spawner, NULL);
    in_a_task(fork_a_spawner, "take it first");
}

/* Joined early, it still lies there when the scope is closed; and so does one
 * that lies below the scope. */
static thrum_err *join_oldest_first(void *outer)
{
    thrum_task t[2];

    for (intptr_t i = 0; i < 2; i++)
        thrum_fork(&t[i], note, (void *)(i + 5));
    if (outer != NULL)
        must(thrum_join((thrum_task *)outer) == NULL);
    for (int i = 0; i < 2; i++)
        must(thrum_join(&t[i]) == NULL);
    return NULL;
}

static thrum_err *fork_below_a_scope(void *unused)
{
    thrum_task below, early, newest, outer;

    (void)unused;
    still_the_hunger();
    forget_all();
    thrum_fork(&below, note, (void *)0);
    thrum_fork(&early, note, (void *)1);
    thrum_fork(&newest, note, (void *)2);
    must(thrum_join(&early) == NULL);
    must(thrum_join(&newest) == NULL);
    THRUM_TRY(thrum_with(join_oldest_first, NULL, .name = "above"));
    thrum_fork(&outer, note, (void *)3);
    THRUM_TRY(thrum_with(join_oldest_first, &outer, .name = "above"));
    must(thrum_join(&below) == NULL);
    must(count == 8);
    return NULL;
}

static void forks_below_a_scope_are_not_its_business(void **state)
{
    (void)state;
    in_a_task(fork_below_a_scope, NULL);
}

/* ------------------------------------------------------------------- deaths */

static thrum_err *leave_a_fork(void *unused)
{
    static thrum_task t;

    (void)unused;
    thrum_fork(&t, note, NULL);
    return NULL;
}

static thrum_err *join_a_strangers(void *t)
{
    return thrum_join((thrum_task *)t);
}

static thrum_err *let_a_stranger_join(void *unused)
{
    thrum_task t[2];

    (void)unused;
    thrum_fork(&t[0], note, NULL);
    thrum_fork(&t[1], note, NULL); /* so that t[0] is not the newest */
    must(thrum_spawn(NULL, join_a_strangers, &t[0], 0) == 0);
    for (;;)
        thrum_yield(); /* until the stranger has died of it */
    return NULL;
}

/* What it said on its way out. */
static void assert_dies_saying(thrum_fn *fn, bool in_task, const char *text)
{
    int ends[2], status;
    char said[512] = "";
    pid_t child;

    if (pipe(ends) < 0 || (child = fork()) < 0)
        abort();
    if (child == 0) {
        struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        (void)!(in_task ? thrum_run(NULL, fn, NULL) : fn(NULL));
        _exit(0);
    }
    close(ends[1]);
    assert_true(read(ends[0], said, sizeof said - 1) > 0);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    if (strstr(said, text) == NULL)
        fail_msg("it said: %s", said);
}

static void a_fork_left_over_is_named(void **state)
{
    (void)state;
    assert_dies_saying(leave_a_fork, true, "fork of note at tests/unit/");
}

static void a_fork_is_made_by_a_task_only(void **state)
{
    (void)state;
    assert_dies_saying(leave_a_fork, false, "call it from a task");
}

static void a_fork_is_joined_by_its_forker_only(void **state)
{
    (void)state;
    assert_dies_saying(let_a_stranger_join, true, "by the task that forked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_took_runs_at_its_join),
        cmocka_unit_test(forks_can_be_joined_in_any_order),
        cmocka_unit_test(
            a_slot_joined_early_is_used_again_after_the_newer_ones),
        cmocka_unit_test(what_was_taken_and_has_ended_is_not_run_again),
        cmocka_unit_test(a_join_waits_for_what_was_taken),
        cmocka_unit_test(taken_and_own_forks_are_joined_alike),
        cmocka_unit_test(the_join_returns_the_error_of_its_fork),
        cmocka_unit_test(who_forked_can_do_the_job_himself_unless_it_was_taken),
        cmocka_unit_test(more_forks_than_a_segment_holds_are_joined),
        cmocka_unit_test(typed_tasks_return_their_results),
        cmocka_unit_test(typed_forks_may_be_taken_while_their_body_waits),
        cmocka_unit_test(what_a_fork_spawns_is_joined_with_it),
        cmocka_unit_test(forks_below_a_scope_are_not_its_business),
        cmocka_unit_test(a_fork_left_over_is_named),
        cmocka_unit_test(a_fork_is_made_by_a_task_only),
        cmocka_unit_test(a_fork_is_joined_by_its_forker_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
