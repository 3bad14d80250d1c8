/* Who is canceled at the very moment at which an item comes, or is taken from him: is
 * it sent or received, once, or still his? As api_handover.c asks of locks. */
#include "lib/game.h"

enum { SENDERS = 2, CHANS = 2, MANY = 3, ITEMS = 12 };

struct exchange {
    struct game game;
    thrum_chan chans[CHANS];
    _Atomic unsigned came[SENDERS * ITEMS]; /* how often each did */
    _Atomic unsigned sending;
    /* Of each user, his alone. */
    unsigned sent[USERS];                  /* so many of his */
    unsigned heard[USERS][CHANS][SENDERS]; /* behind the latest */
};

static struct exchange *exchange_of(struct user *u)
{
    return (struct exchange *)(void *)u->game;
}

static thrum_chan *any_chan(struct user *u)
{
    return &exchange_of(u)->chans[draw(u, CHANS)];
}

/* --- sending -------------------------------------------------------------- */

static unsigned next_items(struct user *u, unsigned *items)
{
    unsigned first = exchange_of(u)->sent[u->number], n = 0;

    for (; n < MANY && first + n < ITEMS; n++)
        items[n] = u->number * ITEMS + first + n;
    return n;
}

static int select_send(struct user *u, unsigned *item)
{
    thrum_case cases[CHANS];
    int done;

    for (int i = 0; i < CHANS; i++)
        cases[i] = (thrum_case){
            .ch = &exchange_of(u)->chans[i], .op = THRUM_SEND, .item = item};
    done = thrum_select(cases, CHANS, true);
    CHECK(done < 0 || cases[done].rc == 0);
    return done < 0 ? done : 1;
}

static int send_some(struct user *u)
{
    unsigned items[MANY] = {0}, n = next_items(u, items);
    thrum_chan *c = any_chan(u);
    int rc;

    switch (draw(u, 3)) {
    case 0:
        rc = thrum_chan_send(c, items);
        return rc < 0 ? rc : 1;
    case 1:
        return (int)thrum_chan_send_many(c, items, n);
    default:
        return select_send(u, items);
    }
}

static thrum_err *send_all(struct user *u)
{
    struct exchange *x = exchange_of(u);

    while (x->sent[u->number] < ITEMS) {
        int rc = trial(u, send_some);

        CHECK(rc > 0 || rc == -ECANCELED);
        x->sent[u->number] += rc > 0 ? (unsigned)rc : 0;
        cancel_another(u);
        nap(u);
    }
    if (atomic_fetch_sub(&x->sending, 1) == 1)
        for (int i = 0; i < CHANS; i++)
            thrum_chan_close(&x->chans[i]);
    return NULL;
}

/* --- receiving ------------------------------------------------------------ */

/* Those of one sender come in their order, by each channel. */
static void note_item(struct user *u, int chan, unsigned item)
{
    struct exchange *x = exchange_of(u);
    unsigned *behind;

    CHECK(item < SENDERS * ITEMS);
    CHECK(atomic_fetch_add(&x->came[item], 1) == 0);
    behind = &x->heard[u->number][chan][item / ITEMS];
    CHECK(item % ITEMS >= *behind);
    *behind = item % ITEMS + 1;
}

/* One that is closed says so to who asks that alone. */
static int select_recv(struct user *u)
{
    unsigned items[CHANS] = {0};
    thrum_case cases[CHANS];
    int done;

    for (int i = 0; i < CHANS; i++)
        cases[i] = (thrum_case){.ch = &exchange_of(u)->chans[i],
                                .op = THRUM_RECV,
                                .item = &items[i]};
    done = thrum_select(cases, CHANS, true);
    if (done >= 0 && cases[done].rc == 0)
        note_item(u, done, items[done]);
    return done < 0 ? done : 0;
}

static int receive_from(struct user *u, int chan)
{
    thrum_chan *c = &exchange_of(u)->chans[chan];
    unsigned items[MANY];
    int64_t n;

    if (draw(u, 2) == 0) {
        n = thrum_chan_recv_many(c, items, MANY);
    } else {
        n = thrum_chan_recv(c, items);
        n = n < 0 ? n : 1;
    }
    for (int64_t i = 0; i < n; i++)
        note_item(u, chan, items[i]);
    return n < 0 ? (int)n : 0;
}

/* The channel that each receiver asks alone; the last one asks both. */
static int receive_some(struct user *u)
{
    int chan = (int)(u->number - SENDERS);

    return chan < CHANS && draw(u, 2) == 0 ? receive_from(u, chan)
                                           : select_recv(u);
}

/* Both say that they have ended: nothing is in them. */
static bool is_over(struct user *u)
{
    unsigned item;

    for (int i = 0; i < CHANS; i++) {
        int rc = thrum_chan_try_recv(&exchange_of(u)->chans[i], &item);

        if (rc == 0)
            note_item(u, i, item);
        if (rc != -EPIPE)
            return false;
    }
    return true;
}

static thrum_err *exchange(void *user)
{
    struct user *u = user;

    if (u->number < SENDERS)
        return send_all(u);
    while (!is_over(u)) {
        (void)trial(u, receive_some);
        cancel_another(u);
        nap(u);
    }
    return NULL;
}

static thrum_err *exchanging(void *arg)
{
    struct exchange x = {.sending = SENDERS};

    for (size_t i = 0; i < CHANS; i++)
        CHECK(thrum_chan_init(&x.chans[i], sizeof(unsigned),
                              (thrum_sim_seed() + i) % 3) == 0);
    play(&x.game, exchange);
    for (int i = 0; i < SENDERS * ITEMS; i++)
        CHECK(atomic_load(&x.came[i]) == 1);
    for (int i = 0; i < CHANS; i++)
        thrum_chan_fini(&x.chans[i]);
    return arg;
}

static void items_come_once(void **state)
{
    (void)state;
    sim_passes(exchanging, NULL, 2 * ROUNDS);
}

/* --- to all --------------------------------------------------------------- */

struct news {
    struct game game;
    thrum_broadcast broadcast;
    thrum_subscriber subscribers[USERS]; /* each one's alone, */
    unsigned next[USERS];                /* and the item that comes next */
};

static struct news *news_of(struct user *u)
{
    return (struct news *)(void *)u->game;
}

static int hear(struct user *u)
{
    struct news *n = news_of(u);
    unsigned item = ITEMS;
    uint64_t missed = ITEMS;
    int rc = thrum_subscriber_recv(&n->subscribers[u->number], &item, &missed);

    if (rc < 0)
        return rc;
    CHECK(missed <= ITEMS && item == n->next[u->number] + missed);
    n->next[u->number] = item + 1;
    return 0;
}

static thrum_err *tell_or_hear(void *user)
{
    struct user *u = user;
    struct news *n = news_of(u);

    for (unsigned i = 0; u->number == 0 && i < ITEMS; i++) {
        nap(u);
        cancel_another(u);
        CHECK(thrum_broadcast_send(&n->broadcast, &i) == 0);
        cancel_another(u);
    }
    if (u->number == 0)
        thrum_broadcast_close(&n->broadcast);
    while (trial(u, hear) != -EPIPE)
        cancel_another(u);
    CHECK(n->next[u->number] == ITEMS);
    return NULL;
}

static thrum_err *telling(void *arg)
{
    struct news n = {.next = {0}};

    CHECK(thrum_broadcast_init(&n.broadcast, sizeof(unsigned),
                               1 + thrum_sim_seed() % 4) == 0);
    for (int i = 0; i < USERS; i++)
        thrum_subscribe(&n.subscribers[i], &n.broadcast);
    play(&n.game, tell_or_hear);
    thrum_broadcast_fini(&n.broadcast);
    return arg;
}

static void news_come_to_each(void **state)
{
    (void)state;
    sim_passes(telling, NULL, ROUNDS);
}

/* --- on demand ------------------------------------------------------------ */

/* A generator that all ask in turn. */
struct source {
    struct game game;
    thrum_mutex mutex;
    thrum_gen gen;
    unsigned next; /* mutex */
};

static struct source *source_of(struct user *u)
{
    return (struct source *)(void *)u->game;
}

static thrum_err *count_up(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < ITEMS; i++) {
        THRUM_TRY(thrum_sleep(i % 3 * THRUM_US(1)));
        THRUM_TRY(thrum_gen_emit(&i));
    }
    return NULL;
}

/* Which the wait for one does not hear; it may be too late before. */
static int ask(struct user *u)
{
    struct source *s = source_of(u);
    unsigned items[MANY];
    int n = thrum_mutex_lock_cancelable(&s->mutex);

    if (n < 0)
        return n;
    n = draw(u, 2) == 0 ? thrum_gen_next(&s->gen, items)
                        : thrum_gen_next_many(&s->gen, items, MANY);
    for (int i = 0; i < n; i++)
        CHECK(items[i] == s->next++);
    thrum_mutex_unlock(&s->mutex);
    return n;
}

static thrum_err *ask_often(void *user)
{
    struct user *u = user;

    while (trial(u, ask) != 0)
        cancel_another(u);
    return NULL;
}

static thrum_err *asking(void *arg)
{
    struct source s = {.next = 0};

    thrum_gen_open(&s.gen, count_up, NULL, sizeof(unsigned));
    play(&s.game, ask_often);
    CHECK(s.next == ITEMS);
    expect_ok(thrum_gen_close(&s.gen));
    return arg;
}

static void a_generator_loses_none_of_its_items(void **state)
{
    (void)state;
    sim_passes(asking, NULL, ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_once),
        cmocka_unit_test(news_come_to_each),
        cmocka_unit_test(a_generator_loses_none_of_its_items),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
