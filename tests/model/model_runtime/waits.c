/* What tasks wait for: time, each other, a cancel. */
#include "runtime.h"

#include <errno.h>

#include "model_heap.h"

static thrum_err *both(thrum_fn *one, thrum_fn *other)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "both");
    SUCCESS(thrum_spawn(&s, one, NULL, 0));
    SUCCESS(thrum_spawn(&s, other, NULL, 0));
    return thrum_scope_close(&s, NULL);
}

/* ----------------------------------------------------------------------- time */

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

static thrum_err *cancel_scope(void *arg)
{
    int rc = thrum_sleep(THRUM_US(20));

    (void)arg;
    thrum_scope_cancel(world.scope, "enough");
    return thrum_rc(rc);
}

static thrum_err *sleep_against_cancel(void *arg)
{
    thrum_scope s;

    (void)arg;
    world.scope = &s;
    thrum_scope_open(&s, .name = "canceled");
    SUCCESS(thrum_spawn(&s, sleep_until_canceled, NULL, 0));
    SUCCESS(thrum_spawn(&s, cancel_scope, NULL, 0));
    NO_ERROR(thrum_scope_close(&s, NULL));
    MODEL_ASSERT(world.ran[0] == 1);
    return NULL;
}

/* ---------------------------------------------------------------- each other */

static thrum_err *add_under_lock(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        thrum_mutex_lock(&world.mutex);
        world.data[0]++;
        if (i == 0)
            thrum_yield();
        thrum_mutex_unlock(&world.mutex);
    }
    return NULL;
}

static thrum_err *mutex(void *arg)
{
    (void)arg;
    NO_ERROR(both(add_under_lock, add_under_lock));
    MODEL_ASSERT(world.data[0] == 4);
    return NULL;
}

static thrum_err *send_three(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 3; i++) {
        world.data[i] = i; /* who receives i sees it */
        SUCCESS(thrum_chan_send(&world.a, &i));
    }
    thrum_chan_close(&world.a);
    return NULL;
}

static thrum_err *receive_all(void *arg)
{
    int i, expected = 1;

    (void)arg;
    while (thrum_chan_recv(&world.a, &i) == 0) {
        MODEL_ASSERT(i == expected++);
        MODEL_ASSERT(world.data[i] == i);
    }
    MODEL_ASSERT(expected == 4);
    return NULL;
}

static thrum_err *talk(size_t capacity)
{
    SUCCESS(thrum_chan_init(&world.a, sizeof(int), capacity));
    NO_ERROR(both(send_three, receive_all));
    thrum_chan_fini(&world.a);
    return NULL;
}

static thrum_err *chan(void *arg)
{
    (void)arg;
    return talk(1);
}

static thrum_err *meeting_place(void *arg)
{
    (void)arg;
    return talk(0);
}

static thrum_err *send_one(void *arg)
{
    thrum_chan *c = *(thrum_chan **)arg;
    int item = c == &world.a ? 1 : 2;

    SUCCESS(thrum_chan_send(c, &item));
    return NULL;
}

/* Two, one from each. */
static thrum_err *select_both(void *arg)
{
    int got = 0;

    (void)arg;
    for (int i = 0; i < 2; i++) {
        int item = 0;
        thrum_case in[] = {{.ch = &world.a, .op = THRUM_RECV, .item = &item},
                           {.ch = &world.b, .op = THRUM_RECV, .item = &item}};
        int chosen = thrum_select(in, 2, true);

        MODEL_ASSERT(chosen >= 0 && in[chosen].rc == 0 && item == chosen + 1);
        got += item;
    }
    MODEL_ASSERT(got == 3);
    return NULL;
}

static thrum_err *selects(void *arg)
{
    thrum_chan *channels[] = {&world.a, &world.b};
    thrum_scope s;

    (void)arg;
    SUCCESS(thrum_chan_init(&world.a, sizeof(int), 0));
    SUCCESS(thrum_chan_init(&world.b, sizeof(int), 1));
    thrum_scope_open(&s, .name = "select");
    for (int i = 0; i < 2; i++)
        SUCCESS(thrum_spawn(&s, send_one, &channels[i], sizeof channels[i]));
    SUCCESS(thrum_spawn(&s, select_both, NULL, 0));
    NO_ERROR(thrum_scope_close(&s, NULL));
    thrum_chan_fini(&world.a);
    thrum_chan_fini(&world.b);
    return NULL;
}

/* An item is received, or it is still there: a cancel takes none. */
static thrum_err *receive_or_be_canceled(void *arg)
{
    int item = 0, rc = thrum_chan_recv(&world.a, &item);

    (void)arg;
    MODEL_ASSERT(rc == -ECANCELED || item == 7);
    world.data[1] += rc == 0;
    return thrum_rc(rc);
}

static thrum_err *send_and_cancel(void *arg)
{
    int item = 7;

    (void)arg;
    SUCCESS(thrum_chan_send(&world.a, &item));
    thrum_scope_cancel(world.scope, NULL);
    return NULL;
}

static thrum_err *item_against_cancel(void *arg)
{
    thrum_scope s;
    int item;

    (void)arg;
    SUCCESS(thrum_chan_init(&world.a, sizeof(int), 1));
    world.scope = &s;
    thrum_scope_open(&s, .name = "canceled");
    SUCCESS(thrum_spawn(&s, receive_or_be_canceled, NULL, 0));
    SUCCESS(thrum_spawn(&s, send_and_cancel, NULL, 0));
    NO_ERROR(thrum_scope_close(&s, NULL));
    MODEL_ASSERT(world.data[1] + (thrum_chan_try_recv(&world.a, &item) == 0) ==
                 1);
    thrum_chan_fini(&world.a);
    return NULL;
}

static thrum_err *permit_or_cancel(void *arg)
{
    int rc = thrum_sem_acquire(&world.sem);

    (void)arg;
    if (rc == 0) {
        thrum_yield();
        thrum_sem_release(&world.sem);
    }
    return thrum_rc(rc);
}

/* No permit is lost, nor made. */
static thrum_err *permits(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_sem_init(&world.sem, 1);
    world.scope = &s;
    thrum_scope_open(&s, .name = "canceled");
    for (int i = 0; i < 3; i++)
        SUCCESS(thrum_spawn(&s, permit_or_cancel, NULL, 0));
    SUCCESS(thrum_spawn(&s, cancel_scope, NULL, 0));
    NO_ERROR(thrum_scope_close(&s, NULL));
    MODEL_ASSERT(thrum_sem_try_acquire(&world.sem));
    MODEL_ASSERT(!thrum_sem_try_acquire(&world.sem));
    return NULL;
}

static thrum_err *wait_for_data(void *arg)
{
    (void)arg;
    thrum_mutex_lock(&world.mutex);
    while (world.data[0] == 0)
        SUCCESS(thrum_cond_wait(&world.cond, &world.mutex));
    thrum_mutex_unlock(&world.mutex);
    return NULL;
}

static thrum_err *give_data(void *arg)
{
    (void)arg;
    thrum_mutex_lock(&world.mutex);
    world.data[0] = 1;
    thrum_cond_signal(&world.cond);
    thrum_mutex_unlock(&world.mutex);
    return NULL;
}

static thrum_err *condition(void *arg)
{
    (void)arg;
    return both(wait_for_data, give_data);
}

static thrum_err *numbers(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 3; i++) {
        if (i == 2)
            THRUM_TRY(thrum_rc(thrum_sleep(THRUM_US(10))));
        THRUM_TRY(thrum_rc(thrum_gen_emit(&i)));
    }
    return NULL;
}

/* To the end, or given up in the middle; its consumer moves from worker to
 * worker. */
static thrum_err *consume(void *arg)
{
    int until = *(int *)arg, item = 0;
    thrum_gen g;

    thrum_gen_open(&g, numbers, NULL, sizeof item);
    for (int i = 1; i <= until; i++) {
        int more = thrum_gen_next(&g, &item);

        MODEL_ASSERT(more == (i <= 3));
        MODEL_ASSERT(i > 3 || item == i);
        thrum_yield();
    }
    thrum_err_drop(thrum_gen_close(&g));
    return NULL;
}

static thrum_err *generators(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "consumers");
    for (int until = 2; until <= 4; until += 2)
        SUCCESS(thrum_spawn(&s, consume, &until, sizeof until));
    return thrum_scope_close(&s, NULL);
}

/* Who is let through last may free it: who let it through is done with it. */
static thrum_err *acquire_and_free(void *arg)
{
    (void)arg;
    SUCCESS(thrum_sem_acquire(world.shared));
    model_free(world.shared);
    return NULL;
}

static thrum_err *release(void *arg)
{
    (void)arg;
    thrum_sem_release(world.shared);
    return NULL;
}

static thrum_err *free_semaphore(void *arg)
{
    (void)arg;
    world.shared = model_calloc(1, sizeof(thrum_sem));
    return both(acquire_and_free, release);
}

static thrum_err *wait_and_free(void *arg)
{
    (void)arg;
    SUCCESS(thrum_event_wait(world.shared));
    model_free(world.shared);
    return NULL;
}

static thrum_err *set(void *arg)
{
    (void)arg;
    thrum_event_set(world.shared);
    return NULL;
}

static thrum_err *free_event(void *arg)
{
    (void)arg;
    world.shared = model_calloc(1, sizeof(thrum_event));
    return both(wait_and_free, set);
}

static thrum_err *pass_and_free(void *arg)
{
    (void)arg;
    SUCCESS(thrum_latch_wait(world.shared));
    model_free(world.shared);
    return NULL;
}

static thrum_err *count_down(void *arg)
{
    (void)arg;
    thrum_latch_done(world.shared);
    return NULL;
}

static thrum_err *free_latch(void *arg)
{
    (void)arg;
    world.shared = model_calloc(1, sizeof(thrum_latch));
    thrum_latch_init(world.shared, 1);
    return both(pass_and_free, count_down);
}

/* Whoever comes second. */
static thrum_err *lock_and_free(void *arg)
{
    thrum_mutex *m = world.shared;
    bool last;

    (void)arg;
    thrum_mutex_lock(m);
    last = ++world.data[0] == 2;
    thrum_mutex_unlock(m);
    if (last)
        model_free(m);
    return NULL;
}

static thrum_err *free_mutex(void *arg)
{
    (void)arg;
    world.shared = model_calloc(1, sizeof(thrum_mutex));
    return both(lock_and_free, lock_and_free);
}

MAIN(2, free_semaphore)
MAIN(2, free_event)
MAIN(2, free_latch)
MAIN(2, free_mutex)
MAIN(2, sleeps)
MAIN(2, sleeper_meets)
MAIN(1, timeout)
MAIN(2, timeout_against_end)
MAIN(1, compute_until_canceled)
MAIN(2, deadline_moves)
MAIN(2, deadline_comes)
MAIN(2, sleep_against_cancel)
MAIN(2, mutex)
MAIN(2, chan)
MAIN(2, meeting_place)
MAIN(2, selects)
MAIN(2, item_against_cancel)
MAIN(2, permits)
MAIN(2, condition)
MAIN(2, generators)

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
    TASK(mutex),
    TASK(chan),
    TASK(meeting_place),
    TASK(selects),
    TASK(item_against_cancel),
    TASK(permits),
    TASK(condition),
    TASK(generators),
    TASK(free_semaphore),
    TASK(free_event),
    TASK(free_latch),
    TASK(free_mutex),
    {0},
};
