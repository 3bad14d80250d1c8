/* waits.h - who waits for what, as far as a look at a runtime can tell; and who,
 * by that, waits for himself.
 *
 * A walk goes down a tree of scopes. Of a path it holds the locks, as a cancel does
 * (cancel.c): so all that is looked at is open, and who is found waiting in a list
 * cannot go on before the walk has gone by, nor what he waits for end.
 *
 * Who waits for a mutex, an rwlock or a once waits for who has it; who joins a fork
 * for who runs it; who closes a scope for all that wait inside: in the order of the
 * walk those follow him, as long as they are deeper. Who will bring about anything
 * else nobody knows. So a circle is what it seems to be: of those in it none goes
 * on, unless one is canceled.
 */
#ifndef TASK_WAITS_H
#define TASK_WAITS_H

#include "task/scope.h"

/* One who waits. */
struct waiting {
    struct stack *stack; /* NULL: a thread */
    const struct thrum_awaited_ *kind;
    const void *thing;
    bool held;            /* somebody has it: */
    struct stack *holder; /* NULL: he is no task of this runtime */
    const struct thrum_site_ *task, *holder_task; /* what runs on these */

    /* Where it was found, and the search from there on. */
    const struct scope *top;
    int depth;
    bool on_path;
    size_t at, end; /* whom it waits for, not yet looked at */
    struct waiting *from, *next;
};

struct waits {
    struct sched *sched; /* const */
    struct waiting *all;
    size_t count, room;
    size_t found; /* with room for them or without */
};

/* On stack s, at rest. */
struct waiting waiting_of(struct sched *sched, struct stack *s,
                          const struct thrum_awaited_ *kind, const void *thing);

/* Who that is: "main (thrum_call)"; and what he waits for: "a mutex at 0x7ffc,
 * held by main (thrum_call)". */
enum { TASK_TEXT = 160, WAITING_TEXT = 320 };
const char *task_tell(const struct thrum_site_ *site, char text[TASK_TEXT]);
const char *waiting_tell(const struct waiting *w, char text[WAITING_TEXT]);

/* There was no room for all: begin again, with more. False: there was; or there is
 * no memory, and those that were added are all that will be. */
bool waits_begin_again(struct waits *ws);
void waits_free(struct waits *ws);

/* Add those of the tree below top. `see`, if not NULL, is called for each scope,
 * its lock held, with NULL, and then for each who waits in it. */
typedef void waits_see(struct scope *s, int depth, const struct waiting *w,
                       void *arg);
void waits_walk(struct waits *ws, struct scope *top, waits_see *see, void *arg);

/* One of a circle, which `next` leads around; or NULL. */
const struct waiting *waits_circle(struct waits *ws);

/* Does w wait there for the same, held by the same? */
bool waits_has(const struct waits *ws, const struct waiting *w);

#endif
