/* door.h - a blocking call that goes on when the test says so, and a pool that such
 * a call fills. */
#ifndef DOOR_H
#define DOOR_H

#include "api.h"

struct door {
    _Atomic unsigned inside, open;
};

/* Keeps its thread until the door is open. arg: the struct door. */
thrum_err *pass(void *arg);

void open_door(struct door *d);

/* For calls that are canceled in time: ends the test. */
thrum_err *never(void *arg);

/* Call fn on runtimes of 1, 2 and 4 workers, each with one thread for blocking
 * calls. on_error as in thrum_opts, or NULL. */
void with_one_thread(thrum_fn *fn, void (*on_error)(const thrum_err *, void *));

#endif
