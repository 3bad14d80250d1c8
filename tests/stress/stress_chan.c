/* Is a channel a queue, whatever happens at once? Short histories of a few tasks
 * and a thread that send, receive, try and close, canceled now and then: each
 * operation notes when it began and ended, and some order of them all, in which
 * who ended before another began comes first, must be what a queue would do. Such
 * an order is searched for by trying all. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <thrum.h>

#include "base/atomic.h"
#include "lib/stress.h"

enum { ACTORS = 4, EACH = 3, MOST = ACTORS * EACH + 1, CAPS = 4 };

enum kind {
    SEND,
    RECV,
    TRY_SEND,
    TRY_RECV,
    SEND_SELECTED,
    RECV_SELECTED,
    CLOSE
};

struct op {
    enum kind kind;
    int item; /* sent, or received */
    int rc;
    unsigned began, ended;
};

struct history {
    thrum_chan chan;
    unsigned cap;
    uint64_t seed;
    _Atomic unsigned clock, next_op, next_actor;
    struct op ops[MOST];
    thrum_scope *scopes[ACTORS];
};

/* ---------------------------------------------------------------- recording */

static int selected(struct history *h, thrum_direction op, int *item)
{
    thrum_case cases[] = {{.ch = NULL, .op = op},
                          {.ch = &h->chan, .op = op, .item = item}};
    int rc = thrum_select(cases, 2, true);

    return rc < 0 ? rc : cases[1].rc;
}

static int perform(struct history *h, enum kind kind, int *item)
{
    switch (kind) {
    case SEND:
        return thrum_chan_send(&h->chan, item);
    case RECV:
        return thrum_chan_recv(&h->chan, item);
    case TRY_SEND:
        return thrum_chan_try_send(&h->chan, item);
    case TRY_RECV:
        return thrum_chan_try_recv(&h->chan, item);
    case SEND_SELECTED:
        return selected(h, THRUM_SEND, item);
    case RECV_SELECTED:
        return selected(h, THRUM_RECV, item);
    case CLOSE:
    default:
        thrum_chan_close(&h->chan);
        return 0;
    }
}

static void record(struct history *h, enum kind kind, int item)
{
    struct op op = {.kind = kind, .item = item};
    unsigned at = add_relaxed(&h->next_op, 1); /* read when all have ended */

    op.began = add_seq_cst(&h->clock, 1);
    op.rc = perform(h, kind, &op.item);
    op.ended = add_seq_cst(&h->clock, 1);
    h->ops[at] = op;
}

static void act(struct history *h, unsigned actor)
{
    struct rng rng;

    rng_init(&rng, h->seed * ACTORS + actor + 1);
    for (int i = 0; i < EACH; i++) {
        if (rng_below(&rng, 3) == 0)
            thrum_yield();
        record(h, rng_below(&rng, CLOSE), (int)actor * EACH + i);
    }
}

static thrum_err *task_acts(void *arg)
{
    struct history *h = arg;

    act(h, add_relaxed(&h->next_actor, 1)); /* any number */
    return NULL;
}

static void *thread_acts(void *arg)
{
    (void)task_acts(arg);
    return NULL;
}

/* Whoever still waits is ended by the close. */
static thrum_err *make_history(void *arg)
{
    struct history *h = arg;
    bool with_thread = h->seed % 16 == 0, cancels = h->seed % 4 == 1;
    struct rng rng;
    thrum_scope all, some;
    pthread_t thread;

    rng_init(&rng, h->seed);
    must(thrum_chan_init(&h->chan, sizeof(int), h->cap) == 0);
    thrum_scope_open(&all, .name = "all");
    if (with_thread)
        must(pthread_create(&thread, NULL, thread_acts, h) == 0);
    for (unsigned i = with_thread ? 1 : 0; i < ACTORS - 1; i++)
        must(thrum_spawn(&all, task_acts, h, 0) == 0);
    thrum_scope_open(&some, .name = "some");
    must(thrum_spawn(&some, task_acts, h, 0) == 0);
    for (uint32_t i = rng_below(&rng, 8); i > 0; i--)
        thrum_yield();
    if (cancels)
        thrum_scope_cancel(&some, NULL);
    for (uint32_t i = rng_below(&rng, 8); i > 0; i--)
        thrum_yield();
    record(h, CLOSE, 0);
    must(thrum_scope_close(&some, NULL) == NULL);
    must(thrum_scope_close(&all, NULL) == NULL);
    if (with_thread)
        must(pthread_join(thread, NULL) == 0);
    thrum_chan_fini(&h->chan);
    return NULL;
}

/* ---------------------------------------------------------------- searching */

struct queue_of_ints {
    int items[MOST];
    unsigned first, count;
    bool closed;
};

static bool sends(const struct op *op)
{
    return op->kind == SEND || op->kind == TRY_SEND ||
           op->kind == SEND_SELECTED;
}

/* Would a queue in this state have said so? It is then in the next one. */
static bool would(struct queue_of_ints *q, const struct history *h,
                  const struct op *op)
{
    bool full = q->count == h->cap, empty = q->count == 0;

    if (op->kind == CLOSE) {
        q->closed = true;
        return true;
    }
    if (op->rc == -ECANCELED)
        return op->kind != TRY_SEND && op->kind != TRY_RECV;
    if (op->rc == -EAGAIN)
        return !q->closed && (sends(op) ? full : empty);
    if (op->rc == -EPIPE)
        return q->closed && (sends(op) || empty);
    if (sends(op)) {
        if (q->closed || full)
            return false;
        q->items[q->first + q->count++] = op->item;
        return true;
    }
    if (empty || q->items[q->first] != op->item)
        return false;
    q->first++;
    q->count--;
    return true;
}

/* Nobody who is left ended before this one began. */
static bool may_be_next(const struct history *h, unsigned done, unsigned i)
{
    for (unsigned k = 0; k < h->next_op; k++)
        if (!(done >> k & 1) && h->ops[k].ended < h->ops[i].began)
            return false;
    return !(done >> i & 1);
}

static bool is_ordered(const struct history *h, unsigned done,
                       struct queue_of_ints q);

/* Without room a send and its receive are one step: both go on. */
static bool pair_is_next(const struct history *h, unsigned done, unsigned i,
                         struct queue_of_ints q)
{
    const struct op *send = &h->ops[i];

    if (q.closed || !sends(send) || send->rc != 0)
        return false;
    for (unsigned k = 0; k < h->next_op; k++) {
        const struct op *recv = &h->ops[k];

        if (recv->kind != CLOSE && !sends(recv) && recv->rc == 0 &&
            recv->item == send->item && may_be_next(h, done, k) &&
            is_ordered(h, done | 1u << i | 1u << k, q))
            return true;
    }
    return false;
}

static bool is_ordered(const struct history *h, unsigned done,
                       struct queue_of_ints q)
{
    if (done == (1u << h->next_op) - 1)
        return true;
    for (unsigned i = 0; i < h->next_op; i++) {
        struct queue_of_ints after = q;

        if (!may_be_next(h, done, i))
            continue;
        if (h->cap == 0 && pair_is_next(h, done, i, q))
            return true;
        if (would(&after, h, &h->ops[i]) &&
            is_ordered(h, done | 1u << i, after))
            return true;
    }
    return false;
}

static void check(const struct history *h)
{
    static const char *const names[] = {
        "send",          "recv",          "try_send", "try_recv",
        "send_selected", "recv_selected", "close"};

    if (is_ordered(h, 0, (struct queue_of_ints){.count = 0}))
        return;
    for (unsigned i = 0; i < h->next_op; i++)
        fprintf(stderr, "%s %d: %d, from %u to %u\n", names[h->ops[i].kind],
                h->ops[i].item, h->ops[i].rc, h->ops[i].began, h->ops[i].ended);
    must(!"the history is that of a queue");
}

/* A search that finds everything to be in order would never complain. */
static void check_the_search(void)
{
    struct history h = {.cap = 2, .next_op = 3};

    h.ops[0] = (struct op){SEND, 1, 0, 0, 1};
    h.ops[1] = (struct op){SEND, 2, 0, 2, 3};
    h.ops[2] = (struct op){RECV, 2, 0, 4, 5};
    must(!is_ordered(&h, 0, (struct queue_of_ints){.count = 0}));
    h.ops[1].began = 0; /* it may have been the first */
    must(is_ordered(&h, 0, (struct queue_of_ints){.count = 0}));
    h.ops[2] = (struct op){RECV, 0, -EPIPE, 4, 5};
    must(!is_ordered(&h, 0, (struct queue_of_ints){.count = 0}));
    h.ops[2] = (struct op){TRY_SEND, 0, -EAGAIN, 4, 5};
    must(is_ordered(&h, 0, (struct queue_of_ints){.count = 0}));
}

int main(void)
{
    thrum_rt *rts[2];
    uint64_t seed;

    check_the_search();
    for (unsigned i = 0; i < 2; i++)
        must(thrum_start(&rts[i], &(thrum_opts){.workers = i + 1}) == 0);
    for (stress_begin(stress_scale(6000)); stress_next(&seed);) {
        struct history h = {.seed = seed, .cap = (unsigned)(seed / 2 % CAPS)};

        must(thrum_call(rts[seed % 2], make_history, &h) == NULL);
        check(&h);
    }
    for (unsigned i = 0; i < 2; i++)
        must(thrum_stop(rts[i]) == NULL);
    return 0;
}
