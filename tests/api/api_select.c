/* Does a select do exactly one thing, does none of its cases starve, and is it
 * ended by a close, a cancel and a deadline without having done anything? How:
 * the states of two cases in a table; then many who select in circles, with items
 * that are counted. */
#include "lib/api.h"

#include <pthread.h>

#define SOON THRUM_MS(1)

/* --- two cases, row by row ------------------------------------------------ */

enum shape { NIL, EMPTY, HOLDS, FULL, CLOSED, CLOSED_HOLDS };
enum { NONE = -1, EITHER = -2 };

struct row {
    enum shape a;
    thrum_direction a_op;
    enum shape b;
    thrum_direction b_op;
    int chosen;
    int rc;
};

#define R THRUM_RECV
#define S THRUM_SEND

static const struct row rows[] = {
    {NIL, R, NIL, S, NONE, 0},
    {NIL, R, EMPTY, R, NONE, 0},
    {NIL, S, EMPTY, S, 1, 0},
    {EMPTY, R, EMPTY, R, NONE, 0},
    {EMPTY, R, FULL, S, NONE, 0},
    {EMPTY, S, FULL, S, 0, 0},
    {EMPTY, R, HOLDS, R, 1, 0},
    {HOLDS, R, EMPTY, R, 0, 0},
    {HOLDS, R, HOLDS, R, EITHER, 0},
    {HOLDS, S, HOLDS, R, EITHER, 0},
    {EMPTY, S, EMPTY, S, EITHER, 0},
    {FULL, S, FULL, R, 1, 0},
    {CLOSED, R, EMPTY, R, 0, -EPIPE},
    {CLOSED, S, EMPTY, R, 0, -EPIPE},
    {NIL, R, CLOSED, R, 1, -EPIPE},
    {FULL, S, CLOSED, S, 1, -EPIPE},
    {CLOSED_HOLDS, R, EMPTY, R, 0, 0},
    {CLOSED_HOLDS, S, EMPTY, R, 0, -EPIPE},
    {CLOSED, R, CLOSED, S, EITHER, -EPIPE},
};

static thrum_chan *make(thrum_chan *c, enum shape shape)
{
    int items[] = {10, 11};

    CHECK(thrum_chan_init(c, sizeof(int), 2) == 0);
    if (shape == HOLDS || shape == CLOSED_HOLDS)
        CHECK(thrum_chan_send(c, &items[0]) == 0);
    if (shape == FULL)
        CHECK(thrum_chan_send_many(c, items, 2) == 2);
    if (shape == CLOSED || shape == CLOSED_HOLDS)
        thrum_chan_close(c);
    return shape == NIL ? NULL : c;
}

/* How many items are in it, all taken out. */
static int drain(thrum_chan *c)
{
    int n = 0;

    while (thrum_chan_try_recv(c, NULL) == 0)
        n++;
    return n;
}

static int held(enum shape shape)
{
    return shape == FULL ? 2 : shape == HOLDS || shape == CLOSED_HOLDS ? 1 : 0;
}

/* By how much the case changed what its channel holds. */
static int change(const thrum_case *c, bool chosen)
{
    if (!chosen || c->rc != 0)
        return 0;
    return c->op == THRUM_SEND ? 1 : -1;
}

static int check_row(const struct row *row, bool block)
{
    thrum_chan a, b;
    int item = 77;
    thrum_case cases[] = {
        {.ch = make(&a, row->a), .op = row->a_op, .item = &item},
        {.ch = make(&b, row->b), .op = row->b_op, .item = &item}};
    thrum_scope s;
    int done;

    thrum_scope_open(&s, .timeout = row->chosen == NONE ? SOON : HOUR);
    done = thrum_select(cases, 2, block);
    thrum_err_drop(thrum_scope_close(&s, NULL));
    if (row->chosen == NONE)
        CHECK(done == (block ? -ECANCELED : -EAGAIN));
    else
        CHECK(done == row->chosen || (row->chosen == EITHER && done >= 0));
    CHECK(done < 0 || cases[done].rc == row->rc);
    CHECK(
        item ==
        (done >= 0 && row->rc == 0 && cases[done].op == THRUM_RECV ? 10 : 77));
    CHECK(drain(&a) == held(row->a) + change(&cases[0], done == 0));
    CHECK(drain(&b) == held(row->b) + change(&cases[1], done == 1));
    thrum_chan_fini(&a);
    thrum_chan_fini(&b);
    return done;
}

static thrum_err *check_table(void *unused)
{
    (void)unused;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        (void)check_row(&rows[r], true);
        (void)check_row(&rows[r], false);
    }
    return NULL;
}

static void two_cases_are_chosen_from_as_the_table_says(void **state)
{
    thrum_opts opts = {.workers = 1};
    thrum_rt *rt;

    (void)state;
    on_runtimes(check_table, NULL);
    assert_int_equal(thrum_start(&rt, &opts), 0);
    expect_ok(check_table(NULL)); /* a thread */
    expect_ok(thrum_stop(rt));
}

static thrum_err *choose_often(void *unused)
{
    (void)unused;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        unsigned times[2] = {0, 0};

        if (rows[r].chosen != EITHER)
            continue;
        /* Not to be chosen once in 200 has odds of one in 2^200. */
        for (int i = 0; i < 200; i++)
            times[check_row(&rows[r], true)]++;
        CHECK(times[0] > 0 && times[1] > 0);
    }
    return NULL;
}

static void none_that_is_ready_starves(void **state)
{
    (void)state;
    on_runtimes(choose_often, NULL);
    expect_ok(choose_often(NULL)); /* a thread */
}

static thrum_err *wait_for_no_case(void *unused)
{
    (void)unused;
    CHECK(thrum_select(NULL, 0, true) == -ECANCELED);
    return NULL;
}

static thrum_err *no_case(void *unused)
{
    (void)unused;
    CHECK(thrum_select(NULL, 0, false) == -EAGAIN);
    expect_ok(thrum_with(wait_for_no_case, NULL, .timeout = SOON));
    return NULL;
}

static void no_case_is_never_ready(void **state)
{
    (void)state;
    on_runtimes(no_case, NULL);
}

/* --- one channel in many cases -------------------------------------------- */

enum { MANY = 200 };

static thrum_err *many_cases(void *unused)
{
    static thrum_case cases[MANY];
    thrum_chan chans[MANY / 4];
    int item = 1;

    (void)unused;
    for (int i = 0; i < MANY / 4; i++)
        CHECK(thrum_chan_init(&chans[i], sizeof(int), 1) == 0);
    for (int i = 0; i < MANY; i++)
        cases[i] = (thrum_case){.ch = &chans[(i * 7) % (MANY / 4)],
                                .op = THRUM_RECV,
                                .item = &item};
    for (int i = 0; i < MANY / 4; i++) {
        int done;

        CHECK(thrum_select(cases, MANY, false) == -EAGAIN);
        CHECK(thrum_chan_send(&chans[i], &i) == 0);
        done = thrum_select(cases, MANY, true);
        CHECK(done >= 0 && cases[done].ch == &chans[i] && item == i);
    }
    for (int i = 0; i < MANY / 4; i++)
        thrum_chan_fini(&chans[i]);
    return NULL;
}

static void a_channel_may_be_in_many_cases(void **state)
{
    (void)state;
    on_runtimes(many_cases, NULL);
}

static thrum_err *meet_myself(void *arg)
{
    thrum_chan *c = arg;
    int out = 1, in = 2;
    thrum_case cases[] = {{.ch = c, .op = THRUM_SEND, .item = &out},
                          {.ch = c, .op = THRUM_RECV, .item = &in}};

    CHECK(thrum_select(cases, 2, true) == -ECANCELED);
    CHECK(in == 2);
    return NULL;
}

static thrum_err *with_myself(void *unused)
{
    thrum_chan c;

    (void)unused;
    CHECK(thrum_chan_init(&c, sizeof(int), 0) == 0);
    expect_ok(thrum_with(meet_myself, &c, .timeout = SOON));
    thrum_chan_fini(&c);
    return NULL;
}

static void a_select_does_not_meet_itself(void **state)
{
    (void)state;
    on_runtimes(with_myself, NULL);
}

/* --- circles -------------------------------------------------------------- */

enum { CIRCLE = 5 };

struct circle {
    thrum_chan chans[CIRCLE];
    _Atomic unsigned next;
    _Atomic uint64_t sent, received, ends;
};

/* Send to the next or receive from the one before, until canceled. */
static void go_round(struct circle *r, uint64_t me)
{
    uint64_t in = 0, out = me << 32 | 1;
    thrum_case cases[] = {
        {.ch = &r->chans[(me + 1) % CIRCLE], .op = THRUM_SEND, .item = &out},
        {.ch = &r->chans[me % CIRCLE], .op = THRUM_RECV, .item = &in}};
    uint64_t sent = 0, received = 0;
    int done;

    while ((done = thrum_select(cases, 2, true)) >= 0 && cases[done].rc == 0) {
        if (done == 0)
            sent += out++ & UINT32_MAX;
        else
            received += in & UINT32_MAX;
    }
    CHECK(done == -ECANCELED || cases[done].rc == -EPIPE);
    atomic_fetch_add(&r->sent, sent);
    atomic_fetch_add(&r->received, received);
    atomic_fetch_add(&r->ends, 1);
}

static thrum_err *task_goes_round(void *arg)
{
    struct circle *r = arg;

    go_round(r, atomic_fetch_add(&r->next, 1));
    return NULL;
}

static void *thread_goes_round(void *arg)
{
    (void)task_goes_round(arg);
    return NULL;
}

/* What is left in the channels, after all have gone. */
static uint64_t left_in(struct circle *r)
{
    uint64_t sum = 0, item;

    for (int i = 0; i < CIRCLE; i++) {
        while (thrum_chan_try_recv(&r->chans[i], &item) == 0)
            sum += item & UINT32_MAX;
        thrum_chan_fini(&r->chans[i]);
    }
    return sum;
}

static void run_circle(size_t cap, bool by_cancel, bool with_thread)
{
    struct circle r = {.next = 0};
    thrum_scope s;
    pthread_t thread;

    for (int i = 0; i < CIRCLE; i++)
        CHECK(thrum_chan_init(&r.chans[i], sizeof(uint64_t), cap) == 0);
    thrum_scope_open(&s, .name = "circle");
    if (with_thread)
        CHECK(!pthread_create(&thread, NULL, thread_goes_round, &r));
    for (int i = with_thread ? 1 : 0; i < 2 * CIRCLE; i++)
        CHECK(thrum_spawn(&s, task_goes_round, &r, 0) == 0);
    for (size_t i = 0; i < 20 + scaled(2000); i++)
        thrum_yield();
    if (by_cancel)
        thrum_scope_cancel(&s, NULL);
    else
        for (int i = 0; i < CIRCLE; i++)
            thrum_chan_close(&r.chans[i]);
    expect_ok(thrum_scope_close(&s, NULL));
    if (with_thread) /* in no scope: only the end ends it */
        CHECK(!pthread_join(thread, NULL));
    CHECK(r.ends == 2 * CIRCLE);
    CHECK(r.sent == r.received + left_in(&r));
}

static thrum_err *run_circles(void *unused)
{
    (void)unused;
    for (size_t cap = 0; cap < 3; cap++)
        for (int i = 0; i < 3; i++) {
            run_circle(cap, true, false);
            run_circle(cap, false, i == 0);
        }
    return NULL;
}

static void who_selects_in_a_circle_loses_and_doubles_nothing(void **state)
{
    (void)state;
    on_threads(run_circles, NULL);
}

/* --- a deadline ----------------------------------------------------------- */

static thrum_err *select_too_long(void *arg)
{
    thrum_chan *chans = arg;
    int item = 3;
    thrum_case cases[] = {{.ch = &chans[0], .op = THRUM_RECV, .item = &item},
                          {.ch = &chans[1], .op = THRUM_RECV, .item = &item}};

    THRUM_TRY(thrum_select(cases, 2, true));
    return NULL;
}

static thrum_err *time_out(void *unused)
{
    thrum_chan chans[2];

    (void)unused;
    for (int i = 0; i < 2; i++)
        CHECK(thrum_chan_init(&chans[i], sizeof(int), 1) == 0);
    expect_kind(thrum_with(select_too_long, chans, .timeout = SOON),
                &THRUM_TIMEOUT);
    for (int i = 0; i < 2; i++)
        thrum_chan_fini(&chans[i]); /* nobody is left in a line */
    return NULL;
}

static void the_deadline_of_its_scope_ends_it(void **state)
{
    (void)state;
    on_runtimes(time_out, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_cases_are_chosen_from_as_the_table_says),
        cmocka_unit_test(none_that_is_ready_starves),
        cmocka_unit_test(no_case_is_never_ready),
        cmocka_unit_test(a_channel_may_be_in_many_cases),
        cmocka_unit_test(a_select_does_not_meet_itself),
        cmocka_unit_test(who_selects_in_a_circle_loses_and_doubles_nothing),
        cmocka_unit_test(the_deadline_of_its_scope_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
