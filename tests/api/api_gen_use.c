/* Do many generators go together: chains, recursion, side by side, handed around?
 * And is their misuse told? How: sums that must come out, and child processes
 * that must be stopped. */
#include "lib/api.h"

struct range {
    long from, to;
    long made;    /* items that were handed over */
    bool cleaned; /* the clean-up ran */
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
        THRUM_TRY(thrum_gen_emit(&i));
        r->made++;
    }
    return NULL;
}

/* --- combinations --------------------------------------------------------- */

enum { DEPTH = 50, TREE = 10 };

struct link {
    int depth;
};

static thrum_err *add_one(void *arg)
{
    struct link *l = arg, below = {l->depth - 1};
    struct range r = {.to = 20};
    thrum_gen g;
    long item;
    int rc = 0;

    if (l->depth == 0)
        thrum_gen_open(&g, range, &r, sizeof item);
    else
        thrum_gen_open(&g, add_one, &below, sizeof item);
    while (rc == 0 && thrum_gen_next(&g, &item) > 0)
        rc = thrum_gen_emit(&(long){item + 1});
    return thrum_err_add(thrum_rc(rc), thrum_gen_close(&g));
}

/* A recursive walk of one body, in order. */
static int walk(int depth)
{
    int rc;

    if (depth == 0)
        return 0;
    rc = walk(depth - 1);
    if (rc == 0)
        rc = thrum_gen_emit(&(long){depth});
    return rc == 0 ? walk(depth - 1) : rc;
}

static thrum_err *walk_tree(void *arg)
{
    return thrum_rc(walk(*(int *)arg));
}

static thrum_err *combined(void *arg)
{
    struct link top = {DEPTH};
    int depth = TREE, count = 0;
    thrum_gen g, h;
    long item, other;

    (void)arg;
    thrum_gen_open(&g, add_one, &top, sizeof item);
    for (long i = 0; i < 10; i++)
        CHECK(thrum_gen_next(&g, &item) == 1 && item == i + DEPTH + 1);
    expect_ok(thrum_gen_close(&g));

    thrum_gen_open(&g, walk_tree, &depth, sizeof item);
    thrum_gen_open(&h, walk_tree, &depth, sizeof item);
    while (thrum_gen_next(&g, &item) > 0) { /* side by side */
        CHECK(thrum_gen_next(&h, &other) == 1 && other == item);
        count++;
    }
    CHECK(count == (1 << TREE) - 1);
    expect_ok(thrum_gen_close(&g)); /* in any order */
    expect_ok(thrum_gen_close(&h));
    return NULL;
}

static void generators_feed_each_other(void **state)
{
    (void)state;
    on_runtimes(combined, NULL);
}

struct handed {
    thrum_gen *g;
    long item;
};

static thrum_err *take_one(void *arg)
{
    struct handed *h = arg;

    return thrum_rc(thrum_gen_next(h->g, &h->item) == 1 ? 0 : -EPROTO);
}

static thrum_err *passed_around(void *arg)
{
    struct range r = {.to = 50};
    thrum_gen g;

    (void)arg;
    thrum_gen_open(&g, range, &r, sizeof(long));
    for (long i = 0; i < 50; i++) {
        struct handed h = {&g, -1};
        thrum_task t;

        thrum_fork(&t, take_one, &h);
        thrum_yield(); /* it may be taken elsewhere */
        expect_ok(thrum_join(&t));
        CHECK(h.item == i);
    }
    return thrum_gen_close(&g);
}

static void tasks_may_take_turns(void **state)
{
    (void)state;
    on_runtimes(passed_around, NULL);
}

/* --- a thousand ----------------------------------------------------------- */

static thrum_err *a_thousand(void *arg)
{
    size_t n = scaled(1000) + 10;
    thrum_gen *g = calloc(n, sizeof *g);
    struct range *r = calloc(n, sizeof *r);
    long item;

    (void)arg;
    CHECK(g != NULL && r != NULL);
    for (size_t i = 0; i < n; i++) {
        r[i] = (struct range){.from = (long)i, .to = (long)i + 3};
        thrum_gen_open(&g[i], range, &r[i], sizeof item);
    }
    for (long round = 0; round < 2; round++)
        for (size_t i = 0; i < n; i++)
            CHECK(thrum_gen_next(&g[i], &item) == 1 && item == (long)i + round);
    for (size_t i = 0; i < n; i++) {
        expect_ok(thrum_gen_close(&g[i]));
        CHECK(r[i].cleaned && r[i].made == 2);
    }
    free(g);
    free(r);
    return NULL;
}

static void a_thousand_may_be_open(void **state)
{
    (void)state;
    on_runtimes(a_thousand, NULL);
}

/* --- misuse --------------------------------------------------------------- */

static thrum_err *forget(void *arg)
{
    static struct range r = {.to = 3};
    static thrum_gen g;
    long item;

    thrum_gen_open(&g, range, &r, sizeof item);
    CHECK(thrum_gen_next(&g, &item) == 1);
    return arg;
}

static void leave_it_open(void)
{
    expect_ok(thrum_run(NULL, forget, NULL));
}

static thrum_err *emit_here(void *arg)
{
    return thrum_rc(thrum_gen_emit(arg));
}

static void emit_in_a_task(void)
{
    expect_ok(thrum_run(NULL, emit_here, &(long){1}));
}

static thrum_err *emit_in_fork(void *arg)
{
    thrum_task t;

    thrum_fork(&t, emit_here, arg);
    return thrum_join(&t);
}

static thrum_err *consume_fork(void *arg)
{
    thrum_gen g;
    long item;

    thrum_gen_open(&g, emit_in_fork, arg, sizeof item);
    CHECK(thrum_gen_next(&g, &item) == 1);
    return thrum_gen_close(&g);
}

static void emit_in_a_fork(void)
{
    expect_ok(thrum_run(NULL, consume_fork, &(long){1}));
}

static thrum_err *next_of_itself(void *arg)
{
    thrum_gen *g = arg;
    long item;

    return thrum_rc(thrum_gen_next(g, &item));
}

static thrum_err *consume_itself(void *arg)
{
    thrum_gen g;
    long item;

    (void)arg;
    thrum_gen_open(&g, next_of_itself, &g, sizeof item);
    CHECK(thrum_gen_next(&g, &item) == 0);
    return thrum_gen_close(&g);
}

static void ask_oneself(void)
{
    expect_ok(thrum_run(NULL, consume_itself, NULL));
}

static void open_outside(void)
{
    static struct range r;
    thrum_gen g;

    thrum_gen_open(&g, range, &r, sizeof(long));
}

static void misuse_is_told(void **state)
{
    (void)state;
    assert_stops(leave_it_open, "generator", "not");
    assert_stops(emit_in_a_task, "thrum_gen_emit", "outside");
    assert_stops(emit_in_a_fork, "thrum_gen_emit", "fork");
    assert_stops(ask_oneself, "one task at a time", "");
    assert_stops(open_outside, "opened by a task", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generators_feed_each_other),
        cmocka_unit_test(tasks_may_take_turns),
        cmocka_unit_test(a_thousand_may_be_open),
        cmocka_unit_test(misuse_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
