/* line.h - who waits for a thing, in the order in which they came.
 *
 * Each waiter has a place in the line, on its stack. One that waits for several
 * things at once has a place in each line, and one wait in all of them: the
 * first to claim it wins. A line is guarded by the lock of the thing; all zero
 * is an empty one.
 *
 *      waiter                             caller, holding the lock
 *      line_enter, unlock                 p = line_call: out of the line, claimed
 *      scope_sleep_in                     ... hand something over through p ...
 *                                         unlock, line_let_go(p)
 *
 * A waiter that somebody else woke (a cancel, another line) stands there until it
 * has left; callers pass it over.
 *
 * Ordering
 *   [N1] line_let_go -> [N2] the waiter     what was handed over; the caller is done
 *                                          with the place
 */
#ifndef TASK_LINE_H
#define TASK_LINE_H

#include "sched/wait.h"

struct line_place {
    struct wait *wait;
    struct line_place *next, *prev; /* the lock of the line: a ring */
    bool in;                        /* the lock: in the line */
    bool asleep;                    /* of who called it: it sleeps */
    _Atomic uint32_t let_go;        /* [N1] [N2] */
};

struct line {
    struct line_place *first;
};

/* --- under the lock of the line's owner */

static inline bool line_any(const struct line *l)
{
    return l->first != NULL;
}

void line_enter(struct line *l, struct line_place *p, struct wait *wait);

/* The same, at its head: for who was there and must come back. */
void line_enter_first(struct line *l, struct line_place *p, struct wait *wait);

/* No effect if it is out of it. */
void line_leave(struct line *l, struct line_place *p);

/* Take out the first that nobody else has woken, and wake it: to be given to
 * line_let_go, until which it and its place stay. NULL: there is none. */
struct line_place *line_call(struct line *l);

/* The same, of the very first, who is taken out. NULL: somebody else has woken
 * it. There must be one. */
struct line_place *line_call_first(struct line *l);

/* The same, of all: linked by next, the first one first. */
struct line_place *line_call_all(struct line *l);

/* --- with no lock held */

void line_let_go(struct line_place *p);
void line_let_go_all(struct line_place *first);

/* A waiter that was called: until it has been let go. */
void line_settle(struct line_place *p);

/* A waiter that does not sleep yet: has it been called, and let go? Then what was
 * handed over is there, and it is not to sleep. */
static inline bool line_is_let_go(struct line_place *p)
{
    return load_acquire(&p->let_go) != 0; /* [N2] */
}

#endif
