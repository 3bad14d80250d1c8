/* fetch.h - the stack of a job that is soon to run comes into the cache meanwhile.
 *
 * A stack that has waited lies in memory, most likely, if many others have run
 * since; each of the lines that a task touches first when it goes on then costs as
 * much as all that it does with them. Nothing here is more than a hint.
 */
#ifndef SCHED_FETCH_H
#define SCHED_FETCH_H

#include "sched/sched.h"

enum {
    FETCH_FRAMES = 20 * CACHE_LINE,
    FETCH_AHEAD = 4,   /* jobs after the next */
    FETCH_MANY = 4096, /* stacks: more than a second-level TLB has entries */
};

/* Is the next job's stack in no cache, most likely? Many others have run since it
 * did; or the kernel has, for who is told of a descriptor goes there. */
static inline bool fetch_is_due(struct worker *w)
{
    if (likely(w->woken == 0))
        return queue_is_long(&w->queue);
    w->woken--;
    return true;
}

/* From memory they take longer to come than one job to run. Tasks that were
 * spawned in a row often have stacks in a row: as long as they lie as far apart as
 * the ones before, it is that of some jobs later that is fetched. */
static inline uintptr_t fetch_which(struct worker *w, const struct stack *s)
{
    uintptr_t next = (uintptr_t)stack_of_resume(s->resume.next);
    uintptr_t stride = next - (uintptr_t)s, last = w->stride;

    if (queue_count(&w->queue) < FETCH_MANY)
        return next;
    w->stride = stride;
    return stride == last ? next + FETCH_AHEAD * stride : next;
}

/* While s runs: a head, and the frames that are returned through first, taken to
 * lie as deep as those of s. Of a job of another kind it is done in vain, and does
 * no harm. */
fetches void fetch_next(struct worker *w, const struct stack *s)
{
    uintptr_t next, at, end;

    if (likely(s->resume.next == NULL) || !fetch_is_due(w))
        return;
    next = fetch_which(w, s);
    at = next - ((uintptr_t)s - (uintptr_t)s->ctx.sp);
    end = next - at < FETCH_FRAMES ? next : at + FETCH_FRAMES;
    for (; at < end; at += CACHE_LINE)
        __builtin_prefetch((const void *)at, 1);
    for (size_t i = 0; i < sizeof(struct stack); i += CACHE_LINE)
        __builtin_prefetch((const void *)(next + i), 1);
}

#endif
