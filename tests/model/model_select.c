/* Select: two that meet, a circle of three, against plain sends and receives,
 * closes and cancels. Each does exactly one case, what it does is done once, and
 * nobody sleeps on who could go on. */
#include "base/alloc.c"
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"
#include "sync/chan.c"
#include "sync/select.c"

#include "model_chans.h"

enum { NOTHING = -1 };

static uint64_t got[MODEL_THREADS][2]; /* of its cases */
static thrum_case used[MODEL_THREADS][2];

/* ------------------------------------------------------------------ threads */

/* What the library keeps in a case is nonsense after the select, and stays so. */
static void bury_cases(void)
{
    for (int i = 0; i < 2; i++)
        memset(used[model_thread()][i].opaque_, 0xee,
               sizeof used[0][0].opaque_);
}

static void cases_stay_buried(void)
{
    const unsigned char *bytes;

    for (int t = 0; t < MODEL_THREADS; t++)
        for (int i = 0; i < 2; i++) {
            bytes = (const unsigned char *)used[t][i].opaque_;
            for (size_t b = 0; b < sizeof used[t][i].opaque_; b++)
                MODEL_ASSERT(used[t][i].ch == NULL || bytes[b] == 0xee);
        }
}

/* Where it begins to look is the explorer's to choose. */
static int select_of(const thrum_case *both, bool block)
{
    thrum_case *cases = used[model_thread()];
    int done;

    rng_init(&model_worker.rng, (uint64_t)model_choose(2) + 1);
    cases[0] = both[0];
    cases[1] = both[1];
    done = thrum_select(cases, 2, block);
    bury_cases();
    scribble();
    if (done >= 0 && cases[done].rc == 0) {
        if (cases[done].op == THRUM_SEND)
            note_sent(*(uint64_t *)cases[done].item);
        else
            unwrap(*(uint64_t *)cases[done].item);
    }
    return done;
}

/* Send the gift to `to`, or receive from `from`. */
static int send_or_receive(int number, int to, int from, bool block)
{
    uint64_t *in = &got[model_thread()][0];
    thrum_case cases[] = {
        {.ch = chan(to), .op = THRUM_SEND, .item = wrap_gift(number)},
        {.ch = chan(from), .op = THRUM_RECV, .item = in}};
    int done;

    *in = GIFTS;
    done = select_of(cases, block);
    if (done >= 0)
        cases[done].rc = used[model_thread()][done].rc;
    MODEL_ASSERT(done < 0 || cases[done].rc == 0 || cases[done].rc == -EPIPE);
    MODEL_ASSERT((*in != GIFTS) == (done == 1 && cases[1].rc == 0));
    return done;
}

static int receive_from_two(int a, int b, bool block)
{
    uint64_t *in = got[model_thread()];
    thrum_case cases[] = {{.ch = chan(a), .op = THRUM_RECV, .item = in},
                          {.ch = chan(b), .op = THRUM_RECV, .item = in + 1}};
    int done;

    in[0] = in[1] = GIFTS;
    done = select_of(cases, block);
    if (done >= 0)
        cases[done].rc = used[model_thread()][done].rc;
    for (int i = 0; i < 2; i++)
        MODEL_ASSERT((in[i] != GIFTS) == (i == done && cases[i].rc == 0));
    return done < 0 ? done : cases[done].rc;
}

static void first_of_two(void)
{
    MODEL_ASSERT(send_or_receive(1, 0, 1, true) >= 0);
}

static void second_of_two(void)
{
    MODEL_ASSERT(send_or_receive(2, 1, 0, true) >= 0);
}

static void may_be_first(void)
{
    int done = send_or_receive(3, 0, 1, true);

    MODEL_ASSERT(done >= 0 || done == -ECANCELED);
}

static void may_be_second(void)
{
    int done = send_or_receive(4, 1, 0, true);

    MODEL_ASSERT(done >= 0 || done == -ECANCELED);
}

/* The three of a circle: each would send to the next. */
static void circle_0(void)
{
    (void)send_or_receive(5, 0, 2, true);
}

static void circle_1(void)
{
    (void)send_or_receive(6, 1, 0, true);
}

static void circle_2(void)
{
    (void)send_or_receive(7, 2, 1, true);
}

static void cancels_three(void)
{
    cancel_thread(0);
    cancel_thread(1);
    cancel_thread(2);
}

static void same_channel_twice(void)
{
    MODEL_ASSERT(send_or_receive(8, 0, 0, true) >= 0);
}

static void same_channel_too(void)
{
    MODEL_ASSERT(send_or_receive(9, 0, 0, true) >= 0);
}

static void sends_to_0(void)
{
    MODEL_ASSERT(send_gift(0, 10) == 0);
}

static void sends_to_1(void)
{
    MODEL_ASSERT(send_gift(1, 11) == 0);
}

static void takes_both(void)
{
    MODEL_ASSERT(receive_from_two(0, 1, true) == 0);
    MODEL_ASSERT(receive_from_two(1, 0, true) == 0);
}

static void takes_one(void)
{
    MODEL_ASSERT(receive_from_two(0, 1, true) == 0);
}

static void may_take_one(void)
{
    int rc = receive_from_two(0, 1, true);

    MODEL_ASSERT(rc == 0 || rc == -ECANCELED);
}

static void takes_what_is_there(void)
{
    int rc;

    while ((rc = receive_from_two(0, 1, false)) == -EAGAIN)
        model_yield();
    MODEL_ASSERT(rc == 0);
}

static void takes_until_the_end(void)
{
    int rc;

    while ((rc = receive_from_two(0, 1, true)) == 0)
        ;
    MODEL_ASSERT(rc == -EPIPE);
}

static void closes_1(void)
{
    thrum_chan_close(chan(1));
}

static void may_send_to_1(void)
{
    int rc = send_gift(1, 12);

    MODEL_ASSERT(rc == 0 || rc == -EPIPE);
}

/* --------------------------------------------------------- setup and checks */

static void prepare_selects(uint32_t room, unsigned outsiders)
{
    prepare(room, outsiders);
    memset((void *)used, 0, sizeof used);
    model_watch(got, sizeof got);
}

static void no_room(void)
{
    prepare_selects(0, 0);
}

static void room_for_one(void)
{
    prepare_selects(1, 0);
}

static void threads_without_room(void)
{
    prepare_selects(0, 3);
}

static void accounted_for_and_buried(void)
{
    all_is_accounted_for();
    cases_stay_buried();
}

static void one_was_sent(void)
{
    accounted_for_and_buried();
    MODEL_ASSERT(__builtin_popcount(received) == 1);
}

static void at_most_one_was_sent(void)
{
    accounted_for_and_buried();
    MODEL_ASSERT(__builtin_popcount(received) <= 1);
}

static void two_were_sent(void)
{
    accounted_for_and_buried();
    MODEL_ASSERT(__builtin_popcount(received) == 2);
}

static const struct model_scenario scenarios[] = {
    {.name = "two_meet",
     .setup = no_room,
     .threads = {{"first", first_of_two}, {"second", second_of_two}},
     .check = one_was_sent,
     .executions = 20000,
     .preemptions = 2},
    {.name = "two_threads_meet",
     .setup = threads_without_room,
     .threads = {{"first", first_of_two}, {"second", second_of_two}},
     .check = one_was_sent,
     .executions = 20000},
    {.name = "two_pairs_meet",
     .setup = no_room,
     .threads = {{"first", first_of_two},
                 {"second", second_of_two},
                 {"first2", may_be_first},
                 {"second2", may_be_second}},
     .check = two_were_sent,
     .executions = 20000},
    {.name = "three_are_canceled",
     .setup = no_room,
     .threads = {{"first", may_be_first},
                 {"second", may_be_second},
                 {"third", circle_2},
                 {"cancel", cancels_three}},
     .check = at_most_one_was_sent,
     .executions = 20000},
    {.name = "circle",
     .setup = no_room,
     .threads = {{"0", circle_0},
                 {"1", circle_1},
                 {"2", circle_2},
                 {"end", cancels_three}},
     .check = at_most_one_was_sent,
     .executions = 20000},
    {.name = "on_one_channel",
     .setup = no_room,
     .threads = {{"first", same_channel_twice}, {"second", same_channel_too}},
     .check = one_was_sent,
     .executions = 20000},
    {.name = "takes_both",
     .setup = no_room,
     .threads = {{"receiver", takes_both},
                 {"sender", sends_to_0},
                 {"sender1", sends_to_1}},
     .check = two_were_sent,
     .executions = 20000},
    {.name = "two_receivers",
     .setup = no_room,
     .threads = {{"receiver", takes_one},
                 {"receiver2", takes_one},
                 {"sender", sends_to_0},
                 {"sender1", sends_to_1}},
     .check = two_were_sent,
     .executions = 20000},
    {.name = "receiver_against_cancel",
     .setup = room_for_one,
     .threads = {{"canceled", may_take_one},
                 {"cancel", cancel_first},
                 {"sender", sends_to_0},
                 {"sender1", sends_to_1}},
     .check = accounted_for_and_buried,
     .executions = 20000},
    {.name = "without_waiting",
     .setup = no_room,
     .threads = {{"receiver", takes_what_is_there}, {"sender", sends_to_1}},
     .check = one_was_sent,
     .executions = 10000},
    {.name = "close",
     .setup = room_for_one,
     .threads = {{"receiver", takes_until_the_end},
                 {"sender", sends_to_0},
                 {"sender1", may_send_to_1},
                 {"close", closes_1}},
     .check = accounted_for_and_buried,
     .executions = 20000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_select", scenarios});
}
