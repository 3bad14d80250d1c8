/* inbox.h - jobs from anywhere for anybody; never full.
 *
 * A stack of jobs by concurrencykit (ck_stack), so that adding allocates
 * nothing and cannot be refused, and a counter beside it. Whoever takes, takes
 * all, oldest first; hence a whole list can be added by one compare-and-swap.
 * concurrencykit's bounded ring would need a second queue for when it is full;
 * this needs none.
 *
 * Its accesses are inline assembly that ThreadSanitizer cannot see; inbox.c
 * tells it what they order.
 *
 * Invariants
 *   I1  The counter is never less than what a taker can see, but for adders
 *       that are between their two steps: they look for a sleeper afterwards.
 *
 * Ordering
 *   [B1] add: push      -> [B2] take: pop        the job's contents
 *   [B3] add: count     <-> [I2] fall asleep     an adder sees the sleeper, or
 *                           [B4] inbox_any       the sleeper sees the job
 */
#ifndef PARTS_INBOX_H
#define PARTS_INBOX_H

#if !__has_include(<ck_stack.h>)
#error "concurrencykit is missing (Debian: libck-dev): make setup installs it"
#endif
#include <ck_stack.h>

#include "base/atomic.h"
#include "base/base.h"
#include "parts/job.h"

struct inbox {
    _Alignas(CACHE_LINE) ck_stack_t stack;
    _Alignas(CACHE_LINE) _Atomic int64_t count;
};

void inbox_init(struct inbox *in);

/* Add a job. After it the job is the taker's. */
void inbox_add(struct inbox *in, struct thrum_job_ *job);

/* Add a list, oldest first, linked by `next` and ended by NULL. */
void inbox_add_all(struct inbox *in, struct thrum_job_ *first);

/* Take all: the oldest, the others linked behind it by `next`; NULL: none. */
struct thrum_job_ *inbox_take_all(struct inbox *in);

static inline bool inbox_any(struct inbox *in)
{
    return load_seq_cst(&in->count) > 0; /* [B4] */
}

#endif
