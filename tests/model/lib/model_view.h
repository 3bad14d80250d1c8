/* model_view.h - what a thread, or a store, knows of all others. */
#ifndef MODEL_VIEW_H
#define MODEL_VIEW_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "model.h"

enum { MODEL_LOCATIONS = 2048 }; /* different atomics in one execution */

/* seen bounds what may still be read; clock says what happened before, which is
 * all that a race on plain data asks. */
struct view {
    uint64_t sc; /* the last seq_cst accesses before: bits of model_memory.c */
    uint32_t sc_age; /* of which of its graphs */
    uint32_t clock[MODEL_THREADS];
    int n;                          /* how many of seen are in use */
    uint16_t seen[MODEL_LOCATIONS]; /* by location: the newest store known */
};

static inline void view_clear(struct view *v)
{
    v->sc = 0;
    v->sc_age = 0;
    v->n = 0;
    memset(v->clock, 0, sizeof v->clock);
}

static inline void view_copy(struct view *to, const struct view *from)
{
    memcpy(to, from,
           offsetof(struct view, seen) + (size_t)from->n * sizeof *from->seen);
}

static inline void view_extend(struct view *v, int n)
{
    while (v->n < n)
        v->seen[v->n++] = 0;
}

static inline void view_join_seen(struct view *to, const struct view *from)
{
    view_extend(to, from->n);
    for (int i = 0; i < from->n; i++)
        if (to->seen[i] < from->seen[i])
            to->seen[i] = from->seen[i];
}

static inline void view_join(struct view *to, const struct view *from)
{
    view_join_seen(to, from);
    for (int i = 0; i < MODEL_THREADS; i++)
        if (to->clock[i] < from->clock[i])
            to->clock[i] = from->clock[i];
    if (to->sc_age == from->sc_age) {
        to->sc |= from->sc;
    } else if (to->sc_age < from->sc_age) {
        to->sc = from->sc;
        to->sc_age = from->sc_age;
    }
}

static inline int view_of(const struct view *v, int number)
{
    return number < v->n ? v->seen[number] : 0;
}

static inline void view_see(struct view *v, int number, int store)
{
    view_extend(v, number + 1);
    if (v->seen[number] < store)
        v->seen[number] = (uint16_t)store;
}

#endif
