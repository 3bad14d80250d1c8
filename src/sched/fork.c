#include "sched/fork.h"

#include "base/atomic.h"
#include "sched/wait.h"

/* Values of the site word beside the sites themselves. */
static const struct thrum_site_ done = {NULL, "done", ""};
static const struct thrum_site_ joined = {NULL, "joined", ""};

/* A joiner that waits, on its stack. The site word points to it, tagged. */
struct joining {
    struct wait wait;
    const struct thrum_site_ *site; /* what the word was */
};

static const struct thrum_site_ *word_of(struct joining *j)
{
    return (const struct thrum_site_ *)((uintptr_t)j | 1);
}

static struct joining *joining_of(const struct thrum_site_ *word)
{
    uintptr_t bits = (uintptr_t)word;

    return bits & 1 ? (struct joining *)(bits - 1) : NULL;
}

void fork_run(struct stack *s, struct thrum_job_ *slot)
{
    const struct thrum_site_ *site = load_acquire(&slot->site); /* [J4] */
    struct joining *j = joining_of(site);

    if (j != NULL) /* the joiner came first, and lives until we are done */
        site = j->site;
    deque_set_scope(&s->deque, slot->taken);
    site->run(slot);
    deque_set_scope(&s->deque, NULL);

    j = joining_of(exchange_acq_rel(&slot->site, &done)); /* [J1] */
    if (j != NULL)
        (void)wait_wake(&j->wait, WAKE_EVENT);
}

/* ------------------------------------------------------------------- joining */

static void wait_until_done(struct thrum_job_ *slot)
{
    struct joining j = {.site = load_acquire(&slot->site)}; /* [J2] */
    const struct thrum_site_ *seen = j.site;

    if (seen == &done)
        return;
    wait_init(&j.wait);
    if (cas_acq_rel(&slot->site, &seen, word_of(&j))) /* [J3] [J2] */
        (void)wait_sleep(&j.wait);
    else
        assert_invariant(seen == &done);
}

/* The newest fork, in the slot before `at`. */
static struct thrum_job_ *join_newest(struct thrum_job_ *at)
{
    struct thrum_job_ *slot;

    if (deque_take_back(at, &slot) == TAKE_MINE) {
        load_relaxed(&slot->site)->run(slot); /* as a plain call; ours */
    } else {
        wait_until_done(slot);
        deque_forget(slot);
    }
    return slot;
}

bool fork_take_back(struct thrum_job_ *slot)
{
    struct thrum_job_ *at = slot + 1;

    if (thrum_take_back_(at) || deque_take_back(at, &slot) == TAKE_MINE)
        return true;
    wait_until_done(slot);
    deque_forget(slot);
    return false;
}

/* Only the oldest can be taken: make those that are older ready on the way.
 * False: somebody took it first. */
static bool take_out(struct stack *s, struct thrum_job_ *slot)
{
    struct thrum_job_ *job;

    while (!deque_taken(slot)) {
        if (deque_steal(&s->deque, true, &job) != STEAL_GOT)
            continue;
        if (job == slot)
            return true;
        sched_push(s->worker, job);
    }
    return false;
}

static void join_within(struct stack *s, struct thrum_job_ *slot)
{
    if (take_out(s, slot))
        load_relaxed(&slot->site)->run(slot); /* ours: we took it */
    else
        wait_until_done(slot);
    store_relaxed(&slot->site, &joined); /* ours until it is forked again */
}

/* Give back the slots of forks that were joined early. Where the next one is. */
static struct thrum_job_ *trim(struct stack *s)
{
    struct thrum_job_ *at = deque_head(&s->deque), *slot;

    while ((slot = deque_before(at)) != NULL &&
           load_relaxed(&slot->site) == &joined) { /* ours */
        deque_forget(slot);
        at = deque_head(&s->deque);
    }
    return at;
}

void fork_join(struct stack *s, struct thrum_job_ *slot)
{
    struct thrum_job_ *at = trim(s);

    if (deque_before(at) == slot)
        join_newest(at);
    else
        join_within(s, slot);
}

struct thrum_job_ *fork_open_above(struct stack *s, struct thrum_job_ *from)
{
    struct thrum_job_ *at = trim(s);

    return at == from ? NULL : deque_before(at);
}

/* ------------------------------------------------------- for the inline code */

struct thrum_job_ *thrum_head_(void)
{
    struct stack *s = worker_current();

    if (unlikely(s == NULL))
        die("a fork: call it from a task (thrum_run makes one)");
    return deque_head(&s->deque);
}

static struct stack *stack_below(struct thrum_job_ *at)
{
    return stack_of(thrum_deque_of_(at)->first);
}

struct thrum_job_ *thrum_grow_(struct thrum_job_ *at)
{
    struct stack *s = stack_below(at);
    struct thrum_deque_ *segment = thrum_deque_of_(at);
    struct thrum_deque_ *next = load_relaxed(&segment->next); /* ours alone */

    if (next == NULL) {
        next = segment_get(&s->worker->sched->pool, &s->deque);
        if (next == NULL) /* as a stack that overflows: there is no way on */
            die("no memory for a segment of forks");
        store_relaxed(&next->scope, load_relaxed(&segment->scope)); /* ours */
        deque_link(segment, next);
    }
    return next->head;
}

void thrum_share_(struct thrum_job_ *at)
{
    sched_share(stack_below(at));
}

struct thrum_job_ *thrum_join_slow_(struct thrum_job_ *at)
{
    return join_newest(at);
}
