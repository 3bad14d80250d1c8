/* record.h - what a spawned task is until it has ended: its job, its argument.
 *
 * A worker keeps spare ones. Knows nothing of scopes.
 */
#ifndef TASK_RECORD_H
#define TASK_RECORD_H

#include <thrum/err.h>

#include "sched/sched.h"

enum { RECORD_SMALL = 64 }; /* bytes of argument in a record that is kept */

struct record {
    struct thrum_job_ job; /* scope: whose child; u.call: what to call */
    uint32_t index;
    bool small;
    bool permit; /* it has one of a limited scope */
    bool has_trace;
    thrum_trace_id trace; /* of who spawned it into a root scope */
    union {
        max_align_t align;
        unsigned char bytes[RECORD_SMALL];
    } copy;
};

static inline struct record *record_of(struct thrum_job_ *job)
{
    return container_of(job, struct record, job);
}

/* With room for so many bytes of argument. w: the worker that the caller runs on,
 * or NULL. NULL: no memory. */
struct record *record_get(struct worker *w, size_t copy);

void record_put(struct worker *w, struct record *r);

/* The spare ones of a worker whose thread has ended. */
void records_free(struct worker *w);

#endif
