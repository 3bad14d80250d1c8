/* Is there one writer or many readers, does neither starve, and do those go on who
 * stood behind a writer that gave up? */
#include "lib/api.h"

#include <pthread.h>

enum { TASKS = 8, ROUNDS = 3000 };

struct page {
    thrum_rwlock lock;
    unsigned a, b; /* always the same, but for writers */
    _Atomic unsigned readers, writers, most, began, canceled;
    unsigned order;
};

static void rwlocks_are_for_readers_or_one_writer(void **state)
{
    thrum_rwlock l = {0};

    (void)state;
    assert_true(thrum_rwlock_tryrdlock(&l));
    assert_true(thrum_rwlock_tryrdlock(&l));
    assert_false(thrum_rwlock_trywrlock(&l));
    thrum_rwlock_rdunlock(&l);
    assert_false(thrum_rwlock_trywrlock(&l));
    thrum_rwlock_rdunlock(&l);
    assert_true(thrum_rwlock_trywrlock(&l));
    assert_false(thrum_rwlock_trywrlock(&l));
    assert_false(thrum_rwlock_tryrdlock(&l));
    thrum_rwlock_wrunlock(&l);
    assert_int_equal(thrum_rwlock_rdlock_cancelable(&l), 0);
    thrum_rwlock_rdunlock(&l);
    assert_int_equal(thrum_rwlock_wrlock_cancelable(&l), 0);
    thrum_rwlock_wrunlock(&l);
}

static void read_page(struct page *p, bool waits)
{
    unsigned a;

    thrum_rwlock_rdlock(&p->lock);
    CHECK(atomic_load(&p->writers) == 0);
    atomic_fetch_add(&p->readers, 1);
    a = p->a;
    if (waits)
        thrum_yield();
    CHECK(a == p->b);
    atomic_fetch_sub(&p->readers, 1);
    thrum_rwlock_rdunlock(&p->lock);
}

static void write_page(struct page *p, bool waits)
{
    thrum_rwlock_wrlock(&p->lock);
    CHECK(atomic_fetch_add(&p->writers, 1) == 0);
    CHECK(atomic_load(&p->readers) == 0);
    p->a++;
    if (waits)
        thrum_yield();
    p->b++;
    atomic_fetch_sub(&p->writers, 1);
    thrum_rwlock_wrunlock(&p->lock);
}

static thrum_err *read_and_write(void *arg)
{
    for (size_t i = 0; i < scaled(ROUNDS) + 5; i++)
        (i % 4 == 0 ? write_page : read_page)(arg, i % 3 == 0);
    return NULL;
}

static void *read_and_write_in_thread(void *arg)
{
    return read_and_write(arg);
}

static thrum_err *share_page(void *arg)
{
    struct page p = {.a = 0};
    pthread_t thread;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "page");
    CHECK(pthread_create(&thread, NULL, read_and_write_in_thread, &p) == 0);
    for (int i = 0; i < TASKS; i++)
        CHECK(thrum_spawn(&s, read_and_write, &p, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(p.a == p.b && p.a >= (TASKS + 1) * (scaled(ROUNDS) + 5) / 4);
    CHECK(thrum_rwlock_trywrlock(&p.lock));
    return NULL;
}

static void a_page_is_never_seen_half_written(void **state)
{
    (void)state;
    on_threads(share_page, NULL);
}

/* All readers are inside at once, or this does not end. */
static thrum_err *read_together(void *arg)
{
    struct page *p = arg;

    thrum_rwlock_rdlock(&p->lock);
    atomic_fetch_add(&p->readers, 1);
    await_count(&p->readers, TASKS);
    thrum_rwlock_rdunlock(&p->lock);
    return NULL;
}

static thrum_err *gather_readers(void *arg)
{
    struct page p = {.a = 0};
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "readers");
    thrum_rwlock_wrlock(&p.lock);
    for (int i = 0; i < TASKS; i++)
        CHECK(thrum_spawn(&s, read_together, &p, 0) == 0);
    thrum_yield();
    thrum_rwlock_wrunlock(&p.lock);
    return thrum_scope_close(&s, NULL);
}

static void readers_are_inside_together(void **state)
{
    (void)state;
    on_runtimes(gather_readers, NULL);
}

static thrum_err *write_or_give_up(void *arg)
{
    struct page *p = arg;
    int rc;

    atomic_fetch_add(&p->began, 1);
    rc = thrum_rwlock_wrlock_cancelable(&p->lock);
    CHECK(rc == -ECANCELED);
    atomic_fetch_add(&p->canceled, 1);
    CHECK(thrum_rwlock_rdlock_cancelable(&p->lock) == -ECANCELED);
    return NULL;
}

static thrum_err *read_behind(void *arg)
{
    struct page *p = arg;

    atomic_fetch_add(&p->began, 1);
    thrum_rwlock_rdlock(&p->lock);
    atomic_fetch_add(&p->readers, 1);
    thrum_rwlock_rdunlock(&p->lock);
    return NULL;
}

static thrum_err *cancel_writer(void *arg)
{
    (void)arg;
    for (int round = 0; round < 30; round++) {
        struct page p = {.a = 0};
        thrum_scope canceled, s;

        thrum_scope_open(&s, .name = "readers");
        thrum_scope_open(&canceled, .name = "writer");
        thrum_rwlock_rdlock(&p.lock);
        CHECK(thrum_spawn(&canceled, write_or_give_up, &p, 0) == 0);
        while (thrum_rwlock_tryrdlock(&p.lock)) { /* until it waits */
            thrum_rwlock_rdunlock(&p.lock);
            thrum_yield();
        }
        for (int i = 0; i < TASKS; i++)
            CHECK(thrum_spawn(&s, read_behind, &p, 0) == 0);
        await_count(&p.began, 1 + TASKS);
        CHECK(atomic_load(&p.readers) == 0); /* behind the writer */
        thrum_scope_cancel(&canceled, NULL);
        expect_ok(thrum_scope_close(&canceled, NULL));
        await_count(&p.readers, TASKS); /* while we still read */
        thrum_rwlock_rdunlock(&p.lock);
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(thrum_rwlock_trywrlock(&p.lock));
    }
    return NULL;
}

static void
a_writer_that_waits_is_not_overtaken_unless_it_gives_up(void **state)
{
    (void)state;
    on_runtimes(cancel_writer, NULL);
}

static void end_reading_when_nobody_reads(void)
{
    thrum_rwlock l = {0};

    thrum_rwlock_rdunlock(&l);
}

static void end_reading_when_one_writes(void)
{
    thrum_rwlock l = {0};

    thrum_rwlock_wrlock(&l);
    thrum_rwlock_rdunlock(&l);
}

static void end_writing_when_one_reads(void)
{
    thrum_rwlock l = {0};

    thrum_rwlock_rdlock(&l);
    thrum_rwlock_wrunlock(&l);
}

/* As if so many did. */
static void read_once_too_often(void)
{
    thrum_rwlock l = {.held_ = INT32_MAX - 1};

    thrum_rwlock_rdlock(&l);
    CHECK(!thrum_rwlock_trywrlock(&l));
    thrum_rwlock_rdlock(&l);
}

static void more_readers_than_can_be_counted_end_the_program(void **state)
{
    (void)state;
    assert_stops(read_once_too_often, "thrum_rwlock_rdlock", "counted");
}

static void to_end_what_did_not_begin_ends_the_program(void **state)
{
    (void)state;
    assert_stops(end_reading_when_nobody_reads, "thrum_rwlock_rdunlock",
                 "nobody reads");
    assert_stops(end_reading_when_one_writes, "thrum_rwlock_rdunlock",
                 "nobody reads");
    assert_stops(end_writing_when_one_reads, "thrum_rwlock_wrunlock",
                 "nobody writes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rwlocks_are_for_readers_or_one_writer),
        cmocka_unit_test(a_page_is_never_seen_half_written),
        cmocka_unit_test(readers_are_inside_together),
        cmocka_unit_test(
            a_writer_that_waits_is_not_overtaken_unless_it_gives_up),
        cmocka_unit_test(to_end_what_did_not_begin_ends_the_program),
        cmocka_unit_test(more_readers_than_can_be_counted_end_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
