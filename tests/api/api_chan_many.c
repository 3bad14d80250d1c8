/* Is each item of a channel received once and in order, whoever sends, receives
 * and closes; is everybody told of the end; are mistakes told? How: tasks and
 * threads, several of each; channels that are freed by who is told of their end;
 * child processes. */
#include "lib/api.h"

#include <pthread.h>

/* --- many at once --------------------------------------------------------- */

enum { SENDERS = 4, RECEIVERS = 3, THREADS = 2 };

struct crowd {
    thrum_chan c;
    _Atomic unsigned senders, done;
    _Atomic uint64_t sum, count;
    size_t each;
};

/* Every item once, and those of one sender in their order. */
static void receive_until_closed(struct crowd *w)
{
    uint64_t last[SENDERS + THREADS] = {0}, item, sum = 0, count = 0;
    int rc;

    while ((rc = thrum_chan_recv(&w->c, &item)) == 0) {
        uint64_t from = item >> 32, number = item & UINT32_MAX;

        CHECK(from < SENDERS + THREADS && number > last[from]);
        last[from] = number;
        sum += number;
        count++;
    }
    CHECK(rc == -EPIPE);
    atomic_fetch_add(&w->sum, sum);
    atomic_fetch_add(&w->count, count);
}

static void send_all(struct crowd *w)
{
    uint64_t me = atomic_fetch_add(&w->senders, 1);

    for (uint64_t i = 1; i <= w->each; i++) {
        uint64_t item = me << 32 | i;

        CHECK(thrum_chan_send(&w->c, &item) == 0);
    }
    if (atomic_fetch_add(&w->done, 1) + 1 == SENDERS + THREADS)
        thrum_chan_close(&w->c);
}

static thrum_err *task_sends(void *arg)
{
    send_all(*(struct crowd **)arg);
    return NULL;
}

static thrum_err *task_receives(void *arg)
{
    receive_until_closed(*(struct crowd **)arg);
    return NULL;
}

static void *thread_sends(void *arg)
{
    send_all(arg);
    return NULL;
}

static void *thread_receives(void *arg)
{
    receive_until_closed(arg);
    return NULL;
}

static void crowd_of(size_t cap, size_t each)
{
    struct crowd w = {.each = each}, *shared = &w;
    pthread_t threads[2 * THREADS];
    uint64_t n = each, all = SENDERS + THREADS;
    thrum_scope s;

    CHECK(thrum_chan_init(&w.c, sizeof(uint64_t), cap) == 0);
    thrum_scope_open(&s, .name = "crowd");
    for (int i = 0; i < THREADS; i++) {
        CHECK(!pthread_create(&threads[i], NULL, thread_sends, &w));
        CHECK(
            !pthread_create(&threads[THREADS + i], NULL, thread_receives, &w));
    }
    for (int i = 0; i < RECEIVERS; i++)
        CHECK(thrum_spawn(&s, task_receives, &shared, sizeof shared) == 0);
    for (int i = 0; i < SENDERS; i++)
        CHECK(thrum_spawn(&s, task_sends, &shared, sizeof shared) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    for (int i = 0; i < 2 * THREADS; i++)
        CHECK(!pthread_join(threads[i], NULL));
    CHECK(w.count == all * n && w.sum == all * (n * (n + 1) / 2));
    thrum_chan_fini(&w.c);
}

static thrum_err *crowds(void *unused)
{
    static const size_t caps[] = {0, 1, 2, 64};

    (void)unused;
    for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++)
        crowd_of(caps[i], scaled(3000));
    return NULL;
}

static void tasks_and_threads_pass_each_item_on_once_and_in_order(void **state)
{
    (void)state;
    on_threads(crowds, NULL);
}

/* --- some at a time ------------------------------------------------------- */

struct batch {
    thrum_chan c;
    int64_t sent;
};

static thrum_err *send_three(void *arg)
{
    struct batch *b = arg;
    int items[] = {3, 4, 5};

    b->sent = thrum_chan_send_many(&b->c, items, 3);
    return NULL;
}

/* Who has waited for the first one has the others, too, that come with it, or go. */
static thrum_err *batches(void *waits)
{
    int items[3], two[] = {1, 2};
    thrum_scope s;
    struct batch b;

    CHECK(thrum_chan_init(&b.c, sizeof(int), *(bool *)waits ? 2 : 4) == 0);
    thrum_scope_open(&s);
    if (*(bool *)waits)
        CHECK(thrum_chan_send_many(&b.c, two, 2) == 2);
    CHECK(thrum_spawn(&s, send_three, &b, 0) == 0);
    if (*(bool *)waits) {
        for (int i = 0; i < 100; i++)
            thrum_yield(); /* as a rule it waits then */
        CHECK(thrum_chan_recv_many(&b.c, items, 2) == 2);
        CHECK(items[0] == 1 && items[1] == 2);
    } else {
        CHECK(thrum_chan_recv_many(&b.c, items, 3) == 3);
        CHECK(items[0] == 3 && items[1] == 4 && items[2] == 5);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(b.sent == (*(bool *)waits ? 2 : 3));
    thrum_chan_fini(&b.c);
    return NULL;
}

static void who_waits_for_one_gets_all_that_come_with_it(void **state)
{
    bool sender = false;

    (void)state;
    on_runtimes(batches, &sender);
    sender = true;
    on_runtimes(batches, &sender);
}

/* --- closing -------------------------------------------------------------- */

struct meeting {
    thrum_chan c;
    _Atomic unsigned arrived;
};

static thrum_err *receive_end(void *arg)
{
    struct meeting *m = arg;

    atomic_fetch_add(&m->arrived, 1);
    CHECK(thrum_chan_recv(&m->c, NULL) == -EPIPE);
    return NULL;
}

static thrum_err *send_to_the_end(void *arg)
{
    struct meeting *m = arg;
    int item = 1;

    atomic_fetch_add(&m->arrived, 1);
    CHECK(thrum_chan_send(&m->c, &item) == -EPIPE);
    return NULL;
}

static thrum_err *select_end(void *arg)
{
    struct meeting *m = arg;
    thrum_case cases[] = {{.ch = &m->c, .op = THRUM_RECV},
                          {.ch = NULL, .op = THRUM_SEND}};

    atomic_fetch_add(&m->arrived, 1);
    CHECK(thrum_select(cases, 2, true) == 0 && cases[0].rc == -EPIPE);
    return NULL;
}

static void close_on(thrum_fn *waits, thrum_fn *too, size_t cap)
{
    struct meeting m = {.arrived = 0};
    int item = 3;
    thrum_scope s;

    CHECK(thrum_chan_init(&m.c, sizeof(int), cap) == 0);
    if (waits == send_to_the_end && cap > 0)
        CHECK(thrum_chan_send(&m.c, &item) == 0);
    thrum_scope_open(&s, .name = "close");
    for (int i = 0; i < 5; i++) {
        CHECK(thrum_spawn(&s, waits, &m, 0) == 0);
        CHECK(thrum_spawn(&s, too, &m, 0) == 0);
    }
    await_count(&m.arrived, 10);
    thrum_chan_close(&m.c);
    expect_ok(thrum_scope_close(&s, NULL));
    if (waits == send_to_the_end && cap > 0)
        CHECK(thrum_chan_recv(&m.c, &item) == 0 && item == 3);
    CHECK(thrum_chan_recv(&m.c, NULL) == -EPIPE);
    thrum_chan_fini(&m.c);
}

static thrum_err *close_on_all(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++) {
        close_on(receive_end, select_end, (size_t)(i % 2));
        close_on(send_to_the_end, send_to_the_end, (size_t)(i % 2));
    }
    return NULL;
}

static void a_close_tells_all_who_wait(void **state)
{
    (void)state;
    on_runtimes(close_on_all, NULL);
}

struct gift {
    thrum_chan c;
    _Atomic unsigned *freed;
};

static thrum_err *receive_and_free(void *arg)
{
    struct gift *g = *(struct gift **)arg;
    _Atomic unsigned *freed = g->freed;

    CHECK(thrum_chan_recv(&g->c, NULL) == -EPIPE);
    thrum_chan_fini(&g->c);
    memset(g, 0xee, sizeof *g);
    free(g);
    atomic_fetch_add(freed, 1);
    return NULL;
}

/* Who is told of the end frees the channel, while who closed it is about to
 * return. */
static thrum_err *close_and_forget(void *unused)
{
    _Atomic unsigned freed = 0;
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s, .name = "gifts");
    for (size_t i = 0; i < scaled(3000) + 100; i++) {
        struct gift *g = malloc(sizeof *g);

        CHECK(g != NULL && thrum_chan_init(&g->c, sizeof(int), i % 3) == 0);
        g->freed = &freed;
        CHECK(thrum_spawn(&s, receive_and_free, &g, sizeof g) == 0);
        if (i % 2)
            thrum_yield();
        thrum_chan_close(&g->c);
        await_count(&freed, (unsigned)i + 1);
    }
    expect_ok(thrum_scope_close(&s, NULL));
    return NULL;
}

static void who_is_told_of_the_end_may_free_it(void **state)
{
    (void)state;
    on_runtimes(close_and_forget, NULL);
}

/* --- mistakes ------------------------------------------------------------- */

static thrum_err *receive_for_ever(void *arg)
{
    int rc = thrum_chan_recv(arg, NULL);

    return thrum_rc(rc);
}

static thrum_err *free_under_a_waiter(void *unused)
{
    thrum_chan c;
    thrum_scope s;

    (void)unused;
    CHECK(thrum_chan_init(&c, sizeof(int), 0) == 0);
    thrum_scope_open(&s, .name = "mistake");
    CHECK(thrum_spawn(&s, receive_for_ever, &c, 0) == 0);
    for (;;) { /* it gets there, and then this stops us */
        thrum_chan_fini(&c);
        CHECK(thrum_chan_init(&c, sizeof(int), 0) == 0);
        thrum_yield();
    }
}

static void fini_under_a_waiter(void)
{
    thrum_opts opts = {.workers = 1};

    thrum_err_drop(thrum_run(&opts, free_under_a_waiter, NULL));
}

static void send_after_fini(void)
{
    thrum_chan c;

    CHECK(thrum_chan_init(&c, sizeof(int), 1) == 0);
    thrum_chan_fini(&c);
    (void)!thrum_chan_send(&c, &(int){1});
}

static void receive_after_fini(void)
{
    thrum_chan c;

    CHECK(thrum_chan_init(&c, sizeof(int), 1) == 0);
    CHECK(thrum_chan_send(&c, &(int){1}) == 0);
    thrum_chan_fini(&c);
    (void)!thrum_chan_try_recv(&c, NULL);
}

static void negative_cases(void)
{
    (void)!thrum_select(NULL, -1, false);
}

static void mistakes_are_told(void **state)
{
    (void)state;
    assert_stops(fini_under_a_waiter, "thrum_chan_fini", "waits");
    assert_stops(send_after_fini, "thrum_chan_fini", "channel");
    assert_stops(receive_after_fini, "thrum_chan_fini", "channel");
    assert_stops(negative_cases, "thrum_select", "negative");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_and_threads_pass_each_item_on_once_and_in_order),
        cmocka_unit_test(who_waits_for_one_gets_all_that_come_with_it),
        cmocka_unit_test(a_close_tells_all_who_wait),
        cmocka_unit_test(who_is_told_of_the_end_may_free_it),
        cmocka_unit_test(mistakes_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
