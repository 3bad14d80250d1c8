/* Does what was deferred run once, last in first out, when its scope closes: after
 * the children, shielded, told how it ends? How: clean-ups that write down that
 * they ran. */
#include "lib/api.h"

THRUM_KIND(Real, THRUM_ERROR);
THRUM_KIND(CommitFailed, THRUM_ERROR);
THRUM_KIND(RollbackFailed, THRUM_ERROR);

/* What ran, in which order. One task at a time writes it down. */
static char story[4096];
static _Atomic unsigned ran;

static void begin_story(void)
{
    story[0] = '\0';
    atomic_store(&ran, 0);
}

static void tell(const char *word)
{
    CHECK(strlen(story) + strlen(word) + 2 < sizeof story);
    strcat(story, word);
    strcat(story, " ");
}

static thrum_err *write_down(void *word)
{
    tell(word);
    return NULL;
}

static void is_story(const char *wanted)
{
    if (strcmp(story, wanted) != 0)
        fprintf(stderr, "the story is: %s\n", story);
    CHECK(strcmp(story, wanted) == 0);
}

/* --- order ---------------------------------------------------------------- */

static thrum_err *defer_three(void *unused)
{
    thrum_defer(NULL, write_down, "one");
    thrum_defer(NULL, write_down, "two");
    thrum_defer(NULL, write_down, "three");
    tell("body");
    return unused;
}

static thrum_err *order(void *arg)
{
    thrum_scope s;

    (void)arg;
    begin_story();
    expect_ok(thrum_with(defer_three, NULL, .name = "with"));
    is_story("body three two one ");

    begin_story();
    thrum_scope_open(&s, .name = "s");
    thrum_defer(&s, write_down, "a");
    thrum_defer(NULL, write_down, "b");
    expect_kind(thrum_scope_close(&s, thrum_fail(&Real, "body")), &Real);
    is_story("b a ");
    return NULL;
}

static void the_last_deferred_runs_first(void **state)
{
    (void)state;
    on_runtimes(order, NULL);
    expect_ok(order(NULL)); /* a thread that is no worker */
}

static struct numbers {
    unsigned next;
} numbers;

static thrum_err *count_down(void *number)
{
    CHECK((unsigned)(uintptr_t)number == --numbers.next);
    return NULL;
}

static thrum_err *many(void *arg)
{
    static const unsigned counts[] = {1, 3, 4, 5, 18, 19, 20, 34, 35, 500};

    (void)arg;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        thrum_scope s;

        thrum_scope_open(&s, .name = "many");
        for (unsigned i = 0; i < counts[c]; i++)
            thrum_defer(&s, count_down, (void *)(uintptr_t)i);
        numbers.next = counts[c];
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(numbers.next == 0);
    }
    return NULL;
}

static void there_may_be_any_number_of_them(void **state)
{
    (void)state;
    on_runtimes(many, NULL);
}

static thrum_err *end_late(void *unused)
{
    for (int i = 0; i < 10; i++)
        thrum_yield();
    CHECK(thrum_sleep(THRUM_US(100)) == 0);
    atomic_fetch_add(&ran, 1);
    return unused;
}

static thrum_err *all_have_ended(void *wanted)
{
    CHECK(atomic_load(&ran) == (unsigned)(uintptr_t)wanted);
    tell("after");
    return NULL;
}

static thrum_err *after_children(void *arg)
{
    thrum_scope s;

    (void)arg;
    begin_story();
    thrum_scope_open(&s, .name = "s");
    thrum_defer(&s, all_have_ended, (void *)(uintptr_t)20);
    for (int i = 0; i < 20; i++)
        CHECK(thrum_spawn(&s, end_late, NULL, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    is_story("after ");
    return NULL;
}

static void they_run_after_the_children_have_ended(void **state)
{
    (void)state;
    on_runtimes(after_children, NULL);
}

/* --- whose ---------------------------------------------------------------- */

static thrum_err *defer_and_spawn(void *word)
{
    thrum_defer(NULL, write_down, word);
    thrum_defer(NULL, all_have_ended, (void *)(uintptr_t)2);
    CHECK(thrum_spawn(NULL, end_late, NULL, 0) == 0);
    CHECK(thrum_spawn(NULL, end_late, NULL, 0) == 0);
    return NULL;
}

static thrum_err *defer_in_tasks(void *arg)
{
    thrum_job job = {.fn = defer_and_spawn, .arg = "job"};
    thrum_scope s;
    thrum_task t;

    (void)arg;
    for (int taken = 0; taken < 2; taken++) {
        thrum_scope_open(&s, .name = "around");
        thrum_defer(&s, write_down, "around");
        begin_story();
        thrum_fork(&t, defer_and_spawn, "fork");
        if (taken)
            thrum_yield();
        expect_ok(thrum_join(&t));
        is_story("after fork ");
        expect_ok(thrum_scope_close(&s, NULL));
        is_story("after fork around ");
    }

    begin_story();
    thrum_scope_open(&s, .name = "spawned");
    CHECK(thrum_spawn(&s, defer_and_spawn, "task", 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    is_story("after task ");

    begin_story();
    expect_ok(thrum_gather(&job, 1, THRUM_ALL));
    is_story("after job ");
    begin_story();
    expect_ok(thrum_run(NULL, defer_and_spawn, "run"));
    is_story("after run ");
    return NULL;
}

static void what_a_task_defers_runs_when_it_ends_wherever_it_ran(void **state)
{
    (void)state;
    on_runtimes(defer_in_tasks, NULL);
}

static thrum_err *defer_in_parent(void *s)
{
    thrum_defer(s, end_late, NULL);
    return NULL;
}

static thrum_err *defer_from_children(void *arg)
{
    thrum_scope s;

    (void)arg;
    for (unsigned n = 1; n < 60; n = n * 2 + 1) {
        begin_story();
        thrum_scope_open(&s, .name = "parent");
        thrum_defer(&s, all_have_ended, (void *)(uintptr_t)n);
        for (unsigned i = 0; i < n; i++)
            CHECK(thrum_spawn(&s, defer_in_parent, &s, 0) == 0);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(atomic_load(&ran) == n);
        is_story("after ");
    }
    return NULL;
}

static void a_child_may_defer_into_its_parents_scope(void **state)
{
    (void)state;
    on_runtimes(defer_from_children, NULL);
}

static thrum_err *open_scopes_in_it(void *unused)
{
    thrum_scope s, inner;
    thrum_task t;

    thrum_scope_open(&s, .name = "in a clean-up");
    thrum_defer(NULL, write_down, "s");
    thrum_scope_open(&inner, .name = "deeper", .timeout = THRUM_MS(1));
    thrum_defer(NULL, write_down, "inner");
    expect_kind(thrum_scope_close(&inner, thrum_rc(thrum_sleep(HOUR))),
                &THRUM_TIMEOUT);
    CHECK(thrum_spawn(&s, end_late, NULL, 0) == 0);
    thrum_fork(&t, end_late, NULL);
    expect_ok(thrum_join(&t));
    expect_ok(thrum_scope_close(&s, NULL));
    thrum_defer(NULL, write_down, "own"); /* the clean-up's own */
    CHECK(thrum_spawn(NULL, end_late, NULL, 0) == 0);
    tell("body");
    return unused;
}

static thrum_err *nest(void *arg)
{
    thrum_scope s;

    (void)arg;
    begin_story();
    thrum_scope_open(&s, .name = "s");
    thrum_defer(&s, write_down, "first");
    thrum_defer(&s, open_scopes_in_it, NULL);
    thrum_scope_cancel(&s, NULL);
    expect_ok(thrum_scope_close(&s, wait_for_cancel(NULL)));
    is_story("inner s body own first ");
    CHECK(atomic_load(&ran) == 3);
    return NULL;
}

static void a_clean_up_may_open_scopes_spawn_and_defer(void **state)
{
    (void)state;
    on_runtimes(nest, NULL);
}

/* --- shielded ------------------------------------------------------------- */

static thrum_err *is_shielded(void *unused)
{
    thrum_task t;

    CHECK(!thrum_canceled() && thrum_checkpoint() == 0);
    CHECK(thrum_sleep(THRUM_US(100)) == 0);
    CHECK(thrum_deadline() < thrum_now() + HOUR); /* the grace */
    thrum_fork(&t, end_late, NULL);
    expect_ok(thrum_join(&t));
    tell("shielded");
    return unused;
}

static thrum_err *shield(void *arg)
{
    thrum_scope outer, s;

    (void)arg;
    begin_story();
    thrum_scope_open(&outer, .name = "outer");
    thrum_scope_open(&s, .name = "s");
    thrum_defer(&s, is_shielded, NULL);
    thrum_scope_cancel(&s, NULL);
    thrum_scope_cancel(&outer, NULL);
    expect_kind(thrum_scope_close(&s, wait_for_cancel(NULL)), &THRUM_CANCELED);
    is_story("shielded ");
    thrum_defer(&outer, is_shielded, NULL);
    expect_ok(thrum_scope_close(&outer, wait_for_cancel(NULL)));
    is_story("shielded shielded ");

    begin_story();
    thrum_scope_open(&s, .timeout = THRUM_MS(1));
    thrum_defer(&s, is_shielded, NULL);
    expect_kind(thrum_scope_close(&s, wait_for_cancel(NULL)), &THRUM_TIMEOUT);
    is_story("shielded ");
    return NULL;
}

static void no_cancel_reaches_them(void **state)
{
    (void)state;
    on_runtimes(shield, NULL);
    expect_ok(thrum_run(NULL, shield, NULL));
}

static thrum_err *hang(void *unused)
{
    (void)unused;
    thrum_err_drop(wait_for_cancel(NULL));
    atomic_fetch_add(&ran, 1);
    tell("hung");
    return thrum_rc(-ECANCELED);
}

static thrum_err *hang_in_child(void *unused)
{
    CHECK(thrum_spawn(NULL, hang, NULL, 0) == 0);
    return unused;
}

static thrum_err *grace(void *arg)
{
    thrum_scope s;
    thrum_err *e;

    (void)arg;
    begin_story();
    thrum_scope_open(&s, .name = "s", .grace = THRUM_MS(1));
    thrum_defer(&s, write_down, "first");
    thrum_defer(&s, hang_in_child, NULL); /* meets the cancel at once */
    thrum_defer(&s, hang, NULL);
    e = thrum_scope_close(&s, NULL);
    is_story("hung hung first ");
    CHECK(thrum_err_is(e, &THRUM_TIMEOUT)); /* it was not cleaned up */
    CHECK(thrum_err_count(e) == 2);
    thrum_err_drop(e);
    return NULL;
}

static void after_the_grace_they_are_canceled(void **state)
{
    (void)state;
    on_runtimes(grace, NULL);
}

/* --- how it ends ---------------------------------------------------------- */

static thrum_err *look(void *unused)
{
    const thrum_err *e = thrum_outcome();

    tell(e == NULL ? "success" : thrum_err_kind(e)->name);
    return unused;
}

static thrum_err *look_deeper(void *unused)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "deeper");
    look(NULL);
    expect_ok(thrum_scope_close(&s, NULL));
    return unused;
}

static thrum_err *fail_real(void *unused)
{
    (void)unused;
    return thrum_fail(&Real, "real");
}

static thrum_err *see(thrum_scope *s, thrum_err *body)
{
    thrum_defer(s, look, NULL);
    thrum_defer(s, look_deeper, NULL);
    return thrum_scope_close(s, body);
}

static thrum_err *outcomes(void *arg)
{
    thrum_scope outer, s;

    (void)arg;
    begin_story();
    CHECK(thrum_outcome() == NULL);
    thrum_scope_open(&s, .name = "success");
    expect_ok(see(&s, NULL));
    thrum_scope_open(&s, .name = "body");
    expect_kind(see(&s, fail_real(NULL)), &Real);
    thrum_scope_open(&s, .name = "child");
    CHECK(thrum_spawn(&s, fail_real, NULL, 0) == 0);
    expect_kind(see(&s, NULL), &Real);
    thrum_scope_open(&s, .timeout = THRUM_MS(1));
    expect_kind(see(&s, wait_for_cancel(NULL)), &THRUM_TIMEOUT);
    is_story("success success Real Real Real Real "
             "THRUM_TIMEOUT THRUM_TIMEOUT ");

    begin_story();
    thrum_scope_open(&s, .name = "own cancel");
    thrum_scope_cancel(&s, NULL);
    expect_ok(see(&s, wait_for_cancel(NULL)));
    thrum_scope_open(&outer, .name = "outer");
    thrum_scope_open(&s, .name = "canceled");
    thrum_scope_cancel(&outer, NULL);
    expect_kind(see(&s, wait_for_cancel(NULL)), &THRUM_CANCELED);
    thrum_scope_open(&s, .name = "done in time"); /* and too late to tear it */
    expect_ok(see(&s, NULL));
    expect_ok(thrum_scope_close(&outer, NULL));
    is_story("success success THRUM_CANCELED THRUM_CANCELED success success ");
    CHECK(thrum_outcome() == NULL);
    return NULL;
}

static void they_see_how_the_scope_ends(void **state)
{
    (void)state;
    on_runtimes(outcomes, NULL);
}

static thrum_err *fail_commit(void *unused)
{
    (void)unused;
    tell("commit");
    return thrum_fail(&CommitFailed, "disk full");
}

static thrum_err *fail_rollback(void *unused)
{
    (void)unused;
    tell("rollback");
    return thrum_fail(&RollbackFailed, "gone");
}

static thrum_err *errors_count(void *arg)
{
    thrum_scope s;
    thrum_err *e;

    (void)arg;
    begin_story();
    thrum_scope_open(&s, .name = "s");
    thrum_defer(&s, look, NULL); /* sees what went wrong before it */
    thrum_defer(&s, fail_commit, NULL);
    thrum_defer(&s, look, NULL);
    expect_kind(thrum_scope_close(&s, NULL), &CommitFailed);
    is_story("success commit CommitFailed ");

    begin_story();
    thrum_scope_open(&s, .name = "s");
    thrum_defer(&s, fail_rollback, NULL);
    thrum_defer(&s, fail_commit, NULL);
    e = thrum_scope_close(&s, fail_real(NULL));
    is_story("commit rollback ");
    CHECK(thrum_err_is(e, &Real) && thrum_err_count(e) == 3);
    CHECK(thrum_err_is(thrum_err_at(e, 1), &CommitFailed));
    CHECK(thrum_err_is(thrum_err_at(e, 2), &RollbackFailed));
    thrum_err_drop(e);
    return NULL;
}

static void their_errors_are_the_scopes(void **state)
{
    (void)state;
    on_runtimes(errors_count, NULL);
}

/* --- a transaction -------------------------------------------------------- */

struct transaction {
    bool commit_fails, rollback_fails;
    thrum_fn *body;
    _Atomic unsigned began;
};

static thrum_err *end_transaction(void *arg)
{
    struct transaction *t = arg;
    bool back = thrum_outcome() != NULL;

    CHECK(thrum_sleep(1) == 0); /* it talks to somebody */
    if (back)
        return t->rollback_fails ? fail_rollback(NULL) : write_down("rollback");
    return t->commit_fails ? fail_commit(NULL) : write_down("commit");
}

static thrum_err *transact(void *arg)
{
    struct transaction *t = arg;

    thrum_defer(NULL, end_transaction, t);
    return t->body(&t->began);
}

static thrum_err *no_trouble(void *unused)
{
    (void)unused;
    return NULL;
}

static void expect_transaction(struct transaction t, const thrum_kind *kind,
                               const char *told)
{
    thrum_task task;

    begin_story();
    expect_kind(thrum_with(transact, &t, .name = "transaction"), kind);
    is_story(told);
    begin_story();
    thrum_fork(&task, transact, &t);
    expect_kind(thrum_join(&task), kind);
    is_story(told);
}

static thrum_err *transactions(void *arg)
{
    struct transaction cut = {.body = wait_for_cancel};
    thrum_task task;
    thrum_err *e;

    (void)arg;
    expect_transaction((struct transaction){.body = no_trouble}, NULL,
                       "commit ");
    expect_transaction((struct transaction){.body = fail_real}, &Real,
                       "rollback ");
    expect_transaction(
        (struct transaction){.body = no_trouble, .commit_fails = true},
        &CommitFailed, "commit ");

    begin_story();
    e = thrum_with(
        transact,
        (&(struct transaction){.body = fail_real, .rollback_fails = true}),
        .name = "both");
    CHECK(thrum_err_is(e, &Real) && thrum_err_has(e, &RollbackFailed));
    thrum_err_drop(e);
    is_story("rollback ");

    begin_story();
    expect_kind(thrum_with(transact, &cut, .timeout = THRUM_MS(1)),
                &THRUM_TIMEOUT);
    is_story("rollback ");

    begin_story();
    atomic_store(&cut.began, 0);
    thrum_fork(&task, transact, &cut);
    await_count(&cut.began, 1);
    thrum_task_cancel(&task);
    expect_kind(thrum_join(&task), &THRUM_CANCELED);
    is_story("rollback ");
    return NULL;
}

static void a_transaction_is_committed_or_rolled_back(void **state)
{
    (void)state;
    on_runtimes(transactions, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_deferred_runs_first),
        cmocka_unit_test(there_may_be_any_number_of_them),
        cmocka_unit_test(they_run_after_the_children_have_ended),
        cmocka_unit_test(what_a_task_defers_runs_when_it_ends_wherever_it_ran),
        cmocka_unit_test(a_child_may_defer_into_its_parents_scope),
        cmocka_unit_test(a_clean_up_may_open_scopes_spawn_and_defer),
        cmocka_unit_test(no_cancel_reaches_them),
        cmocka_unit_test(after_the_grace_they_are_canceled),
        cmocka_unit_test(they_see_how_the_scope_ends),
        cmocka_unit_test(their_errors_are_the_scopes),
        cmocka_unit_test(a_transaction_is_committed_or_rolled_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
