#include "sync/chan.h"

#include "base/alloc.h"

enum { HOPE_MOST = 2, HOPE_AGAIN = -30 };

_Static_assert(sizeof(struct chan) <= sizeof(thrum_chan),
               "the public type has room for a channel");

/* ---------------------------------------------- items, and who is in a line */

static inline void copy(const struct chan *c, void *to, const void *from)
{
    item_copy(c->item, to, from);
}

static char nothing[1]; /* the ring of items of no bytes, or of no room */

static inline char *slot(const struct chan *c, uint32_t i)
{
    return c->ring + (size_t)i * c->item;
}

static inline uint32_t next_slot(const struct chan *c, uint32_t i)
{
    return i + 1 == c->cap ? 0 : i + 1;
}

static inline void count_add(struct chan *c, uint32_t n)
{
    store_relaxed(&c->count, load_relaxed(&c->count) + n); /* locked */
}

static inline void ring_put(struct chan *c, const void *item)
{
    copy(c, slot(c, c->in), item);
    c->in = next_slot(c, c->in);
    count_add(c, 1);
}

static inline void ring_take(struct chan *c, void *item)
{
    if (likely(item != NULL))
        copy(c, item, slot(c, c->out));
    c->out = next_slot(c, c->out);
    count_add(c, (uint32_t)-1);
}

/* The first in line, told what comes of his wait; NULL: there is none. */
static struct chan_place *call(struct line *l, int rc)
{
    struct line_place *first = line_call(l);
    struct chan_place *p;

    if (first == NULL)
        return NULL;
    p = chan_place_of(first);
    p->rc = rc;
    p->called = true;
    return p;
}

/* Did he not even sleep? Then it helps to let others run. */
static inline void note_call(struct chan *c, const struct chan_place *p)
{
    if (!p->place.asleep)
        store_relaxed(&c->hope, HOPE_MOST);
}

/* These return whom they served, to be let go: NULL, nobody. */

static struct line_place *give_to_waiting(struct chan *c, const void *item)
{
    struct chan_place *p = call(&c->receivers, 0);

    if (p == NULL)
        return NULL;
    if (p->item != NULL)
        copy(c, p->item, item);
    note_call(c, p);
    return &p->place;
}

static struct line_place *take_from_waiting(struct chan *c, void *item)
{
    struct chan_place *p = call(&c->senders, 0);

    if (p == NULL)
        return NULL;
    if (item != NULL)
        copy(c, item, p->item);
    note_call(c, p);
    return &p->place;
}

/* There is room in the ring now. */
static struct line_place *refill(struct chan *c)
{
    struct chan_place *p = call(&c->senders, 0);

    if (p == NULL)
        return NULL;
    ring_put(c, p->item);
    return &p->place;
}

/* Not in the way of who finds it open. */
static cold void require_chan(const struct chan *c, const char *func)
{
    REQUIRE_OF(func, c->ring != NULL,
               "a channel that thrum_chan_init has not made, or that "
               "thrum_chan_fini has freed");
}

static cold int end_of(const struct chan *c, const char *func)
{
    require_chan(c, func);
    return -EPIPE;
}

static inline __attribute__((always_inline)) int
put(struct chan *c, const void *item, struct line_place **called)
{
    if (unlikely(!c->open))
        return end_of(c, "thrum_chan_send");
    if (unlikely(line_any(&c->receivers)) &&
        (*called = give_to_waiting(c, item)) != NULL)
        return 0;
    if (unlikely(load_relaxed(&c->count) == c->cap))
        return CHAN_LATER;
    ring_put(c, item);
    return 0;
}

static inline __attribute__((always_inline)) int
take(struct chan *c, void *item, struct line_place **called)
{
    if (likely(load_relaxed(&c->count) > 0)) {
        ring_take(c, item);
        if (unlikely(line_any(&c->senders)))
            *called = refill(c);
        return 0;
    }
    if (line_any(&c->senders) && (*called = take_from_waiting(c, item)) != NULL)
        return 0;
    return c->open ? CHAN_LATER : end_of(c, "thrum_chan_recv");
}

static inline __attribute__((always_inline)) int
put_or_take(struct chan *c, thrum_direction op, void *item,
            struct line_place **called)
{
    return op == THRUM_SEND ? put(c, item, called) : take(c, item, called);
}

int chan_do(struct chan *c, thrum_direction op, void *item,
            struct line_place **called)
{
    return put_or_take(c, op, item, called);
}

/* -------------------------------------------------------- making and ending */

int thrum_chan_init(thrum_chan *chan, size_t item, size_t cap)
{
    struct chan *c = chan_of(chan);

    REQUIRE(c != NULL, "no channel");
    if (item > UINT32_MAX || cap > UINT32_MAX)
        return -EINVAL;
    *c = (struct chan){.item = (uint32_t)item,
                       .cap = (uint32_t)cap,
                       .open = true,
                       .ring = nothing};
    if (item == 0 || cap == 0)
        return 0;
    c->ring = alloc(item * cap);
    c->open = c->ring != NULL;
    return c->open ? 0 : -ENOMEM;
}

void thrum_chan_fini(thrum_chan *chan)
{
    struct chan *c = chan_of(chan);

    REQUIRE(c != NULL, "no channel");
    chan_lock(c);
    REQUIRE(!line_any(&c->senders) && !line_any(&c->receivers),
            "somebody waits at the channel");
    c->open = false;
    store_relaxed(&c->count, 0);
    chan_unlock(c);
    if (c->ring != nothing)
        release(c->ring);
    c->ring = NULL;
}

struct line_place *chan_call_all(struct line *l, int rc, const void *item,
                                 uint32_t size)
{
    struct line_place *first = NULL, **end = &first;
    struct chan_place *p;

    while ((p = call(l, rc)) != NULL) {
        if (item != NULL && p->item != NULL)
            item_copy(size, p->item, item);
        *end = &p->place;
        end = &p->place.next;
    }
    *end = NULL;
    return first;
}

void thrum_chan_close(thrum_chan *chan)
{
    struct chan *c = chan_of(chan);
    struct line_place *receivers, *senders;

    sched_point(POINT_CALL);
    if (c == NULL)
        return;
    chan_lock(c);
    require_chan(c, __func__);
    c->open = false;
    receivers = chan_call_all(&c->receivers, -EPIPE, NULL, 0);
    senders = chan_call_all(&c->senders, -EPIPE, NULL, 0);
    chan_unlock(c);
    line_let_go_all(receivers);
    line_let_go_all(senders);
}

/* ----------------------------------------------------------------- one item */

/* Nothing will come; wait until canceled. */
static cold int wait_for_nothing(struct scope *scope)
{
    struct scope_wait w;

    wait_init(&w.wait);
    wait_tell(&w, AWAITED("a channel that is NULL"), NULL);
    (void)scope_sleep(scope, &w); /* nobody knows it but a cancel */
    return -ECANCELED;
}

/* Who is to fill or empty the ring, or to come to the other end, may be next on
 * this worker: then it is cheaper to let him run, and look again, than to sleep
 * and be woken. A channel where that does not help gives up hope, and tries it
 * again only now and then. What others note meanwhile may be lost. */
static inline bool is_worth_a_try(struct chan *c, struct stack *here)
{
    int hope = load_relaxed(&c->hope); /* a hint, as all that is stored there */

    if (here == NULL)
        return false;
    if (hope < 0)
        store_relaxed(&c->hope, (int8_t)(hope + 1));
    return hope >= 0;
}

static inline void note_in_vain(struct chan *c)
{
    int hope = load_relaxed(&c->hope);

    store_relaxed(&c->hope, (int8_t)(hope > 0 ? hope - 1 : HOPE_AGAIN));
}

/* Enter the line, unlock, and wait to be called. Who was called has no more to do
 * with the channel: from the unlocking on it may be gone.
 *
 * For both directions, to be the last act of who calls it: a processor foretells
 * where a function returns to by who called one last, on whichever stack. Those
 * who hand over to each other are to differ in one frame only, the task's. */
static __attribute__((noinline)) int wait_in_line(struct chan *c,
                                                  struct line *line, void *item,
                                                  struct scope *scope,
                                                  struct stack *here)
{
    struct chan_place p;
    struct scope_wait w;
    bool let;

    wait_init_on(&w.wait, here);
    let = c->cap == 0 && is_worth_a_try(c, here);
    if (let)
        note_in_vain(c); /* else who calls us notes that it was not */
    chan_enter(line, &p, &w.wait, item);
    chan_unlock(c);
    if (let) {
        worker_yield(here);
        if (line_is_let_go(&p.place)) {
            tsan_rely(c); /* by name only */
            return p.rc;
        }
    }
    wait_tell(&w,
              line == &c->senders ? AWAITED("a channel, to send")
                                  : AWAITED("a channel, to receive"),
              c);
    if (!scope_sleep_in(scope, &w, line, &c->lock, &p.place))
        return -ECANCELED;
    tsan_rely(c); /* likewise */
    return p.rc;
}

static bool let_others_run(struct chan *c, struct stack *here)
{
    bool worth = is_worth_a_try(c, here);

    if (worth)
        worker_yield(here);
    return worth;
}

static __attribute__((noinline)) void note_hope(struct chan *c, bool helped)
{
    if (helped)
        store_relaxed(&c->hope, HOPE_MOST);
    else
        note_in_vain(c);
}

static inline bool looks_late(struct chan *c, thrum_direction op)
{
    return c->cap != 0 &&
           load_relaxed(&c->count) == (op == THRUM_SEND ? c->cap : 0);
}

/* Once for each direction. */
static inline __attribute__((always_inline)) int
now_or_later(struct chan *c, thrum_direction op, void *item)
{
    struct stack *here = worker_current();
    struct scope *scope = here != NULL ? scope_on(here) : scope_current();
    struct line_place *called = NULL;
    bool let = false;
    int rc;

    sched_point(POINT_CALL);
    if (scope != NULL && scope_canceled(scope))
        return -ECANCELED;
    if (unlikely(c == NULL))
        return wait_for_nothing(scope);
    if (unlikely(looks_late(c, op)))
        let = let_others_run(c, here);
    chan_lock(c);
    rc = put_or_take(c, op, item, &called);
    if (unlikely(let))
        note_hope(c, rc == 0);
    if (unlikely(rc == CHAN_LATER))
        return wait_in_line(c, chan_line(c, op), item, scope, here);
    chan_unlock(c);
    if (called != NULL)
        line_let_go(called);
    return rc;
}

static inline int now(struct chan *c, thrum_direction op, void *item)
{
    struct line_place *called = NULL;
    int rc;

    sched_point(POINT_POLL);
    if (c == NULL)
        return -EAGAIN;
    chan_lock(c);
    rc = put_or_take(c, op, item, &called);
    chan_unlock(c);
    if (called != NULL)
        line_let_go(called);
    return rc == CHAN_LATER ? -EAGAIN : rc;
}

/* It is only read. */
static inline void *unconst(const void *item)
{
    return (void *)(uintptr_t)item;
}

int thrum_chan_send(thrum_chan *c, const void *item)
{
    return now_or_later(chan_of(c), THRUM_SEND, unconst(item));
}

int thrum_chan_recv(thrum_chan *c, void *item)
{
    return now_or_later(chan_of(c), THRUM_RECV, item);
}

int thrum_chan_try_send(thrum_chan *c, const void *item)
{
    return now(chan_of(c), THRUM_SEND, unconst(item));
}

int thrum_chan_try_recv(thrum_chan *c, void *item)
{
    return now(chan_of(c), THRUM_RECV, item);
}

/* --------------------------------------------------------------- many items */

static void *nth(const struct chan *c, void *items, size_t i)
{
    return items == NULL ? NULL : (char *)items + i * c->item;
}

/* As many of the items from `i` on as go without waiting. If that is none: 0, or
 * -EPIPE. */
static int64_t many_now(struct chan *c, thrum_direction op, void *items,
                        size_t i, size_t n)
{
    struct line_place *called = NULL, **end = &called;
    int64_t done = 0;
    int rc = 0;

    sched_point(POINT_CALL);
    chan_lock(c);
    for (; i < n; i++, done++) {
        struct line_place *p = NULL;

        rc = chan_do(c, op, nth(c, items, i), &p);
        if (rc != 0)
            break;
        if (p != NULL) {
            *end = p;
            end = &p->next;
        }
    }
    *end = NULL;
    chan_unlock(c);
    line_let_go_all(called);
    return done == 0 && rc == -EPIPE ? rc : done;
}

static int64_t many(struct chan *c, thrum_direction op, void *items, size_t n)
{
    struct scope *scope = scope_current();
    int64_t done = 0;
    int rc;

    if (n == 0)
        return 0;
    if (c != NULL && (scope == NULL || !scope_canceled(scope)))
        done = many_now(c, op, items, 0, n);
    if (done != 0)
        return done;
    rc = now_or_later(c, op, items);
    if (rc != 0)
        return rc;
    done = many_now(c, op, items, 1, n);
    return done < 0 ? 1 : 1 + done;
}

int64_t thrum_chan_send_many(thrum_chan *c, const void *items, size_t n)
{
    return many(chan_of(c), THRUM_SEND, unconst(items), n);
}

int64_t thrum_chan_recv_many(thrum_chan *c, void *items, size_t n)
{
    return many(chan_of(c), THRUM_RECV, items, n);
}
