#include "sched/sched.h"

#include "os/clock.h"

enum {
    SPIN_NS = 20000,    /* a searcher gives up after this long */
    LEAD_NS = 50000,    /* the keeper is woken no earlier than that */
    STEP_NS = 2000,     /* .. and in such steps */
    ANSWER_LOOKS = 200, /* at the inbox, before a thief pays for a barrier */
    BATCH = 64,         /* jobs handed over at once */
    BATCH_STOLEN = 16,  /* .. or taken by force, while their owner waits */
    INBOX_TURN = 61,    /* every so often the inbox goes first */
    CLOCK_TURN = 4,     /* every so often a busy worker looks at the clock */
    POLL_TURN = 64,     /* .. and at descriptors */
};

/* ----------------------------------------------------------- where jobs are */

/* Is there a job anywhere? The one list of places. Read after a barrier when it
 * must not miss one; a stack before the queue, as a stack that is put away moves
 * its forks there first. Of a worker not seen yet there was nothing to see. */
static bool sched_any(struct sched *s)
{
    unsigned count = sched_count(s);

    if (inbox_any(&s->inbox))
        return true;
    for (unsigned i = 0; i < count; i++) {
        struct stack *stack = load_acquire(&s->workers[i].stack); /* [S7] */

        if ((stack != NULL && deque_looks_busy(&stack->deque)) ||
            queue_count(&s->workers[i].queue) > 0)
            return true;
    }
    return load_seq_cst(&s->stopping) != 0; /* [S2] */
}

void sched_rouse(struct sched *s, int worker)
{
    if (worker != IDLE_NOBODY)
        parker_unpark_in(&s->workers[worker].parker, &s->poller.set);
}

void sched_notify(struct sched *s)
{
    sched_rouse(s, idle_notify(&s->idle));
}

/* Once the job is in the inbox it may run, and end what keeps the runtime from
 * being stopped: the visit does from there on. */
void sched_submit(struct sched *s, struct thrum_job_ *job)
{
    add_relaxed(&s->visitors, 1); /* the job is not submitted: none stops yet */
    inbox_add(&s->inbox, job);
    sched_notify(s);
    sub_release(&s->visitors, 1); /* [S8] */
}

/* The older half of the queue, up to n, or who takes would come for every job. */
static bool give_queued(struct sched *sched, struct worker *w, uint32_t n)
{
    struct thrum_job_ *first = queue_pop_half(&w->queue, n);

    if (first == NULL)
        return false;
    inbox_add_all(&sched->inbox, first);
    return true;
}

/* Somebody is hungry: hand over the oldest forks, else jobs of the queue. */
static cold void answer(struct worker *w, struct stack *s)
{
    struct sched *sched = w->sched;
    struct thrum_job_ *forks = NULL;

    if (!idle_answer(&sched->idle))
        return;
    while (deque_any_own(&s->deque) && forks == NULL)
        (void)deque_steal(&s->deque, true, deque_share(&s->deque), &forks);
    if (forks != NULL)
        inbox_add_all(&sched->inbox, forks);
    else if (!give_queued(sched, w, BATCH))
        idle_ask(&sched->idle); /* thieves were faster: others still wait */
    sched_notify(sched);
}

void sched_give_all(struct worker *w)
{
    struct sched *s = w->sched;
    if (!give_queued(s, w, UINT32_MAX))
        return;
    while (give_queued(s, w, UINT32_MAX))
        ;
    sched_notify(s);
}

void sched_push(struct worker *w, struct thrum_job_ *job)
{
    queue_push(&w->queue, job);
    if (unlikely(idle_published(&w->sched->idle)))
        answer(w, load_relaxed(&w->stack)); /* its own */
}

void sched_push_chain(struct worker *w, const struct chain *c)
{
    queue_push_chain(&w->queue, c);
    if (c->first != NULL && unlikely(idle_published(&w->sched->idle)))
        answer(w, load_relaxed(&w->stack)); /* its own */
}

/* The only job here stays: who searches takes it by force, if it is still there
 * when he has waited, and who sleeps is made a searcher. */
static cold void answer_for_child(struct worker *w, struct stack *s)
{
    struct idle *idle = &w->sched->idle;

    if (deque_any_own(&s->deque) || queue_count(&w->queue) > 1)
        answer(w, s);
    else if (!idle_any_searching(idle) && idle_answer(idle))
        sched_notify(w->sched);
}

void sched_push_child(struct worker *w, struct thrum_job_ *job)
{
    bool asked;

    queue_push(&w->queue, job);
    asked = idle_published(&w->sched->idle);
    if (unlikely(asked))
        answer_for_child(w, load_relaxed(&w->stack)); /* its own */
}

void sched_share(struct stack *s)
{
    struct worker *w = s->worker;

    if (unlikely(w->sched->sim != NULL)) {
        w->sched->sim->forked(w->sched->sim, s);
        return;
    }
    if (unlikely(load_relaxed(&w->asked) != 0)) /* a hint */
        deque_claim(&s->deque, UINT32_MAX);     /* its next join asks, too */
    /* Where there is no membarrier, this is asked at every fork. */
    if (idle_published(&w->sched->idle))
        answer(w, s);
}

/* Of those that were taken together the first is run, the others become the worker's
 * own, and somebody is told. */
static struct thrum_job_ *keep_all_but_one(struct sched *s, struct worker *w,
                                           struct thrum_job_ *first)
{
    if (first == NULL || first->next == NULL)
        return first;
    queue_push_all(&w->queue, first->next);
    if (idle_published(&s->idle))
        answer(w, load_relaxed(&w->stack)); /* its own */
    sched_notify(s);
    return first;
}

static struct thrum_job_ *take_inbox(struct sched *s, struct worker *w)
{
    return inbox_any(&s->inbox)
               ? keep_all_but_one(s, w, inbox_take_all(&s->inbox))
               : NULL;
}

/* ------------------------------------------------------------------- timers */

static bool fire_if_due(struct sched *s, int64_t earliest)
{
    int64_t now = clock_now();

    if (earliest > now)
        return false;
    timers_fire(&s->timers, now);
    return true;
}

static inline bool fire_due(struct sched *s)
{
    int64_t earliest = timers_earliest(&s->timers);

    return earliest != TIMERS_NEVER && fire_if_due(s, earliest);
}

static cold void find_keeper(struct sched *s, int64_t earliest)
{
    if (load_seq_cst(&s->keeper) != IDLE_NOBODY) /* [S3] */
        return;
    if (idle_any_asleep(&s->idle))
        sched_notify(s);
    else
        relief_ask(&s->relief, earliest);
}

/* A worker goes to work: somebody must keep the time, one that rests, or the
 * relief. */
static inline void see_to_time(struct sched *s)
{
    int64_t earliest = timers_earliest(&s->timers);

    if (earliest != TIMERS_NEVER)
        find_keeper(s, earliest);
}

/* -------------------------------------------------------------- descriptors */

static void deliver(struct sched *s, struct worker *w)
{
    int n = w->told;

    w->told = 0;
    w->woken = n;
    poller_deliver(&s->poller, w->events, n);
}

/* A worker goes to work: the relief looks now and then whether anybody polls. */
static inline void see_to_fds(struct sched *s)
{
    if (load_relaxed(&s->poller.hooks) != NULL) /* its own, or it is woken */
        relief_stand_in(&s->relief);
}

/* ---------------------------------------------------------------- searching */

static struct thrum_job_ *steal_from(struct sched *s, struct worker *w,
                                     struct worker *victim)
{
    struct stack *stack = load_acquire(&victim->stack); /* [S7] */
    uint32_t turn = load_relaxed(&victim->turn);
    struct thrum_job_ *job = NULL;

    if (stack == NULL)
        return NULL;
    if (!deque_looks_busy(&stack->deque) && queue_count(&victim->queue) == 0)
        return NULL;

    idle_want(&s->idle);
    for (int i = 0; i < ANSWER_LOOKS; i++) {
        if (inbox_any(&s->inbox) && (job = take_inbox(s, w)) != NULL)
            return job;
        cpu_relax();
    }
    if (load_relaxed(&victim->turn) != turn)
        return NULL; /* it has looked at hungry, and has no job to spare */
    if (deque_steal(&stack->deque, false, deque_share(&stack->deque), &job) !=
        STEAL_GOT)
        job = queue_steal(&victim->queue, BATCH_STOLEN);
    return keep_all_but_one(s, w, job);
}

static struct thrum_job_ *take_own(struct sched *s, struct worker *w)
{
    struct thrum_job_ *job = queue_pop(&w->queue);

    return job != NULL ? job : take_inbox(s, w);
}

/* If there is none, *turns is how many the others have made. */
static struct thrum_job_ *steal_round(struct sched *s, struct worker *w,
                                      uint32_t *turns)
{
    unsigned count = sched_count(s), start = rng_below(&w->rng, count);
    struct thrum_job_ *job = take_inbox(s, w);

    *turns = 0;
    for (unsigned i = 0; job == NULL && i < count; i++) {
        struct worker *victim = &s->workers[(start + i) % count];

        *turns += load_relaxed(&victim->turn); /* a hint */
        if (victim != w)
            job = steal_from(s, w, victim);
    }
    return job;
}

/* Is anybody else awake who might make a job? What comes from outside is worth no
 * spinning if it comes through a descriptor. */
static bool may_come(struct sched *s, struct worker *w)
{
    struct poller_own *own = load_relaxed(&w->own); /* this thread's */

    if (s->guest)
        return false;
    return (own != NULL && load_relaxed(&own->awaited) != 0) || /* a hint */
           load_relaxed(&s->poller.hooks) == NULL ||            /* likewise */
           idle_asleep_count(&s->idle) + 1 < sched_running(s);
}

/* When a searcher gives up; 0: after one look. For a timer that is due sooner than
 * the kernel would wake it, it stays awake. */
static int64_t search_until(struct sched *s, struct worker *w)
{
    int64_t now, earliest = timers_earliest(&s->timers);
    bool may = may_come(s, w);

    if (s->guest || (!may && earliest == TIMERS_NEVER))
        return 0;
    now = clock_now();
    if (earliest > now + load_relaxed(&s->lead)) /* a hint */
        return may ? now + SPIN_NS : 0;
    return (earliest > now ? earliest : now) + SPIN_NS;
}

/* As a searcher: a job, or NULL after some tens of microseconds. Who makes no turn
 * meanwhile would keep for long what he wakes. Whom this worker has just woken may
 * have been put onto the same CPU: let him run. */
static struct thrum_job_ *search(struct sched *s, struct worker *w)
{
    struct thrum_job_ *job = queue_pop(&w->queue); /* what it was told of */
    uint32_t turns, before = 0;
    int64_t until;

    if (job != NULL)
        return job;
    until = search_until(s, w);
    for (;; before = turns) {
        job = steal_round(s, w, &turns);
        if (job == NULL && turns == before)
            idle_want(&s->idle);
        if (job == NULL &&
            (fire_due(s) || (until != 0 && sched_look_at_fds(s, w))))
            job = take_own(s, w);
        if (job != NULL || load_relaxed(&s->stopping) != 0 || /* [S2] later */
            until == 0 || clock_now() >= until)
            return job;
        thread_yield();
    }
}

/* ------------------------------------------------------------------ resting */

/* Whoever waits for the set has been told what for. */
static void wait_at_host(struct sched *s, struct worker *w)
{
    s->host.leave(w);
    w->told = poll_wait(&s->poller.set, w->events, POLLER_BATCH, 0);
}

/* A guest's parker_poll. */
static bool keep_at_host(struct sched *s, struct worker *w, int64_t until)
{
    if (parker_begin_poll(&w->parker)) {
        if (until != s->host.timer)
            poll_ready_at(&s->poller.set, until);
        s->host.timer = until;
        s->host.more = false;
        wait_at_host(s, w);
    }
    return parker_end_poll(&w->parker);
}

bool sched_must_leave(struct sched *s)
{
    struct host *h = &s->host;

    if (!s->guest)
        return false;
    return (h->awaited != NULL && parker_has_token(h->awaited)) ||
           (h->until != CLOCK_NEVER && clock_now() >= h->until);
}

/* By the interrupt the host knows that there is more to do. */
static void leave_early(struct sched *s, struct worker *w)
{
    poll_interrupt(&s->poller.set);
    s->host.more = true;
    wait_at_host(s, w);
    deliver(s, w);
}

/* The kernel wakes us some time after `until`. Half of the times less than the
 * lead: which is learned in steps, as single times may be long. */
static void learn_lead(struct sched *s, int64_t until)
{
    int64_t late = clock_now() - until, lead = load_relaxed(&s->lead);

    if (late > lead && lead < LEAD_NS)
        store_relaxed(&s->lead, lead + STEP_NS); /* the keeper's to write */
    else if (late >= 0 && late < lead)
        store_relaxed(&s->lead, lead - STEP_NS); /* likewise */
}

/* As the keeper: until the earliest timer is nearly due, or something can be told. */
static bool keep(struct sched *s, struct worker *w)
{
    int64_t until = timers_earliest(&s->timers); /* [T4] */
    bool token;

    if (until != TIMERS_NEVER && !s->guest)
        until -= load_relaxed(&s->lead); /* the keeper's to write */
    if (s->guest)
        token = keep_at_host(s, w, until);
    else if (poller_is_open(&s->poller)) /* [U2] */
        token = parker_poll(&w->parker, &s->poller.set, until, w->events,
                            POLLER_BATCH, &w->told);
    else
        token = parker_park(&w->parker, until);
    if (!token && w->told == 0 && !s->guest)
        learn_lead(s, until);
    store_seq_cst(&s->keeper, IDLE_NOBODY); /* [S3] [U3] */
    return token;
}

/* Sleep until woken, or as the keeper. True: a token was taken, so whoever left
 * it has made us a searcher. */
static bool park(struct sched *s, struct worker *w)
{
    int32_t nobody = IDLE_NOBODY;

    if ((s->guest || poller_is_open(&s->poller) || /* [U2] */
         timers_earliest(&s->timers) != TIMERS_NEVER) &&
        cas_seq_cst(&s->keeper, &nobody, (int32_t)w->index)) /* [S3] */
        return keep(s, w);
    return parker_park(&w->parker, CLOCK_NEVER);
}

/* Searching before and after; asleep between, if there is nothing to do. */
static void rest(struct sched *s, struct worker *w)
{
    idle_sleep(&s->idle, w->index);
    if ((sched_any(s) || !park(s, w)) &&
        !idle_rouse(&s->idle, w->index)) /* somebody wakes us: his token */
        (void)parker_park(&w->parker, CLOCK_NEVER);
    if (w->told > 0)
        deliver(s, w);
}

/* The last searcher has found a job while others sleep. [I8] */
static void pass_on(struct sched *s)
{
    idle_ask(&s->idle);
    if (sched_any(s))
        sched_notify(s);
}

static inline uint32_t move_on(struct worker *w)
{
    uint32_t turn = load_relaxed(&w->turn) + 1; /* its own */

    store_relaxed(&w->turn, turn); /* others compare it */
    return turn;
}

/* Out of line: what is called each turn then saves no registers for it. */
static __attribute__((noinline)) void
look_around(struct sched *s, struct worker *w, uint32_t turn)
{
    (void)fire_due(s);
    if (turn % POLL_TURN == 0)
        (void)sched_look_at_fds(s, w);
}

static inline uint32_t begin_turn(struct sched *s, struct worker *w)
{
    uint32_t turn = move_on(w);

    if (turn % CLOCK_TURN == 0)
        look_around(s, w, turn);
    return turn;
}

/* A worker has a job, and goes to work. */
static inline void see_to_others(struct sched *s, struct worker *w)
{
    see_to_time(s);
    if (unlikely(load_relaxed(&s->idle.hungry) & IDLE_WORK) && /* a hint */
        queue_count(&w->queue) > 0)
        answer(w, load_relaxed(&w->stack)); /* its own */
}

/* Are more workers awake than should run? */
static inline bool is_too_many(struct worker *w)
{
    struct sched *s = w->sched;
    uint32_t n;

    if (unlikely(load_relaxed(&w->member.aways) != 0)) /* it asks anew */
        sched_be_back(w);
    n = load_relaxed(&s->crew.too_many); /* a hint, as all of it */
    return unlikely(n != 0) && n > idle_asleep_count(&s->idle);
}

/* Where stacks lack, those that were woken wait anew, in place: what has not begun
 * must go on beside them. */
static cold struct thrum_job_ *take_asked(struct worker *w, bool computes)
{
    struct sched *s = w->sched;

    sched_answered(w);
    if (load_relaxed(&s->pool.lacks) != 0) /* a hint */
        return computes ? NULL : take_inbox(s, w);
    w->first = queue_let_first(&w->queue, take_inbox(s, w), s->hooks.apart,
                               computes);
    if (w->first == 0 && computes)
        return NULL;
    if (w->first > 0 && w->first != QUEUE_ALL)
        w->first--;
    return queue_pop(&w->queue);
}

struct thrum_job_ *sched_take_other(struct worker *w)
{
    struct thrum_job_ *job = take_asked(w, true);

    if (job != NULL) {
        (void)begin_turn(w->sched, w);
        see_to_others(w->sched, w);
    }
    return job;
}

void sched_push_behind(struct worker *w, struct thrum_job_ *job)
{
    queue_push_behind(&w->queue, job, w->first);
    if (unlikely(idle_published(&w->sched->idle)))
        answer(w, load_relaxed(&w->stack)); /* its own */
}

struct thrum_job_ *sched_take(struct sched *s, struct worker *w)
{
    struct thrum_job_ *job = NULL;
    uint32_t turn;

    if (unlikely(s->sim != NULL))
        return s->sim->take(s->sim, w);
    if (unlikely(s->guest) && sched_must_leave(s))
        return NULL;
    turn = begin_turn(s, w);
    if (turn % CLOCK_TURN == 0 && is_too_many(w))
        return &w->retire;
    if (unlikely(load_relaxed(&w->asked) != 0)) /* a hint */
        job = take_asked(w, false);
    else if (turn % INBOX_TURN == 0)
        job = take_inbox(s, w);
    if (job == NULL)
        job = take_own(s, w);
    if (job != NULL)
        see_to_others(s, w);
    return job;
}

struct thrum_job_ *sched_take_child(struct worker *w, struct siblings *siblings)
{
    struct thrum_job_ *job;

    if (unlikely(w->sched->sim != NULL))
        return w->sched->sim->take_child(w->sched->sim, w, siblings);
    if (queue_count(&w->queue) == 0)
        return NULL;
    job = queue_pop_child(&w->queue, siblings);
    if (job != NULL) { /* else it is no turn: nobody was answered */
        (void)begin_turn(w->sched, w);
        see_to_others(w->sched, w);
    }
    return job;
}

/* As a searcher. When nothing is found, who is too many need not rest. */
static struct thrum_job_ *search_or_retire(struct sched *s, struct worker *w)
{
    struct thrum_job_ *job = search(s, w);

    if (job == NULL && unlikely(load_relaxed(&s->crew.too_many) != 0) &&
        load_relaxed(&s->stopping) == 0) /* hints */
        job = &w->retire;
    return job;
}

struct thrum_job_ *sched_find(struct sched *s, struct worker *w)
{
    struct thrum_job_ *job;

    if (unlikely(s->sim != NULL))
        return s->sim->find(s->sim, w);
    if (sched_must_leave(s))
        leave_early(s, w);
    job = w->begins ? NULL : sched_take(s, w);
    if (job != NULL)
        return job;
    w->begins = false;
    if (load_relaxed(&w->member.aways) != 0) /* as above */
        sched_be_back(w);
    idle_search(&s->idle);
    while ((job = search_or_retire(s, w)) == NULL &&
           load_seq_cst(&s->stopping) == 0) /* [S2] */
        if (!stack_pool_trim(&s->pool))
            rest(s, w);
    if (idle_found(&s->idle) && job != NULL)
        pass_on(s);
    if (job != NULL) {
        move_on(w);
        see_to_time(s);
        see_to_fds(s);
        relief_attend(&s->relief);
    }
    return job;
}
