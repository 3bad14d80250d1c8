/* Does every subscriber hear everything from when he subscribed, in order, and
 * how much he has missed? How: what is kept and what is missed in small numbers;
 * then many who send and listen at once; closes, cancels and deadlines. */
#include "lib/api.h"

#include <pthread.h>

#define SOON THRUM_MS(1)

/* --- one after the other -------------------------------------------------- */

static void check_next(thrum_subscriber *s, int item, uint64_t missed)
{
    uint64_t lost = 99;
    int got = -1;

    CHECK(thrum_subscriber_recv(s, &got, &lost) == 0);
    CHECK(got == item && lost == missed);
}

static void check_none(thrum_subscriber *s, int rc)
{
    uint64_t lost = 99;
    int got = -1;

    CHECK(thrum_subscriber_try_recv(s, &got, &lost) == rc);
    CHECK(got == -1 && lost == 0);
}

static thrum_err *hear(void *unused)
{
    thrum_broadcast b;
    thrum_subscriber early, late;

    (void)unused;
    CHECK(thrum_broadcast_init(&b, sizeof(int), 3) == 0);
    CHECK(thrum_broadcast_send(&b, &(int){0}) == 0); /* nobody listens */
    thrum_subscribe(&early, &b);
    check_none(&early, -EAGAIN);
    for (int i = 1; i <= 3; i++)
        CHECK(thrum_broadcast_send(&b, &i) == 0);
    thrum_subscribe(&late, &b);
    check_none(&late, -EAGAIN);
    check_next(&early, 1, 0);
    CHECK(thrum_broadcast_send(&b, &(int){4}) == 0);
    check_next(&early, 2, 0);
    for (int i = 5; i <= 9; i++)
        CHECK(thrum_broadcast_send(&b, &i) == 0);
    check_next(&early, 7, 4); /* 3, 4, 5 and 6 are gone */
    check_next(&early, 8, 0);
    check_next(&late, 7, 3);
    thrum_broadcast_close(&b);
    thrum_broadcast_close(&b);
    CHECK(thrum_broadcast_send(&b, &(int){10}) == -EPIPE);
    check_next(&early, 9, 0);
    check_none(&early, -EPIPE);
    CHECK(thrum_subscriber_recv(&early, NULL, NULL) == -EPIPE);
    CHECK(thrum_subscriber_recv(&late, NULL, NULL) == 0);
    check_next(&late, 9, 0);
    check_none(&late, -EPIPE);
    thrum_broadcast_fini(&b);
    return NULL;
}

static void what_is_kept_is_heard_and_the_rest_is_counted(void **state)
{
    (void)state;
    on_runtimes(hear, NULL);
    expect_ok(hear(NULL)); /* a thread */
}

static void numbers_that_make_no_sense_are_refused(void **state)
{
    thrum_broadcast b;

    (void)state;
    assert_int_equal(thrum_broadcast_init(&b, 4, 0), -EINVAL);
    assert_int_equal(thrum_broadcast_init(&b, (size_t)1 << 32, 1), -EINVAL);
    assert_int_equal(thrum_broadcast_init(&b, 1, (size_t)1 << 32), -EINVAL);
    assert_int_equal(thrum_broadcast_init(&b, 0, 2), 0);
    assert_int_equal(thrum_broadcast_send(&b, NULL), 0);
    thrum_broadcast_fini(&b);
}

/* --- many at once --------------------------------------------------------- */

enum { SENDERS = 3, LISTENERS = 5 };

struct fair {
    thrum_broadcast b;
    thrum_subscriber s[LISTENERS + 1];
    _Atomic unsigned next, done;
    uint64_t each;
};

static thrum_err *cry(void *arg)
{
    struct fair *f = arg;
    uint64_t me = atomic_fetch_add(&f->next, 1);

    for (uint64_t i = 1; i <= f->each; i++) {
        uint64_t item = me << 32 | i;

        CHECK(thrum_broadcast_send(&f->b, &item) == 0);
        if (i % 8 == 0)
            thrum_yield();
    }
    if (atomic_fetch_add(&f->done, 1) + 1 == SENDERS)
        thrum_broadcast_close(&f->b);
    return NULL;
}

struct listener {
    struct fair *fair;
    size_t index;
};

/* Those of each sender in order, and heard and missed make all. */
static thrum_err *listen_to_all(void *arg)
{
    struct listener *l = arg;
    uint64_t last[SENDERS] = {0}, heard = 0, missed, item;
    int rc;

    while ((rc = thrum_subscriber_recv(&l->fair->s[l->index], &item,
                                       &missed)) == 0) {
        CHECK(item >> 32 < SENDERS && (item & UINT32_MAX) > last[item >> 32]);
        last[item >> 32] = item & UINT32_MAX;
        heard += 1 + missed;
    }
    CHECK(rc == -EPIPE && heard == SENDERS * l->fair->each);
    return NULL;
}

static void *thread_listens(void *arg)
{
    expect_ok(listen_to_all(arg));
    return NULL;
}

static void hold_fair(size_t keep, uint64_t each)
{
    struct fair f = {.each = each};
    struct listener outside = {&f, LISTENERS};
    pthread_t thread;
    thrum_scope s;

    CHECK(thrum_broadcast_init(&f.b, sizeof(uint64_t), keep) == 0);
    for (size_t i = 0; i <= LISTENERS; i++)
        thrum_subscribe(&f.s[i], &f.b);
    thrum_scope_open(&s, .name = "fair");
    CHECK(!pthread_create(&thread, NULL, thread_listens, &outside));
    for (size_t i = 0; i < LISTENERS; i++)
        CHECK(thrum_spawn(&s, listen_to_all, &((struct listener){&f, i}),
                          sizeof(struct listener)) == 0);
    for (int i = 0; i < SENDERS; i++)
        CHECK(thrum_spawn(&s, cry, &f, 0) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(!pthread_join(thread, NULL));
    thrum_broadcast_fini(&f.b);
}

static thrum_err *hold_fairs(void *unused)
{
    static const size_t keeps[] = {1, 2, 16, 4096};

    (void)unused;
    for (size_t i = 0; i < sizeof keeps / sizeof keeps[0]; i++)
        hold_fair(keeps[i], scaled(2000) + 20);
    return NULL;
}

static void all_hear_the_same_in_the_same_order(void **state)
{
    (void)state;
    on_threads(hold_fairs, NULL);
}

/* --- waits that end ------------------------------------------------------- */

static thrum_err *listen_in_vain(void *arg)
{
    thrum_subscriber me;
    uint64_t missed = 9;
    int item = 7, rc;

    thrum_subscribe(&me, arg);
    rc = thrum_subscriber_recv(&me, &item, &missed);
    CHECK(rc == -ECANCELED && item == 7 && missed == 0);
    /* It is as it was: what comes now is heard. */
    CHECK(thrum_broadcast_send(arg, &(int){8}) == 0);
    CHECK(thrum_subscriber_recv(&me, &item, NULL) == -ECANCELED && item == 7);
    CHECK(thrum_subscriber_try_recv(&me, &item, &missed) == 0 && item == 8);
    return thrum_rc(rc);
}

static thrum_err *end_waits(void *unused)
{
    thrum_broadcast b;
    thrum_scope s;

    (void)unused;
    CHECK(thrum_broadcast_init(&b, sizeof(int), 2) == 0);
    expect_kind(thrum_with(listen_in_vain, &b, .timeout = SOON),
                &THRUM_TIMEOUT);
    thrum_scope_open(&s, .name = "canceled");
    CHECK(thrum_spawn(&s, listen_in_vain, &b, 0) == 0);
    thrum_yield();
    thrum_scope_cancel(&s, NULL);
    expect_ok(thrum_scope_close(&s, NULL));
    thrum_broadcast_fini(&b);
    return NULL;
}

static void a_cancel_and_a_deadline_end_a_wait_and_lose_nothing(void **state)
{
    (void)state;
    on_runtimes(end_waits, NULL);
}

/* --- mistakes ------------------------------------------------------------- */

static thrum_err *listen_for_ever(void *arg)
{
    thrum_subscriber me;

    thrum_subscribe(&me, arg);
    return thrum_rc(thrum_subscriber_recv(&me, NULL, NULL));
}

static thrum_err *free_under_a_listener(void *unused)
{
    thrum_broadcast b;
    thrum_scope s;

    (void)unused;
    CHECK(thrum_broadcast_init(&b, sizeof(int), 2) == 0);
    thrum_scope_open(&s, .name = "mistake");
    CHECK(thrum_spawn(&s, listen_for_ever, &b, 0) == 0);
    for (;;) { /* it gets there, and then this stops us */
        thrum_broadcast_fini(&b);
        CHECK(thrum_broadcast_init(&b, sizeof(int), 2) == 0);
        thrum_yield();
    }
}

static void fini_under_a_listener(void)
{
    thrum_opts opts = {.workers = 1};

    thrum_err_drop(thrum_run(&opts, free_under_a_listener, NULL));
}

static void send_after_fini(void)
{
    thrum_broadcast b;

    CHECK(thrum_broadcast_init(&b, sizeof(int), 1) == 0);
    thrum_broadcast_fini(&b);
    (void)!thrum_broadcast_send(&b, &(int){1});
}

static void mistakes_are_told(void **state)
{
    (void)state;
    assert_stops(fini_under_a_listener, "thrum_broadcast_fini", "waits");
    assert_stops(send_after_fini, "thrum_broadcast_fini", "broadcast");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_heard_and_the_rest_is_counted),
        cmocka_unit_test(numbers_that_make_no_sense_are_refused),
        cmocka_unit_test(all_hear_the_same_in_the_same_order),
        cmocka_unit_test(a_cancel_and_a_deadline_end_a_wait_and_lose_nothing),
        cmocka_unit_test(mistakes_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
