/* What does it cost to hand items from task to task? Eight bytes each.
 *
 * A value is the time a message takes, its send and its receive together. `one`:
 * a sender and a receiver, room for 1024. `four`: four of each. `batch`: the same
 * as `one`, up to 64 a call. `select`: the receiver waits for two channels, the
 * sender takes turns. Hand-overs between two tasks, on one worker, since both are
 * to be on the same: `meet` has no room, `pingpong` sends it back and forth
 * through two channels without room, `pingpong1` through two with room for one;
 * there a value is one way. `broadcast`: from one to four. `pipeline`: an item from
 * a source through a stage of many and one that keeps the order. The floor is such a
 * ring without a lock, filled and emptied by two functions.
 */
#include <string.h>
#include <thrum.h>

#include "bench.h"

enum { ROOM = 1024, BATCH = 64 };

static long messages; /* of all senders together */

/* ---------------------------------------------------------------- the floor */

static struct {
    long items[ROOM];
    unsigned in, out;
} ring;

static bool floor_put(long item)
{
    if (ring.in - ring.out == ROOM)
        return false;
    ring.items[ring.in++ % ROOM] = item;
    return true;
}

static bool floor_take(long *item)
{
    if (ring.in == ring.out)
        return false;
    *item = ring.items[ring.out++ % ROOM];
    return true;
}

static void floor_ring(unsigned workers)
{
    bool (*put)(long) = bench_hide(&floor_put);
    bool (*take)(long *) = bench_hide(&floor_take);
    int64_t start = bench_now();
    long sum = 0, item;

    (void)workers;
    for (long sent = 0; sent < messages;) {
        while (sent < messages && put(sent))
            sent++;
        while (take(&item))
            sum += item;
    }
    bench_add((double)(bench_now() - start) / (double)messages);
    bench_expect("sum", sum, messages * (messages - 1) / 2);
}

/* ---------------------------------------------------- senders and receivers */

struct test {
    thrum_chan chan, other;
    long senders, receivers, room;
    thrum_fn *send, *receive;
    _Atomic long sum, senders_left;
};

static thrum_err *send_each(void *arg)
{
    struct test *t = *(struct test **)arg;
    long n = messages / t->senders;

    for (long i = 0; i < n; i++)
        THRUM_TRY(thrum_chan_send(&t->chan, &i));
    if (--t->senders_left == 0)
        thrum_chan_close(&t->chan);
    return NULL;
}

static thrum_err *receive_each(void *arg)
{
    struct test *t = *(struct test **)arg;
    long sum = 0, item;

    while (thrum_chan_recv(&t->chan, &item) == 0)
        sum += item;
    t->sum += sum;
    return NULL;
}

static thrum_err *send_batches(void *arg)
{
    struct test *t = *(struct test **)arg;
    long items[BATCH], next = 0;

    while (next < messages) {
        long n = messages - next < BATCH ? messages - next : BATCH, at = 0;

        for (long i = 0; i < n; i++)
            items[i] = next++;
        while (at < n) {
            int64_t rc = thrum_chan_send_many(&t->chan, items + at,
                                              (size_t)(n - at));

            THRUM_TRY(rc);
            at += rc;
        }
    }
    thrum_chan_close(&t->chan);
    return NULL;
}

static thrum_err *receive_batches(void *arg)
{
    struct test *t = *(struct test **)arg;
    long sum = 0, items[BATCH];
    int64_t n;

    while ((n = thrum_chan_recv_many(&t->chan, items, BATCH)) > 0)
        while (n > 0)
            sum += items[--n];
    t->sum += sum;
    return NULL;
}

static thrum_err *send_to_two(void *arg)
{
    struct test *t = *(struct test **)arg;

    for (long i = 0; i < messages; i++)
        THRUM_TRY(thrum_chan_send(i % 2 ? &t->chan : &t->other, &i));
    thrum_chan_close(&t->chan);
    thrum_chan_close(&t->other);
    return NULL;
}

static thrum_err *receive_from_two(void *arg)
{
    struct test *t = *(struct test **)arg;
    long sum = 0, item;
    thrum_case cases[] = {{.ch = &t->chan, .op = THRUM_RECV, .item = &item},
                          {.ch = &t->other, .op = THRUM_RECV, .item = &item}};

    while (cases[0].ch != NULL || cases[1].ch != NULL) {
        int i = thrum_select(cases, 2, true);

        THRUM_TRY(i);
        if (cases[i].rc == 0)
            sum += item;
        else
            cases[i].ch = NULL;
    }
    t->sum += sum;
    return NULL;
}

static thrum_err *run_test(void *arg)
{
    struct test *t = arg;
    thrum_scope s;
    int rc = 0;

    THRUM_TRY(thrum_chan_init(&t->chan, sizeof(long), (size_t)t->room));
    THRUM_TRY(thrum_chan_init(&t->other, sizeof(long), (size_t)t->room));
    t->senders_left = t->senders;
    thrum_scope_open(&s, .name = "chan");
    for (long i = 0; i < t->receivers && rc == 0; i++)
        rc = thrum_spawn(&s, t->receive, &t, sizeof(void *));
    for (long i = 0; i < t->senders && rc == 0; i++)
        rc = thrum_spawn(&s, t->send, &t, sizeof(void *));
    THRUM_TRY(thrum_scope_close(&s, thrum_rc(rc)));
    thrum_chan_fini(&t->chan);
    thrum_chan_fini(&t->other);
    return NULL;
}

static void measure(unsigned workers, struct test *t)
{
    long n = messages / t->senders;

    bench_add(bench_call_ns(workers, run_test, t) / (double)messages);
    bench_expect("sum", t->sum, t->senders * (n * (n - 1) / 2));
}

static void one(unsigned workers)
{
    measure(workers, &(struct test){.senders = 1,
                                    .receivers = 1,
                                    .room = ROOM,
                                    .send = send_each,
                                    .receive = receive_each});
}

static void four(unsigned workers)
{
    measure(workers, &(struct test){.senders = 4,
                                    .receivers = 4,
                                    .room = ROOM,
                                    .send = send_each,
                                    .receive = receive_each});
}

static void batch(unsigned workers)
{
    measure(workers, &(struct test){.senders = 1,
                                    .receivers = 1,
                                    .room = ROOM,
                                    .send = send_batches,
                                    .receive = receive_batches});
}

static void two_channels(unsigned workers)
{
    measure(workers, &(struct test){.senders = 1,
                                    .receivers = 1,
                                    .room = ROOM,
                                    .send = send_to_two,
                                    .receive = receive_from_two});
}

static void meet(unsigned workers)
{
    measure(workers, &(struct test){.senders = 1,
                                    .receivers = 1,
                                    .room = 0,
                                    .send = send_each,
                                    .receive = receive_each});
}

/* ----------------------------------------------------------- back and forth */

static thrum_err *ping(void *arg)
{
    struct test *t = *(struct test **)arg;
    long back = 0;

    for (long i = 0; i < messages / 2; i++) {
        THRUM_TRY(thrum_chan_send(&t->chan, &i));
        THRUM_TRY(thrum_chan_recv(&t->other, &back));
        t->sum += back;
    }
    thrum_chan_close(&t->chan);
    return NULL;
}

static thrum_err *pong(void *arg)
{
    struct test *t = *(struct test **)arg;
    long item;

    while (thrum_chan_recv(&t->chan, &item) == 0)
        THRUM_TRY(thrum_chan_send(&t->other, &item));
    return NULL;
}

static void measure_hand_overs(unsigned workers, long room)
{
    struct test t = {.senders = 1,
                     .receivers = 1,
                     .room = room,
                     .send = ping,
                     .receive = pong};
    long n = messages / 2;

    bench_add(bench_call_ns(workers, run_test, &t) / (double)messages);
    bench_expect("sum", t.sum, n * (n - 1) / 2);
}

static void pingpong(unsigned workers)
{
    measure_hand_overs(workers, 0);
}

static void pingpong1(unsigned workers)
{
    measure_hand_overs(workers, 1);
}

/* ---------------------------------------- one to all, and a chain of stages */

enum { LISTENERS = 4 };

struct news {
    thrum_broadcast b;
    thrum_subscriber listeners[LISTENERS];
    _Atomic unsigned next;
    _Atomic long heard;
};

static thrum_err *follow(void *arg)
{
    struct news *n = *(struct news **)arg;
    thrum_subscriber *me = &n->listeners[n->next++];
    uint64_t missed;
    long item, heard = 0;

    while (thrum_subscriber_recv(me, &item, &missed) == 0)
        heard += 1 + (long)missed;
    n->heard += heard;
    return NULL;
}

static thrum_err *tell_news(void *arg)
{
    struct news *n = arg;
    thrum_scope s;
    int rc = 0;

    THRUM_TRY(thrum_broadcast_init(&n->b, sizeof(long), ROOM));
    thrum_scope_open(&s, .name = "broadcast");
    for (int i = 0; i < LISTENERS && rc == 0; i++) {
        thrum_subscribe(&n->listeners[i], &n->b);
        rc = thrum_spawn(&s, follow, &n, sizeof(void *));
    }
    for (long i = 0; i < messages && rc == 0; i++) {
        rc = thrum_broadcast_send(&n->b, &i);
        if (i % (ROOM / 2) == 0)
            thrum_yield();
    }
    thrum_broadcast_close(&n->b);
    THRUM_TRY(thrum_scope_close(&s, thrum_rc(rc)));
    thrum_broadcast_fini(&n->b);
    return NULL;
}

static void broadcast(unsigned workers)
{
    struct news n = {.next = 0};

    bench_add(bench_call_ns(workers, tell_news, &n) / (double)messages);
    bench_expect("heard or missed", n.heard, LISTENERS * messages);
}

static thrum_err *make_item(void *item, void *ctx, bool *end)
{
    long *made = ctx;

    *end = *made == messages;
    *(long *)item = (*made)++;
    return NULL;
}

static thrum_err *pass_on(void *item, void *unused)
{
    (void)unused;
    ++*(long *)item;
    return NULL;
}

static thrum_err *add_up(void *item, void *sum)
{
    *(long *)sum += *(long *)item;
    return NULL;
}

static thrum_err *run_stages(void *arg)
{
    long made = 0;
    thrum_stage stages[] = {{.fn = pass_on},
                            {.fn = add_up, .ctx = arg, .in_order = true}};

    return thrum_pipeline_run(&(thrum_pipeline){.source = make_item,
                                                .ctx = &made,
                                                .stages = stages,
                                                .n = 2,
                                                .item = sizeof(long)});
}

static void pipeline(unsigned workers)
{
    long sum = 0;

    bench_add(bench_call_ns(workers, run_stages, &sum) / (double)messages);
    bench_expect("sum", sum, messages * (messages + 1) / 2);
}

static const struct bench_series series = {
    .name = "chan",
    .cases = {{"floor", "ns", .run = floor_ring, .once = true},
              {"one", "ns", .run = one},
              {"four", "ns", .run = four},
              {"batch", "ns", .run = batch},
              {"select", "ns", .run = two_channels},
              {"meet", "ns", .run = meet, .once = true},
              {"pingpong", "ns", .run = pingpong, .once = true},
              {"pingpong1", "ns", .run = pingpong1, .once = true},
              {"broadcast", "ns", .run = broadcast},
              {"pipeline", "ns", .run = pipeline}},
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    messages = bench_pick(20000, 1000000, 10000000);
    bench_run(&series);
    return bench_end();
}
