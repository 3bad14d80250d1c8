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

static ck_stack_entry_t *entry_of(struct thrum_job_ *job)
{
    return (ck_stack_entry_t *)(void *)&job->next;
}

/* Onto the stack: n entries, linked from the newest to the oldest. */
static void add(struct inbox *in, ck_stack_entry_t *newest,
                ck_stack_entry_t *oldest, unsigned n)
{
    ck_stack_entry_t *below;

    tsan_release(in); /* [B1] */
    tsan_ignore_begin();
    below = ck_pr_load_ptr(&in->stack.head);
    do {
        ck_pr_store_ptr(&oldest->next, below);
        ck_pr_fence_release();
    } while (!ck_pr_cas_ptr_value(&in->stack.head, below, newest, &below));
    tsan_ignore_end();
    add_seq_cst(&in->count, n); /* [B3] */
}

void inbox_add(struct inbox *in, struct thrum_job_ *job)
{
    add(in, entry_of(job), entry_of(job), 1);
}

void inbox_add_all(struct inbox *in, struct thrum_job_ *first)
{
    ck_stack_entry_t *oldest = entry_of(first), *newest = NULL;
    unsigned n = 0;

    do {
        struct thrum_job_ *next = first->next;

        entry_of(first)->next = newest;
        newest = entry_of(first);
        first = next;
        n++;
    } while (first != NULL);
    add(in, newest, oldest, n);
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
