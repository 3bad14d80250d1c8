#include "parts/inbox.h"

#include "base/atomic.h"
#include "base/sanitize.h"

_Static_assert(sizeof(ck_stack_entry_t) == sizeof(struct thrum_job_ *),
               "a job's link can be a ck_stack entry");

void inbox_init(struct inbox *in)
{
    ck_stack_init(&in->stack);
    store_relaxed(&in->count, 0); /* no other thread knows it yet */
}

void inbox_add(struct inbox *in, struct thrum_job_ *job)
{
    tsan_release(in); /* [B1] */
    tsan_ignore_begin();
    ck_stack_push_mpmc(&in->stack, (ck_stack_entry_t *)(void *)&job->next);
    tsan_ignore_end();
    add_seq_cst(&in->count, 1); /* [B3] */
}

static struct thrum_job_ *job_of(ck_stack_entry_t *entry)
{
    return container_of((void *)entry, struct thrum_job_, next);
}

struct thrum_job_ *inbox_take_all(struct inbox *in)
{
    struct thrum_job_ *oldest = NULL;
    ck_stack_entry_t *entry;
    int64_t n = 0;

    if (!inbox_any(in))
        return NULL;

    tsan_ignore_begin();
    entry = ck_stack_batch_pop_mpmc(&in->stack);
    tsan_ignore_end();
    tsan_acquire(in); /* [B2] */

    while (entry != NULL) { /* newest first: turn it round */
        struct thrum_job_ *job = job_of(entry);

        entry = entry->next;
        job->next = oldest;
        oldest = job;
        n++;
    }
    add_relaxed(&in->count, -n); /* a hint from here on: [B4] re-checks */
    return oldest;
}
