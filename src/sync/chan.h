/* chan.h - a channel: a ring of items, and who waits at its two ends.
 *
 * All of it is under one spin lock, held for the copy of an item or two. Who
 * cannot go on takes a place in the line of his end, with the address of his
 * item; who comes to the other end calls the first of the line, copies from or
 * to him under the lock, and lets him go after it. So a wait has either been
 * served, or was canceled and nothing was copied: the claim of the wait decides.
 *
 * A select has a place in each of its lines, and one wait in all of them. It
 * takes the locks of all its channels, in the order of their addresses, looks
 * whether one is ready, and else enters all the lines before it lets go of any
 * lock.
 *
 * Why a select does exactly one case
 *   Step 1: while it holds the locks it is in no line, so nobody can claim it;
 *     it serves at most one case and returns, or none and enters the lines. So
 *     two selects that would serve each other do not both call: the one that
 *     has the lock of the channel calls the other, who waits.
 *   Step 2: from then on whoever serves one of its places has claimed its wait,
 *     and one claim wins. A caller that loses takes the place out of the line
 *     and goes on to the next in line, as if that had not stood there.
 *   Step 3: none is missed. For each channel: who came before it entered the
 *     line has left what it needed to see, under the lock it took; who came
 *     after finds it in the line.
 *   Step 4: it returns when it has taken the lock of each of its channels once
 *     more and left the line. Who has called it wrote `called` under one of
 *     these, after the claim that woke it: so it is seen.
 *
 * Invariants, under the lock
 *   I1  Places in `receivers` that can be called: the ring is empty.
 *   I2  Places in `senders` that can be called: the ring is full, and the
 *       channel open.
 *   I3  Whoever learns through the channel that it may be freed (an item, the
 *       end) does so after the last access of who told him, which is to unlock:
 *       waiters are let go after that.
 */
#ifndef SYNC_CHAN_H
#define SYNC_CHAN_H

#include <thrum/chan.h>

#include <errno.h>
#include <string.h>

#include "task/scope.h"

struct chan {
    struct spin lock;
    uint32_t item, cap;     /* const */
    uint32_t in, out;       /* lock: of the ring */
    _Atomic uint32_t count; /* written with the lock: of items in it */
    bool open;              /* lock: not closed; all zero is no channel */
    _Atomic int8_t hope;    /* a hint: see let_others_run */
    char *ring;             /* NULL: none was made, or it was freed */
    struct line senders, receivers; /* lock: of chan_place */
};

/* One who waits at an end. */
struct chan_place {
    struct line_place place;
    void *item;  /* to be read or written, under the lock */
    int rc;      /* lock: how it was served */
    bool called; /* lock */
};

enum { CHAN_LATER = 1 };

static inline struct chan *chan_of(thrum_chan *c)
{
    return (struct chan *)(void *)c;
}

static inline struct chan_place *chan_place_of(struct line_place *p)
{
    return container_of(p, struct chan_place, place);
}

static inline void chan_lock(struct chan *c)
{
    spin_lock_apart(&c->lock);
    tsan_rely(c);
}

static inline void chan_unlock(struct chan *c)
{
    tsan_promise(c);
    spin_unlock(&c->lock);
}

/* The line of those who wait to do this. */
static inline struct line *chan_line(struct chan *c, thrum_direction op)
{
    return op == THRUM_SEND ? &c->senders : &c->receivers;
}

static inline void chan_enter(struct line *line, struct chan_place *p,
                              struct wait *wait, void *item)
{
    p->item = item;
    p->called = false;
    line_enter(line, &p->place, wait);
}

static inline void item_copy(uint32_t size, void *to, const void *from)
{
    if (likely(size == sizeof(uint64_t)))
        memcpy(to, from, sizeof(uint64_t));
    else if (size != 0)
        memcpy(to, from, size);
}

/* All of a line: each is told rc, and gets the item, if there is one, of `size`
 * bytes. Linked by `next`, in their order, for line_let_go_all. */
struct line_place *chan_call_all(struct line *l, int rc, const void *item,
                                 uint32_t size);

/* Under the lock. 0, -EPIPE, or CHAN_LATER: nothing was done. *called: who was
 * served by it, to be given to line_let_go without the lock; else left as is. */
int chan_do(struct chan *c, thrum_direction op, void *item,
            struct line_place **called);

#endif
