/* A broadcast, to which each task may listen. An item is the step that sends it. */
#include <errno.h>
#include <string.h>

#include "things.h"

/* What was sent: begun, and as far as it has returned. `items` are in the order in
 * which they were heard, as far as they were by one who knows at which he is. */
static struct {
    thrum_broadcast broadcast;
    unsigned begun, sent;
    bool closed, ended; /* the same of the close */
    unsigned items[STEPS_MAX];
    const struct task *senders[STEPS_MAX + 1];
} news;

/* sure: nothing was being sent when he subscribed. */
static struct listener {
    thrum_subscriber subscriber;
    bool listens, sure;
    unsigned at;
} listeners[TASKS_MAX];

static struct {
    bool items[STEPS_MAX + 1], closed;
} told;

static struct listener *listener_of(const struct task *t)
{
    return &listeners[t - program.tasks];
}

static thrum_err *tell(struct task *t, struct step *s)
{
    unsigned item = number_of(s) + 1;
    bool ended = news.ended;
    int rc;

    told.items[item] = true;
    news.senders[item] = t;
    news.begun++;
    rc = thrum_broadcast_send(&news.broadcast, &item);
    must(rc == 0 || (rc == -EPIPE && news.closed));
    must(rc != 0 || !ended);
    if (rc == 0)
        news.sent++;
    else
        news.begun--;
    return NULL;
}

static thrum_err *hush(void)
{
    if (!news.closed)
        news.closed = told.closed = true;
    thrum_broadcast_close(&news.broadcast);
    news.ended = true;
    return NULL;
}

static thrum_err *listen(struct task *t)
{
    struct listener *l = listener_of(t);

    l->sure = news.begun == news.sent;
    l->at = news.sent;
    l->listens = true;
    thrum_subscribe(&l->subscriber, &news.broadcast);
    l->sure = l->sure && news.begun == l->at;
    return NULL;
}

/* All hear the same order, and of each sender his. */
static void note_place(unsigned at, unsigned item)
{
    must(at < news.begun && (news.items[at] == 0 || news.items[at] == item));
    news.items[at] = item;
    for (unsigned i = 0; i < news.begun; i++)
        if (news.items[i] != 0 &&
            news.senders[news.items[i]] == news.senders[item])
            must(i < at   ? news.items[i] < item
                 : i > at ? news.items[i] > item
                          : true);
}

/* before: so many had been sent when he asked. */
static void note_heard(struct listener *l, unsigned item, uint64_t missed,
                       unsigned before)
{
    must(item > 0 && item <= (unsigned)program.step_count && told.items[item]);
    if (!l->sure)
        return;
    l->at += (unsigned)missed;
    must(l->at + program.keeps >= before);
    must(missed == 0 || l->at + program.keeps <= news.begun);
    note_place(l->at++, item);
}

static thrum_err *hear(struct task *t, struct step *s)
{
    struct listener *l = listener_of(t);
    unsigned before = news.sent, item = 0;
    uint64_t missed = 0;
    int64_t rc;

    if (!l->listens)
        return listen(t);
    if (s->tries) {
        rc = thrum_subscriber_try_recv(&l->subscriber, &item, &missed);
    } else {
        struct attempt a = attempt(t, s);

        rc = attempted(a,
                       thrum_subscriber_recv(&l->subscriber, &item, &missed));
    }
    if (rc == 0) {
        note_heard(l, item, missed, before);
        return NULL;
    }
    must(item == 0 && missed == 0);
    must(rc == (s->tries ? -EAGAIN : -ECANCELED) ||
         (rc == -EPIPE && news.closed && told.closed));
    must(rc != -EPIPE || !l->sure || l->at == news.sent);
    must(rc != -EAGAIN || !l->sure || l->at >= before);
    return rc == -ECANCELED ? thrum_rc(rc) : NULL;
}

static thrum_err *do_step(struct task *t, struct step *s)
{
    switch ((unsigned)s->op) {
    case OP_TELL:
        return tell(t, s);
    case OP_HUSH:
        return hush();
    case OP_LISTEN:
        return listen(t);
    default:
        return hear(t, s);
    }
}

static bool is_right(const struct step *s)
{
    for (int i = 0; i < program.task_count; i++)
        if (program.tasks[i].pending == s)
            return !news.closed &&
                   (!listeners[i].sure || listeners[i].at == news.sent);
    return false;
}

static void make(void)
{
    NOTED(news);
    NOTED(listeners);
    memset(&news, 0, sizeof news);
    memset(listeners, 0, sizeof listeners);
    memset(&told, 0, sizeof told);
    must(thrum_broadcast_init(&news.broadcast, sizeof(unsigned),
                              program.keeps) == 0);
}

static void end(void)
{
    must(news.begun == news.sent);
    thrum_broadcast_fini(&news.broadcast);
}

const struct things broadcasts = {make, end, do_step, is_right};
