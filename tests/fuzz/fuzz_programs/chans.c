/* Channels. */
#include <errno.h>
#include <string.h>

#include "things.h"

/* What was done, as far as it has returned. An item has the task that sent it, and
 * its number there. The sum is of all the items. */
static struct chan {
    thrum_chan chan;
    unsigned sent, received;
    uint64_t sum_sent, sum_received;
    bool closed;
} chans[CHANS];

enum { NUMBERS = 256 };

static struct {
    unsigned items[TASKS_MAX * NUMBERS];
    bool closed[CHANS];
} told;

static void note_sent(struct task *t, struct chan *c, unsigned item)
{
    t->sent = item % NUMBERS;
    c->sent++;
    c->sum_sent += item;
}

/* Those of one sender come in their order to one who receives. */
static void note_received(struct task *t, struct chan *c, unsigned item)
{
    unsigned *heard = &t->heard[c - chans][item / NUMBERS];

    must(item % NUMBERS > *heard && told.items[item] == item);
    *heard = item % NUMBERS;
    c->received++;
    c->sum_received += item;
}

static unsigned next_item(const struct task *t, unsigned after)
{
    unsigned item = (unsigned)(t - program.tasks) * NUMBERS + t->sent + 1 +
                    after;

    return told.items[item] = item;
}

static void note(struct task *t, struct chan *c, bool sends,
                 const unsigned *items, int64_t n)
{
    must(n != -EPIPE || (c->closed && told.closed[c - chans]));
    for (int64_t i = 0; i < n; i++)
        if (sends)
            note_sent(t, c, items[i]);
        else
            note_received(t, c, items[i]);
}

static bool is_send(enum op op)
{
    return op == OP_SEND || op == OP_TRY_SEND || op == OP_SEND_MANY;
}

static int64_t one(int rc)
{
    return rc == 0 ? 1 : rc;
}

static int64_t transfer(struct step *s, struct chan *c, unsigned *items)
{
    switch ((unsigned)s->op) {
    case OP_SEND:
        return one(thrum_chan_send(&c->chan, items));
    case OP_RECV:
        return one(thrum_chan_recv(&c->chan, items));
    case OP_TRY_SEND:
        return one(thrum_chan_try_send(&c->chan, items));
    case OP_TRY_RECV:
        return one(thrum_chan_try_recv(&c->chan, items));
    case OP_SEND_MANY:
        return thrum_chan_send_many(&c->chan, items, MANY);
    default:
        return thrum_chan_recv_many(&c->chan, items, MANY);
    }
}

/* A closed channel is no failure. */
static thrum_err *use_channel(struct task *t, struct step *s)
{
    struct chan *c = &chans[s->which % CHANS];
    bool tries = s->op == OP_TRY_SEND || s->op == OP_TRY_RECV;
    unsigned items[MANY] = {0};
    struct attempt a = attempt(t, s);
    int64_t n;

    for (unsigned i = 0; i < MANY && is_send(s->op); i++)
        items[i] = next_item(t, i);
    a.must = a.must && !tries;
    n = attempted(a, transfer(s, c, items));
    must(n != 0 && (n != -EAGAIN || tries) && (n != -ECANCELED || !tries));
    must(n > 0 || is_send(s->op) || items[0] == 0);
    note(t, c, is_send(s->op), items, n);
    return n == -ECANCELED ? thrum_rc(n) : NULL;
}

static struct chan *chan_of_case(const struct step *s, int i)
{
    return &chans[(s->which + i) % CHANS];
}

static bool case_sends(const struct step *s, int i)
{
    return (s->options >> i & 1) != 0;
}

static bool select_blocks(const struct step *s)
{
    return (s->options & 8) == 0;
}

static thrum_err *select_one(struct task *t, struct step *s)
{
    thrum_case cases[CASES];
    unsigned item = next_item(t, 0), in[CASES] = {0};
    struct attempt a = attempt(t, s);
    int64_t done;

    for (int i = 0; i < CASES; i++)
        cases[i] = (thrum_case){.ch = &chan_of_case(s, i)->chan,
                                .op = case_sends(s, i) ? THRUM_SEND
                                                       : THRUM_RECV,
                                .item = case_sends(s, i) ? &item : &in[i]};
    a.must = a.must && select_blocks(s);
    done = attempted(a, thrum_select(cases, CASES, select_blocks(s)));
    must(done != (select_blocks(s) ? -EAGAIN : -ECANCELED) && done < CASES);
    for (int i = 0; i < CASES; i++)
        must(in[i] == 0 ||
             (i == done && !case_sends(s, i) && cases[i].rc == 0));
    if (done >= 0)
        note(t, chan_of_case(s, (int)done), case_sends(s, (int)done),
             case_sends(s, (int)done) ? &item : &in[done], one(cases[done].rc));
    return done == -ECANCELED ? thrum_rc(done) : NULL;
}

static thrum_err *close_channel(struct step *s)
{
    struct chan *c = &chans[s->which % CHANS];

    if (!c->closed)
        c->closed = told.closed[c - chans] = true;
    thrum_chan_close(&c->chan);
    return NULL;
}

/* Nothing is under way when nobody can move. */
static bool chan_blocks(const struct chan *c, bool sends)
{
    unsigned there = c->sent - c->received;

    return !c->closed && there == (sends ? program.capacity[c - chans] : 0);
}

static bool waits_at(const struct step *s, const struct chan *c, bool sends)
{
    if (s == NULL || (s->op == OP_SELECT && !select_blocks(s)))
        return false;
    if (s->op != OP_SELECT)
        return s->op >= OP_SEND && s->op <= OP_RECV_MANY &&
               is_send(s->op) == sends && &chans[s->which % CHANS] == c;
    for (int i = 0; i < CASES; i++)
        if (chan_of_case(s, i) == c && case_sends(s, i) == sends)
            return true;
    return false;
}

/* Two who wait for each other should have met. */
static bool nobody_else(const struct step *s, const struct chan *c, bool sends)
{
    for (int i = 0; i < program.task_count; i++)
        if (program.tasks[i].pending != s &&
            waits_at(program.tasks[i].pending, c, sends))
            return false;
    return true;
}

static bool select_rests(const struct step *s)
{
    for (int i = 0; i < CASES; i++)
        if (!chan_blocks(chan_of_case(s, i), case_sends(s, i)) ||
            !nobody_else(s, chan_of_case(s, i), !case_sends(s, i)))
            return false;
    return select_blocks(s);
}

/* -------------------------------------------------------------- all of them */

static thrum_err *do_step(struct task *t, struct step *s)
{
    if (s->op == OP_SELECT)
        return select_one(t, s);
    return s->op == OP_CLOSE ? close_channel(s) : use_channel(t, s);
}

static bool is_right(const struct step *s)
{
    const struct chan *c = &chans[s->which % CHANS];

    if (s->op == OP_SELECT)
        return select_rests(s);
    return chan_blocks(c, is_send(s->op)) && nobody_else(s, c, !is_send(s->op));
}

static void make(void)
{
    NOTED(chans);
    memset(chans, 0, sizeof chans);
    memset(&told, 0, sizeof told);
    for (int i = 0; i < CHANS; i++)
        must(thrum_chan_init(&chans[i].chan, sizeof(unsigned),
                             program.capacity[i]) == 0);
}

static void end(void)
{
    unsigned item;

    for (int i = 0; i < CHANS; i++) {
        while (thrum_chan_try_recv(&chans[i].chan, &item) == 0) {
            chans[i].received++;
            chans[i].sum_received += item;
        }
        must(chans[i].sent == chans[i].received);
        must(chans[i].sum_sent == chans[i].sum_received);
        thrum_chan_fini(&chans[i].chan);
    }
}

const struct things channels = {make, end, do_step, is_right};
