/* Is on_slow told of what takes long, while it does and when it has ended? How: a
 * child that ends only when the hook was called. */
#include "lib/api.h"

#include <pthread.h>

THRUM_KIND(Real, THRUM_ERROR);

/* --- the hook ------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct heard {
    unsigned open, closed;
    thrum_time took[2];
    char name[64], path[256], message[2048];
    const thrum_kind *result;
} heard; /* lock */

static _Atomic unsigned told, told_closed;

static void hear(const char *name, thrum_time took, const thrum_err *e,
                 void *user)
{
    bool open = thrum_err_is(e, &THRUM_SLOW);

    CHECK(user == &heard);
    pthread_mutex_lock(&lock);
    snprintf(heard.name, sizeof heard.name, "%s", name);
    heard.took[!open] = took;
    if (open) {
        heard.open++;
        snprintf(heard.path, sizeof heard.path, "%s",
                 thrum_err_path(e) == NULL ? "" : thrum_err_path(e));
        snprintf(heard.message, sizeof heard.message, "%s", thrum_err_msg(e));
    } else {
        heard.closed++;
        heard.result = thrum_err_kind(e);
    }
    pthread_mutex_unlock(&lock);
    atomic_fetch_add(open ? &told : &told_closed, 1);
}

static struct heard what_was_heard(void)
{
    struct heard h;

    pthread_mutex_lock(&lock);
    h = heard;
    pthread_mutex_unlock(&lock);
    return h;
}

static void forget(void)
{
    pthread_mutex_lock(&lock);
    memset(&heard, 0, sizeof heard);
    pthread_mutex_unlock(&lock);
    atomic_store(&told, 0);
    atomic_store(&told_closed, 0);
}

static void run(thrum_fn *fn)
{
    for (workers = 1; workers <= 4; workers *= 2) {
        thrum_opts opts = {.workers = workers, .on_slow = hear, .user = &heard};
        thrum_rt *rt;

        forget();
        assert_int_equal(thrum_start(&rt, &opts), 0);
        expect_ok(thrum_call(rt, fn, NULL));
        expect_ok(thrum_stop(rt));
    }
}

/* --- it takes long -------------------------------------------------------- */

static thrum_err *linger(void *unused)
{
    thrum_err_drop(wait_for_cancel(NULL));
    return unused;
}

static thrum_err *compute(void *unused)
{
    block_count(&told, 1);
    return unused;
}

static thrum_err *end_when_told(void *s)
{
    await_count(&told, 1);
    thrum_scope_cancel(s, NULL);
    return NULL;
}

/* Whether the child is at work when the time is over, the test cannot know: then
 * it gets more. */
static void until_named(thrum_fn *child, thrum_err *body)
{
    thrum_time slow = THRUM_MS(1);
    bool named;

    do {
        struct heard h;
        thrum_scope s;

        forget();
        thrum_scope_open(&s, .name = "sluggish", .slow = slow);
        CHECK(thrum_spawn(&s, child, NULL, 0) == 0);
        if (child == linger)
            CHECK(thrum_spawn(&s, end_when_told, &s, 0) == 0);
        expect_kind(thrum_scope_close(&s, thrum_err_ref(body)),
                    thrum_err_kind(body));
        h = what_was_heard();
        CHECK(h.open >= 1 && h.closed == 1);
        CHECK(strcmp(h.name, "sluggish") == 0);
        CHECK(strcmp(h.path, "main > sluggish") == 0); /* whoever tells */
        CHECK(h.took[0] >= slow && h.took[1] >= h.took[0]);
        CHECK(h.result == thrum_err_kind(body));
        named = strstr(h.message, "child, started at ") != NULL &&
                strstr(h.message, "api_slow.c") != NULL;
        slow *= 2;
    } while (!named && slow < HOUR);
    CHECK(named);
    thrum_err_drop(body);
}

static thrum_err *slow(void *arg)
{
    (void)arg;
    until_named(linger, NULL);
    until_named(compute, NULL);
    return NULL;
}

static void
a_slow_scope_is_told_of_with_its_children_and_again_at_the_end(void **state)
{
    (void)state;
    run(slow);
}

static thrum_err *wait_till_told(void *unused)
{
    (void)unused;
    while (atomic_load(&told) == 0)
        thrum_yield();
    return thrum_fail(&Real, "at last");
}

static thrum_err *slow_failure(void *arg)
{
    struct heard h;

    (void)arg;
    expect_kind(thrum_with(wait_till_told, NULL, .slow = 1), &Real);
    h = what_was_heard();
    CHECK(h.closed == 1 && h.result == &Real);
    CHECK(strstr(h.name, "api_slow.c") != NULL); /* no name: its place */
    return NULL;
}

static void its_result_is_told_too(void **state)
{
    (void)state;
    run(slow_failure);
}

/* --- it does not ---------------------------------------------------------- */

static thrum_err *quick(void *arg)
{
    thrum_scope s;

    (void)arg;
    for (int i = 0; i < 100; i++) {
        thrum_scope_open(&s, .name = "quick", .slow = HOUR);
        expect_ok(thrum_scope_close(&s, NULL));
    }
    CHECK(atomic_load(&told) == 0 && atomic_load(&told_closed) == 0);
    return NULL;
}

static void of_a_quick_one_nothing_is_told(void **state)
{
    (void)state;
    run(quick);
}

/* --- it was canceled ------------------------------------------------------ */

static thrum_err *hold_on(void *unused)
{
    while (atomic_load(&told) == 0)
        thrum_yield();
    return unused;
}

static thrum_err *hold_on_when_canceled(void *unused)
{
    struct heard h;
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s, .name = "stubborn");
    CHECK(thrum_spawn(&s, hold_on, NULL, 0) == 0);
    thrum_scope_cancel(&s, NULL);
    expect_ok(thrum_scope_close(&s, NULL));
    h = what_was_heard();
    CHECK(h.open == 1 && h.closed == 0);
    CHECK(strcmp(h.name, "stubborn") == 0);
    CHECK(strstr(h.message, "canceled") != NULL);
    return NULL;
}

/* It takes a second: on one runtime only. */
static void one_that_is_open_long_after_its_cancel_is_told_of_once(void **state)
{
    thrum_opts opts = {.workers = 2, .on_slow = hear, .user = &heard};

    (void)state;
    forget();
    expect_ok(thrum_run(&opts, hold_on_when_canceled, NULL));
}

/* --- without a hook ------------------------------------------------------- */

static thrum_err *outlast(void *unused)
{
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s, .name = "sluggish", .slow = 1);
    CHECK(thrum_sleep(THRUM_MS(1)) == 0);
    return thrum_scope_close(&s, NULL);
}

static void be_slow(void)
{
    expect_ok(thrum_run(&(thrum_opts){.workers = 1}, outlast, NULL));
}

static void without_a_hook_a_line_on_stderr_tells(void **state)
{
    struct end end = end_of(be_slow);

    (void)state;
    assert_int_equal(end.status, 0);
    assert_non_null(strstr(end.said, "sluggish"));
}

static thrum_err *outlast_by_the_hundred(void *unused)
{
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s);
    for (int i = 0; i < 300; i++)
        CHECK(thrum_spawn(&s, outlast, NULL, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static void be_slow_by_the_hundred(void)
{
    expect_ok(thrum_run(NULL, outlast_by_the_hundred, NULL));
}

/* Each second has its lines, and it may take some. */
static void of_hundreds_at_once_some_lines_tell(void **state)
{
    thrum_time began = thrum_now();
    struct end end = end_of(be_slow_by_the_hundred);
    thrum_time seconds = (thrum_now() - began) / THRUM_SEC(1) + 2;
    int lines = 0;

    (void)state;
    assert_int_equal(end.status, 0);
    assert_non_null(strstr(end.said, "on_slow gets them all"));
    for (const char *c = end.said; *c != '\0'; c++)
        lines += *c == '\n';
    assert_true(lines <= 17 * seconds);
}

/* --- what they wait for --------------------------------------------------- */

struct held {
    thrum_mutex mutex;
    _Atomic unsigned taken;
};

static thrum_err *hold(void *arg)
{
    struct held *h = *(struct held **)arg;
    int rc;

    thrum_mutex_lock(&h->mutex);
    atomic_fetch_add(&h->taken, 1);
    rc = thrum_sleep(THRUM_SEC(60));
    thrum_mutex_unlock(&h->mutex);
    return thrum_rc(rc);
}

static thrum_err *want(void *arg)
{
    struct held *h = *(struct held **)arg;

    await_count(&h->taken, 1);
    thrum_mutex_lock(&h->mutex);
    thrum_mutex_unlock(&h->mutex);
    return NULL;
}

static thrum_err *wait_long(void *unused)
{
    struct held held = {.taken = 0}, *h = &held;
    thrum_scope s;

    (void)unused;
    forget();
    thrum_scope_open(&s, .name = "sluggish", .slow = THRUM_SEC(30));
    CHECK(thrum_spawn(&s, hold, &h, sizeof h) == 0);
    CHECK(thrum_spawn(&s, want, &h, sizeof h) == 0);
    THRUM_TRY(thrum_scope_close(&s, NULL));
    THRUM_CHECK(strstr(heard.message, "waits for a sleep") != NULL);
    THRUM_CHECK(strstr(heard.message, "waits for a mutex at 0x") != NULL);
    THRUM_CHECK(strstr(heard.message, ", held by hold (tests/api/") != NULL);
    return NULL;
}

static void it_is_told_what_they_wait_for(void **state)
{
    thrum_opts opts = {.on_slow = hear, .user = &heard};

    (void)state;
    expect_ok(thrum_sim(&(thrum_sim_opts){.rounds = 20, .run = &opts},
                        wait_long, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_slow_scope_is_told_of_with_its_children_and_again_at_the_end),
        cmocka_unit_test(its_result_is_told_too),
        cmocka_unit_test(of_a_quick_one_nothing_is_told),
        cmocka_unit_test(
            one_that_is_open_long_after_its_cancel_is_told_of_once),
        cmocka_unit_test(without_a_hook_a_line_on_stderr_tells),
        cmocka_unit_test(of_hundreds_at_once_some_lines_tell),
        cmocka_unit_test(it_is_told_what_they_wait_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
