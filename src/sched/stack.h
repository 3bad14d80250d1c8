/* stack.h - task stacks: where they lie, and the spare ones.
 *
 * One stack, from low to high addresses; stack_bytes is all but the slots:
 *
 *      | guard | stack, grows down ... | struct stack | fork slots, 32 KiB |
 *              ^ low                                  ^ a 32 KiB border
 *
 * struct stack is the head of the stack's deque (parts/deque.h) as well, with the
 * first of the slots: all that a waiting task needs is in the one page that its
 * first frames are in. The other slots are touched by forks only. A further
 * segment of a deque looks the same, without a stack.
 *
 * Stacks are carved from large reservations, guarded once, and not unmapped
 * before the runtime stops, so that a thief may look at any deque at any time.
 * Each worker keeps some spare ones hot (sched/worker.c) and gives the pool what
 * is too many. Of those beyond STACK_POOL_WARM a worker that has nothing to do
 * gives the pages back to the kernel: that takes microseconds each, and while
 * there is work they may be needed again.
 *
 * A guard is an eighth of the stack, so that few frames are so large that they jump
 * over it: those are found by the stack pointer, at a fault and where a task waits.
 * It needs Linux 6.13, or mprotect while mappings last (os/memory.h). A stack
 * without one gets a canary at its low end, looked at when it is put back.
 *
 * Ordering
 *   [A1] an arena is opened -> [A2] the fault handler   its fields
 *   [A3] one has trimmed    -> [A4] the next one trims  nothing but its turn
 */
#ifndef SCHED_STACK_H
#define SCHED_STACK_H

#include "base/base.h"
#include "base/sanitize.h"
#include "os/spin.h"
#include "os/ctx.h"
#include "parts/deque.h"

struct arena;
struct worker;

struct stack {
    struct thrum_deque_ deque;

    /* whoever runs on it; at rest, whoever may run it */
    struct ctx ctx;
    struct worker *worker;
    struct thrum_job_ *handed;                /* to run first */
    _Atomic(const struct thrum_site_ *) site; /* of what runs now: for messages,
                                               * of other threads too */
    int saved_errno;
    unsigned budget; /* until it yields: of checkpoints and spawns */

    /* const after it was made */
    unsigned valgrind_id;
    bool guarded;
    bool sim_polls; /* not const: of a simulation, as sim_rank */
    char *low;      /* the first byte above the guard */

    /* The job that runs it again: a line, that those who wake many touch. */
    _Alignas(CACHE_LINE) struct thrum_job_ resume;

    _Atomic(void *) child_of; /* for reports: whose child runs on it, */
    _Atomic(const struct thrum_site_ *) child_site; /* and where it was made */

    struct spin taken_lock; /* of deque.taken */
    int32_t sim_rank;       /* of a simulation, src/sim */
    struct stack *next;     /* in a list of spares */
    struct sanitize_fiber fiber;
    _Alignas(64) char sentinel[64]; /* the slot before the first */
    char first[THRUM_NEAR_][64];    /* slots */
};

enum { STACK_POOL_WARM = 4096 }; /* spare ones that keep their pages */

struct stack_pool {
    /* const after stack_pool_init */
    size_t stack_bytes, guard_bytes; /* these are of those */
    bool fenced;
    _Atomic uint32_t *hungry;
    ctx_entry *entry;

    struct spin lock;
    struct stack *spare;           /* lock */
    struct stack *trimmed;         /* lock: spare, without their pages */
    struct thrum_deque_ *segments; /* lock: spare ones, linked by prev */
    struct arena *arenas;          /* lock */
    size_t made;                   /* lock */
    _Atomic uint32_t
        trimming;           /* one does: the kernel lets in no more [A3] [A4] */
    _Atomic size_t spares;  /* written with the lock; not the cold ones */
    _Atomic uint32_t lacks; /* likewise: the last one asked for was not had */
};

void stack_pool_init(struct stack_pool *pool, size_t stack_bytes,
                     _Atomic uint32_t *hungry, bool fenced, ctx_entry *entry);

/* No thread may run on any of its stacks, nor look at one. */
void stack_pool_deinit(struct stack_pool *pool);

/* A stack on which entry(stack) starts when it is switched to, or one that was
 * put back and goes on from there. NULL: no memory. */
struct stack *stack_get(struct stack_pool *pool);

/* Its deque is empty and nobody stands on it. */
void stack_put(struct stack_pool *pool, struct stack *s);

/* Nothing in its deque is in use: give back all segments but the first, as each
 * change of scope walks through them. */
void stack_shed(struct stack_pool *pool, struct stack *s);

/* Give back the pages of some spare stacks. False: there are not too many, or
 * somebody else does. */
bool stack_pool_trim(struct stack_pool *pool);

/* Die if a stack without a guard was overflowed. */
void stack_check(struct stack *s);

/* A segment for a deque of `first`; NULL: no memory. Back: stack_put does it
 * for all segments of the stack. */
struct thrum_deque_ *segment_get(struct stack_pool *pool,
                                 struct thrum_deque_ *first);

static inline struct stack *stack_of(struct thrum_deque_ *first)
{
    return container_of(first, struct stack, deque);
}

/* The job to queue of who waited and was woken, or was asked to give way, */
static inline struct thrum_job_ *stack_woken(struct stack *s)
{
    job_set_yielded(&s->resume, false);
    return &s->resume;
}

/* or of who yields: of himself he lets all others go first. */
static inline struct thrum_job_ *stack_yielded(struct stack *s)
{
    job_set_yielded(&s->resume, true);
    return &s->resume;
}

static inline struct stack *stack_of_resume(struct thrum_job_ *job)
{
    return container_of(job, struct stack, resume);
}

/* The stack whose first frames, of 32 KiB, `frame` is in; if it is in one: nothing
 * but to be fetched. */
static inline struct stack *stack_around(const char *frame)
{
    uintptr_t border = ((uintptr_t)frame | (SEGMENT_BYTES - 1)) + 1;

    return (struct stack *)(border - SEGMENT_HEAD);
}

/* Call `see` for each stack there is, spare ones too. No other thread makes
 * one meanwhile. */
void stack_pool_each(struct stack_pool *pool,
                     void (*see)(struct stack *s, void *arg), void *arg);

/* Somebody holds a lock; and above these four bits his stack_tag. */
#define STACK_HELD UINT32_C(1)

/* What thrum_taker_ says on stack s. 0: NULL. */
static inline uint32_t stack_tag(const struct stack *s)
{
    return (uint32_t)((uintptr_t)s >> 15) << 4;
}

/* The stack of the pool that the tag stands for; NULL: there is none. */
struct stack *stack_of_tag(struct stack_pool *pool, uint32_t tag);

/* Explain a fault (os/fault.h), of a thread that stands on `here`, if not NULL: it
 * was in a guard, or it was below `here` by code that had jumped over the guard. */
bool stack_explain(const struct stack *here, const char *addr, const char *sp,
                   char *line, size_t n);

/* Where a task waits with its stack pointer, sp, below its stack: say that it has
 * overflowed, and abort. But not if that is no stack of ours: a program may have
 * stacks of its own inside a task. */
cold void stack_check_below(const struct stack *s, const char *sp);

#endif
