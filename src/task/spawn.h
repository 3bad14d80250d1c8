/* spawn.h - handle-less children of a scope. */
#ifndef TASK_SPAWN_H
#define TASK_SPAWN_H

#include "task/scope.h"

/* What the caller gave. */
struct spawned {
    const struct thrum_site_ *site;
    thrum_fn *fn;
    const void *arg;
    size_t copy; /* bytes of arg */
};

/* The scope that was given to `func`; NULL stands for the innermost. Dies if the
 * call is wrong. */
struct scope *spawn_check(thrum_scope *scope, const struct spawned *what,
                          const char *func);

/* By who is no task of its runtime: may it have children? Its time is then kept by
 * the runtime. False: that has ended, or is the parent's of this process. */
bool spawn_reaches(struct scope *s);

/* Of a child that has not begun: is it no part of what its scope's opener computes?
 * A server accepts, and waits for more; its requests do not wait for each other. A
 * background task waits for nobody. */
bool spawn_apart(struct thrum_job_ *job);

/* The same: was its scope opened by a task that runs on the stack? */
bool spawn_made_on(struct thrum_job_ *job, const void *stack);

/* Start a child. may_wait: to let a burst of spawns run. 0, or an error, as of
 * thrum_spawn: fn will not be called. */
int spawn_into(struct scope *s, const struct spawned *what, bool may_wait);

/* The same in two steps, with `room` bytes of the caller's own in the record. NULL,
 * and *rc: it has been called in place (0), by `call`, or will not be (an error).
 * Else it counts as a child from here on; then record_push gives it to a worker. */
struct record;
struct record *spawn_record(struct scope *s, const struct spawned *what,
                            size_t room,
                            thrum_err *(*call)(thrum_fn *fn, void *arg),
                            int *rc);
void record_push(struct scope *s, struct record *r, bool may_wait);

#endif
