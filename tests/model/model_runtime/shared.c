/* What tasks share, and how they talk. */
#include "runtime.h"

#include <errno.h>

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
    SUCCESS(thrum_spawn(&s, cancel_world_scope, NULL, 0));
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

/* --------------------------------------------------------- against a cancel */

/* In a scope of their own, one after the other has been canceled. */
static thrum_err *against_cancel(thrum_fn *fn, thrum_fn *other)
{
    thrum_scope s, canceled;
    thrum_err *e;

    thrum_scope_open(&s, .name = "outer");
    thrum_scope_open(&canceled, .name = "canceled");
    world.scope = &canceled;
    SUCCESS(thrum_spawn(&canceled, fn, NULL, 0));
    SUCCESS(thrum_spawn(&canceled, cancel_world_scope, NULL, 0));
    if (other != NULL)
        SUCCESS(thrum_spawn(&s, other, NULL, 0));
    e = thrum_scope_close(&canceled, NULL);
    return thrum_scope_close(&s, e);
}

/* Who is canceled has got no signal; who got one passes it on. */
static thrum_err *wait_or_pass_on(void *arg)
{
    int rc = 0;

    (void)arg;
    thrum_mutex_lock(&world.mutex);
    while (rc == 0 && world.data[0] == 0)
        rc = thrum_cond_wait(&world.cond, &world.mutex);
    if (rc == 0)
        thrum_cond_signal(&world.cond);
    thrum_mutex_unlock(&world.mutex);
    return thrum_rc(rc);
}

static thrum_err *wait_and_give(void *arg)
{
    (void)arg;
    return both(wait_for_data, give_data);
}

static thrum_err *signal_against_cancel(void *arg)
{
    (void)arg;
    return against_cancel(wait_or_pass_on, wait_and_give);
}

/* What was not received is there. */
static thrum_err *select_or_be_canceled(void *arg)
{
    int item = 0;
    thrum_case in[] = {{.ch = &world.a, .op = THRUM_RECV, .item = &item},
                       {.ch = &world.b, .op = THRUM_RECV, .item = &item}};
    int chosen = thrum_select(in, 2, true);

    (void)arg;
    MODEL_ASSERT(chosen == -ECANCELED || (chosen == 0 && item == 1));
    world.data[1] += chosen == 0;
    return thrum_rc(chosen < 0 ? chosen : 0);
}

static thrum_err *send_to_a(void *arg)
{
    int item = 1;

    (void)arg;
    SUCCESS(thrum_chan_send(&world.a, &item));
    return NULL;
}

static thrum_err *select_against_cancel(void *arg)
{
    int item;

    (void)arg;
    SUCCESS(thrum_chan_init(&world.a, sizeof(int), 1));
    SUCCESS(thrum_chan_init(&world.b, sizeof(int), 0));
    NO_ERROR(against_cancel(select_or_be_canceled, send_to_a));
    MODEL_ASSERT(world.data[1] + (thrum_chan_try_recv(&world.a, &item) == 0) ==
                 1);
    thrum_chan_fini(&world.a);
    thrum_chan_fini(&world.b);
    return NULL;
}

static thrum_err *lock_or_be_canceled(void *arg)
{
    int rc = thrum_mutex_lock_cancelable(&world.mutex);

    (void)arg;
    if (rc == 0) {
        world.data[0]++;
        thrum_yield();
        thrum_mutex_unlock(&world.mutex);
    }
    return thrum_rc(rc);
}

static thrum_err *lock_against_cancel(void *arg)
{
    (void)arg;
    NO_ERROR(against_cancel(lock_or_be_canceled, add_under_lock));
    MODEL_ASSERT(thrum_mutex_trylock(&world.mutex));
    return NULL;
}

/* The body of a generator waits for what never comes. */
static thrum_err *number_then_wait(void *arg)
{
    int one = 1;

    (void)arg;
    THRUM_TRY(thrum_rc(thrum_gen_emit(&one)));
    CANCELED(thrum_event_wait(&world.event));
    world.data[1] = 1;
    return thrum_rc(-ECANCELED);
}

static thrum_err *consume_until_canceled(void *arg)
{
    thrum_gen g;
    int item, n = 0;

    (void)arg;
    thrum_gen_open(&g, number_then_wait, NULL, sizeof item);
    while (thrum_gen_next(&g, &item) > 0)
        n++;
    thrum_err_drop(thrum_gen_close(&g));
    MODEL_ASSERT(n <= 1);
    return thrum_rc(-ECANCELED);
}

static thrum_err *generator_against_cancel(void *arg)
{
    (void)arg;
    return against_cancel(consume_until_canceled, NULL);
}

/* -------------------------------------------------------------- all at once */

static thrum_err *make_once(void *arg)
{
    (void)arg;
    MODEL_ASSERT(world.ran[0]++ == 0);
    world.data[0] = 5;
    return NULL;
}

static thrum_err *need_it(void *arg)
{
    (void)arg;
    NO_ERROR(thrum_once_call(&world.once, make_once, NULL));
    MODEL_ASSERT(world.data[0] == 5);
    return NULL;
}

static thrum_err *once(void *arg)
{
    (void)arg;
    return both(need_it, need_it);
}

/* Each writes its own, and reads the other's behind the barrier. */
static thrum_err *in_step(void *arg)
{
    int i = *(int *)arg;

    for (int round = 1; round <= 2; round++) {
        int last;

        world.data[i] = round;
        last = thrum_barrier_wait(&world.barrier);
        MODEL_ASSERT(last >= 0 && world.data[1 - i] == round);
        MODEL_ASSERT(thrum_barrier_wait(&world.barrier) >= 0);
    }
    return NULL;
}

static thrum_err *barrier(void *arg)
{
    thrum_scope s;

    (void)arg;
    SUCCESS(thrum_barrier_init(&world.barrier, 2));
    thrum_scope_open(&s, .name = "in step");
    for (int i = 0; i < 2; i++)
        SUCCESS(thrum_spawn(&s, in_step, &i, sizeof i));
    return thrum_scope_close(&s, NULL);
}

static thrum_err *read_both(void *arg)
{
    (void)arg;
    thrum_rwlock_rdlock(&world.rwlock);
    MODEL_ASSERT(world.data[0] == world.data[1]);
    thrum_yield();
    MODEL_ASSERT(world.data[0] == world.data[1]);
    thrum_rwlock_rdunlock(&world.rwlock);
    return NULL;
}

static thrum_err *write_both(void *arg)
{
    (void)arg;
    thrum_rwlock_wrlock(&world.rwlock);
    world.data[0]++;
    thrum_yield();
    world.data[1]++;
    thrum_rwlock_wrunlock(&world.rwlock);
    return NULL;
}

static thrum_err *rwlock(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "readers and a writer");
    SUCCESS(thrum_spawn(&s, read_both, NULL, 0));
    SUCCESS(thrum_spawn(&s, write_both, NULL, 0));
    SUCCESS(thrum_spawn(&s, read_both, NULL, 0));
    return thrum_scope_close(&s, NULL);
}

MAIN(2, mutex)
MAIN(2, chan)
MAIN(2, meeting_place)
MAIN(2, selects)
MAIN(2, item_against_cancel)
MAIN(2, permits)
MAIN(2, condition)
MAIN(2, generators)
MAIN(2, signal_against_cancel)
MAIN(2, select_against_cancel)
MAIN(2, lock_against_cancel)
MAIN(2, generator_against_cancel)
MAIN(2, once)
MAIN(2, barrier)
MAIN(2, rwlock)

const struct model_scenario shared[] = {
    TASK(mutex),
    TASK(chan),
    TASK(meeting_place),
    TASK(selects),
    TASK(item_against_cancel),
    TASK(permits),
    TASK(condition),
    TASK(generators),
    TASK(signal_against_cancel),
    TASK(select_against_cancel),
    TASK(lock_against_cancel),
    TASK(generator_against_cancel),
    TASK(once),
    TASK(barrier),
    TASK(rwlock),
    {0},
};
