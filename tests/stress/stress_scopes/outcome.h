/* outcome.h - how tasks and scopes of stress_scopes went, and what that may have
 * come to, as the table in thrum/scope.h has it. */
#ifndef STRESS_SCOPES_OUTCOME_H
#define STRESS_SCOPES_OUTCOME_H

#include <thrum/task.h>

#include "../../fuzz/lib/ended.h"
#include "../lib/stress.h"
#include "base/atomic.h"

/* Further sets of how something may end. */
enum { FAILURE = FAILED | TIMED_OUT, NOT_COUNTED = -1 };

enum { KIDS = 5, DEFERS = 7 };

enum cancel { NO, MAYBE, YES }; /* a scope around is canceled */

struct region;

/* A task, and how it went. In the frame of who makes it, who outlives it. */
struct task {
    uint64_t seed;
    int depth;
    struct region *in;     /* that it was spawned into, or NULL */
    bool cancels, ends_it; /* it, by cancel or by deadline */
    _Atomic uint32_t started, ended;
    unsigned returned; /* by the body: one bit */
    long count;        /* of errors in that */
    struct task *own;  /* spawned into its own scope */
    int own_count;
};

struct clean_up {
    struct region *of;
    int index; /* in order of registration; -1: by a child */
    bool fails;
    _Atomic uint32_t ran;
};

/* What decides how a scope ends, as it is known when it has. */
struct region {
    thrum_scope scope;
    thrum_policy policy;
    enum cancel outside;
    _Atomic bool over, canceled; /* its deadline; by thrum_scope_cancel */
    struct task kid[KIDS];
    int kids;
    struct task more[KIDS]; /* spawned by them, if `more_spawned` */
    _Atomic bool more_spawned[KIDS];
    struct clean_up defer[DEFERS], of_kid[KIDS];
    int defers;
    _Atomic uint32_t of_kids; /* deferred by them, of which some fail */
    _Atomic uint32_t of_kids_fail;
    _Atomic uint32_t cleaned;
    unsigned seen_outcome; /* by the first of them */
};

/* One bit. A failed clean-up may come behind a cancellation: a failure. */

/* Its errors; NOT_COUNTED if failures and cancellations are mixed: it depends on
 * the scope what is dropped. */
long outcome_count(const thrum_err *e);

/* What a task may have come to that has ended, to whoever joins it. One that was
 * left out: to a cancellation. */
unsigned outcome_of_task(const struct task *t, long *count);

/* Dies if a scope may not end with err, its body having ended so. */
void outcome_check(struct region *r, unsigned body, long body_count,
                   const thrum_err *err);

#endif
