#include "parts/queue.h"

#include "base/atomic.h"
#include "os/barrier.h"

enum { PATIENCE = 1000 }; /* looks at an owner who is inside */

void queue_init(struct queue *q, bool fenced)
{
    q->fenced = fenced;
    q->first = q->last = NULL;
    store_relaxed(&q->count, 0); /* no other thread knows it yet */
    store_relaxed(&q->inside, 0);
    store_relaxed(&q->thief, 0);
}

/* A thief is in, or about to be. He is quick: a few loads and stores. */
static cold void step_back(struct queue *q)
{
    store_release(&q->inside, 0);        /* [Q3] nothing was done */
    while (load_acquire(&q->thief) != 0) /* [Q4] */
        cpu_relax();
}

static inline bool try_enter(struct queue *q)
{
    if (unlikely(q->fenced)) {
        store_seq_cst(&q->inside, 1);        /* [Q1] */
        return load_seq_cst(&q->thief) == 0; /* [Q1] */
    }
    store_relaxed(&q->inside, 1); /* [Q1] */
    barrier_light();
    return load_acquire(&q->thief) == 0; /* [Q1] */
}

static inline void enter(struct queue *q)
{
    while (unlikely(!try_enter(q)))
        step_back(q);
}

static void leave(struct queue *q)
{
    store_release(&q->inside, 0); /* [Q3] */
}

static void count_add(struct queue *q, uint32_t n)
{
    store_relaxed(&q->count, load_relaxed(&q->count) + n); /* we are inside */
}

static inline struct thrum_job_ *take_first(struct queue *q)
{
    struct thrum_job_ *job = q->first;

    if (job != NULL) {
        q->first = job->next;
        count_add(q, (uint32_t)-1);
        if (queue_is_long(q))
            __builtin_prefetch(q->first->next, 1);
    }
    return job;
}

static struct thrum_job_ *take_last(struct queue *q)
{
    struct thrum_job_ *job = q->last;

    if (job == q->first)
        return take_first(q);
    q->last = job->u.call.prev;
    q->last->next = NULL;
    count_add(q, (uint32_t)-1);
    return job;
}

static void link_last(struct queue *q, struct thrum_job_ *job)
{
    job->next = NULL;
    if (!job_is_fork(job))
        job->u.call.prev = q->last; /* of no meaning if there is none: I3 */
    if (q->first == NULL)
        q->first = job;
    else
        q->last->next = job;
    q->last = job;
    count_add(q, 1);
}

void queue_push(struct queue *q, struct thrum_job_ *job)
{
    enter(q);
    link_last(q, job);
    leave(q);
}

void queue_push_all(struct queue *q, struct thrum_job_ *first)
{
    enter(q);
    while (first != NULL) {
        struct thrum_job_ *next = first->next;

        link_last(q, first);
        first = next;
    }
    leave(q);
}

struct thrum_job_ *queue_pop(struct queue *q)
{
    struct thrum_job_ *job;

    if (load_relaxed(&q->count) == 0) /* only the owner adds */
        return NULL;
    enter(q);
    job = take_first(q);
    leave(q);
    return job;
}

struct thrum_job_ *queue_pop_half(struct queue *q, uint32_t n)
{
    struct thrum_job_ *first, *last;
    uint32_t half;

    enter(q);
    first = q->first;
    half = (load_relaxed(&q->count) + 1) / 2; /* we are inside */
    if (n > half)
        n = half;
    if (n > 0) {
        count_add(q, -n);
        for (last = first; --n > 0; last = last->next)
            ;
        q->first = last->next;
        last->next = NULL;
    }
    leave(q);
    return first;
}

static bool is_child(struct thrum_job_ *job, struct thrum_scope *scope)
{
    return job != NULL && !job_is_fork(job) &&
           load_relaxed(&job->scope) == scope; /* const since it was made */
}

struct thrum_job_ *queue_pop_child(struct queue *q, struct thrum_scope *scope,
                                   bool or_last)
{
    struct thrum_job_ *job = NULL;

    enter(q);
    if (is_child(q->first, scope))
        job = take_first(q);
    else if (or_last && q->first != NULL && is_child(q->last, scope))
        job = take_last(q);
    leave(q);
    return job;
}

static bool owner_left(struct queue *q)
{
    for (int i = 0; i < PATIENCE; i++) {
        if (load_seq_cst(&q->inside) == 0) /* [Q2] [Q3] */
            return true;
        cpu_relax();
    }
    return false;
}

struct thrum_job_ *queue_steal(struct queue *q)
{
    struct thrum_job_ *job = NULL;
    uint32_t nobody = 0;

    if (load_relaxed(&q->count) == 0 || load_relaxed(&q->thief) != 0)
        return NULL;                         /* a look, before the price */
    if (!cas_seq_cst(&q->thief, &nobody, 1)) /* [Q2] [Q6] */
        return NULL;
    if (!q->fenced)
        barrier_heavy(); /* [Q2] */
    if (owner_left(q))
        job = take_first(q);
    store_release(&q->thief, 0); /* [Q4] [Q5] */
    return job;
}
