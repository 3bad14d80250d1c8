/* Do the ways in which tasks talk say so when there is no memory, and lose
 * nothing that they have taken on? How: stories of channels, broadcasts,
 * pipelines, generators and jobs, with every nth allocation and mapping refused;
 * and of a look at who waits. */
#include "lib/sweep.h"

#include <fcntl.h>
#include <unistd.h>

enum { ITEMS = 20, ROOM = 4 };

static thrum_err *send_all(void *chan)
{
    for (long i = 1; i <= ITEMS; i++)
        THRUM_TRY(thrum_chan_send(*(thrum_chan **)chan, &i));
    return NULL;
}

/* Who says that it failed has failed; what was made is used and ended. */
static thrum_err *chan_story(void *unused)
{
    thrum_chan c, *at = &c;
    long sum = 0, item;
    thrum_scope s;
    int rc = thrum_chan_init(&c, sizeof item, ROOM);

    (void)unused;
    CHECK(rc == 0 || (faulty && rc == -ENOMEM));
    if (rc < 0)
        return NULL;
    thrum_scope_open(&s, .name = "sender");
    rc = thrum_spawn(&s, send_all, &at, sizeof at);
    CHECK(rc == 0 || (faulty && rc == -ENOMEM));
    for (long i = 0; rc == 0 && i < ITEMS; i++) {
        CHECK(thrum_chan_recv(&c, &item) == 0);
        sum += item;
    }
    CHECK(thrum_scope_close(&s, NULL) == NULL);
    CHECK(sum == (rc == 0 ? ITEMS * (ITEMS + 1) / 2 : 0));
    thrum_chan_fini(&c);
    return NULL;
}

static void channels(void **state)
{
    (void)state;
    sweep_allocations(chan_story);
    sweep_os(chan_story, FAIL_MAP);
}

static thrum_err *broadcast_story(void *unused)
{
    thrum_subscriber listener;
    thrum_broadcast b;
    uint64_t missed;
    long item = 7, got = 0;
    int rc = thrum_broadcast_init(&b, sizeof item, ROOM);

    (void)unused;
    CHECK(rc == 0 || (faulty && rc == -ENOMEM));
    if (rc < 0)
        return NULL;
    thrum_subscribe(&listener, &b);
    CHECK(thrum_broadcast_send(&b, &item) == 0);
    CHECK(thrum_subscriber_recv(&listener, &got, &missed) == 0);
    CHECK(got == item && missed == 0);
    thrum_broadcast_close(&b);
    thrum_broadcast_fini(&b);
    return NULL;
}

static void broadcasts(void **state)
{
    (void)state;
    sweep_allocations(broadcast_story);
}

struct line {
    long made, sum;
};

static thrum_err *make(void *item, void *line, bool *end)
{
    struct line *l = line;

    *end = l->made == ITEMS;
    if (!*end)
        *(long *)item = ++l->made;
    return NULL;
}

static thrum_err *pass(void *unused, void *also)
{
    (void)unused, (void)also;
    thrum_yield();
    return NULL;
}

static thrum_err *add(void *item, void *line)
{
    ((struct line *)line)->sum += *(long *)item;
    return NULL;
}

static thrum_err *pipeline_story(void *unused)
{
    struct line l = {.made = 0};
    thrum_stage stages[] = {{.fn = pass},
                            {.fn = add, .ctx = &l, .in_order = true}};
    thrum_err *e = thrum_pipeline_run(&(thrum_pipeline){.source = make,
                                                        .ctx = &l,
                                                        .stages = stages,
                                                        .n = 2,
                                                        .item = sizeof(long)});

    (void)unused;
    CHECK(e != NULL || l.sum == ITEMS * (ITEMS + 1) / 2);
    expect_only(e, ENOMEM, ENOMEM);
    return NULL;
}

static void pipelines(void **state)
{
    (void)state;
    sweep_allocations(pipeline_story);
}

static thrum_err *count_up(void *unused)
{
    (void)unused;
    for (long i = 1; i <= ITEMS; i++)
        THRUM_TRY(thrum_gen_emit(&i));
    return NULL;
}

static thrum_err *generator_story(void *unused)
{
    long item, sum = 0;
    thrum_err *e;
    thrum_gen g;
    int more;

    (void)unused;
    thrum_gen_open(&g, count_up, NULL, sizeof item);
    while ((more = thrum_gen_next(&g, &item)) > 0)
        sum += item;
    CHECK(more == 0 || (faulty && more == -ENOMEM));
    e = thrum_gen_close(&g);
    CHECK(more < 0 || e != NULL || sum == ITEMS * (ITEMS + 1) / 2);
    expect_only(e, ENOMEM, ENOMEM);
    return NULL;
}

static void generators(void **state)
{
    (void)state;
    sweep_allocations(generator_story);
}

static thrum_err *nothing(void *unused)
{
    thrum_yield();
    return unused;
}

static thrum_err *completed_story(void *unused)
{
    thrum_job jobs[ROOM], *job;
    thrum_completed c;
    int n = 0, rc, more;

    (void)unused;
    for (int i = 0; i < ROOM; i++)
        jobs[i] = (thrum_job){.fn = nothing};
    rc = thrum_completed_open(&c, jobs, ROOM, 2);
    CHECK(rc == 0 || (faulty && rc == -ENOMEM));
    if (rc < 0)
        return NULL;
    while ((more = thrum_completed_next(&c, &job)) > 0) {
        expect_only(job->err, ENOMEM, ENOMEM);
        n++;
    }
    CHECK(more == 0 && n == ROOM);
    CHECK(thrum_completed_close(&c) == NULL);
    return NULL;
}

static void jobs_as_they_complete(void **state)
{
    (void)state;
    sweep_allocations(completed_story);
}

static thrum_err *wait_for_cancel(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(INT64_MAX));
}

/* For want of memory it tells less, and no more comes of it. */
static thrum_err *look_story(void *unused)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    thrum_scope s;

    (void)unused;
    CHECK(null >= 0);
    thrum_scope_open(&s, .name = "waits");
    for (int i = 0; i < ROOM; i++) {
        int rc = thrum_spawn(&s, wait_for_cancel, NULL, 0);

        CHECK(rc == 0 || (faulty && rc == -ENOMEM));
    }
    thrum_yield();
    thrum_dump(NULL, null);
    thrum_scope_cancel(&s, NULL);
    CHECK(thrum_scope_close(&s, NULL) == NULL);
    close(null);
    return NULL;
}

static void a_look_at_who_waits(void **state)
{
    (void)state;
    sweep_allocations(look_story);
}

static void faults_were_met(void **state)
{
    (void)state;
    assert_true(faults_met > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels),
        cmocka_unit_test(broadcasts),
        cmocka_unit_test(pipelines),
        cmocka_unit_test(generators),
        cmocka_unit_test(jobs_as_they_complete),
        cmocka_unit_test(a_look_at_who_waits),
        cmocka_unit_test(faults_were_met),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
