#include "parts/queue.h"

#include "base/atomic.h"
#include "os/barrier.h"
#include "os/thread.h"

enum { PATIENCE = 1000 }; /* looks at who is inside, owner or thief */

void queue_init(struct queue *q, bool fenced)
{
    q->fenced = fenced;
    q->jobs = (struct chain){0};
    q->apart_first = false;
    store_relaxed(&q->inside, 0); /* no other thread knows it yet */
    store_relaxed(&q->thief, 0);
}

/* A thief is in, or about to be. He is quick, a few loads and stores for each job,
 * unless he has lost his CPU. */
static cold void step_back(struct queue *q)
{
    store_release(&q->inside, 0); /* [Q3] nothing was done */
    for (int i = 0; load_acquire(&q->thief) != 0; i++) /* [Q4] */
        if (i < PATIENCE)
            cpu_relax();
        else
            thread_yield();
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

static inline struct thrum_job_ *take_first(struct queue *q)
{
    struct thrum_job_ *job = q->jobs.first;

    if (job != NULL) {
        q->jobs.first = job->next;
        if (unlikely(chain_count(&q->jobs, (uint32_t)-1) >= QUEUE_LONG))
            __builtin_prefetch(job->next->next, 1);
    }
    return job;
}

static struct thrum_job_ *take_last(struct queue *q)
{
    struct chain *c = &q->jobs;
    struct thrum_job_ *job = c->last;

    if (job == c->first)
        return take_first(q);
    c->last = job->u.call.prev;
    c->last->next = NULL;
    (void)chain_count(c, (uint32_t)-1);
    return job;
}

void queue_push(struct queue *q, struct thrum_job_ *job)
{
    enter(q);
    chain_add(&q->jobs, job);
    leave(q);
}

void queue_push_all(struct queue *q, struct thrum_job_ *first)
{
    enter(q);
    while (first != NULL) {
        struct thrum_job_ *next = first->next;

        chain_add(&q->jobs, first);
        first = next;
    }
    leave(q);
}

void queue_push_chain(struct queue *q, const struct chain *c)
{
    struct chain *to = &q->jobs;

    if (c->first == NULL)
        return;
    enter(q);
    if (!job_is_fork(c->first))
        c->first->u.call.prev = to->last; /* as in chain_add */
    if (to->first == NULL)
        to->first = c->first;
    else
        to->last->next = c->first;
    to->last = c->last;
    (void)chain_count(to, load_relaxed(&c->count)); /* the caller's */
    leave(q);
}

struct thrum_job_ *queue_pop(struct queue *q)
{
    struct thrum_job_ *job;

    if (queue_count(q) == 0) /* only the owner adds */
        return NULL;
    enter(q);
    job = take_first(q);
    leave(q);
    return job;
}

/* By who is inside, or the thief that has it. */
static struct thrum_job_ *take_half(struct queue *q, uint32_t n)
{
    struct thrum_job_ *first = q->jobs.first, *last;
    uint32_t half = (queue_count(q) + 1) / 2;

    if (n > half)
        n = half;
    if (n == 0)
        return NULL;
    (void)chain_count(&q->jobs, -n);
    for (last = first; --n > 0; last = last->next)
        ;
    q->jobs.first = last->next;
    last->next = NULL;
    return first;
}

struct thrum_job_ *queue_pop_half(struct queue *q, uint32_t n)
{
    struct thrum_job_ *first;

    enter(q);
    first = take_half(q, n);
    leave(q);
    return first;
}

static bool is_child(struct thrum_job_ *job, struct thrum_scope *scope)
{
    return job != NULL && !job_is_fork(job) &&
           load_relaxed(&job->scope) == scope; /* const since it was made */
}

static struct thrum_job_ *pop_in_turn(struct queue *q, const struct siblings *s)
{
    if (is_child(q->jobs.first, s->scope))
        return take_first(q);
    if (s->or_last && q->jobs.first != NULL && is_child(q->jobs.last, s->scope))
        return take_last(q);
    return NULL;
}

/* Of more than QUEUE_DEEP. */
static cold struct thrum_job_ *pop_deep(struct queue *q, struct siblings *s)
{
    uint32_t count = queue_count(q);

    if (count > s->older && s->newest < QUEUE_TURN &&
        is_child(q->jobs.last, s->scope)) {
        s->newest++;
        return take_last(q);
    }
    s->older = count - 1;
    s->newest = 0;
    return pop_in_turn(q, s);
}

struct thrum_job_ *queue_pop_child(struct queue *q, struct siblings *s)
{
    struct thrum_job_ *job;

    enter(q);
    job = unlikely(queue_count(q) > QUEUE_DEEP) ? pop_deep(q, s)
                                                : pop_in_turn(q, s);
    leave(q);
    return job;
}

static bool is_woken(const struct thrum_job_ *job)
{
    return !job_is_fork(job) &&
           (load_relaxed(&job->scope) == NULL || /* const since it was made */
            job_is_short(job));
}

static bool is_spawned(const struct thrum_job_ *job)
{
    return !job_is_fork(job) && !is_woken(job);
}

/* Who is first has none before it. */
static void set_before(struct thrum_job_ *job, struct thrum_job_ *before)
{
    if (job != NULL && !job_is_fork(job))
        job->u.call.prev = before;
}

/* Behind `before`; NULL: first. */
static void put_behind(struct chain *c, struct thrum_job_ *before,
                       struct thrum_job_ *job)
{
    struct thrum_job_ **at = before == NULL ? &c->first : &before->next;

    job->next = *at;
    set_before(job, before);
    set_before(job->next, job);
    *at = job;
    if (job->next == NULL)
        c->last = job;
    (void)chain_count(c, 1);
}

static struct thrum_job_ *take_behind(struct chain *c,
                                      struct thrum_job_ *before)
{
    struct thrum_job_ **at = before == NULL ? &c->first : &before->next;
    struct thrum_job_ *job = *at;

    *at = job->next;
    set_before(job->next, before);
    if (job->next == NULL)
        c->last = before;
    (void)chain_count(c, (uint32_t)-1);
    return job;
}

static struct thrum_job_ *behind(const struct chain *c,
                                 const struct thrum_job_ *before)
{
    return before == NULL ? c->first : before->next;
}

/* Two groups that come to be first in the queue, one behind the other. */
struct groups {
    struct thrum_job_ *fresh;
    queue_apart *apart;
    bool apart_first, yielded;
    struct thrum_job_ *last[2]; /* of each; NULL: there is none */
    uint32_t count[2];
};

enum { NO_GROUP = 2 };

static int group_of(const struct groups *g, struct thrum_job_ *job)
{
    if (job == g->fresh)
        return !g->apart_first;
    if (is_woken(job))
        return g->yielded || !job_has_yielded(job) ? g->apart_first : NO_GROUP;
    return !job_is_fork(job) && g->apart(job) ? !g->apart_first : NO_GROUP;
}

/* The job behind `before` is one more of the group. */
static void have_join(struct chain *c, struct groups *g, int group,
                      struct thrum_job_ *before)
{
    struct thrum_job_ *job = behind(c, before), *end = g->last[0];

    if (group == 1 && g->last[1] != NULL)
        end = g->last[1];
    if (before != end)
        put_behind(c, end, take_behind(c, before));
    g->last[group] = job;
    g->count[group]++;
}

static void gather(struct chain *c, struct groups *g)
{
    struct thrum_job_ *before = NULL, *job;

    for (int i = 0; i < QUEUE_LOOK && g->count[0] < QUEUE_FEW; i++) {
        int group;

        job = behind(c, before);
        if (job == NULL)
            return;
        group = group_of(g, job);
        if (group != NO_GROUP && g->count[group] < QUEUE_FEW)
            have_join(c, g, group, before);
        if (behind(c, before) == job)
            before = job;
    }
}

uint32_t queue_let_first(struct queue *q, struct thrum_job_ *fresh,
                         queue_apart *apart, bool yielded)
{
    struct groups g = {fresh, apart, q->apart_first, yielded, {NULL}, {0}};
    bool many;

    enter(q);
    if (fresh != NULL)
        put_behind(&q->jobs, NULL, fresh);
    gather(&q->jobs, &g);
    leave(q);
    many = g.count[g.apart_first] == QUEUE_FEW;
    q->apart_first = !g.apart_first && !many; /* or one group waits for ever */
    return many ? QUEUE_ALL : g.count[0] + g.count[1];
}

void queue_push_behind(struct queue *q, struct thrum_job_ *job, uint32_t n)
{
    struct chain *c = &q->jobs;
    struct thrum_job_ *before = NULL;

    enter(q);
    if (n == QUEUE_ALL)
        before = c->last;
    for (; n > 0 && before != c->last; n--) /* thieves may have been there */
        before = behind(c, before);
    put_behind(c, before, job);
    leave(q);
}

void queue_take_along(struct queue *q, struct chain *c, queue_kin *is_kin,
                      const void *whose)
{
    enter(q);
    for (int i = 0; i < QUEUE_LOOK && q->jobs.first != NULL; i++) {
        if (!is_spawned(q->jobs.last) || !is_kin(q->jobs.last, whose))
            break;
        put_behind(c, NULL, take_last(q));
    }
    leave(q);
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

struct thrum_job_ *queue_steal(struct queue *q, uint32_t n)
{
    struct thrum_job_ *first = NULL;
    uint32_t nobody = 0;

    if (queue_count(q) == 0 || load_relaxed(&q->thief) != 0)
        return NULL;                         /* a look, before the price */
    if (!cas_seq_cst(&q->thief, &nobody, 1)) /* [Q2] [Q6] */
        return NULL;
    if (!q->fenced)
        barrier_heavy(); /* [Q2] */
    if (owner_left(q))
        first = take_half(q, n);
    store_release(&q->thief, 0); /* [Q4] [Q5] */
    return first;
}
