/* soak.h - what the soak test has going on, and the count of it: of each kind of
 * thing as many must have ended as were begun.
 *
 * An act is something that a task does. It may be canceled at any moment, by a
 * scope around it, and leaves nothing behind. */
#ifndef SOAK_H
#define SOAK_H

#include <thrum.h>

#include "../lib/stress.h"
#include "base/atomic.h"

enum kind {
    FORKS,       /* forked: run, or left out */
    JOBS,        /* given to a gather: run, or left out */
    SPAWNS,      /* spawned: ended */
    DEFERRED,    /* registered: called */
    LOCKED,      /* a mutex: counted by what it guards */
    PERMITS,     /* acquired: released */
    ITEMS,       /* sent: received, or drained */
    NEWS,        /* broadcast: heard, or missed */
    EMITTED,     /* by a generator: received */
    CALLS,       /* offloaded and begun: returned, or dropped */
    BYTES,       /* written to pipes: read */
    CONNECTIONS, /* dialed, accepted: closed */
    PROCESSES,   /* started: waited for */
    SIGNALS,     /* sent: taken */
    KINDS
};

void begun(enum kind kind, uint64_t n);
void ended(enum kind kind, uint64_t n);

/* Spawn fn(arg). False: canceled while it waited for the scope's limit. */
bool start(thrum_scope *s, thrum_fn *fn, void *arg);

struct node {
    uint64_t seed;
    int depth;
    enum kind counted;
    bool ran;
};

/* A random task of tasks, as deep as its node says: tree.c. */
thrum_err *grow(void *node);

typedef thrum_err *soak_act(struct rng *r);

/* share.c: what tasks share. */
soak_act trade, hold, announce, generate;
/* world.c: threads and pipes, for any task; connections, processes and signals,
 * for now and then. */
soak_act offload, flow;
thrum_err *visit_world(void *unused);
extern sigset_t soak_signals; /* blocked in all threads: SIGUSR1 */

#endif
