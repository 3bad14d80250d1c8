/* Items have numbers, from 0 on, and lie in a ring by them. A subscriber is the
 * number of the one he wants next; if that is older than what the ring holds he
 * has missed some. Who wants the one that comes next waits in a line, and a send
 * copies the item to all in it: so it takes no second lock of theirs, and who
 * waited has missed nothing. */

#include <thrum/broadcast.h>

#include "base/alloc.h"
#include "sync/chan.h"

struct broadcast {
    struct spin lock;
    uint32_t item, keep; /* const */
    bool open;           /* lock: not closed; all zero is no broadcast */
    uint64_t next;       /* lock: the number of the next item */
    char *ring;          /* NULL: none was made, or it was freed */
    struct line waiting; /* lock: of chan_place */
};

_Static_assert(sizeof(struct broadcast) <= sizeof(thrum_broadcast),
               "the public type has room for a broadcast");

static struct broadcast *broadcast_of(thrum_broadcast *b)
{
    return (struct broadcast *)(void *)b;
}

static void lock(struct broadcast *b)
{
    spin_lock_apart(&b->lock);
    tsan_rely(b);
}

static void unlock(struct broadcast *b)
{
    tsan_promise(b);
    spin_unlock(&b->lock);
}

static char *kept_at(const struct broadcast *b, uint64_t number)
{
    return b->ring + number % b->keep * b->item;
}

static void require_broadcast(const struct broadcast *b, const char *func)
{
    REQUIRE_OF(func, b->ring != NULL,
               "a broadcast that thrum_broadcast_init has not made, or that "
               "thrum_broadcast_fini has freed");
}

/* ---------------------------------------------------------------- both ends */

int thrum_broadcast_init(thrum_broadcast *broadcast, size_t item, size_t keep)
{
    struct broadcast *b = broadcast_of(broadcast);

    REQUIRE(b != NULL, "no broadcast");
    if (keep == 0 || item > UINT32_MAX || keep > UINT32_MAX)
        return -EINVAL;
    *b = (struct broadcast){
        .item = (uint32_t)item, .keep = (uint32_t)keep, .open = true};
    b->ring = alloc(item == 0 ? 1 : item * keep);
    return b->ring == NULL ? -ENOMEM : 0;
}

void thrum_broadcast_fini(thrum_broadcast *broadcast)
{
    struct broadcast *b = broadcast_of(broadcast);

    REQUIRE(b != NULL, "no broadcast");
    lock(b);
    REQUIRE(!line_any(&b->waiting), "somebody waits at the broadcast");
    b->open = false;
    unlock(b);
    release(b->ring);
    b->ring = NULL;
}

int thrum_broadcast_send(thrum_broadcast *broadcast, const void *item)
{
    struct broadcast *b = broadcast_of(broadcast);
    struct line_place *called;

    sched_point(POINT_CALL);
    lock(b);
    require_broadcast(b, __func__);
    if (!b->open) {
        unlock(b);
        return -EPIPE;
    }
    item_copy(b->item, kept_at(b, b->next), item);
    b->next++;
    called = chan_call_all(&b->waiting, 0, item, b->item);
    unlock(b);
    line_let_go_all(called);
    return 0;
}

void thrum_broadcast_close(thrum_broadcast *broadcast)
{
    struct broadcast *b = broadcast_of(broadcast);
    struct line_place *called;

    lock(b);
    require_broadcast(b, __func__);
    b->open = false;
    called = chan_call_all(&b->waiting, -EPIPE, NULL, 0);
    unlock(b);
    line_let_go_all(called);
}

/* -------------------------------------------------------------- subscribers */

void thrum_subscribe(thrum_subscriber *s, thrum_broadcast *broadcast)
{
    struct broadcast *b = broadcast_of(broadcast);

    lock(b);
    require_broadcast(b, __func__);
    s->of_ = broadcast;
    s->next_ = b->next;
    unlock(b);
}

static struct broadcast *heard_by(const thrum_subscriber *s, const char *func)
{
    REQUIRE_OF(func, s != NULL && s->of_ != NULL,
               "no subscriber, or one that has not subscribed");
    return broadcast_of(s->of_);
}

/* Locked. Go on to the oldest that is kept. */
static uint64_t skip(struct broadcast *b, thrum_subscriber *s)
{
    uint64_t oldest = b->next > b->keep ? b->next - b->keep : 0;
    uint64_t missed = s->next_ < oldest ? oldest - s->next_ : 0;

    s->next_ += missed;
    return missed;
}

/* Locked. CHAN_LATER: there is none yet. */
static int take_next(struct broadcast *b, thrum_subscriber *s, void *item,
                     uint64_t *missed)
{
    if (s->next_ == b->next)
        return b->open ? CHAN_LATER : -EPIPE;
    *missed = skip(b, s);
    if (item != NULL)
        item_copy(b->item, item, kept_at(b, s->next_));
    s->next_++;
    return 0;
}

/* Locked. The next item is copied to us by who sends it. */
static int wait_for_next(struct broadcast *b, thrum_subscriber *s, void *item,
                         struct scope *scope)
{
    struct chan_place p = {.item = item};
    struct scope_wait w;

    wait_init(&w.wait);
    wait_tell(&w, AWAITED("a broadcast"), b);
    line_enter(&b->waiting, &p.place, &w.wait);
    unlock(b);
    if (!scope_sleep_in(scope, &w, &b->waiting, &b->lock, &p.place))
        return -ECANCELED;
    tsan_rely(b); /* by name only: it may be gone */
    if (p.rc == 0)
        s->next_++;
    return p.rc;
}

int thrum_subscriber_recv(thrum_subscriber *s, void *item, uint64_t *missed)
{
    struct broadcast *b = heard_by(s, __func__);
    struct scope *scope = scope_current();
    uint64_t ignored, *out = missed == NULL ? &ignored : missed;
    int rc;

    sched_point(POINT_CALL);
    *out = 0;
    if (scope != NULL && scope_canceled(scope))
        return -ECANCELED;
    lock(b);
    require_broadcast(b, __func__);
    rc = take_next(b, s, item, out);
    if (rc == CHAN_LATER)
        return wait_for_next(b, s, item, scope);
    unlock(b);
    return rc;
}

int thrum_subscriber_try_recv(thrum_subscriber *s, void *item, uint64_t *missed)
{
    struct broadcast *b = heard_by(s, __func__);
    uint64_t ignored, *out = missed == NULL ? &ignored : missed;
    int rc;

    sched_point(POINT_POLL);
    *out = 0;
    lock(b);
    require_broadcast(b, __func__);
    rc = take_next(b, s, item, out);
    unlock(b);
    return rc == CHAN_LATER ? -EAGAIN : rc;
}
