/* Does a simulation find what goes wrong between tasks that share things: locks in
 * two orders, a check that is not locked, a signal that comes too early, a channel
 * that nobody closes? How: programs with one such fault each, and the same without. */
#include "lib/api.h"

static _Atomic bool careful;

/* Of a round. */
struct shared {
    thrum_mutex one, other;
    thrum_cond changed;
    thrum_chan chan;
    _Atomic int balance;
    _Atomic bool ready;
};

static thrum_err *both_at_once(thrum_fn *a, thrum_fn *b, struct shared *s)
{
    thrum_job jobs[] = {{.fn = a, .arg = s}, {.fn = b, .arg = s}};

    return thrum_gather(jobs, 2, THRUM_ALL);
}

/* Fails in some round, in this way and with these words; without the fault in
 * none. */
static void finds(thrum_fn *fn, const thrum_kind *kind, const char *words)
{
    thrum_sim_opts opts = {.rounds = 300, .quiet = true};
    char text[4096];
    thrum_err *e;

    careful = false;
    e = thrum_sim(&opts, fn, NULL);
    if (!thrum_err_is(e, kind))
        expect_ok(e);
    assert_true(thrum_err_is(e, kind));
    (void)thrum_err_format(e, text, sizeof text);
    if (strstr(text, words) == NULL)
        print_error("said: %s\n", text);
    assert_non_null(strstr(text, words));
    thrum_err_drop(e);

    careful = true;
    expect_ok(thrum_sim(&opts, fn, NULL));
}

/* --- locks ---------------------------------------------------------------- */

static thrum_err *one_then_other(void *arg)
{
    struct shared *s = arg;

    thrum_mutex_lock(&s->one);
    thrum_mutex_lock(&s->other);
    thrum_mutex_unlock(&s->other);
    thrum_mutex_unlock(&s->one);
    return NULL;
}

static thrum_err *other_then_one(void *arg)
{
    struct shared *s = arg;

    if (careful)
        return one_then_other(arg);
    thrum_mutex_lock(&s->other);
    thrum_mutex_lock(&s->one);
    thrum_mutex_unlock(&s->one);
    thrum_mutex_unlock(&s->other);
    return NULL;
}

static thrum_err *in_two_orders(void *arg)
{
    struct shared s = {.balance = 0};

    (void)arg;
    return both_at_once(one_then_other, other_then_one, &s);
}

static void locks_in_two_orders(void **state)
{
    (void)state;
    finds(in_two_orders, &THRUM_DEADLOCK, "each of these waits for the next");
    finds(in_two_orders, &THRUM_DEADLOCK, ", held by main (thrum_sim)");
}

static thrum_err *draw(void *arg)
{
    struct shared *s = arg;

    if (careful)
        thrum_mutex_lock(&s->one);
    if (s->balance >= 60) {
        thrum_mutex_lock(&s->other); /* some other call of the library */
        thrum_mutex_unlock(&s->other);
        s->balance -= 60;
    }
    if (careful)
        thrum_mutex_unlock(&s->one);
    return NULL;
}

static thrum_err *draw_twice(void *arg)
{
    struct shared s = {.balance = 100};

    (void)arg;
    THRUM_TRY(both_at_once(draw, draw, &s));
    THRUM_CHECK(s.balance >= 0);
    return NULL;
}

static void a_check_that_is_not_locked(void **state)
{
    (void)state;
    finds(draw_twice, &THRUM_ERROR, "balance >= 0");
}

static thrum_err *wait_until_ready(void *arg)
{
    struct shared *s = arg;

    thrum_mutex_lock(&s->one);
    while (!s->ready)
        if (thrum_cond_wait(&s->changed, &s->one) < 0)
            break;
    thrum_mutex_unlock(&s->one);
    return NULL;
}

static thrum_err *get_ready(void *arg)
{
    struct shared *s = arg;

    if (careful)
        thrum_mutex_lock(&s->one);
    if (!careful) /* tells before it is so */
        thrum_cond_signal(&s->changed);
    s->ready = true;
    if (careful) {
        thrum_cond_signal(&s->changed);
        thrum_mutex_unlock(&s->one);
    }
    return NULL;
}

static thrum_err *signal_early(void *arg)
{
    struct shared s = {.balance = 0};

    (void)arg;
    return both_at_once(wait_until_ready, get_ready, &s);
}

static void a_signal_that_comes_too_early(void **state)
{
    (void)state;
    finds(signal_early, &THRUM_DEADLOCK, "a condition");
}

/* --- channels ------------------------------------------------------------- */

static thrum_err *send_three(void *arg)
{
    struct shared *s = arg;

    for (int i = 0; i < 3; i++)
        THRUM_TRY(thrum_chan_send(&s->chan, &i));
    if (careful)
        thrum_chan_close(&s->chan);
    return NULL;
}

static thrum_err *receive_all(void *arg)
{
    struct shared *s = arg;

    int item, next = 0;

    while (thrum_chan_recv(&s->chan, &item) == 0)
        THRUM_CHECK(item == next++);
    return NULL;
}

static thrum_err *leave_open(void *arg)
{
    struct shared s = {.balance = 0};
    thrum_err *e;

    (void)arg;
    THRUM_TRY(thrum_chan_init(&s.chan, sizeof(int), 1));
    e = both_at_once(send_three, receive_all, &s);
    thrum_chan_fini(&s.chan);
    return e;
}

static void a_channel_that_nobody_closes(void **state)
{
    (void)state;
    finds(leave_open, &THRUM_DEADLOCK, "a channel, to receive");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locks_in_two_orders),
        cmocka_unit_test(a_check_that_is_not_locked),
        cmocka_unit_test(a_signal_that_comes_too_early),
        cmocka_unit_test(a_channel_that_nobody_closes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
