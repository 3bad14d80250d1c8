/* Does every item go through every stage once, in order where that was asked for,
 * with no more at once than was said; and does the first error end it all? How:
 * items that are marked by each stage; errors, cancels and deadlines in each
 * stage and in the source. */
#include "lib/api.h"

#define SOON THRUM_MS(1)

THRUM_KIND(Broken, THRUM_ERROR);

enum { STAGES = 3 };

struct item {
    uint64_t number;
    unsigned stage; /* the next */
    char text[40];
};

struct line_up {
    size_t items;        /* the source ends after so many */
    _Atomic size_t made; /* only ever one call of the source at a time */
    _Atomic unsigned in_source, under_way, most_under_way;
    struct step {
        struct line_up *all;
        unsigned index, most;
        bool in_order;
        _Atomic unsigned inside, calls;
        uint64_t next; /* of a stage in order */
        size_t fails_at;
    } steps[STAGES];
    size_t source_fails_at;
};

static thrum_err *make_items(void *to, void *ctx, bool *end)
{
    struct line_up *l = ctx;
    struct item *item = to;
    size_t number = atomic_load(&l->made);
    unsigned under_way;

    CHECK(atomic_fetch_add(&l->in_source, 1) == 0);
    CHECK(!*end);
    if (number + 1 == l->source_fails_at)
        return thrum_fail(&Broken, "source");
    *end = number == l->items;
    if (!*end) {
        *item = (struct item){.number = number};
        snprintf(item->text, sizeof item->text, "item %zu", number);
        under_way = atomic_fetch_add(&l->under_way, 1) + 1;
        if (under_way > atomic_load(&l->most_under_way))
            atomic_store(&l->most_under_way, under_way);
        if (number % 7 == 3)
            thrum_yield();
        atomic_store(&l->made, number + 1);
    }
    CHECK(atomic_fetch_sub(&l->in_source, 1) == 1);
    return NULL;
}

static thrum_err *step(void *arg, void *ctx)
{
    struct item *item = arg;
    struct step *s = ctx;
    char text[40];
    unsigned inside = atomic_fetch_add(&s->inside, 1) + 1;

    CHECK(inside <= s->most);
    CHECK(item->stage == s->index);
    snprintf(text, sizeof text, "item %zu", (size_t)item->number);
    CHECK(strcmp(text, item->text) == 0);
    if (s->in_order) {
        CHECK(item->number == s->next);
        s->next++;
    }
    if (item->number % 5 == s->index)
        thrum_yield();
    atomic_fetch_sub(&s->inside, 1);
    if (item->number + 1 == s->fails_at)
        return thrum_fail(&Broken, "step %u", s->index);
    item->stage++;
    atomic_fetch_add(&s->calls, 1);
    if (s->index == STAGES - 1)
        atomic_fetch_sub(&s->all->under_way, 1);
    return NULL;
}

/* Which stages keep the order, and how many calls the others may have. */
struct plan {
    unsigned tokens;
    struct {
        unsigned parallel;
        bool in_order;
    } of[STAGES];
};

static const struct plan plans[] = {
    {1, {{0, false}, {0, false}, {0, false}}},
    {4, {{0, false}, {0, true}, {0, false}}},
    {5, {{2, false}, {0, true}, {1, false}}},
    {0, {{0, true}, {3, false}, {0, true}}},
    {64, {{1, false}, {0, false}, {0, true}}},
    {3, {{0, true}, {0, true}, {0, true}}},
};

static unsigned tokens_of(const struct plan *plan)
{
    return plan->tokens == 0 ? 16 : plan->tokens;
}

static thrum_err *run_plan(struct line_up *l, const struct plan *plan)
{
    thrum_stage stages[STAGES];

    for (unsigned i = 0; i < STAGES; i++) {
        struct step *s = &l->steps[i];

        s->all = l;
        s->index = i;
        s->in_order = plan->of[i].in_order;
        s->most = s->in_order                 ? 1
                  : plan->of[i].parallel == 0 ? tokens_of(plan)
                                              : plan->of[i].parallel;
        stages[i] = (thrum_stage){.fn = step,
                                  .ctx = s,
                                  .parallel = plan->of[i].parallel,
                                  .in_order = s->in_order};
    }
    return thrum_pipeline_run(&(thrum_pipeline){.source = make_items,
                                                .ctx = l,
                                                .stages = stages,
                                                .n = STAGES,
                                                .item = sizeof(struct item),
                                                .tokens = plan->tokens});
}

static thrum_err *run_plans(void *unused)
{
    static const size_t counts[] = {0, 1, 2, 17, 1000};

    (void)unused;
    for (size_t p = 0; p < sizeof plans / sizeof plans[0]; p++)
        for (size_t n = 0; n < sizeof counts / sizeof counts[0]; n++) {
            struct line_up l = {.items = counts[n]};

            expect_ok(run_plan(&l, &plans[p]));
            for (int i = 0; i < STAGES; i++)
                CHECK(l.steps[i].calls == l.items);
            CHECK(l.most_under_way <= tokens_of(&plans[p]));
        }
    return NULL;
}

static void each_item_goes_through_each_stage_as_planned(void **state)
{
    thrum_opts opts = {.workers = 2};

    (void)state;
    on_runtimes(run_plans, NULL);
    expect_ok(thrum_run(&opts, run_plans, NULL));
}

static thrum_err *without_stages(void *unused)
{
    struct line_up l = {.items = 20};

    (void)unused;
    expect_ok(thrum_pipeline_run(&(thrum_pipeline){
        .source = make_items, .ctx = &l, .item = sizeof(struct item)}));
    CHECK(l.made == 20);
    return NULL;
}

static void a_source_alone_is_run_to_its_end(void **state)
{
    (void)state;
    on_runtimes(without_stages, NULL);
}

/* --- errors and cancels --------------------------------------------------- */

static thrum_err *fail_everywhere(void *unused)
{
    (void)unused;
    for (size_t p = 0; p < sizeof plans / sizeof plans[0]; p++)
        for (unsigned where = 0; where <= STAGES; where++)
            for (size_t at = 1; at < 100; at += 13) {
                struct line_up l = {.items = 100000000};
                thrum_err *e;

                if (where == STAGES)
                    l.source_fails_at = at;
                else
                    l.steps[where].fails_at = at;
                e = run_plan(&l, &plans[p]);
                CHECK(thrum_err_kind(e) == &Broken && thrum_err_count(e) == 1);
                if (where == STAGES)
                    CHECK(l.made == at - 1); /* it was not asked again */
                thrum_err_drop(e);
            }
    return NULL;
}

static thrum_err *say_canceled(void *item, void *ctx)
{
    (void)item;
    return atomic_fetch_add((_Atomic unsigned *)ctx, 1) == 5
               ? thrum_rc(-ECANCELED)
               : NULL;
}

static thrum_err *endless(void *item, void *ctx, bool *end)
{
    (void)item;
    (void)ctx;
    *end = false;
    return NULL;
}

/* Of a scope of its own, say: it must not be taken for ours. */
static thrum_err *canceled_by_itself(void *unused)
{
    (void)unused;
    for (int way = 0; way < 3; way++) {
        _Atomic unsigned calls = 0;
        thrum_stage stage = {.fn = say_canceled,
                             .ctx = &calls,
                             .parallel = way == 1,
                             .in_order = way == 2};

        expect_kind(
            thrum_pipeline_run(&(thrum_pipeline){
                .source = endless, .stages = &stage, .n = 1, .item = 8}),
            &THRUM_ERROR);
    }
    return NULL;
}

static void a_stage_that_was_canceled_by_itself_ends_it_too(void **state)
{
    (void)state;
    on_runtimes(canceled_by_itself, NULL);
}

static void the_first_error_ends_it_all(void **state)
{
    (void)state;
    on_runtimes(fail_everywhere, NULL);
}

static thrum_err *make_for_ever(void *item, void *ctx, bool *end)
{
    (void)item;
    (void)end;
    atomic_fetch_add((_Atomic unsigned *)ctx, 1);
    return NULL;
}

static thrum_err *wait_long(void *item, void *ctx)
{
    (void)item;
    return wait_for_cancel(ctx);
}

static thrum_err *pass_by(void *item, void *ctx)
{
    (void)item;
    atomic_fetch_add((_Atomic unsigned *)ctx, 1);
    return NULL;
}

static thrum_err *run_for_ever(void *arg)
{
    bool *waits = arg;
    _Atomic unsigned made = 0, passed = 0;
    thrum_stage stages[] = {
        {.fn = pass_by, .ctx = &passed, .parallel = 2},
        {.fn = *waits ? wait_long : pass_by, .ctx = &passed, .in_order = true},
        {.fn = pass_by, .ctx = &passed}};

    return thrum_pipeline_run(&(thrum_pipeline){.source = make_for_ever,
                                                .ctx = &made,
                                                .stages = stages,
                                                .n = 3,
                                                .tokens = 6});
}

static thrum_err *end_from_outside(void *unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++) {
        bool waits = i == 0;
        thrum_task t;

        expect_kind(thrum_with(run_for_ever, &waits, .timeout = SOON),
                    &THRUM_TIMEOUT);
        thrum_fork(&t, run_for_ever, &waits);
        thrum_task_cancel(&t);
        expect_kind(thrum_join(&t), &THRUM_CANCELED);
    }
    return NULL;
}

static void a_cancel_and_a_deadline_end_it(void **state)
{
    (void)state;
    on_runtimes(end_from_outside, NULL);
}

/* --- mistakes ------------------------------------------------------------- */

static void no_source(void)
{
    thrum_err_drop(thrum_pipeline_run(&(thrum_pipeline){.n = 0}));
}

static void no_function(void)
{
    thrum_stage none = {.fn = NULL};

    thrum_err_drop(thrum_pipeline_run(
        &(thrum_pipeline){.source = make_for_ever, .stages = &none, .n = 1}));
}

static thrum_err *too_large(void *unused)
{
    _Atomic unsigned made = 0;

    (void)unused;
    expect_kind(thrum_pipeline_run(&(thrum_pipeline){.source = make_for_ever,
                                                     .ctx = &made,
                                                     .item = SIZE_MAX / 3}),
                &THRUM_NOMEM);
    CHECK(made == 0);
    return NULL;
}

static void mistakes_are_told(void **state)
{
    (void)state;
    assert_stops(no_source, "thrum_pipeline_run", "source");
    assert_stops(no_function, "thrum_pipeline_run", "function");
    on_runtimes(too_large, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_goes_through_each_stage_as_planned),
        cmocka_unit_test(a_source_alone_is_run_to_its_end),
        cmocka_unit_test(the_first_error_ends_it_all),
        cmocka_unit_test(a_stage_that_was_canceled_by_itself_ends_it_too),
        cmocka_unit_test(a_cancel_and_a_deadline_end_it),
        cmocka_unit_test(mistakes_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
