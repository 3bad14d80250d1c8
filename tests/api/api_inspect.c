/* Does thrum_dump show who waits, where and for what, from anywhere? */
#include "lib/api.h"

#include <pthread.h>
#include <unistd.h>

static void read_dump(thrum_rt *rt, char *text, size_t bytes)
{
    FILE *file = tmpfile();
    size_t n;

    CHECK(file != NULL);
    thrum_dump(rt, fileno(file));
    rewind(file);
    n = fread(text, 1, bytes - 1, file);
    text[n] = '\0';
    fclose(file);
}

static bool has_all(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strstr(text, *words) == NULL)
            return false;
    return true;
}

/* Others get to wait meanwhile. */
static void await_dump(thrum_rt *rt, const char *const *words)
{
    char text[8192];

    do {
        thrum_yield();
        read_dump(rt, text, sizeof text);
    } while (!has_all(text, words));
}

static thrum_err *sleeper(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(HOUR));
}

static thrum_err *deeper(void *unused)
{
    (void)unused;
    return thrum_with(sleeper, NULL, .name = "deeper");
}

static thrum_err *nothing(void *unused)
{
    return unused;
}

static thrum_err *spawn_two(void *full)
{
    thrum_scope *s = *(thrum_scope **)full;

    return thrum_rc(thrum_spawn(s, nothing, NULL, 0));
}

static thrum_err *look(void *unused)
{
    static const char *const words[] = {"who waits\n",
                                        "main (thrum_call)",
                                        "outer (",
                                        "children: 2",
                                        "sleeper (tests/api/api_inspect.c:",
                                        "deeper (",
                                        "a task waits for a sleep",
                                        "background (",
                                        NULL};
    static const char *const full[] = {
        "a task waits for a permit of a limited scope", NULL};
    static const char *const over[] = {"outer (", "canceled", NULL};
    thrum_scope s, limited, *at = &limited;

    (void)unused;
    thrum_scope_open(&s, .name = "outer");
    CHECK(thrum_spawn(&s, sleeper, NULL, 0) == 0);
    CHECK(thrum_spawn(&s, deeper, NULL, 0) == 0);
    await_dump(NULL, words);
    thrum_scope_open(&limited, .limit = 1);
    CHECK(thrum_spawn(&limited, sleeper, NULL, 0) == 0);
    CHECK(thrum_spawn(&s, spawn_two, &at, sizeof at) == 0);
    await_dump(NULL, full);
    thrum_scope_cancel(&s, NULL);
    await_dump(NULL, over);
    thrum_err_drop(thrum_scope_close(&limited, NULL));
    return thrum_scope_close(&s, NULL);
}

static void who_waits_is_shown(void **state)
{
    (void)state;
    on_threads(look, NULL);
}

static thrum_err *wait_long(void *count)
{
    return thrum_with(wait_for_cancel, count, .name = "waits long");
}

static _Atomic bool looks_on;

static void *look_on(void *rt)
{
    char text[8192];

    while (atomic_load(&looks_on))
        read_dump(rt, text, sizeof text);
    return NULL;
}

static thrum_err *come_and_go(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < scaled(1000) + 20; i++) {
        thrum_scope s;

        thrum_scope_open(&s, .name = "comes and goes");
        for (int k = 0; k < 4; k++)
            CHECK(thrum_spawn(&s, wait_long, NULL, 0) == 0);
        thrum_yield();
        thrum_scope_cancel(&s, NULL);
        expect_ok(thrum_scope_close(&s, NULL));
    }
    return NULL;
}

static void another_thread_may_look_while_scopes_come_and_go(void **state)
{
    pthread_t thread;
    thrum_rt *rt;

    (void)state;
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = 2}), 0);
    atomic_store(&looks_on, true);
    assert_int_equal(pthread_create(&thread, NULL, look_on, rt), 0);
    expect_ok(thrum_call(rt, come_and_go, NULL));
    atomic_store(&looks_on, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    expect_ok(thrum_stop(rt));
}

/* --- who has it, and who waits for himself -------------------------------- */

static struct {
    thrum_mutex one, other;
    thrum_rwlock rwlock;
    thrum_once once;
    struct gate gate;
} locks;

static thrum_err *take(thrum_mutex *m)
{
    THRUM_TRY(thrum_mutex_lock_cancelable(m));
    thrum_mutex_unlock(m);
    return NULL;
}

static thrum_err *take_one(void *unused)
{
    (void)unused;
    return take(&locks.one);
}

static thrum_err *one_then_other(void *unused)
{
    thrum_err *e;

    (void)unused;
    thrum_mutex_lock(&locks.one);
    gate_meet(&locks.gate);
    e = take(&locks.other);
    thrum_mutex_unlock(&locks.one);
    return e;
}

static thrum_err *other_then_one(void *unused)
{
    thrum_err *e;

    (void)unused;
    thrum_mutex_lock(&locks.other);
    gate_meet(&locks.gate);
    e = take(&locks.one);
    thrum_mutex_unlock(&locks.other);
    return e;
}

static thrum_err *in_two_orders(void *unused)
{
    thrum_scope s;

    (void)unused;
    gate_init(&locks.gate, 2);
    thrum_scope_open(&s, .name = "two");
    CHECK(thrum_spawn(&s, one_then_other, NULL, 0) == 0);
    CHECK(thrum_spawn(&s, other_then_one, NULL, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static thrum_err *close_under_a_lock(void *unused)
{
    thrum_scope s;
    thrum_err *e;

    (void)unused;
    thrum_mutex_lock(&locks.one);
    thrum_scope_open(&s, .name = "under a lock");
    CHECK(thrum_spawn(&s, take_one, NULL, 0) == 0);
    thrum_yield(); /* else it is called by the close */
    e = thrum_scope_close(&s, NULL);
    thrum_mutex_unlock(&locks.one);
    return e;
}

static thrum_err *join_under_a_lock(void *unused)
{
    thrum_err *e;
    thrum_task t;

    (void)unused;
    thrum_mutex_lock(&locks.one);
    thrum_fork(&t, take_one, NULL);
    thrum_yield(); /* else it is called by the join */
    e = thrum_join(&t);
    thrum_mutex_unlock(&locks.one);
    return e;
}

static thrum_err *read_what_one_writes(void *unused)
{
    int rc;

    (void)unused;
    thrum_rwlock_wrlock(&locks.rwlock);
    rc = thrum_rwlock_rdlock_cancelable(&locks.rwlock);
    thrum_rwlock_wrunlock(&locks.rwlock);
    return thrum_rc(rc);
}

static thrum_err *once_in_itself(void *unused)
{
    return thrum_once_call(&locks.once, once_in_itself, unused);
}

#define HERE   " (tests/api/api_inspect.c:"
#define CIRCLE "deadlock: each of these waits for the next"

static const struct circle {
    thrum_fn *fn;
    const char *words[4];
} circles[] = {
    {in_two_orders,
     {CIRCLE, "waits for a mutex at 0x", "held by one_then_other" HERE}},
    {close_under_a_lock, {CIRCLE, "take_one" HERE, "held by "}},
    {join_under_a_lock, {CIRCLE, "held by "}},
    {read_what_one_writes,
     {CIRCLE, "an rwlock, to read at 0x", "held by itself"}},
    {once_in_itself, {CIRCLE, "a once at 0x", "held by itself"}},
};

static thrum_err *see_circle(void *circle)
{
    const struct circle *c = circle;
    thrum_scope s;

    memset(&locks, 0, sizeof locks);
    thrum_scope_open(&s, .name = "tied");
    CHECK(thrum_spawn(&s, c->fn, NULL, 0) == 0);
    await_dump(NULL, c->words);
    thrum_scope_cancel(&s, NULL);
    return thrum_scope_close(&s, NULL);
}

static void a_circle_is_shown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof circles / sizeof *circles; i++) {
        struct circle c = circles[i];

        on_threads(see_circle, &c);
    }
}

static thrum_err *hold_one(void *unused)
{
    int rc;

    (void)unused;
    thrum_mutex_lock(&locks.one);
    rc = thrum_sleep(HOUR);
    thrum_mutex_unlock(&locks.one);
    return thrum_rc(rc);
}

static thrum_err *wait_for_one(void *unused)
{
    (void)unused;
    thrum_mutex_lock(&locks.one); /* is no cancellation point */
    thrum_mutex_unlock(&locks.one);
    return NULL;
}

static thrum_err *see_holder(void *unused)
{
    static const char *const held[] = {"a task waits for a mutex at 0x",
                                       "held by hold_one" HERE, NULL};
    char text[8192];
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s, .name = "held");
    CHECK(thrum_spawn(&s, hold_one, NULL, 0) == 0);
    while (thrum_mutex_trylock(&locks.one)) {
        thrum_mutex_unlock(&locks.one);
        thrum_yield();
    }
    CHECK(thrum_spawn(&s, wait_for_one, NULL, 0) == 0);
    await_dump(NULL, held);
    read_dump(NULL, text, sizeof text);
    CHECK(strstr(text, "deadlock") == NULL);
    CHECK(strstr(text, "all rest") == NULL);
    thrum_scope_cancel(&s, NULL);
    return thrum_scope_close(&s, NULL);
}

static void who_has_a_lock_is_shown(void **state)
{
    (void)state;
    memset(&locks, 0, sizeof locks);
    on_threads(see_holder, NULL);
}

static void a_thread_that_has_one_is_no_task(void **state)
{
    static const char *const held[] = {
        "held by no task of this runtime",
        "all rest, and no timer is set: only another thread", NULL};
    char text[8192];
    thrum_rt *rt;

    (void)state;
    memset(&locks, 0, sizeof locks);
    assert_int_equal(thrum_start(&rt, &(thrum_opts){.workers = 1}), 0);
    thrum_mutex_lock(&locks.one);
    assert_int_equal(thrum_post(rt, wait_for_one, NULL, 0), 0);
    do
        read_dump(rt, text, sizeof text);
    while (!has_all(text, held));
    thrum_mutex_unlock(&locks.one);
    expect_ok(thrum_stop(rt));
}

static void without_a_runtime_there_is_nothing(void **state)
{
    char text[256];

    (void)state;
    read_dump(NULL, text, sizeof text);
    assert_string_equal(text, "thrum: no runtime runs\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_is_shown),
        cmocka_unit_test(another_thread_may_look_while_scopes_come_and_go),
        cmocka_unit_test(a_circle_is_shown),
        cmocka_unit_test(who_has_a_lock_is_shown),
        cmocka_unit_test(a_thread_that_has_one_is_no_task),
        cmocka_unit_test(without_a_runtime_there_is_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
