/* Does a debug build find who is suspended with a pthread mutex, and say so; and
 * leave alone who is not? How: each in a process of its own. In other builds
 * nothing is looked at. */
#include "lib/api.h"

#include <pthread.h>

#ifdef THRUM_DEBUG
enum { LOOKS = !SANITIZED };
#else
enum { LOOKS = 0 };
#endif

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER,
                       other = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned told;

static void run(thrum_fn *fn, unsigned count)
{
    expect_ok(thrum_run(&(thrum_opts){.workers = count}, fn, NULL));
    exit(0);
}

/* --- what is a mistake ---------------------------------------------------- */

static thrum_err *sleep_with_it(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&one);
    CHECK(thrum_sleep(THRUM_US(1)) == 0);
    pthread_mutex_unlock(&one);
    return NULL;
}

static thrum_err *spawn_sleeper(void *unused)
{
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s, .name = "with it");
    CHECK(thrum_spawn(&s, sleep_with_it, NULL, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static void sleep_in_task(void)
{
    run(spawn_sleeper, 1);
}

static thrum_err *yield_with_two(void *unused)
{
    (void)unused;
    CHECK(pthread_mutex_trylock(&one) == 0);
    pthread_mutex_lock(&other);
    pthread_mutex_unlock(&one);
    thrum_yield();
    pthread_mutex_unlock(&other);
    return NULL;
}

static void yield(void)
{
    run(yield_with_two, 1);
}

static thrum_err *emit_late(void *unused)
{
    (void)unused;
    THRUM_TRY(thrum_sleep(THRUM_US(1)));
    return thrum_rc(thrum_gen_emit(&(int){0}));
}

static thrum_err *generate_with_it(void *unused)
{
    thrum_gen g;
    int item;

    (void)unused;
    thrum_gen_open(&g, emit_late, NULL, sizeof item);
    pthread_mutex_lock(&one);
    CHECK(thrum_gen_next(&g, &item) == 1);
    pthread_mutex_unlock(&one);
    return thrum_gen_close(&g);
}

static void generate(void)
{
    run(generate_with_it, 1);
}

static thrum_err *release_it(void *unused)
{
    (void)unused;
    block_count(&told, 1);
    pthread_mutex_unlock(&one);
    return NULL;
}

static thrum_err *take_for_another(void *unused)
{
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s, .name = "two threads");
    CHECK(thrum_spawn(&s, release_it, NULL, 0) == 0);
    pthread_mutex_lock(&one);
    told++;
    block_count(&told, 2); /* never: the other task runs elsewhere */
    return thrum_scope_close(&s, NULL);
}

static void release_elsewhere(void)
{
    run(take_for_another, 2);
}

static void a_mistake_is_told(void **state)
{
    (void)state;
    if (!LOOKS)
        skip();
    assert_stops(sleep_in_task,
                 "task sleep_with_it, started at tests/api/api_held.c:",
                 "for a sleep, with a pthread mutex, at 0x");
    assert_stops(yield, "is suspended, for others to run, with a pthread mutex",
                 "api_held+0x");
    assert_stops(generate, "is suspended, for a sleep, with a pthread mutex",
                 "taken at");
    assert_stops(release_elsewhere, "a task releases the mutex at 0x",
                 "which another thread has taken");
}

/* --- what is none --------------------------------------------------------- */

static thrum_err *release_before(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&one);
    CHECK(pthread_mutex_trylock(&one) == EBUSY);
    pthread_mutex_lock(&other);
    pthread_mutex_unlock(&one);
    pthread_mutex_unlock(&other);
    return thrum_rc(thrum_sleep(THRUM_US(1)));
}

static void short_sections(void)
{
    run(release_before, 1);
}

static thrum_err *yield_often(void *unused)
{
    for (int i = 0; i < 10; i++)
        thrum_yield();
    return unused;
}

/* It is the thread's, which waits as threads do. */
static void of_the_caller(void)
{
    pthread_mutex_lock(&one);
    expect_ok(thrum_run(NULL, yield_often, NULL));
    expect_ok(thrum_sim(&(thrum_sim_opts){.rounds = 5}, yield_often, NULL));
    pthread_mutex_unlock(&one);
    exit(0);
}

static void what_is_none_is_left_alone(void **state)
{
    (void)state;
    assert_lives(short_sections);
    assert_lives(of_the_caller);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mistake_is_told),
        cmocka_unit_test(what_is_none_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
