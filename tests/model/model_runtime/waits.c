/* Time: sleeps, deadlines, and what they meet. */
#include "runtime.h"

#include <errno.h>

#include "model_heap.h"

static thrum_err *sleep_a_while(void *arg)
{
    thrum_time begin = thrum_now(), ns = *(const int *)arg * THRUM_US(30);

    SUCCESS(thrum_sleep(ns));
    MODEL_ASSERT(thrum_now() - begin >= ns);
    world.ran[*(const int *)arg] = 1;
    return NULL;
}

static thrum_err *sleeps(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "sleepers");
    for (int i = 1; i <= 3; i++)
        SUCCESS(thrum_spawn(&s, sleep_a_while, &i, sizeof i));
    NO_ERROR(thrum_scope_close(&s, NULL));
    for (int i = 1; i <= 3; i++)
        MODEL_ASSERT(world.ran[i] == 1);
    return NULL;
}

/* The worker computes on, so somebody else has to keep the time. */
static thrum_err *meet_a_sleeper(void *arg)
{
    (void)arg;
    SUCCESS(thrum_sleep(THRUM_US(100)));
    meet(&world.meeting);
    return NULL;
}

static thrum_err *just_meet(void *arg)
{
    (void)arg;
    meet(&world.meeting);
    return NULL;
}

static thrum_err *sleeper_meets(void *arg)
{
    (void)arg;
    world.meeting.expected = 2;
    return both(meet_a_sleeper, just_meet);
}

/* Never before it is over, and then surely. */
static thrum_err *timeout(void *arg)
{
    thrum_scope s;
    thrum_time begin = thrum_now();
    thrum_err *e;

    (void)arg;
    thrum_scope_open(&s, .timeout = THRUM_US(100));
    e = thrum_scope_close(&s, thrum_rc(thrum_event_wait(&world.event)));
    MODEL_ASSERT(thrum_now() - begin >= THRUM_US(100));
    MODEL_ASSERT(thrum_err_is(e, &THRUM_TIMEOUT));
    thrum_err_drop(e);
    return NULL;
}

/* The alarm rings about when the scope is closed; the second one's is set again
 * when it has rung. */
static thrum_err *short_scope(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        thrum_scope *s = model_malloc(sizeof *s);
        thrum_err *e;
        int rc;

        if (i == 0)
            thrum_scope_open(s, .timeout = THRUM_US(20));
        else
            thrum_scope_open(s, .timeout = THRUM_MS(1), .slow = THRUM_US(20));
        rc = thrum_sleep(THRUM_US(20));
        e = thrum_scope_close(s, thrum_rc(rc));
        MODEL_ASSERT(e == NULL || thrum_err_is(e, &THRUM_TIMEOUT));
        thrum_err_drop(e);
        model_free(s); /* who still knows it is found */
    }
    return NULL;
}

static thrum_err *timeout_against_end(void *arg)
{
    (void)arg;
    return both(short_scope, short_scope);
}

/* Nobody puts the stack away: the relief sees the noted timeout. */
static thrum_err *compute_until_canceled(void *arg)
{
    thrum_scope s;
    thrum_err *e;

    (void)arg;
    thrum_scope_open(&s, .timeout = THRUM_MS(1));
    while (!thrum_canceled()) {
        (void)thrum_now(); /* time passes */
        model_yield();
    }
    e = thrum_scope_close(&s, thrum_rc(-ECANCELED));
    MODEL_ASSERT(thrum_err_is(e, &THRUM_TIMEOUT));
    thrum_err_drop(e);
    return NULL;
}

/* A deadline that is moved while it may ring. */
static thrum_err *move_deadline(void *arg)
{
    (void)arg;
    thrum_scope_set_deadline(world.scope, thrum_now() + THRUM_US(15));
    thrum_scope_set_deadline(world.scope, thrum_now() + THRUM_US(30));
    return NULL;
}

/* It has one, or none yet. */
static thrum_err *ask_for_deadline(void *arg)
{
    thrum_time at = thrum_deadline();

    (void)arg;
    MODEL_ASSERT(at > 0);
    MODEL_ASSERT(at == INT64_MAX || at < thrum_now() + THRUM_US(100));
    return NULL;
}

static thrum_err *wait_beyond(thrum_time timeout)
{
    thrum_scope *s = model_malloc(sizeof *s);
    thrum_err *e;

    thrum_scope_open(s, .timeout = timeout);
    world.scope = s;
    SUCCESS(thrum_spawn(s, move_deadline, NULL, 0));
    SUCCESS(thrum_spawn(s, ask_for_deadline, NULL, 0));
    e = thrum_scope_close(s, thrum_rc(thrum_event_wait(&world.event)));
    MODEL_ASSERT(thrum_err_is(e, &THRUM_TIMEOUT));
    thrum_err_drop(e);
    model_free(s);
    return NULL;
}

static thrum_err *deadline_moves(void *arg)
{
    (void)arg;
    return wait_beyond(THRUM_US(40));
}

static thrum_err *deadline_comes(void *arg)
{
    (void)arg;
    return wait_beyond(0);
}

static thrum_err *sleep_until_canceled(void *arg)
{
    int rc;

    (void)arg;
    rc = thrum_sleep(THRUM_US(20));
    MODEL_ASSERT(rc == 0 || rc == -ECANCELED);
    world.ran[0]++;
    return thrum_rc(rc);
}

static thrum_err *sleep_against_cancel(void *arg)
{
    thrum_scope s;

    (void)arg;
    world.scope = &s;
    thrum_scope_open(&s, .name = "canceled");
    SUCCESS(thrum_spawn(&s, sleep_until_canceled, NULL, 0));
    SUCCESS(thrum_spawn(&s, cancel_world_scope, NULL, 0));
    NO_ERROR(thrum_scope_close(&s, NULL));
    MODEL_ASSERT(world.ran[0] == 1);
    return NULL;
}

MAIN(2, sleeps)
MAIN(2, sleeper_meets)
MAIN(1, timeout)
MAIN(2, timeout_against_end)
MAIN(1, compute_until_canceled)
MAIN(2, deadline_moves)
MAIN(2, deadline_comes)
MAIN(2, sleep_against_cancel)

const struct model_scenario waits[] = {
    TASK(sleeps),
    TASK(sleeper_meets),
    TASK(timeout),
    TASK(timeout_against_end),
    SCENARIO_("compute_until_canceled", true,
              {"main", compute_until_canceled_main}),
    TASK(deadline_moves),
    TASK(deadline_comes),
    TASK(sleep_against_cancel),
    {0},
};
