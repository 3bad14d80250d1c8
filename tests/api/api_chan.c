/* Do channels do what thrum/chan.h says: who waits, who is told of the end, what
 * a cancel leaves as it was? How: the states of a channel in a table, every form
 * of each operation in every state. */
#include "lib/api.h"

#define SOON THRUM_MS(1)

/* --- the states of a channel, row by row ---------------------------------- */

enum { WAITS = 1, CAP = 2 };

struct row {
    int cap; /* NONE: there is no channel */
    int filled;
    bool closed;
    int send, recv; /* 0, -EPIPE, or WAITS */
};

enum { NONE = -1 };

static const struct row rows[] = {
    {NONE, 0, false, .send = WAITS, .recv = WAITS},
    {0, 0, false, .send = WAITS, .recv = WAITS},
    {0, 0, true, .send = -EPIPE, .recv = -EPIPE},
    {CAP, 0, false, .send = 0, .recv = WAITS},
    {CAP, 1, false, .send = 0, .recv = 0},
    {CAP, 2, false, .send = WAITS, .recv = 0},
    {CAP, 0, true, .send = -EPIPE, .recv = -EPIPE},
    {CAP, 1, true, .send = -EPIPE, .recv = 0},
    {CAP, 2, true, .send = -EPIPE, .recv = 0},
};

static void make(thrum_chan *c, const struct row *row)
{
    CHECK(thrum_chan_init(c, sizeof(int), (size_t)row->cap) == 0);
    for (int i = 0; i < row->filled; i++)
        CHECK(thrum_chan_try_send(c, &i) == 0);
    if (row->closed)
        thrum_chan_close(c);
}

/* The same operation, said in several ways; 0 or a negative code. */
static int by_itself(thrum_chan *c, thrum_direction op, int *item)
{
    return op == THRUM_SEND ? thrum_chan_send(c, item)
                            : thrum_chan_recv(c, item);
}

static int of_many(thrum_chan *c, thrum_direction op, int *item)
{
    int64_t n = op == THRUM_SEND ? thrum_chan_send_many(c, item, 1)
                                 : thrum_chan_recv_many(c, item, 1);

    CHECK(n != 0 && n <= 1);
    return n > 0 ? 0 : (int)n;
}

static int by_try(thrum_chan *c, thrum_direction op, int *item)
{
    return op == THRUM_SEND ? thrum_chan_try_send(c, item)
                            : thrum_chan_try_recv(c, item);
}

static int selected(thrum_chan *c, thrum_direction op, int *item, bool block)
{
    thrum_case cases[] = {{.ch = NULL, .op = op, .item = item},
                          {.ch = c, .op = op, .item = item}};
    int i = thrum_select(cases, 2, block);

    CHECK(i == 1 || i == -EAGAIN || i == -ECANCELED);
    return i < 0 ? i : cases[1].rc;
}

static int by_select(thrum_chan *c, thrum_direction op, int *item)
{
    return selected(c, op, item, true);
}

static int by_select_or_not(thrum_chan *c, thrum_direction op, int *item)
{
    return selected(c, op, item, false);
}

static const struct form {
    int (*act)(thrum_chan *, thrum_direction, int *);
    int waits; /* what it says where it would have to wait */
} forms[] = {
    {by_itself, -ECANCELED},     {of_many, -ECANCELED},
    {by_select, -ECANCELED},     {by_try, -EAGAIN},
    {by_select_or_not, -EAGAIN},
};

/* What a channel that was as in `row` holds after op has come to `rc`. */
static void check_left(thrum_chan *c, const struct row *row, thrum_direction op,
                       int rc)
{
    int first = op == THRUM_RECV && rc == 0 ? 1 : 0, item;

    for (int i = first; i < row->filled; i++)
        CHECK(thrum_chan_try_recv(c, &item) == 0 && item == i);
    if (op == THRUM_SEND && rc == 0)
        CHECK(thrum_chan_try_recv(c, &item) == 0 && item == 77);
    CHECK(thrum_chan_try_recv(c, &item) == (row->closed ? -EPIPE : -EAGAIN));
}

/* In a scope that ends every wait soon. */
static void check_cell(const struct row *row, thrum_direction op,
                       const struct form *form)
{
    int wanted = op == THRUM_SEND ? row->send : row->recv;
    int item = 77, rc;
    thrum_chan chan, *c = row->cap == NONE ? NULL : &chan;
    thrum_scope s;
    thrum_err *e;

    if (c != NULL)
        make(c, row);
    thrum_scope_open(&s, .timeout = wanted == WAITS ? SOON : HOUR);
    rc = form->act(c, op, &item);
    CHECK(rc == (wanted == WAITS ? form->waits : wanted));
    CHECK(item == (op == THRUM_RECV && rc == 0 ? 0 : 77));
    e = thrum_scope_close(&s, rc == -ECANCELED ? thrum_rc(rc) : NULL);
    CHECK((e != NULL) == (rc == -ECANCELED));
    thrum_err_drop(e);
    if (c != NULL) {
        check_left(c, row, op, rc);
        thrum_chan_fini(c);
    }
}

static thrum_err *check_table(void *unused)
{
    (void)unused;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
            check_cell(&rows[r], THRUM_SEND, &forms[f]);
            check_cell(&rows[r], THRUM_RECV, &forms[f]);
        }
    return NULL;
}

static void
every_operation_does_in_every_state_what_the_table_says(void **state)
{
    (void)state;
    on_runtimes(check_table, NULL);
}

static void threads_see_the_same(void **state)
{
    thrum_opts opts = {.workers = 1};
    thrum_rt *rt;

    (void)state;
    assert_int_equal(thrum_start(&rt, &opts), 0);
    expect_ok(
        check_table(NULL)); /* here the thread waits, and it is canceled */
    expect_ok(thrum_stop(rt));
}

static thrum_err *do_all_canceled(void *unused)
{
    thrum_scope s;
    thrum_chan c;
    int item = 5;

    (void)unused;
    CHECK(thrum_chan_init(&c, sizeof item, 2) == 0);
    CHECK(thrum_chan_send(&c, &item) == 0);
    thrum_scope_open(&s, .name = "canceled");
    thrum_scope_cancel(&s, NULL);
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        bool asks = forms[f].waits == -ECANCELED;

        /* There is room, and an item: only those that could wait say no. */
        CHECK(forms[f].act(&c, THRUM_SEND, &item) == (asks ? -ECANCELED : 0));
        CHECK(forms[f].act(&c, THRUM_RECV, &item) == (asks ? -ECANCELED : 0));
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(thrum_chan_try_recv(&c, &item) == 0 && item == 5);
    CHECK(thrum_chan_try_recv(&c, &item) == -EAGAIN);
    thrum_chan_fini(&c);
    return NULL;
}

static void a_canceled_task_does_nothing_but_try(void **state)
{
    (void)state;
    on_runtimes(do_all_canceled, NULL);
}

/* --- items ---------------------------------------------------------------- */

enum { LARGE = 1000 };

static void check_size(size_t size, size_t cap)
{
    unsigned char sent[LARGE], got[LARGE + 1];
    thrum_chan c;

    CHECK(thrum_chan_init(&c, size, cap) == 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < cap; i++) {
            memset(sent, (int)(16 * round + i + 1), sizeof sent);
            CHECK(thrum_chan_send(&c, sent) == 0);
        }
        for (unsigned i = 0; i < cap; i++) {
            memset(sent, (int)(16 * round + i + 1), sizeof sent);
            memset(got, 0, sizeof got);
            CHECK(thrum_chan_recv(&c, got) == 0);
            CHECK(memcmp(got, sent, size) == 0 && got[size] == 0);
        }
    }
    CHECK(thrum_chan_try_recv(&c, got) == -EAGAIN);
    thrum_chan_fini(&c);
}

static void items_of_any_size_arrive_as_they_were_sent(void **state)
{
    static const size_t sizes[] = {0, 1, 3, 4, 7, 8, 9, 16, 24, LARGE};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t cap = 1; cap < 6; cap++)
            check_size(sizes[i], cap);
}

static void an_item_may_be_dropped_or_be_nothing(void **state)
{
    thrum_chan c;
    int item = 1;

    (void)state;
    assert_int_equal(thrum_chan_init(&c, sizeof item, 3), 0);
    for (item = 1; item <= 3; item++)
        assert_int_equal(thrum_chan_send(&c, &item), 0);
    assert_int_equal(thrum_chan_recv(&c, NULL), 0);
    assert_int_equal(thrum_chan_recv_many(&c, NULL, 1), 1);
    assert_int_equal(thrum_chan_recv(&c, &item), 0);
    assert_int_equal(item, 3);
    thrum_chan_fini(&c);

    assert_int_equal(thrum_chan_init(&c, 0, 2), 0);
    assert_int_equal(thrum_chan_send_many(&c, NULL, 5), 2);
    assert_int_equal(thrum_chan_try_send(&c, NULL), -EAGAIN);
    assert_int_equal(thrum_chan_recv_many(&c, NULL, 5), 2);
    assert_int_equal(thrum_chan_try_recv(&c, NULL), -EAGAIN);
    thrum_chan_fini(&c);
}

static void what_is_too_large_is_refused(void **state)
{
    thrum_chan c;

    (void)state;
    assert_int_equal(thrum_chan_init(&c, (size_t)1 << 32, 1), -EINVAL);
    assert_int_equal(thrum_chan_init(&c, 1, (size_t)1 << 32), -EINVAL);
}

static void a_batch_is_as_much_as_there_is(void **state)
{
    int items[8] = {0, 1, 2, 3, 4, 5, 6, 7}, got[8];
    thrum_chan c;

    (void)state;
    assert_int_equal(thrum_chan_init(&c, sizeof(int), 5), 0);
    assert_int_equal(thrum_chan_send_many(&c, items, 0), 0);
    assert_int_equal(thrum_chan_recv_many(&c, got, 0), 0);
    assert_int_equal(thrum_chan_send_many(&c, items, 3), 3);
    assert_int_equal(thrum_chan_recv_many(&c, got, 2), 2);
    assert_int_equal(thrum_chan_send_many(&c, items + 3, 5), 4);
    assert_int_equal(thrum_chan_recv_many(&c, got + 2, 6), 5);
    assert_memory_equal(got, items, 7 * sizeof(int));
    assert_int_equal(thrum_chan_send_many(&c, items, 2), 2);
    thrum_chan_close(&c);
    thrum_chan_close(&c);
    assert_int_equal(thrum_chan_send_many(&c, items, 1), -EPIPE);
    assert_int_equal(thrum_chan_send_many(&c, items, 0), 0);
    assert_int_equal(thrum_chan_recv_many(&c, got, 8), 2);
    assert_int_equal(thrum_chan_recv_many(&c, got, 8), -EPIPE);
    thrum_chan_fini(&c);
}

/* --- meeting -------------------------------------------------------------- */

static thrum_err *receive_four(void *arg)
{
    thrum_chan *c = arg;
    int got[4] = {0};
    int64_t n = 0;

    while (n < 4) {
        int64_t more = thrum_chan_recv_many(c, got + n, (size_t)(4 - n));

        CHECK(more > 0);
        n += more;
    }
    for (int i = 0; i < 4; i++)
        CHECK(got[i] == i);
    return NULL;
}

/* Without room each item is taken by who waits, batch or no batch. */
static thrum_err *meet(void *unused)
{
    thrum_chan c;
    int items[] = {0, 1, 2, 3};
    thrum_scope s;

    (void)unused;
    CHECK(thrum_chan_init(&c, sizeof(int), 0) == 0);
    for (int round = 0; round < 50; round++) {
        int64_t n = 0;

        CHECK(thrum_chan_try_send(&c, items) == -EAGAIN);
        thrum_scope_open(&s, .name = "meet");
        CHECK(thrum_spawn(&s, receive_four, &c, 0) == 0);
        if (round % 3 == 0)
            while (thrum_chan_try_send(&c, items) == -EAGAIN)
                thrum_yield();
        n = round % 3 == 0 ? 1 : 0;
        while (n < 4) {
            int64_t more = thrum_chan_send_many(&c, items + n, (size_t)(4 - n));

            CHECK(more > 0);
            n += more;
        }
        expect_ok(thrum_scope_close(&s, NULL));
        CHECK(thrum_chan_try_recv(&c, items) == -EAGAIN);
    }
    thrum_chan_fini(&c);
    return NULL;
}

static void without_room_a_sender_meets_a_receiver(void **state)
{
    (void)state;
    on_runtimes(meet, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            every_operation_does_in_every_state_what_the_table_says),
        cmocka_unit_test(threads_see_the_same),
        cmocka_unit_test(a_canceled_task_does_nothing_but_try),
        cmocka_unit_test(items_of_any_size_arrive_as_they_were_sent),
        cmocka_unit_test(an_item_may_be_dropped_or_be_nothing),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(a_batch_is_as_much_as_there_is),
        cmocka_unit_test(without_room_a_sender_meets_a_receiver),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
