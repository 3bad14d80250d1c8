/* Do the results of jobs come as they end, each once, failures and all; and what
 * becomes of those that nobody takes? How: jobs that wait for each other, so that
 * their order is known. */
#include "lib/api.h"

THRUM_KIND(Lost, THRUM_ERROR);

enum { JOBS = 8 };

struct runner {
    thrum_event *go;   /* waits for that before it ends; or NULL */
    thrum_event *next; /* and then tells the next one */
    _Atomic unsigned *now, *most;
    bool fails;
};

static thrum_err *run(void *arg)
{
    struct runner *r = arg;
    unsigned now = atomic_fetch_add(r->now, 1) + 1;
    unsigned most = atomic_load(r->most);

    while (now > most && !atomic_compare_exchange_weak(r->most, &most, now))
        ;
    if (r->go != NULL) {
        int rc = thrum_event_wait(r->go);

        if (rc < 0) {
            atomic_fetch_sub(r->now, 1);
            return thrum_rc(rc);
        }
    }
    atomic_fetch_sub(r->now, 1);
    return r->fails ? thrum_fail(&Lost, "lost") : NULL;
}

struct race {
    struct runner runners[JOBS];
    thrum_job jobs[JOBS];
    _Atomic unsigned now, most;
    thrum_completed c;
};

static void prepare(struct race *r)
{
    memset((void *)r, 0, sizeof *r);
    for (int i = 0; i < JOBS; i++) {
        r->runners[i] = (struct runner){.now = &r->now, .most = &r->most};
        r->jobs[i] = (thrum_job){.fn = run, .arg = &r->runners[i]};
    }
}

static int number(struct race *r, const thrum_job *job)
{
    return (int)(job - r->jobs);
}

static thrum_err *backwards(void *arg)
{
    thrum_event events[JOBS];
    struct race r;
    thrum_job *job;

    (void)arg;
    memset(events, 0, sizeof events);
    prepare(&r);
    for (int i = 0; i < JOBS; i++) {
        r.runners[i].go = &events[i];
        r.runners[i].fails = i % 3 == 0;
    }
    CHECK(thrum_completed_open(&r.c, r.jobs, JOBS, 0) == 0);
    for (int i = JOBS - 1; i >= 0; i--) {
        thrum_event_set(&events[i]);
        CHECK(thrum_completed_next(&r.c, &job) == 1);
        CHECK(number(&r, job) == i);
        expect_kind(job->err, i % 3 == 0 ? &Lost : NULL);
    }
    CHECK(thrum_completed_next(&r.c, &job) == 0);
    CHECK(thrum_completed_next(&r.c, &job) == 0);
    return thrum_completed_close(&r.c);
}

static void they_come_in_the_order_in_which_they_end(void **state)
{
    (void)state;
    on_runtimes(backwards, NULL);
}

static thrum_err *few_at_once(void *arg)
{
    unsigned taken = 0;
    struct race r;
    thrum_job *job;

    (void)arg;
    prepare(&r);
    CHECK(thrum_completed_open(&r.c, r.jobs, JOBS, 2) == 0);
    while (thrum_completed_next(&r.c, &job) > 0) {
        CHECK(job->err == NULL);
        taken |= 1u << number(&r, job);
    }
    CHECK(taken == (1u << JOBS) - 1 && atomic_load(&r.most) <= 2);
    expect_ok(thrum_completed_close(&r.c));

    CHECK(thrum_completed_open(&r.c, NULL, 0, 0) == 0); /* of nothing */
    CHECK(thrum_completed_next(&r.c, &job) == 0);
    return thrum_completed_close(&r.c);
}

static void no_more_run_at_once_than_asked_for(void **state)
{
    (void)state;
    on_runtimes(few_at_once, NULL);
}

static thrum_err *fail_late(void *unused)
{
    (void)unused;
    thrum_yield();
    return thrum_fail(&Lost, "lost");
}

static thrum_err *leave_a_child(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_spawn(NULL, fail_late, NULL, 0));
}

static thrum_err *with_children(void *arg)
{
    thrum_job jobs[] = {{.fn = leave_a_child}, {.fn = leave_a_child}}, *job;
    thrum_completed c;

    (void)arg;
    CHECK(thrum_completed_open(&c, jobs, 2, 0) == 0);
    while (thrum_completed_next(&c, &job) > 0)
        expect_kind(job->err, &Lost);
    return thrum_completed_close(&c);
}

static void a_job_has_ended_when_its_children_have(void **state)
{
    (void)state;
    on_runtimes(with_children, NULL);
}

static thrum_err *cancel_oneself(void *unused)
{
    (void)unused;
    thrum_scope_cancel(NULL, NULL);
    return thrum_rc(thrum_checkpoint());
}

/* As of a spawned one: no success. */
static thrum_err *canceled_alone(void *arg)
{
    thrum_job jobs[] = {{.fn = cancel_oneself}, {.fn = cancel_oneself}}, *job;
    thrum_completed c;

    (void)arg;
    CHECK(thrum_completed_open(&c, jobs, 2, 1) == 0);
    while (thrum_completed_next(&c, &job) > 0)
        expect_kind(job->err, &THRUM_CANCELED);
    CHECK(!thrum_canceled());
    return thrum_completed_close(&c);
}

static void a_job_that_cancels_itself_is_told_as_canceled(void **state)
{
    (void)state;
    on_runtimes(canceled_alone, NULL);
}

static thrum_err *left(void *arg)
{
    thrum_event never = {0};
    struct race r;
    thrum_job *job;

    (void)arg;
    prepare(&r);
    r.runners[0].fails = r.runners[1].fails = true;
    for (int i = 2; i < JOBS; i++)
        r.runners[i].go = &never;
    CHECK(thrum_completed_open(&r.c, r.jobs, JOBS, 0) == 0);
    CHECK(thrum_completed_next(&r.c, &job) == 1);
    expect_kind(job->err, &Lost);
    while (atomic_load(&r.most) < JOBS && atomic_load(&r.now) > JOBS - 2)
        thrum_yield();
    expect_kind(thrum_completed_close(&r.c), &Lost); /* the other one */
    for (int i = 2; i < JOBS; i++)
        CHECK(r.jobs[i].err == NULL); /* cut short, by us */
    return NULL;
}

static void what_nobody_takes_is_not_lost(void **state)
{
    (void)state;
    on_runtimes(left, NULL);
}

static thrum_err *waits_for_ever(void *arg)
{
    thrum_event never = {0};
    struct race r;
    thrum_job *job;
    int rc;

    prepare(&r);
    for (int i = 0; i < JOBS; i++)
        r.runners[i].go = &never;
    CHECK(thrum_completed_open(&r.c, r.jobs, JOBS, 0) == 0);
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
    rc = thrum_completed_next(&r.c, &job);
    CHECK(rc == -ECANCELED || (rc == 1 && thrum_canceled()));
    if (rc == 1)
        thrum_err_drop(job->err);
    return thrum_completed_close(&r.c);
}

static thrum_err *canceled(void *arg)
{
    _Atomic unsigned began = 0;
    thrum_task t;

    (void)arg;
    thrum_fork(&t, waits_for_ever, &began);
    await_count(&began, 1);
    thrum_task_cancel(&t);
    expect_kind(thrum_join(&t), &THRUM_CANCELED);
    return NULL;
}

static void a_cancel_reaches_who_waits_and_the_jobs(void **state)
{
    (void)state;
    on_runtimes(canceled, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_in_the_order_in_which_they_end),
        cmocka_unit_test(no_more_run_at_once_than_asked_for),
        cmocka_unit_test(a_job_has_ended_when_its_children_have),
        cmocka_unit_test(a_job_that_cancels_itself_is_told_as_canceled),
        cmocka_unit_test(what_nobody_takes_is_not_lost),
        cmocka_unit_test(a_cancel_reaches_who_waits_and_the_jobs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
