/* What the tasks of a program share: channels, mutexes with a condition each, a
 * semaphore, events, a pipe; and what each must be, whatever the schedule. Only
 * one task runs at a time, so what is noted here needs no lock. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "program.h"

/* What was done, as far as it has returned. An item has the task that sent it, and
 * its number there. The sum is of all the items. */
static struct chan {
    thrum_chan chan;
    unsigned sent, received;
    uint64_t sum_sent, sum_received;
    bool closed;
} chans[CHANS];

/* waiting: not signaled yet; owed: signaled, not yet returned. unsure: whether it
 * was who waits, or another whose wait was canceled. */
static struct {
    thrum_mutex mutex;
    thrum_cond cond;
    const struct task *owner;
    int waiting, owed;
    bool unsure;
} mutexes[MUTEXES];

static struct {
    thrum_event event;
    bool set;
} events[EVENTS];

static thrum_sem sem;
static unsigned inside;

static struct {
    int ends[2];
    uint64_t written, read;
} flow;

enum { NUMBERS = 256 };

/* What one tells another in plain memory. */
static struct {
    unsigned items[TASKS_MAX * NUMBERS];
    bool closed[CHANS], set[EVENTS];
    unsigned locked[MUTEXES], inside;
} told;

/* -------------------------------------------------------------------- channels */

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

/* ------------------------------------------------------ mutexes and conditions */

static thrum_err *hold(struct task *t, struct step *s)
{
    unsigned m = s->which % MUTEXES;
    struct attempt a = attempt(t, s);
    thrum_err *err = NULL;
    int64_t rc = 0;

    if (s->op == OP_LOCK) {
        rc = attempted(a, thrum_mutex_lock_cancelable(&mutexes[m].mutex));
    } else {
        thrum_mutex_lock(&mutexes[m].mutex);
        t->pending = NULL;
    }
    must(rc == 0 || rc == -ECANCELED);
    if (rc != 0)
        return thrum_rc(rc);
    must(mutexes[m].owner == NULL);
    mutexes[m].owner = t;
    told.locked[m]++;
    if (s->op == OP_LOCK)
        err = run_steps(t, s->body);
    else
        thrum_yield();
    must(mutexes[m].owner == t);
    mutexes[m].owner = NULL;
    thrum_mutex_unlock(&mutexes[m].mutex);
    return err;
}

static thrum_err *wait_for_signal(struct task *t, struct step *s)
{
    unsigned m = s->which;
    struct attempt a = attempt(t, s);
    int64_t rc;

    mutexes[m].owner = NULL;
    mutexes[m].waiting++;
    rc = attempted(a, thrum_cond_wait(&mutexes[m].cond, &mutexes[m].mutex));
    must(mutexes[m].owner == NULL);
    mutexes[m].owner = t;
    told.locked[m]++;
    if (rc == 0) {
        must(mutexes[m].owed-- > 0);
        return NULL;
    }
    must(rc == -ECANCELED);
    mutexes[m].unsure = mutexes[m].unsure || mutexes[m].owed > 0;
    if (mutexes[m].waiting > 0)
        mutexes[m].waiting--;
    else
        mutexes[m].owed--;
    return thrum_rc(rc);
}

/* It is held: who waits does so since before. */
static thrum_err *signal_one(struct step *s)
{
    unsigned m = s->which;
    int woken = s->op == OP_BROADCAST    ? mutexes[m].waiting
                : mutexes[m].waiting > 0 ? 1
                                         : 0;

    mutexes[m].waiting -= woken;
    mutexes[m].owed += woken;
    if (s->op == OP_BROADCAST)
        thrum_cond_broadcast(&mutexes[m].cond);
    else
        thrum_cond_signal(&mutexes[m].cond);
    return NULL;
}

/* ------------------------------------------------------------ permits, events */

static thrum_err *with_permit(struct task *t, struct step *s)
{
    struct attempt a = attempt(t, s);
    int64_t rc = attempted(a, thrum_sem_acquire(&sem));
    thrum_err *err;

    must(rc == 0 || rc == -ECANCELED);
    if (rc != 0)
        return thrum_rc(rc);
    must(++inside <= program.permits);
    if (program.permits == 1)
        told.inside++;
    err = run_steps(t, s->body);
    inside--;
    thrum_sem_release(&sem);
    return err;
}

static thrum_err *set(struct step *s)
{
    unsigned e = s->which % EVENTS;

    if (!events[e].set)
        events[e].set = told.set[e] = true;
    thrum_event_set(&events[e].event);
    return NULL;
}

static thrum_err *await(struct task *t, struct step *s)
{
    unsigned e = s->which % EVENTS;
    struct attempt a = attempt(t, s);
    int64_t rc = attempted(a, thrum_event_wait(&events[e].event));

    must(rc == -ECANCELED || (rc == 0 && events[e].set && told.set[e]));
    return thrum_rc(rc);
}

/* --------------------------------------------------- generators, blocking calls */

static thrum_err *count_up(void *naps)
{
    for (unsigned i = 0; i < 4; i++) {
        if (*(bool *)naps)
            THRUM_TRY(thrum_sleep(1));
        THRUM_TRY(thrum_gen_emit(&i));
    }
    return NULL;
}

static thrum_err *generate(struct task *t, struct step *s)
{
    bool naps = (s->options & 1) != 0;
    struct attempt a = attempt(t, s);
    thrum_err *err;
    unsigned item, next = 0;
    thrum_gen g;
    int more = 1;

    thrum_gen_open(&g, count_up, &naps, sizeof item);
    while (next < s->which && (more = thrum_gen_next(&g, &item)) > 0)
        must(item == next++);
    a.must = a.must && s->which > 0;
    (void)attempted(a, more);
    must(next <= 4 && (more != 0 || next == 4 || region_may(t->at)));
    err = thrum_gen_close(&g);
    must(err == NULL || region_may(t->at));
    return thrum_err_add(more < 0 ? thrum_rc(more) : NULL, err);
}

static thrum_err *call(void *called)
{
    must(!*(bool *)called);
    *(bool *)called = true;
    return NULL;
}

static thrum_err *offload(struct task *t, struct step *s)
{
    struct attempt a = attempt(t, s);
    bool called = false;
    thrum_err *err = thrum_offload(call, &called);

    (void)attempted(a, err == NULL ? 0 : -ECANCELED);
    must(called == (err == NULL));
    must(err == NULL || thrum_err_is(err, &THRUM_CANCELED));
    return err;
}

/* ---------------------------------------------------------------------- a pipe */

enum { ROOM = 4096 };

static thrum_err *use_pipe(struct task *t, struct step *s)
{
    char bytes[ROOM] = {0};
    size_t size = 1 + s->which * (size_t)500;
    struct attempt a = attempt(t, s);
    int64_t n;

    if (s->op == OP_WRITE) {
        n = attempted(a, thrum_write(flow.ends[1], bytes, size));
        flow.written += n > 0 ? (uint64_t)n : 0;
    } else {
        n = attempted(a, thrum_read(flow.ends[0], bytes, size));
        flow.read += n > 0 ? (uint64_t)n : 0;
    }
    must(n == -ECANCELED || (n > 0 && n <= (int64_t)size));
    return n > 0 ? NULL : thrum_rc(n);
}

/* ------------------------------------------------------------------ all of them */

thrum_err *things_step(struct task *t, struct step *s)
{
    switch ((unsigned)s->op) {
    case OP_SELECT:
        return select_one(t, s);
    case OP_CLOSE:
        return close_channel(s);
    case OP_LOCK:
    case OP_LOCK_FIRM:
        return hold(t, s);
    case OP_WAIT:
        return wait_for_signal(t, s);
    case OP_SIGNAL:
    case OP_BROADCAST:
        return signal_one(s);
    case OP_ACQUIRE:
        return with_permit(t, s);
    case OP_SET:
        return set(s);
    case OP_AWAIT:
        return await(t, s);
    case OP_GENERATE:
        return generate(t, s);
    case OP_OFFLOAD:
        return offload(t, s);
    case OP_WRITE:
    case OP_READ:
        return use_pipe(t, s);
    default:
        return use_channel(t, s);
    }
}

bool things_block(const struct step *s)
{
    const struct chan *c = &chans[s->which % CHANS];
    unsigned m = s->which % MUTEXES;

    switch ((unsigned)s->op) {
    case OP_SEND:
    case OP_SEND_MANY:
    case OP_RECV:
    case OP_RECV_MANY:
        return chan_blocks(c, is_send(s->op)) &&
               nobody_else(s, c, !is_send(s->op));
    case OP_SELECT:
        return select_rests(s);
    case OP_LOCK:
    case OP_LOCK_FIRM:
        return mutexes[m].owner != NULL;
    case OP_WAIT:
        return mutexes[m].owed == 0 || mutexes[m].owner != NULL ||
               mutexes[m].unsure;
    case OP_ACQUIRE:
        return inside == program.permits;
    case OP_AWAIT:
        return !events[s->which % EVENTS].set;
    case OP_WRITE:
        return flow.written > flow.read;
    case OP_READ:
        return flow.written == flow.read;
    default:
        return false;
    }
}

static void note_things(void)
{
    NOTED(chans);
    NOTED(mutexes);
    NOTED(events);
    NOTED(sem);
    NOTED(inside);
    NOTED(flow);
}

void things_make(void)
{
    note_things();
    memset(chans, 0, sizeof chans);
    memset(mutexes, 0, sizeof mutexes);
    memset(events, 0, sizeof events);
    memset(&flow, 0, sizeof flow);
    memset(&told, 0, sizeof told);
    for (int i = 0; i < CHANS; i++)
        must(thrum_chan_init(&chans[i].chan, sizeof(unsigned),
                             program.capacity[i]) == 0);
    thrum_sem_init(&sem, program.permits);
    inside = 0;
    if (program.pipes) {
        must(pipe2(flow.ends, O_CLOEXEC) == 0);
        must(fcntl(flow.ends[1], F_SETPIPE_SZ, ROOM) == ROOM);
    }
}

static void end_flow(void)
{
    int left;

    must(ioctl(flow.ends[0], FIONREAD, &left) == 0);
    must(flow.written == flow.read + (uint64_t)left);
    must(thrum_close(flow.ends[0]) == 0 && thrum_close(flow.ends[1]) == 0);
}

void things_end(void)
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
    for (int i = 0; i < MUTEXES; i++)
        must(mutexes[i].waiting + mutexes[i].owed == 0 &&
             thrum_mutex_trylock(&mutexes[i].mutex));
    for (unsigned i = 0; i < program.permits; i++)
        must(thrum_sem_try_acquire(&sem));
    must(!thrum_sem_try_acquire(&sem));
    if (program.pipes)
        end_flow();
}
