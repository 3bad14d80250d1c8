/* Are those who wait at a channel served in the order in which they came, does
 * nobody overtake them, and is who has left the line passed over? How: tasks that
 * are started one by one, each when the one before stands in the line. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include <thrum.h>

#include "base/alloc.h"
#include "sync/chan.h"

enum { TASKS = 20, CANCELED = 7 };

/* In a task: cmocka's asserts jump to the stack of the test. */
#define must(cond)                                                             \
    do {                                                                       \
        if (!(cond)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
            abort();                                                           \
        }                                                                      \
    } while (0)

struct guest {
    thrum_chan *c;
    int number;
};

static void on_workers(thrum_fn *fn)
{
    for (unsigned workers = 1; workers <= 4; workers *= 2) {
        thrum_opts opts = {.workers = workers};

        assert_null(thrum_run(&opts, fn, NULL));
    }
}

static int length(struct chan *c, struct line *l)
{
    struct line_place *p;
    int n = 0;

    chan_lock(c);
    for (p = l->first; p != NULL; p = p->next == l->first ? NULL : p->next)
        n++;
    chan_unlock(c);
    return n;
}

static void await_length(thrum_chan *c, thrum_direction op, int n)
{
    while (length(chan_of(c), chan_line(chan_of(c), op)) != n)
        thrum_yield();
}

/* Every third one selects. */
static int wait_for_item(struct guest *w, int *item)
{
    thrum_case cases[] = {{.ch = NULL, .op = THRUM_SEND},
                          {.ch = w->c, .op = THRUM_RECV, .item = item}};
    int rc;

    if (w->number % 3 != 0)
        return thrum_chan_recv(w->c, item);
    rc = thrum_select(cases, 2, true);
    return rc < 0 ? rc : cases[rc].rc;
}

static thrum_err *receive_own(void *arg)
{
    struct guest *w = arg;
    int item = -1;

    THRUM_TRY(wait_for_item(w, &item));
    must(item == w->number);
    return NULL;
}

static thrum_err *expect_cancel(void *arg)
{
    struct guest *w = arg;
    int item = -1;

    must(wait_for_item(w, &item) == -ECANCELED && item == -1);
    return NULL;
}

static thrum_err *serve_receivers(void *unused)
{
    thrum_scope all, canceled;
    thrum_chan c;

    (void)unused;
    must(thrum_chan_init(&c, sizeof(int), 2) == 0);
    thrum_scope_open(&all, .name = "all");
    thrum_scope_open(&canceled, .name = "canceled");
    for (int i = 0; i < TASKS; i++) {
        struct guest w = {.c = &c, .number = i};
        bool out = i == 0 || i == CANCELED || i == TASKS - 1;

        must(thrum_spawn(out ? &canceled : &all,
                         out ? expect_cancel : receive_own, &w, sizeof w) == 0);
        await_length(&c, THRUM_RECV, i + 1);
    }
    thrum_scope_cancel(&canceled, NULL);
    must(thrum_scope_close(&canceled, NULL) == NULL);
    must(length(chan_of(&c), &chan_of(&c)->receivers) == TASKS - 3);
    for (int i = 1; i < TASKS - 1; i++)
        if (i != CANCELED)
            must(thrum_chan_try_send(&c, &i) == 0);
    must(thrum_scope_close(&all, NULL) == NULL);
    must(thrum_chan_try_recv(&c, NULL) == -EAGAIN);
    thrum_chan_fini(&c);
    return NULL;
}

static void receivers_are_served_in_the_order_they_came(void **state)
{
    (void)state;
    on_workers(serve_receivers);
}

static thrum_err *send_own(void *arg)
{
    struct guest *w = arg;
    thrum_case cases[] = {{.ch = w->c, .op = THRUM_SEND, .item = &w->number}};

    if (w->number % 3 != 0)
        return thrum_rc(thrum_chan_send(w->c, &w->number));
    must(thrum_select(cases, 1, true) == 0 && cases[0].rc == 0);
    return NULL;
}

static void serve_senders(int cap)
{
    thrum_scope s;
    thrum_chan c;
    int item;

    must(thrum_chan_init(&c, sizeof(int), (size_t)cap) == 0);
    thrum_scope_open(&s, .name = "senders");
    for (int i = 0; i < cap; i++)
        must(thrum_chan_try_send(&c, &i) == 0);
    for (int i = cap; i < TASKS; i++) {
        struct guest w = {.c = &c, .number = i};

        must(thrum_spawn(&s, send_own, &w, sizeof w) == 0);
        await_length(&c, THRUM_SEND, i - cap + 1);
    }
    for (int i = 0; i < TASKS; i++) {
        int intruder = -5;

        must(thrum_chan_try_recv(&c, &item) == 0 && item == i);
        /* Its place was taken by who waited. */
        if (i < TASKS - cap)
            must(thrum_chan_try_send(&c, &intruder) == -EAGAIN);
    }
    must(thrum_scope_close(&s, NULL) == NULL);
    must(thrum_chan_try_recv(&c, &item) == -EAGAIN);
    thrum_chan_fini(&c);
}

static thrum_err *serve_all_senders(void *unused)
{
    (void)unused;
    for (int cap = 0; cap < 4; cap++)
        serve_senders(cap);
    return NULL;
}

static void senders_are_served_in_the_order_they_came(void **state)
{
    (void)state;
    on_workers(serve_all_senders);
}

/* All that wait are served by one call. */
static thrum_err *serve_by_batches(void *unused)
{
    int items[TASKS], got[TASKS];
    thrum_scope s;
    thrum_chan c;

    (void)unused;
    must(thrum_chan_init(&c, sizeof(int), 3) == 0);
    thrum_scope_open(&s, .name = "receivers");
    for (int i = 0; i < TASKS; i++) {
        struct guest w = {.c = &c, .number = i};

        items[i] = i;
        must(thrum_spawn(&s, receive_own, &w, sizeof w) == 0);
        await_length(&c, THRUM_RECV, i + 1);
    }
    must(thrum_chan_send_many(&c, items, TASKS) == TASKS);
    must(thrum_scope_close(&s, NULL) == NULL);

    thrum_scope_open(&s, .name = "senders");
    must(thrum_chan_send_many(&c, items, TASKS) == 3);
    for (int i = 3; i < TASKS; i++) {
        struct guest w = {.c = &c, .number = i};

        must(thrum_spawn(&s, send_own, &w, sizeof w) == 0);
        await_length(&c, THRUM_SEND, i - 2);
    }
    must(thrum_chan_recv_many(&c, got, TASKS) == TASKS);
    for (int i = 0; i < TASKS; i++)
        must(got[i] == i);
    must(thrum_scope_close(&s, NULL) == NULL);
    thrum_chan_fini(&c);
    return NULL;
}

static void a_batch_serves_all_who_wait(void **state)
{
    (void)state;
    on_workers(serve_by_batches);
}

/* --- memory --------------------------------------------------------------- */

static void without_memory_there_is_no_channel(void **state)
{
    thrum_chan c;
    thrum_broadcast b;

    (void)state;
    alloc_fail_at(1);
    assert_int_equal(thrum_chan_init(&c, 8, 2), -ENOMEM);
    alloc_fail_at(1);
    assert_int_equal(thrum_broadcast_init(&b, 8, 2), -ENOMEM);
    alloc_fail_at(1);
    assert_int_equal(thrum_chan_init(&c, 8, 0), 0); /* needs none */
    thrum_chan_fini(&c);
    assert_int_equal(thrum_chan_init(&c, 0, 9), 0);
    thrum_chan_fini(&c);
    alloc_fail_never();
}

static thrum_err *count_calls(void *item, void *ctx)
{
    (void)item;
    ++*(_Atomic int *)ctx;
    return NULL;
}

static thrum_err *count_to_ten(void *item, void *ctx, bool *end)
{
    int *n = ctx;

    (void)item;
    *end = *n == 10;
    *n += !*end;
    return NULL;
}

/* Without memory for a task fewer do the work; without any it is told. */
static thrum_err *run_with_little(void *unused)
{
    uint64_t failures = 1;

    (void)unused;
    for (uint64_t nth = 1; failures != 0; nth++) {
        _Atomic int calls = 0;
        int n = 0;
        thrum_stage stages[] = {
            {.fn = count_calls, .ctx = &calls},
            {.fn = count_calls, .ctx = &calls, .in_order = true}};
        thrum_err *e;

        alloc_fail_from(nth);
        e = thrum_pipeline_run(&(thrum_pipeline){
            .source = count_to_ten, .ctx = &n, .stages = stages, .n = 2});
        failures = alloc_failures();
        alloc_fail_never();
        must(e == NULL ? calls == 20 : calls == 0 && n == 0);
        must(e == NULL || thrum_err_is(e, &THRUM_NOMEM));
        thrum_err_drop(e);
    }
    return NULL;
}

static void a_pipeline_does_with_as_many_tasks_as_it_gets(void **state)
{
    (void)state;
    on_workers(run_with_little);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receivers_are_served_in_the_order_they_came),
        cmocka_unit_test(senders_are_served_in_the_order_they_came),
        cmocka_unit_test(a_batch_serves_all_who_wait),
        cmocka_unit_test(without_memory_there_is_no_channel),
        cmocka_unit_test(a_pipeline_does_with_as_many_tasks_as_it_gets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
