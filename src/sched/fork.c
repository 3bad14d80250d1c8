#include "sched/fork.h"

#include "base/atomic.h"
#include "sched/wait.h"

/* A joiner that waits, on its stack. The site word points to it. */
struct joining {
    const struct thrum_site_ *site; /* what the word was; first: job_site */
    struct wait wait;
};

/* The site word of a fork that is at `state`. */
static const struct thrum_site_ *word(const void *rest, uintptr_t state)
{
    return (const struct thrum_site_ *)((uintptr_t)rest | state);
}

static bool is_at(const struct thrum_site_ *site_word, uintptr_t state)
{
    return ((uintptr_t)site_word & JOB_STATES) == state;
}

static struct joining *joining_of(const struct thrum_site_ *site_word)
{
    if (!is_at(site_word, JOB_JOINING))
        return NULL;
    return (struct joining *)((uintptr_t)site_word - JOB_JOINING);
}

static cold void complain(struct thrum_job_ *left, const struct thrum_site_ *by)
{
    const struct thrum_site_ *site = job_site(left);

    die("fork of %s at %s is not joined when %s, forked at %s, returns",
        site->name, site->where, by->name, by->where);
}

void fork_run(struct stack *s, struct thrum_job_ *slot)
{
    const struct thrum_site_ *site = load_acquire(&slot->site); /* [J4] */
    struct joining *j = joining_of(site);
    struct thrum_job_ *newest = deque_newest(&s->deque), *left;

    if (j != NULL) /* the joiner came first, and lives until we are done */
        site = j->site;
    tsan_rely(&slot->scope);       /* [D1], as user code made it */
    store_relaxed(&s->site, site); /* for messages */
    deque_set_scope(&s->deque, newest, slot->taken);
    site->run(slot);
    deque_set_scope(&s->deque, newest, NULL);
    left = fork_open_above(s, newest);
    if (unlikely(left != NULL))
        complain(left, site);

    tsan_promise(&slot->site);
    j = joining_of(
        exchange_acq_rel(&slot->site, word(site, JOB_DONE))); /* [J1] */
    if (j != NULL)
        (void)wait_wake(&j->wait, WAKE_EVENT);
}

/* ------------------------------------------------------------------ joining */

const struct thrum_awaited_ awaited_fork = {"a fork", NULL, false};

static void wait_until_done(struct thrum_job_ *slot)
{
    struct joining j = {.site = load_acquire(&slot->site)}; /* [J2] */
    const struct thrum_site_ *seen = j.site;

    if (!is_at(seen, JOB_DONE)) {
        wait_init(&j.wait);
        if (cas_acq_rel(&slot->site, &seen, word(&j, JOB_JOINING))) /* [J3] */
            (void)wait_sleep(&j.wait, &awaited_fork, slot);
        /* Else it was done at this very moment: seen by the cas. [J2] */
    }
    tsan_rely(&slot->site);
}

/* It is joined, and its slot is in use until all newer ones are joined. */
static bool is_joined(struct thrum_job_ *slot)
{
    return is_at(load_relaxed(&slot->site), JOB_JOINED); /* ours if it is */
}

/* What was the newest fork is joined: the slots below it of forks that were joined
 * early are given back, too. Always at once, as typed forks know their place. */
static void give_back_below(struct thrum_job_ *slot)
{
    struct thrum_job_ *below = deque_fork(slot - 1);

    for (; below != NULL && thrum_in_use_(below) && is_joined(below);
         below = deque_fork(below - 1))
        deque_forget(below);
}

/* False: somebody took it. */
static bool take_back(struct thrum_job_ *newest, struct thrum_job_ **slot)
{
    bool mine = deque_take_back(newest, slot) == TAKE_MINE;

    if (!mine) {
        wait_until_done(*slot);
        deque_forget(*slot);
    }
    give_back_below(*slot);
    return mine;
}

static struct thrum_job_ *join_newest(struct thrum_job_ *newest)
{
    struct thrum_job_ *slot;

    if (take_back(newest, &slot)) {
        worker_give_way(worker_current());
        load_relaxed(&slot->site)->run(slot); /* as a plain call; ours */
    }
    return slot;
}

bool fork_take_back(struct thrum_job_ *slot)
{
    return thrum_take_back_(slot) || take_back(slot, &slot);
}

/* Only the oldest can be taken: make those that are older ready on the way.
 * False: somebody took it first. */
static bool take_out(struct stack *s, struct thrum_job_ *slot)
{
    struct thrum_job_ *job;

    while (!deque_taken(slot)) {
        if (deque_steal(&s->deque, true, 1, &job) != STEAL_GOT)
            continue;
        if (job == slot)
            return true;
        sched_push(s->worker, job);
    }
    return false;
}

/* The join of the fork above must give back this slot, so it may not be inline: no
 * join of a taken or claimed one is. */
static void join_within(struct stack *s, struct thrum_job_ *slot)
{
    if (take_out(s, slot))
        load_relaxed(&slot->site)->run(slot); /* ours: we took it */
    else
        wait_until_done(slot);
    store_relaxed(&slot->site, /* ours until it is forked again */
                  word(job_site(slot), JOB_JOINED));
    deque_claim(&s->deque, 1);
}

bool fork_is_open(struct thrum_job_ *slot)
{
    return thrum_in_use_(slot) && !is_joined(slot);
}

static struct thrum_job_ *newest_fork(struct stack *s)
{
    return deque_fork(deque_newest(&s->deque));
}

void fork_join(struct stack *s, struct thrum_job_ *slot)
{
    if (newest_fork(s) == slot)
        (void)join_newest(slot);
    else
        join_within(s, slot);
    (void)deque_newest(&s->deque); /* the inline join goes by the hint */
}

/* By place: `from` itself may have been joined since. */
static bool is_above(struct thrum_job_ *fork, struct thrum_job_ *from)
{
    struct thrum_deque_ *segment = thrum_deque_of_(fork);

    if (segment == thrum_deque_of_(from))
        return fork > from;
    while (segment != NULL && segment != thrum_deque_of_(from))
        segment = segment->prev;
    return segment != NULL;
}

struct thrum_job_ *fork_open_above(struct stack *s, struct thrum_job_ *from)
{
    struct thrum_job_ *fork = newest_fork(s);

    return fork != NULL && is_above(fork, from) ? fork : NULL;
}

/* ------------------------------------------------------ for the inline code */

struct thrum_deque_ *thrum_hint_slow_(void)
{
    struct stack *s = worker_current();

    if (unlikely(s == NULL))
        die("a fork: call it from a task (thrum_run makes one)");
    (void)deque_find_newest(&s->deque);
    return &s->deque;
}

/* A segment is full: the sentinel of the next one. */
static struct thrum_job_ *grow(struct stack *s, struct thrum_deque_ *segment)
{
    struct thrum_deque_ *next = load_relaxed(&segment->next); /* ours alone */

    if (next == NULL) {
        next = segment_get(&s->worker->sched->pool, &s->deque);
        if (next == NULL) /* as a stack that overflows: there is no way on */
            die("no memory for a segment of forks");
        deque_link(segment, next);
    }
    return deque_enter_next(segment);
}

struct thrum_job_ *thrum_publish_slow_(struct thrum_job_ *slot)
{
    struct thrum_deque_ *segment = thrum_deque_of_(slot);
    struct stack *s = stack_of(segment->first);

    sched_share(s);
    return thrum_is_last_(slot) ? grow(s, segment) : slot;
}

struct thrum_job_ *thrum_join_slow_(struct thrum_job_ *newest)
{
    return join_newest(newest);
}
