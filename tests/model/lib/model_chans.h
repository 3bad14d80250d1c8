/* model_chans.h - what programs that explore channels share. A program includes
 * it once, after the sources; each of its threads has a scope of its own.
 *
 * What a thread sends is the index of a gift, written before the send, so that
 * who receives it can see whether the send was ordered before.
 */
#ifndef MODEL_CHANS_H
#define MODEL_CHANS_H

#include <string.h>

#include "model_tasks.h"

enum { CHANS = 3, GIFTS = 16, ROOM = 2, GIVEN = 40 };

static struct chan chans[CHANS];
static uint64_t rings[CHANS][ROOM];
static struct scope scopes[MODEL_THREADS]; /* of each thread */
static uint64_t items[MODEL_THREADS];      /* what it sends or receives */
static int gifts[GIFTS];
static unsigned sent, received;    /* bits of gifts */
static _Atomic unsigned done_with; /* threads that use the channels */

/* ----------------------------------------------------- what is not explored */

void alarm_late(struct scope *s)
{
    (void)s;
}

thrum_time thrum_deadline(void)
{
    return CLOCK_NEVER;
}

struct scope *scope_current(void)
{
    return &scopes[model_thread()];
}

struct scope *scope_given(thrum_scope *scope, const char *func)
{
    (void)func;
    return scope_of(scope);
}

/* ------------------------------------------------------------------ threads */

static inline thrum_chan *chan(int which)
{
    return (thrum_chan *)(void *)&chans[which];
}

static uint64_t *my_item(void)
{
    return &items[model_thread()];
}

/* A thing to send that nobody has sent. */
static uint64_t *wrap_gift(int number)
{
    gifts[number] = GIVEN + number;
    *my_item() = (uint64_t)number;
    return my_item();
}

/* Notes are of one thread at a time, as the explorer's threads are fibers; they
 * are not watched. */
static inline void note_sent(uint64_t number)
{
    MODEL_ASSERT((sent >> number & 1) == 0);
    sent |= 1u << number;
}

static inline void unwrap(uint64_t number)
{
    MODEL_ASSERT(number < GIFTS && gifts[number] == GIVEN + (int)number);
    MODEL_ASSERT((received >> number & 1) == 0);
    received |= 1u << number;
}

/* Who still knows a wait that lay here finds nonsense. */
static __attribute__((noinline)) void scribble(void)
{
    unsigned char scratch[512];

    memset(scratch, 0xee, sizeof scratch);
    __asm__ volatile("" : : "r"(scratch) : "memory");
}

static inline int send_gift(int which, int number)
{
    int rc = thrum_chan_send(chan(which), wrap_gift(number));

    scribble();
    if (rc == 0)
        note_sent((uint64_t)number);
    return rc;
}

static void cancel_thread(int which)
{
    thrum_scope_cancel(scope_public(&scopes[which]), NULL);
}

static void cancel_first(void)
{
    cancel_thread(0);
}

/* --------------------------------------------------------- setup and checks */

static void prepare(uint32_t room, unsigned outsiders)
{
    model_tasks_setup(outsiders);
    rng_init(&model_worker.rng, 1);
    store_relaxed(&thrum_cancels_, 0);
    for (int i = 0; i < MODEL_THREADS; i++) {
        memset((void *)&scopes[i], 0, sizeof scopes[i]);
        scopes[i].sched = &model_sched;
    }
    for (int i = 0; i < CHANS; i++)
        chans[i] = (struct chan){.open = true,
                                 .item = sizeof(uint64_t),
                                 .cap = room,
                                 .ring = (char *)rings[i]};
    memset(gifts, 0, sizeof gifts);
    sent = received = 0;
    store_relaxed(&done_with, 0);
    model_name(chans, "chans");
    model_name(scopes, "scopes");
    model_name(&thrum_cancels_, "number");
    model_watch(chans, sizeof chans);
    model_watch(rings, sizeof rings);
    model_watch(scopes, sizeof scopes);
    model_watch(items, sizeof items);
    model_watch(gifts, sizeof gifts);
}

/* Under no lock; when all have ended. */
static inline unsigned left_in(int which)
{
    struct chan *c = &chans[which];
    unsigned bits = 0;

    for (uint32_t i = 0, at = c->out; i < load_relaxed(&c->count); i++) {
        bits |= 1u << rings[which][at];
        at = at + 1 == c->cap ? 0 : at + 1;
    }
    return bits;
}

/* What was sent was received or is still there, nothing else, nothing twice; and
 * nobody stands in a line. */
static inline void all_is_accounted_for(void)
{
    unsigned left = 0;

    for (int i = 0; i < CHANS; i++) {
        left |= left_in(i);
        MODEL_ASSERT(!line_any(&chans[i].senders));
        MODEL_ASSERT(!line_any(&chans[i].receivers));
    }
    MODEL_ASSERT((left & received) == 0);
    MODEL_ASSERT(sent == (left | received));
    for (int i = 0; i < MODEL_THREADS; i++)
        MODEL_ASSERT(scopes[i].waits == NULL);
}

#endif
