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
        cmocka_unit_test(without_a_runtime_there_is_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
