/* spawn.h - handle-less children of a scope. */
#ifndef TASK_SPAWN_H
#define TASK_SPAWN_H

#include "task/scope.h"

/* 0, or -ENOMEM: fn will not be called. may_wait: for a permit, and to let a
 * burst of spawns run. */
int spawn_into(struct scope *s, const struct thrum_site_ *site, thrum_fn *fn,
               const void *arg, size_t copy, bool may_wait);

#endif
