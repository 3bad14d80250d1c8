/* Children of a scope that are called in the blocking pool: do they count, fail,
 * end and hear as children do? */
#include <pthread.h>
#include <unistd.h>

#include "lib/door.h"

THRUM_KIND(Odd, THRUM_ERROR);

/* --- copies and ends ------------------------------------------------------ */

struct item {
    size_t n;
    _Atomic size_t *sum;
    char more[100];
};

static thrum_err *add(void *arg)
{
    struct item *item = arg;

    CHECK((uintptr_t)arg % _Alignof(max_align_t) == 0);
    CHECK(item->more[99] == (char)item->n);
    atomic_fetch_add(item->sum, item->n);
    return NULL;
}

static thrum_err *add_small(void *arg)
{
    CHECK((uintptr_t)arg % _Alignof(max_align_t) == 0);
    atomic_fetch_add(*(_Atomic size_t **)arg, 1);
    return NULL;
}

static thrum_err *add_borrowed(void *arg)
{
    atomic_fetch_add((_Atomic size_t *)arg, 1);
    return NULL;
}

static thrum_err *sum_up(void *arg)
{
    _Atomic size_t sum = 0, *at = &sum;
    size_t n = scaled(5000) + 20;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "sum");
    for (size_t i = 1; i <= n; i++) {
        struct item item = {.n = i, .sum = &sum};

        item.more[99] = (char)i;
        CHECK(thrum_spawn_blocking(&s, add, &item, sizeof item) == 0);
        CHECK(thrum_spawn_blocking(&s, add_small, &at, sizeof at) == 0);
        CHECK(thrum_spawn_blocking(NULL, add_borrowed, &sum, 0) == 0);
        item = (struct item){0};
    }
    THRUM_TRY(thrum_scope_close(&s, NULL));
    CHECK(sum == n * (n + 1) / 2 + 2 * n);
    return NULL;
}

static void all_have_ended_when_the_scope_is_closed(void **state)
{
    (void)state;
    on_runtimes(sum_up, NULL);
}

static thrum_err *tell_thread(void *arg)
{
    *(int *)arg = thread_id();
    return NULL;
}

static thrum_err *ask_thread(void *arg)
{
    thrum_scope s;
    int there = 0;

    (void)arg;
    thrum_scope_open(&s, .name = "there");
    CHECK(thrum_spawn_blocking(&s, tell_thread, &there, 0) == 0);
    THRUM_TRY(thrum_scope_close(&s, NULL));
    CHECK(there != 0 && there != thread_id());
    return NULL;
}

static void they_run_on_other_threads(void **state)
{
    (void)state;
    on_threads(ask_thread, NULL);
}

/* --- errors --------------------------------------------------------------- */

static thrum_err *fail_if_odd(void *arg)
{
    size_t i = *(size_t *)arg;

    return i % 2 == 1 ? thrum_fail(&Odd, "%zu", i) : NULL;
}

static thrum_err *fail_some(void *arg)
{
    static const size_t odd[] = {1, 3, 5, 7};
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .policy = THRUM_SETTLE);
    for (size_t i = 0; i < 8; i++)
        CHECK(thrum_spawn_blocking(&s, fail_if_odd, &i, sizeof i) == 0);
    expect_indices(thrum_scope_close(&s, NULL), 4, odd);
    return NULL;
}

static void their_errors_are_the_scopes(void **state)
{
    (void)state;
    on_runtimes(fail_some, NULL);
}

static thrum_err *fail_at_once(void *arg)
{
    (void)arg;
    return thrum_fail(&Odd, "at once");
}

static thrum_err *fail_beside_one_who_waits(void *arg)
{
    _Atomic unsigned waits = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "both");
    CHECK(thrum_spawn_blocking(&s, wait_for_cancel, &waits, 0) == 0);
    await_count(&waits, 1);
    CHECK(thrum_spawn_blocking(&s, fail_at_once, NULL, 0) == 0);
    expect_kind(thrum_scope_close(&s, NULL), &Odd);
    return NULL;
}

static void one_that_fails_cancels_the_others(void **state)
{
    (void)state;
    on_runtimes(fail_beside_one_who_waits, NULL);
}

static thrum_err *fail_below(void *arg)
{
    (void)arg;
    CHECK(thrum_spawn(NULL, fail_at_once, NULL, 0) == 0);
    return NULL;
}

static thrum_err *with_a_grandchild(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "family");
    CHECK(thrum_spawn_blocking(&s, fail_below, NULL, 0) == 0);
    expect_kind(thrum_scope_close(&s, NULL), &Odd);
    return NULL;
}

static void what_they_spawn_is_theirs(void **state)
{
    (void)state;
    on_runtimes(with_a_grandchild, NULL);
}

static thrum_err *open_a_scope(void *arg)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "in a call", .timeout = HOUR);
    CHECK(thrum_spawn(&s, add_borrowed, arg, 0) == 0);
    CHECK(thrum_spawn_blocking(&s, add_borrowed, arg, 0) == 0);
    return thrum_scope_close(&s, NULL);
}

static thrum_err *with_a_scope_of_its_own(void *arg)
{
    _Atomic size_t sum = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "around");
    CHECK(thrum_spawn_blocking(&s, open_a_scope, &sum, 0) == 0);
    THRUM_TRY(thrum_scope_close(&s, NULL));
    THRUM_TRY(thrum_offload(open_a_scope, &sum));
    CHECK(sum == 4);
    return NULL;
}

/* Of no default one: there is none here. */
static void a_scope_in_one_is_of_its_runtime(void **state)
{
    (void)state;
    on_runtimes(with_a_scope_of_its_own, NULL);
}

/* --- cancel, in a pool of one thread that is kept busy -------------------- */

static void spawn_never(thrum_scope *s)
{
    size_t n = scaled(2000) + 10;

    for (size_t i = 0; i < n; i++)
        CHECK(thrum_spawn_blocking(s, never, &i, sizeof i) == 0);
}

/* All have ended, though the door is closed. */
static thrum_err *cancel_a_crowd(void *arg)
{
    thrum_scope busy, s, inner, none;
    struct door d = {0, 0};

    (void)arg;
    thrum_scope_open(&busy, .name = "busy");
    CHECK(thrum_spawn_blocking(&busy, pass, &d, 0) == 0);
    await_count(&d.inside, 1);

    thrum_scope_open(&s, .policy = THRUM_SETTLE);
    spawn_never(&s);
    thrum_scope_cancel(&s, "the crowd goes home");
    spawn_never(&s); /* nor are these called */
    expect_ok(thrum_scope_close(&s, NULL));

    thrum_scope_open(&s, .name = "outer");
    thrum_scope_open(&inner, .policy = THRUM_SETTLE);
    thrum_scope_open(&none, .name = "none");
    expect_ok(thrum_scope_close(&none, NULL));
    spawn_never(&inner);
    thrum_scope_cancel(&s, NULL);
    expect_kind(thrum_scope_close(&inner, NULL), &THRUM_CANCELED);
    expect_ok(thrum_scope_close(&s, NULL));

    thrum_scope_open(&s, .timeout = THRUM_MS(1));
    spawn_never(&s); /* it would take an hour of the door */
    expect_kind(thrum_scope_close(&s, NULL), &THRUM_TIMEOUT);
    open_door(&d);
    return thrum_scope_close(&busy, NULL);
}

static void those_in_the_queue_are_not_called(void **state)
{
    (void)state;
    with_one_thread(cancel_a_crowd, NULL);
}

static thrum_err *sleep_long(void *arg)
{
    (void)arg;
    return thrum_rc(thrum_sleep(HOUR));
}

static thrum_err *in_time(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .timeout = THRUM_MS(5));
    CHECK(thrum_spawn_blocking(&s, sleep_long, NULL, 0) == 0);
    CHECK(thrum_spawn_blocking(&s, wait_for_cancel, NULL, 0) == 0);
    expect_kind(thrum_scope_close(&s, NULL), &THRUM_TIMEOUT);
    return NULL;
}

static void those_at_work_hear_of_a_deadline(void **state)
{
    (void)state;
    on_runtimes(in_time, NULL);
}

/* --- a limit -------------------------------------------------------------- */

struct limited {
    thrum_scope *s;
    _Atomic unsigned inside, most, called;
};

static void count_most(struct limited *l)
{
    unsigned now = atomic_fetch_add(&l->inside, 1) + 1;
    unsigned most = atomic_load(&l->most);

    while (now > most && !atomic_compare_exchange_weak(&l->most, &most, now))
        ;
}

static thrum_err *be_inside(void *arg)
{
    struct limited *l = arg;

    count_most(l);
    atomic_fetch_add(&l->called, 1);
    atomic_fetch_sub(&l->inside, 1);
    return NULL;
}

static thrum_err *spawn_more(void *arg)
{
    struct limited *l = arg;

    atomic_fetch_add(&l->called, 1);
    for (int i = 0; i < 3; i++) { /* some in place: on this very thread */
        CHECK(thrum_spawn_blocking(l->s, be_inside, l, 0) == 0);
        CHECK(thrum_spawn(l->s, be_inside, l, 0) == 0);
    }
    return NULL;
}

static thrum_err *in_a_limited_scope(void *arg)
{
    struct limited l = {0};
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .limit = 2);
    for (int i = 0; i < 50; i++)
        CHECK(thrum_spawn_blocking(&s, be_inside, &l, 0) == 0);
    THRUM_TRY(thrum_scope_close(&s, NULL));
    CHECK(l.called == 50 && l.most <= 2);
    return NULL;
}

static void no_more_run_than_the_limit_says(void **state)
{
    (void)state;
    on_runtimes(in_a_limited_scope, NULL);
}

static thrum_err *from_within(void *arg)
{
    struct limited l = {0};
    thrum_scope s;

    (void)arg;
    l.s = &s;
    thrum_scope_open(&s, .limit = 1);
    for (int i = 0; i < 5; i++)
        CHECK(thrum_spawn_blocking(&s, spawn_more, &l, 0) == 0);
    THRUM_TRY(thrum_scope_close(&s, NULL));
    CHECK(l.called == 5 * 7);
    return NULL;
}

static void a_full_scopes_child_spawns_in_place(void **state)
{
    (void)state;
    on_runtimes(from_within, NULL);
}

/* --- from elsewhere ------------------------------------------------------- */

static void *spawn_in_thread(void *arg)
{
    _Atomic size_t sum = 0;
    thrum_scope s;

    thrum_scope_open(&s, .name = "outside");
    for (size_t i = 0; i < 100; i++)
        CHECK(thrum_spawn_blocking(&s, add_borrowed, &sum, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(sum == 100);
    thrum_scope_open(&s, .name = "outside");
    CHECK(thrum_spawn_blocking(&s, sleep_long, NULL, 0) == 0);
    thrum_scope_cancel(&s, NULL);
    expect_ok(thrum_scope_close(&s, NULL));
    return arg;
}

static thrum_err *make_a_thread(void *arg)
{
    pthread_t thread;

    (void)arg;
    CHECK(pthread_create(&thread, NULL, spawn_in_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return NULL;
}

static void from_a_thread_that_is_no_worker(void **state)
{
    (void)state;
    expect_ok(thrum_run(NULL, make_a_thread, NULL)); /* the default runtime */
}

static _Atomic unsigned reported, traced;

static void note_error(const thrum_err *e, void *user)
{
    (void)user;
    CHECK(thrum_err_is(e, &Odd));
    atomic_fetch_add(&reported, 1);
}

static thrum_err *fail_traced(void *arg)
{
    (void)arg;
    atomic_store(&traced, (unsigned)thrum_trace_id_current().lo);
    return thrum_fail(&Odd, "in the background");
}

static thrum_err *to_the_background(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .trace = {0, 77});
    CHECK(thrum_spawn_blocking(thrum_root(), fail_traced, NULL, 0) == 0);
    CHECK(thrum_spawn_blocking(thrum_root(), sleep_long, NULL, 0) == 0);
    await_count(&reported, 1);
    return thrum_scope_close(&s, NULL);
}

static void into_the_background(void **state)
{
    thrum_rt *rt;

    (void)state;
    reported = traced = 0;
    assert_int_equal(
        thrum_start(&rt, &(thrum_opts){.workers = 2, .on_error = note_error}),
        0);
    expect_ok(thrum_call(rt, to_the_background, NULL));
    expect_ok(thrum_stop(rt)); /* who sleeps is canceled */
    assert_int_equal(reported, 1);
    assert_int_equal(traced, 77);
}

/* --- who looks on --------------------------------------------------------- */

static void dump(char *text, size_t bytes)
{
    ssize_t n;
    int ends[2];

    CHECK(pipe(ends) == 0);
    thrum_dump(NULL, ends[1]);
    CHECK(close(ends[1]) == 0);
    n = read(ends[0], text, bytes - 1);
    CHECK(n > 0);
    text[n] = '\0';
    CHECK(close(ends[0]) == 0);
}

static thrum_err *look_at_one_at_work(void *arg)
{
    struct door d = {0, 0};
    char text[4096];
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "looked at");
    CHECK(thrum_spawn_blocking(&s, pass, &d, 0) == 0);
    await_count(&d.inside, 1);
    dump(text, sizeof text);
    CHECK(strstr(text, "pass (") != NULL);
    CHECK(strstr(text, "all rest") == NULL);
    open_door(&d);
    return thrum_scope_close(&s, NULL);
}

static void one_at_work_is_named(void **state)
{
    (void)state;
    on_threads(look_at_one_at_work, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_have_ended_when_the_scope_is_closed),
        cmocka_unit_test(they_run_on_other_threads),
        cmocka_unit_test(their_errors_are_the_scopes),
        cmocka_unit_test(one_that_fails_cancels_the_others),
        cmocka_unit_test(what_they_spawn_is_theirs),
        cmocka_unit_test(a_scope_in_one_is_of_its_runtime),
        cmocka_unit_test(those_in_the_queue_are_not_called),
        cmocka_unit_test(those_at_work_hear_of_a_deadline),
        cmocka_unit_test(no_more_run_than_the_limit_says),
        cmocka_unit_test(a_full_scopes_child_spawns_in_place),
        cmocka_unit_test(from_a_thread_that_is_no_worker),
        cmocka_unit_test(into_the_background),
        cmocka_unit_test(one_at_work_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
