/* tray.h - a list that is filled one by one and emptied at once.
 *
 * For records that go from one core to another in numbers: who takes a list goes
 * through it at the pace of its work, and would wait at every record for the
 * other core's memory. So a record knows, besides the next, one some places
 * ahead, which the taker asks for in time.
 *
 * No lock of its own: all calls are under the owner's.
 *
 * Invariants
 *   I1  Those in `recent` are in the list: whoever takes one record out of the
 *       middle sets `count` to 0, which only makes the hints begin anew.
 */
#ifndef PARTS_TRAY_H
#define PARTS_TRAY_H

#include "base/base.h"

enum { TRAY_AHEAD = 8 }; /* records of some tens of ns each hide one miss */

struct tray_item {
    struct tray_item *next;
    struct tray_item *ahead; /* a hint: never read through */
};

struct tray {
    struct tray_item *first, *last;
    uint32_t count;
    struct tray_item *recent[TRAY_AHEAD];
};

/* True: it was empty. */
static inline bool tray_add(struct tray *t, struct tray_item *item)
{
    struct tray_item **oldest = &t->recent[t->count % TRAY_AHEAD];
    bool first = t->first == NULL;

    item->next = item->ahead = NULL;
    if (first)
        t->first = item;
    else
        t->last->next = item;
    t->last = item;
    if (t->count++ >= TRAY_AHEAD)
        (*oldest)->ahead = item;
    *oldest = item;
    return first;
}

/* The oldest, the others linked behind it by `next`; NULL: none. */
static inline struct tray_item *tray_take_all(struct tray *t)
{
    struct tray_item *first = t->first;

    t->first = NULL;
    t->count = 0;
    return first;
}

/* Have the memory of one some places behind `item` brought here. */
static inline void tray_look_ahead(const struct tray_item *item)
{
    __builtin_prefetch(item->ahead, 1);
}

#endif
