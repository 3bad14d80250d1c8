/* Does an error that nobody handles reach the hook of its runtime, or stderr, and
 * say who made it and where? How: hooks that keep what they got; children whose
 * stderr is read. */
#include "lib/api.h"

THRUM_KIND(Lost, THRUM_ERROR, .code = 404);

struct heard {
    _Atomic unsigned times;
    char message[64];
    int thread;
};

static void hear(const thrum_err *err, void *user)
{
    struct heard *h = user;

    snprintf(h->message, sizeof h->message, "%s", thrum_err_msg(err));
    h->thread = thread_id();
    atomic_fetch_add(&h->times, 1);
}

static thrum_err *report_twice(void *arg)
{
    struct heard *h = arg;
    int here = thread_id();

    thrum_report(NULL);
    CHECK(atomic_load(&h->times) == 0);
    thrum_report(thrum_fail(&Lost, "first"));
    CHECK(atomic_load(&h->times) == 1 && strcmp(h->message, "first") == 0);
    CHECK(h->thread == here);
    thrum_report(thrum_rc(-ENOENT)); /* one that lives for ever */
    CHECK(atomic_load(&h->times) == 2);
    return NULL;
}

/* The thread of a blocking call belongs to its runtime, too. */
static thrum_err *report_offloaded(void *arg)
{
    struct heard *h = arg;
    thrum_scope s;

    atomic_store(&h->times, 0);
    expect_ok(thrum_offload(report_twice, arg));
    atomic_store(&h->times, 0);
    thrum_scope_open(&s, .name = "blocking");
    CHECK(thrum_spawn_blocking(&s, report_twice, arg, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static void the_hook_of_the_runtime_gets_what_is_reported(void **state)
{
    (void)state;
    for (workers = 1; workers <= 4; workers *= 2) {
        struct heard h = {0};
        thrum_opts opts = {.workers = workers, .on_error = hear, .user = &h};
        thrum_rt *rt;

        assert_int_equal(thrum_start(&rt, &opts), 0);
        expect_ok(thrum_call(rt, report_twice, &h));
        expect_ok(thrum_call(rt, report_offloaded, &h));
        expect_ok(thrum_stop(rt));

        atomic_store(&h.times, 0);
        expect_ok(thrum_run(&opts, report_twice, &h));
        assert_int_equal(atomic_load(&h.times), 2);
    }
}

static struct heard heard_by_default;

static thrum_err *report_in_thread(void *arg)
{
    thrum_report(thrum_fail(&Lost, "from a thread"));
    return arg;
}

static thrum_err *offload_report(void *arg)
{
    expect_ok(thrum_offload(report_in_thread, arg));
    CHECK(atomic_load(&heard_by_default.times) == 1);
    CHECK(heard_by_default.thread != thread_id());
    return NULL;
}

static void
a_thread_that_is_no_worker_reports_to_the_default_runtime(void **state)
{
    thrum_opts opts = {
        .workers = 2, .on_error = hear, .user = &heard_by_default};

    (void)state;
    expect_ok(thrum_run(&opts, offload_report, NULL));
}

/* --- stderr --------------------------------------------------------------- */

static void report_alone(void)
{
    thrum_report(thrum_wrap(thrum_rc(-ECONNREFUSED), &Lost, "no user %d", 7));
}

static thrum_err *make_error(void *arg)
{
    return thrum_fail(&Lost, "made in a task %s", (const char *)arg);
}

static thrum_err *report_children(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "s");
    CHECK(thrum_spawn(&s, make_error, "a", 2) == 0);
    CHECK(thrum_spawn(&s, make_error, "b", 2) == 0);
    thrum_report(thrum_scope_close(&s, NULL));
    return NULL;
}

static void report_in_task(void)
{
    expect_ok(thrum_run(&(thrum_opts){.workers = 2}, report_children, NULL));
}

static void assert_says(void (*act)(void), const char *const *texts)
{
    struct end end = end_of(act);

    assert_int_equal(end.status, 0);
    for (; *texts != NULL; texts++)
        if (strstr(end.said, *texts) == NULL) {
            print_error("no \"%s\" in: %s\n", *texts, end.said);
            assert_true(false);
        }
    assert_int_equal(end.said[strlen(end.said) - 1], '\n');
}

static void without_a_hook_the_full_report_goes_to_stderr(void **state)
{
    (void)state;
    assert_says(report_alone,
                (const char *const[]){"Lost: no user 7", "[404]",
                                      "api_report.c:", "caused by",
                                      "ECONNREFUSED", NULL});
    assert_says(report_in_task,
                (const char *const[]){"made in a task a", "made in a task b",
                                      "make_error", "and 1 more", NULL});
}

/* --- who made it ---------------------------------------------------------- */

static thrum_err *name_of_spawned(void *arg)
{
    thrum_err *e;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "named");
    CHECK(thrum_spawn(&s, make_error, "x", 2) == 0);
    e = thrum_scope_close(&s, NULL);
    CHECK(thrum_err_task(e) != NULL);
    CHECK(strcmp(thrum_err_task(e), "make_error") == 0);
    CHECK(strstr(thrum_err_path(e), "named > make_error") != NULL);
    CHECK(strstr(thrum_err_where(e), "api_report.c:") != NULL);
    thrum_err_drop(e);
    return NULL;
}

/* However long its name is: the end of it is kept. */
static thrum_err *name_is_long(void *arg)
{
    static char name[3000];
    const char *task;
    thrum_scope s;
    thrum_err *e;

    (void)arg;
    for (size_t most = 150; most < sizeof name; most += most < 250 ? 1 : 2700) {
        memset(name, 'n', most);
        name[most] = '\0';
        thrum_scope_open(&s, .name = name);
        e = thrum_scope_close(&s, thrum_fail(&Lost, "inside"));
        task = thrum_err_task(e);
        CHECK(task != NULL && thrum_err_path(e) != NULL);
        CHECK(strlen(task) >= 150 && strlen(task) < 200);
        CHECK(task[strlen(task) - 1] == 'n');
        CHECK(strstr(thrum_err_path(e), task) != NULL);
        thrum_err_drop(e);
    }
    return NULL;
}

static void an_error_tells_the_task_that_made_it(void **state)
{
    thrum_err *e = thrum_fail(&Lost, "outside");

    (void)state;
    assert_null(thrum_err_task(e));
    thrum_err_drop(e);
    on_runtimes(name_of_spawned, NULL);
    on_runtimes(name_is_long, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hook_of_the_runtime_gets_what_is_reported),
        cmocka_unit_test(
            a_thread_that_is_no_worker_reports_to_the_default_runtime),
        cmocka_unit_test(without_a_hook_the_full_report_goes_to_stderr),
        cmocka_unit_test(an_error_tells_the_task_that_made_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
