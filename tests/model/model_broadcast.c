/* Broadcasts: who sends against who listens, is canceled, closes. Every subscriber
 * gets all that was sent after he subscribed, in order, or is told how much he has
 * missed; and sees what came before the send. */
#include "base/alloc.c"
#include "parts/parker.c"
#include "parts/waiter.c"
#include "sched/wait.c"
#include "task/cancel.c"
#include "task/line.c"
#include "sync/chan.c"
#include "sync/broadcast.c"

#include "model_chans.h"

enum { ALL = 3 };

static struct broadcast b;
static uint64_t kept[2];
static thrum_subscriber subscribers[MODEL_THREADS];

static thrum_broadcast *shared(void)
{
    return (thrum_broadcast *)(void *)&b;
}

/* ------------------------------------------------------------------ threads */

static void sends(int first, int n)
{
    for (int i = first; i < first + n; i++) {
        MODEL_ASSERT(thrum_broadcast_send(shared(), wrap_gift(i)) == 0);
        sent |= 1u << i;
    }
}

static void sends_all(void)
{
    sends(0, ALL);
}

static void sends_all_and_closes(void)
{
    sends(0, ALL);
    thrum_broadcast_close(shared());
}

static void sends_one(void)
{
    sends(ALL, 1);
}

/* So many items, heard or missed; the rc of what ends it before. */
static int hear(uint64_t n)
{
    thrum_subscriber *me = &subscribers[model_thread()];
    uint64_t *item = my_item(), missed = 0, heard = 0, after = 0;
    int rc = 0;

    while (heard < n) {
        *item = GIFTS;
        rc = thrum_subscriber_recv(me, item, &missed);
        scribble();
        if (rc != 0)
            break;
        MODEL_ASSERT(*item < GIFTS && gifts[*item] == GIVEN + (int)*item);
        MODEL_ASSERT(*item == ALL || *item >= after + missed ||
                     (sent >> ALL & 1));
        after = *item == ALL ? after : *item + 1;
        heard += 1 + missed;
    }
    if (rc != 0)
        MODEL_ASSERT(*item == GIFTS && missed == 0);
    else
        MODEL_ASSERT(heard == n);
    return rc;
}

static void hears_all(void)
{
    MODEL_ASSERT(hear(ALL) == 0);
}

static void hears_all_and_one(void)
{
    MODEL_ASSERT(hear(ALL + 1) == 0);
}

static void hears_to_the_end(void)
{
    MODEL_ASSERT(hear(ALL) == 0);
    for (int i = 0; i < 2; i++)
        MODEL_ASSERT(hear(1) == -EPIPE);
}

static void may_hear(void)
{
    int rc = hear(ALL);

    MODEL_ASSERT(rc == 0 || rc == -ECANCELED);
}

/* Who touches it now races with this; who wants its lock waits for ever. */
static void hears_to_the_end_and_frees(void)
{
    hears_to_the_end();
    store_relaxed(&b.lock.held, 1);
    b.open = false;
    b.ring = NULL;
    b.next = 0;
    b.waiting = (struct line){NULL};
}

/* --------------------------------------------------------- setup and checks */

static void prepare_broadcast(uint32_t keep, unsigned outsiders)
{
    prepare(0, outsiders);
    b = (struct broadcast){.item = sizeof(uint64_t),
                           .keep = keep,
                           .open = true,
                           .ring = (char *)kept};
    for (int i = 0; i < MODEL_THREADS; i++)
        subscribers[i] = (thrum_subscriber){.of_ = shared()};
    model_name(&b, "broadcast");
    model_watch(&b, sizeof b);
    model_watch(kept, sizeof kept);
    model_watch(subscribers, sizeof subscribers);
}

static void keep_two(void)
{
    prepare_broadcast(2, 0);
}

static void keep_one(void)
{
    prepare_broadcast(1, 0);
}

static void threads_keep_one(void)
{
    prepare_broadcast(1, 7);
}

static void nobody_waits(void)
{
    MODEL_ASSERT(!line_any(&b.waiting));
    for (int i = 0; i < MODEL_THREADS; i++)
        MODEL_ASSERT(scopes[i].waits == NULL);
}

static const struct model_scenario scenarios[] = {
    {.name = "one_listens",
     .setup = keep_two,
     .threads = {{"sender", sends_all}, {"listener", hears_all}},
     .check = nobody_waits,
     .executions = 20000,
     .preemptions = 2},
    {.name = "two_listen",
     .setup = keep_one,
     .threads = {{"sender", sends_all},
                 {"listener", hears_all},
                 {"listener2", hears_all}},
     .check = nobody_waits,
     .executions = 20000},
    {.name = "two_send",
     .setup = keep_one,
     .threads = {{"sender", sends_all},
                 {"sender2", sends_one},
                 {"listener", hears_all_and_one}},
     .check = nobody_waits,
     .executions = 20000},
    {.name = "one_is_canceled",
     .setup = keep_two,
     .threads = {{"canceled", may_hear},
                 {"cancel", cancel_first},
                 {"sender", sends_all},
                 {"listener", hears_all}},
     .check = nobody_waits,
     .executions = 20000},
    {.name = "close",
     .setup = keep_one,
     .threads = {{"sender", sends_all_and_closes},
                 {"listener", hears_to_the_end},
                 {"listener2", hears_to_the_end}},
     .check = nobody_waits,
     .executions = 20000},
    {.name = "close_and_free",
     .setup = keep_two,
     .threads = {{"sender", sends_all_and_closes},
                 {"listener", hears_to_the_end_and_frees}},
     .executions = 20000},
    {.name = "of_threads",
     .setup = threads_keep_one,
     .threads = {{"canceled", may_hear},
                 {"listener", hears_to_the_end},
                 {"sender", sends_all_and_closes},
                 {"cancel", cancel_first}},
     .check = nobody_waits,
     .executions = 20000},
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_broadcast", scenarios});
}
