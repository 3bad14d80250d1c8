/* Is it counted right who runs, whoever leaves, returns, is missed, stands by or
 * cannot be had? Members without threads, played by one thread; the races are in
 * tests/model. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "base/rng.h"
#include "sched/crew.h"

enum { MEMBERS = 8, STEPS = 20000 };

static struct crew crew;
static struct crew_member members[MEMBERS];
static unsigned made, joined;
static bool refused;

static struct crew_member *make(void *arg)
{
    assert_ptr_equal(arg, &crew);
    if (made == MEMBERS)
        return NULL;
    members[made] = (struct crew_member){.state = CREW_NO_THREAD};
    parker_init(&members[made].parker);
    return &members[made++];
}

static int start(struct crew_member *m)
{
    assert_int_equal(m->state, CREW_NO_THREAD);
    return refused ? -EAGAIN : 0;
}

static void join(struct crew_member *m)
{
    assert_int_equal(m->state, CREW_NO_THREAD);
    joined++;
}

static const struct crew_hooks hooks = {make, start, join};

static void begin(unsigned wanted, unsigned spares)
{
    made = joined = 0;
    refused = false;
    crew_init(&crew, &hooks, &crew);
    assert_int_equal(crew_want(&crew, wanted, spares), 0);
}

static unsigned in_state(enum crew_state state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < made; i++)
        n += members[i].state == state;
    return n;
}

static void one_that_leaves_is_replaced_and_comes_back(void **state)
{
    (void)state;
    begin(2, 4);
    assert_int_equal(made, 2);
    crew_leave(&crew, &members[0]);
    crew_leave(&crew, &members[0]);
    assert_int_equal(made, 3);
    assert_int_equal(load_relaxed(&crew.running), 2);
    crew_return(&crew, &members[0]);
    assert_false(crew_runs(&crew, &members[0]));
    crew_return(&crew, &members[0]);
    crew_return(&crew, &members[0]); /* of no leave */
    assert_int_equal(load_relaxed(&crew.running), 3);
    assert_int_equal(load_relaxed(&crew.too_many), 1);
    crew_leave(&crew, &members[1]); /* one too many is enough */
    assert_int_equal(made, 3);
    assert_int_equal(load_relaxed(&crew.too_many), 0);
    crew_be_back(&crew, &members[1]);
    crew_be_back(&crew, &members[1]);
    assert_int_equal(load_relaxed(&crew.running), 3);
}

static void so_many_are_missed_that_compute_and_no_more(void **state)
{
    (void)state;
    begin(2, 6);
    assert_true(crew_miss(&crew, &members[0], true));
    assert_false(crew_miss(&crew, &members[0], true));
    assert_true(crew_miss(&crew, &members[1], true));
    assert_false(crew_miss(&crew, &members[2], true));
    assert_true(crew_miss(&crew, &members[2], false)); /* it blocks */
    crew_be_back(&crew, &members[0]);
    assert_true(crew_miss(&crew, &members[3], true));
    assert_int_equal(load_relaxed(&crew.running), 2);
}

static void there_are_no_more_than_may_be(void **state)
{
    (void)state;
    begin(1, 2);
    for (unsigned i = 0; i < 3; i++)
        crew_leave(&crew, &members[i]);
    assert_int_equal(made, 3);
    assert_int_equal(load_relaxed(&crew.running), 0);
    assert_true(crew_fill(&crew)); /* nothing to be done */
    crew_return(&crew, &members[1]);
    assert_int_equal(load_relaxed(&crew.running), 1);
}

static void who_is_refused_is_asked_for_again(void **state)
{
    (void)state;
    begin(1, 2);
    refused = true;
    crew_leave(&crew, &members[0]);
    assert_int_equal(load_relaxed(&crew.running), 0);
    assert_false(crew_fill(&crew));
    assert_int_equal(crew_want(&crew, 2, 2), -EAGAIN);
    refused = false;
    assert_true(crew_fill(&crew));
    assert_int_equal(load_relaxed(&crew.running), 2);
    assert_int_equal(in_state(CREW_RUNS), 2);
}

/* Whatever happens, what is counted is what there is. */
static void nothing_drifts(void **state)
{
    struct rng rng;

    (void)state;
    rng_init(&rng, 7);
    begin(2, 4);
    for (int i = 0; i < STEPS; i++) {
        struct crew_member *m = &members[rng_below(&rng, made)];
        unsigned what = rng_below(&rng, 6);

        refused = rng_below(&rng, 4) == 0;
        if (what == 0 && m->state != CREW_NO_THREAD)
            crew_leave(&crew, m);
        else if (what == 1)
            crew_return(&crew, m);
        else if (what == 2)
            (void)crew_miss(&crew, m, rng_below(&rng, 2) == 0);
        else if (what == 3)
            crew_be_back(&crew, m);
        else if (what == 4)
            (void)crew_want(&crew, 1 + rng_below(&rng, 3), 4);
        else
            (void)crew_fill(&crew);
        assert_int_equal(load_relaxed(&crew.running), in_state(CREW_RUNS));
        assert_int_equal(crew.threads, made - in_state(CREW_NO_THREAD));
        assert_true(crew.computing <= in_state(CREW_AWAY));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_leaves_is_replaced_and_comes_back),
        cmocka_unit_test(so_many_are_missed_that_compute_and_no_more),
        cmocka_unit_test(there_are_no_more_than_may_be),
        cmocka_unit_test(who_is_refused_is_asked_for_again),
        cmocka_unit_test(nothing_drifts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
