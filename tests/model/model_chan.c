/* Channels: who sends against who receives, closes and cancels. Each item sent is
 * received once or still there, who receives it sees what came before the send,
 * a canceled wait has transferred nothing, nobody sleeps on who could go on; and
 * who is told of the end may free the channel. */
#include "base/alloc.c"
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"
#include "sync/chan.c"

#include "model_chans.h"

static int mine; /* what a receiver did before its receive */

/* ------------------------------------------------------------------ threads */

static int receive_gift(int which)
{
    uint64_t *item = my_item();
    int rc;

    *item = GIFTS;
    rc = thrum_chan_recv(chan(which), item);
    scribble();
    if (rc == 0)
        unwrap(*item);
    else
        MODEL_ASSERT(*item == GIFTS);
    return rc;
}

static void sends_0(void)
{
    MODEL_ASSERT(send_gift(0, 0) == 0);
    store_relaxed(&done_with, 1);
}

static void sends_1(void)
{
    MODEL_ASSERT(send_gift(0, 1) == 0);
}

static void sends_2_and_3(void)
{
    MODEL_ASSERT(send_gift(0, 2) == 0);
    MODEL_ASSERT(send_gift(0, 3) == 0);
}

static void sends_three(void)
{
    MODEL_ASSERT(send_gift(0, 4) == 0);
    MODEL_ASSERT(send_gift(0, 5) == 0);
    MODEL_ASSERT(send_gift(0, 6) == 0);
}

static void may_send_7(void)
{
    int rc = send_gift(0, 7);

    MODEL_ASSERT(rc == 0 || rc == -ECANCELED || rc == -EPIPE);
}

static void may_send_8(void)
{
    int rc = send_gift(0, 8);

    MODEL_ASSERT(rc == 0 || rc == -EPIPE);
}

static void receives(void)
{
    MODEL_ASSERT(receive_gift(0) == 0);
}

static void receives_two(void)
{
    receives();
    receives();
}

static void receives_three(void)
{
    receives();
    receives_two();
}

static void may_receive(void)
{
    int rc = receive_gift(0);

    MODEL_ASSERT(rc == 0 || rc == -ECANCELED || rc == -EPIPE);
}

/* What it did before is seen by the sender who waited for it. */
static void receives_and_is_seen(void)
{
    mine = GIVEN;
    receives();
}

static void sends_and_sees(void)
{
    sends_0();
    MODEL_ASSERT(mine == GIVEN);
}

static void sends_many(void)
{
    uint64_t batch[3];
    int64_t n = 0;

    for (int i = 0; i < 3; i++)
        batch[i] = *wrap_gift(9 + i);
    while (n < 3) {
        int64_t more = thrum_chan_send_many(chan(0), batch + n,
                                            (size_t)(3 - n));

        scribble();
        MODEL_ASSERT(more > 0 && more <= 3 - n);
        for (int64_t i = n; i < n + more; i++)
            note_sent(batch[i]);
        n += more;
    }
}

static void receives_many(void)
{
    uint64_t batch[3];
    int64_t n = 0;

    while (n < 3) {
        int64_t more = thrum_chan_recv_many(chan(0), batch + n,
                                            (size_t)(3 - n));

        scribble();
        MODEL_ASSERT(more > 0 && more <= 3 - n);
        for (int64_t i = n; i < n + more; i++)
            unwrap(batch[i]);
        n += more;
    }
}

static void closes(void)
{
    gifts[GIFTS - 1] = GIVEN;
    thrum_chan_close(chan(0));
}

static void closes_when_sent(void)
{
    while (load_relaxed(&done_with) == 0)
        model_yield();
    closes();
}

/* Until it is told of the end. */
static void receives_all(void)
{
    int rc;

    while ((rc = receive_gift(0)) == 0)
        ;
    MODEL_ASSERT(rc == -EPIPE);
    MODEL_ASSERT(gifts[GIFTS - 1] == GIVEN);
}

/* Who touches it now races with this; who wants its lock waits for ever. */
static void receives_all_and_frees(void)
{
    struct chan *c = &chans[0];

    receives_all();
    store_relaxed(&c->lock.held, 1);
    c->open = false;
    c->ring = NULL;
    c->senders = c->receivers = (struct line){NULL};
    store_relaxed(&c->count, 0);
}

/* ------------------------------------------------------------------- setups */

static void no_room(void)
{
    prepare(0, 0);
    mine = 0;
    model_watch(&mine, sizeof mine);
}

static void room_for_one(void)
{
    prepare(1, 0);
}

static void room_for_two(void)
{
    prepare(2, 0);
}

static void threads_without_room(void)
{
    prepare(0, 7);
}

static void threads_with_room(void)
{
    prepare(1, 7);
}

static const struct model_scenario scenarios[] = {
    {.name = "meet",
     .setup = no_room,
     .threads = {{"sender", sends_and_sees},
                 {"receiver", receives_and_is_seen}},
     .check = all_is_accounted_for,
     .executions = 20000,
     .preemptions = 2},
    {.name = "meet_of_four",
     .setup = no_room,
     .threads = {{"sender", sends_0},
                 {"sender2", sends_2_and_3},
                 {"receiver", receives},
                 {"receiver2", receives_two}},
     .check = all_is_accounted_for,
     .executions = 20000},
    {.name = "full_and_empty",
     .setup = room_for_one,
     .threads = {{"sender", sends_three}, {"receiver", receives_three}},
     .check = all_is_accounted_for,
     .executions = 20000,
     .preemptions = 2},
    {.name = "two_and_two",
     .setup = room_for_one,
     .threads = {{"sender", sends_1},
                 {"sender2", sends_2_and_3},
                 {"receiver", receives},
                 {"receiver2", receives_two}},
     .check = all_is_accounted_for,
     .executions = 20000},
    {.name = "batches",
     .setup = room_for_two,
     .threads = {{"sender", sends_many},
                 {"sender2", sends_0},
                 {"receiver", receives_many},
                 {"receiver2", receives}},
     .check = all_is_accounted_for,
     .executions = 20000},
    {.name = "batches_meet",
     .setup = no_room,
     .threads = {{"sender", sends_many}, {"receiver", receives_many}},
     .check = all_is_accounted_for,
     .executions = 10000},
    {.name = "batches_meet_many",
     .setup = no_room,
     .threads = {{"sender", sends_many},
                 {"receiver", receives},
                 {"receiver2", receives},
                 {"receiver3", receives}},
     .check = all_is_accounted_for,
     .executions = 10000},
    {.name = "receive_against_cancel",
     .setup = no_room,
     .threads = {{"canceled", may_receive},
                 {"cancel", cancel_first},
                 {"next", receives_all},
                 {"sender", sends_0},
                 {"close", closes_when_sent}},
     .check = all_is_accounted_for,
     .executions = 20000},
    {.name = "send_against_cancel",
     .setup = room_for_one,
     .threads = {{"canceled", may_send_7},
                 {"cancel", cancel_first},
                 {"sender", sends_2_and_3},
                 {"receiver", receives_two}},
     .check = all_is_accounted_for,
     .executions = 20000},
    {.name = "close",
     .setup = room_for_one,
     .threads = {{"sender", may_send_7},
                 {"sender2", may_send_8},
                 {"receiver", receives_all},
                 {"close", closes}},
     .check = all_is_accounted_for,
     .executions = 20000},
    {.name = "close_of_senders",
     .setup = no_room,
     .threads = {{"sender", may_send_7},
                 {"sender2", may_send_8},
                 {"close", closes}},
     .check = all_is_accounted_for,
     .executions = 10000},
    {.name = "close_and_free",
     .setup = no_room,
     .threads = {{"receiver", receives_all_and_frees}, {"close", closes}},
     .executions = 20000,
     .preemptions = 2},
    {.name = "close_of_two_threads",
     .setup = threads_without_room,
     .threads = {{"receiver", receives_all},
                 {"receiver2", receives_all},
                 {"close", closes}},
     .check = all_is_accounted_for,
     .executions = 20000},
    {.name = "threads_meet",
     .setup = threads_without_room,
     .threads = {{"canceled", may_receive},
                 {"next", receives_all},
                 {"sender", sends_0},
                 {"cancel", cancel_first},
                 {"close", closes_when_sent}},
     .check = all_is_accounted_for,
     .executions = 20000},
    {.name = "threads",
     .setup = threads_with_room,
     .threads = {{"sender", sends_2_and_3},
                 {"receiver", receives},
                 {"receiver2", receives}},
     .check = all_is_accounted_for,
     .executions = 20000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_chan", scenarios});
}
