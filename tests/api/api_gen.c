/* Does a generator hand over each item once, in order and on demand; does its body
 * end with it, and who is canceled when? How: bodies that count, wait, fail, and
 * write down how far they came. */
#include "lib/api.h"

THRUM_KIND(Broken, THRUM_ERROR);

struct range {
    long from, to;
    long made;      /* items that were handed over */
    bool cleaned;   /* the clean-up ran */
    int last;       /* what the last emit returned */
    thrum_err *end; /* what the body returns after the last */
};

static thrum_err *clean(void *arg)
{
    ((struct range *)arg)->cleaned = true;
    return NULL;
}

static thrum_err *range(void *arg)
{
    struct range *r = arg;

    thrum_defer(NULL, clean, r);
    for (long i = r->from; i < r->to; i++) {
        r->last = thrum_gen_emit(&i);
        if (r->last < 0)
            return thrum_rc(r->last);
        r->made++;
    }
    return r->end;
}

/* --- items ---------------------------------------------------------------- */

static thrum_err *one_by_one(void *arg)
{
    struct range r = {.from = 3, .to = 10};
    thrum_gen g;
    long item = 0;

    (void)arg;
    thrum_gen_open(&g, range, &r, sizeof item);
    CHECK(r.made == 0 && !r.cleaned); /* it has not begun */
    for (long i = 3; i < 10; i++) {
        CHECK(thrum_gen_next(&g, &item) == 1 && item == i);
        CHECK(r.made == i - 3); /* it is in the emit, and no further */
    }
    CHECK(!r.cleaned);
    CHECK(thrum_gen_next(&g, &item) == 0 && item == 9);
    CHECK(r.cleaned);
    CHECK(thrum_gen_next(&g, &item) == 0);
    expect_ok(thrum_gen_close(&g));

    r = (struct range){.from = 0, .to = 0};
    thrum_gen_open(&g, range, &r, sizeof item);
    CHECK(thrum_gen_next(&g, &item) == 0 && r.cleaned);
    expect_ok(thrum_gen_close(&g));
    return NULL;
}

static void items_come_in_order_and_on_demand(void **state)
{
    (void)state;
    on_runtimes(one_by_one, NULL);
}

static thrum_err *in_batches(void *arg)
{
    struct range r = {.from = 0, .to = 10};
    long items[16];
    thrum_gen g;

    (void)arg;
    thrum_gen_open(&g, range, &r, sizeof *items);
    CHECK(thrum_gen_next_many(&g, items, 0) == 0 && r.made == 0);
    CHECK(thrum_gen_next_many(&g, items, 4) == 4 && items[3] == 3);
    CHECK(thrum_gen_next(&g, items) == 1 && items[0] == 4);
    CHECK(thrum_gen_next_many(&g, items, 16) == 5);
    CHECK(items[0] == 5 && items[4] == 9);
    CHECK(thrum_gen_next_many(&g, items, 16) == 0);
    expect_ok(thrum_gen_close(&g));
    return NULL;
}

static void many_come_at_once(void **state)
{
    (void)state;
    on_runtimes(in_batches, NULL);
}

struct big {
    char bytes[300];
};

static thrum_err *emit_big(void *arg)
{
    struct big b;

    for (int i = 0; i < 3; i++) {
        memset(b.bytes, 'a' + i, sizeof b.bytes);
        THRUM_TRY(thrum_gen_emit(&b));
    }
    return arg;
}

static thrum_err *emit_nothing(void *arg)
{
    THRUM_TRY(thrum_gen_emit(NULL));
    THRUM_TRY(thrum_gen_emit(NULL));
    return arg;
}

static thrum_err *sizes(void *arg)
{
    struct big b[3];
    thrum_gen g;

    (void)arg;
    thrum_gen_open(&g, emit_big, NULL, sizeof *b);
    CHECK(thrum_gen_next_many(&g, b, 3) == 3);
    for (int i = 0; i < 3; i++)
        CHECK(b[i].bytes[0] == 'a' + i && b[i].bytes[299] == 'a' + i);
    expect_ok(thrum_gen_close(&g));

    thrum_gen_open(&g, emit_nothing, NULL, 0);
    CHECK(thrum_gen_next(&g, NULL) == 1);
    CHECK(thrum_gen_next(&g, NULL) == 1);
    CHECK(thrum_gen_next(&g, NULL) == 0);
    expect_ok(thrum_gen_close(&g));
    return NULL;
}

static void an_item_has_any_size(void **state)
{
    (void)state;
    on_runtimes(sizes, NULL);
}

/* --- the end -------------------------------------------------------------- */

static thrum_err *fails_in_a_child(void *arg)
{
    return thrum_fail(&Broken, "%s", (const char *)arg);
}

static thrum_err *emit_and_spawn(void *arg)
{
    CHECK(thrum_spawn(NULL, fails_in_a_child, "a child", 0) == 0);
    (void)!thrum_gen_emit(&(long){1}); /* as the failure has it */
    return arg;
}

static thrum_err *failing(void *arg)
{
    struct range r = {.to = 2, .end = thrum_fail(&Broken, "the body")};
    thrum_gen g;
    long item;

    (void)arg;
    thrum_gen_open(&g, range, &r, sizeof item);
    CHECK(thrum_gen_next(&g, &item) == 1);
    CHECK(thrum_gen_next(&g, &item) == 1);
    CHECK(thrum_gen_next(&g, &item) == 0); /* the close tells why */
    expect_kind(thrum_gen_close(&g), &Broken);

    thrum_gen_open(&g, emit_and_spawn, NULL, sizeof item);
    while (thrum_gen_next(&g, &item) > 0)
        thrum_yield();
    expect_kind(thrum_gen_close(&g), &Broken);
    return NULL;
}

static void the_close_returns_the_bodys_error(void **state)
{
    (void)state;
    on_runtimes(failing, NULL);
}

/* It will not stop. */
static thrum_err *stubborn(void *arg)
{
    struct range *r = arg;
    thrum_scope s;

    thrum_defer(NULL, clean, r);
    CHECK(thrum_gen_emit(&(long){1}) == 0); /* it was handed over */
    for (int i = 0; i < 5; i++)
        CHECK(thrum_gen_emit(&(long){2}) == -ECANCELED);
    CHECK(thrum_sleep(HOUR) == -ECANCELED);
    thrum_scope_open(&s, .shield = true);
    CHECK(thrum_gen_emit(&(long){3}) == -ECANCELED);
    CHECK(thrum_sleep(1) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    return r->end;
}

static thrum_err *leaving(void *arg)
{
    struct range r = {.to = 100};
    thrum_gen g;
    long item;

    (void)arg;
    thrum_gen_open(&g, range, &r, sizeof item);
    expect_ok(thrum_gen_close(&g)); /* it never began */
    CHECK(!r.cleaned);

    thrum_gen_open(&g, range, &r, sizeof item);
    CHECK(thrum_gen_next(&g, &item) == 1);
    expect_ok(thrum_gen_close(&g));
    CHECK(r.cleaned && r.made == 1 && r.last == -ECANCELED);

    for (int fails = 0; fails < 2; fails++) {
        r = (struct range){.end = fails ? thrum_fail(&Broken, "while it ended")
                                        : NULL};
        thrum_gen_open(&g, stubborn, &r, sizeof item);
        CHECK(thrum_gen_next(&g, &item) == 1);
        expect_kind(thrum_gen_close(&g), fails ? &Broken : NULL);
        CHECK(r.cleaned);
    }
    return NULL;
}

static void who_leaves_early_ends_the_body(void **state)
{
    (void)state;
    on_runtimes(leaving, NULL);
}

/* --- waiting -------------------------------------------------------------- */

static thrum_err *wait_between(void *arg)
{
    long n = *(long *)arg;

    for (long i = 0; i < n; i++) {
        switch (i % 3) {
        case 0:
            thrum_yield();
            break;
        case 1:
            THRUM_TRY(thrum_sleep(1));
            break;
        default:
            break;
        }
        THRUM_TRY(thrum_gen_emit(&i));
    }
    return NULL;
}

static thrum_err *sum_up(void *arg)
{
    long n = *(long *)arg, sum = 0, item;
    thrum_gen g;

    thrum_gen_open(&g, wait_between, &n, sizeof item);
    while (thrum_gen_next(&g, &item) > 0) {
        sum += item;
        if (item % 5 == 0)
            thrum_yield();
    }
    CHECK(sum == n * (n - 1) / 2);
    return thrum_gen_close(&g);
}

static thrum_err *many_at_work(void *arg)
{
    long n = 200;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "consumers");
    for (size_t i = 0; i < scaled(100) + 4; i++)
        CHECK(thrum_spawn(&s, sum_up, &n, sizeof n) == 0);
    return thrum_scope_close(&s, NULL);
}

static void both_may_wait_and_move(void **state)
{
    (void)state;
    on_runtimes(many_at_work, NULL);
}

static thrum_err *sleeps(void *arg)
{
    _Atomic unsigned *asleep = arg;

    THRUM_TRY(thrum_gen_emit(&(long){1}));
    return wait_for_cancel(asleep);
}

struct consumer {
    _Atomic unsigned asleep;
    int second, third;
};

static thrum_err *consume_sleeper(void *arg)
{
    struct consumer *c = arg;
    thrum_gen g;
    long item;

    thrum_gen_open(&g, sleeps, &c->asleep, sizeof item);
    CHECK(thrum_gen_next(&g, &item) == 1);
    c->second = thrum_gen_next(&g, &item);
    c->third = thrum_gen_next(&g, &item);
    return thrum_gen_close(&g);
}

static thrum_err *canceled(void *arg)
{
    struct consumer c = {.second = 7};
    thrum_task t;

    (void)arg;
    thrum_fork(&t, consume_sleeper, &c);
    await_count(&c.asleep, 1);
    thrum_task_cancel(&t);
    expect_kind(thrum_join(&t), &THRUM_CANCELED);
    CHECK(c.second == 0 && c.third == -ECANCELED);
    return NULL;
}

static void a_cancel_of_the_consumer_reaches_the_body(void **state)
{
    (void)state;
    on_runtimes(canceled, NULL);
}

/* A deadline of its own around an emit. */
static thrum_err *impatient(void *arg)
{
    thrum_scope s;
    thrum_err *e;

    thrum_scope_open(&s, .timeout = THRUM_MS(1));
    while (thrum_gen_emit(&(long){1}) == 0)
        ;
    e = thrum_scope_close(&s, thrum_rc(-ECANCELED));
    expect_kind(e, &THRUM_TIMEOUT);
    THRUM_TRY(thrum_gen_emit(&(long){2}));
    return arg;
}

static thrum_err *slowly(void *arg)
{
    thrum_gen g;
    long item = 0;
    int more;

    (void)arg;
    thrum_gen_open(&g, impatient, NULL, sizeof item);
    while ((more = thrum_gen_next(&g, &item)) > 0 && item == 1)
        CHECK(thrum_sleep(THRUM_US(100)) == 0 && !thrum_canceled());
    CHECK(more == 1 && item == 2);
    CHECK(thrum_gen_next(&g, &item) == 0);
    return thrum_gen_close(&g);
}

static void a_deadline_of_the_body_is_its_own(void **state)
{
    (void)state;
    on_runtimes(slowly, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_in_order_and_on_demand),
        cmocka_unit_test(many_come_at_once),
        cmocka_unit_test(an_item_has_any_size),
        cmocka_unit_test(the_close_returns_the_bodys_error),
        cmocka_unit_test(who_leaves_early_ends_the_body),
        cmocka_unit_test(both_may_wait_and_move),
        cmocka_unit_test(a_cancel_of_the_consumer_reaches_the_body),
        cmocka_unit_test(a_deadline_of_the_body_is_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
