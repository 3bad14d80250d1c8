/* Descriptors that are looked at while nobody polls. */

#include "base/sanitize.h"
#include "sched/sched.h"

enum { CHECK_ROUNDS = 6 }; /* every so often the relief checks them */

/* Who looks without waiting may be told of the interrupt that was to wake the one
 * who polls, and then still sleeps: the kernel tells each thing once. No order is
 * promised of a poll, so a load might see that nobody does, still; an addition
 * sees the last one. */
static void deliver_of_look(struct sched *s, const struct poll_event *events,
                            int n)
{
    for (int i = 0; i < n; i++)
        if (poll_key(&events[i]) == NULL &&
            add_seq_cst(&s->keeper, 0) != IDLE_NOBODY) /* [U5] */
            poll_interrupt(&s->poller.set);
    poller_deliver(&s->poller, events, n);
}

/* What its own calls have come to: who polls may have far to come. */
static bool look_at_own(struct worker *w)
{
    struct poller_own *own = load_relaxed(&w->own); /* this thread's */

    if (own == NULL || load_relaxed(&own->awaited) == 0) /* a hint */
        return false;
    tsan_rely(w);
    return own->ready(own);
}

/* Hints, as this comes again. */
bool sched_look_at_fds(struct sched *s, struct worker *w)
{
    int n;

    if (look_at_own(w))
        return true;
    if (load_acquire(&s->poller.hooks) == NULL || /* [U2] */
        load_relaxed(&s->keeper) != IDLE_NOBODY)  /* a hint */
        return false;
    n = poll_wait(&s->poller.set, w->events, POLLER_BATCH, 0);
    if (n > 0) {
        w->woken = n;
        deliver_of_look(s, w->events, n);
    }
    return n > 0;
}

/* False: a worker polls. */
static bool poll_instead(struct sched *s)
{
    struct poll_event events[POLLER_BATCH];
    int n;

    if (load_seq_cst(&s->keeper) != IDLE_NOBODY) /* [U4] */
        return false;
    if (idle_any_asleep(&s->idle)) {
        sched_notify(s);
        return true;
    }
    n = poll_wait(&s->poller.set, events, POLLER_BATCH, 0);
    deliver_of_look(s, events, n);
    return true;
}

bool sched_stand_in(void *sched, unsigned round)
{
    struct sched *s = sched;
    bool needed;

    if (!poller_is_open(&s->poller)) /* [U2]: another's is waited with */
        return false;
    needed = !s->guest && poll_instead(s); /* its host is told, nobody else */
    return (round % CHECK_ROUNDS == 0 && poller_check(&s->poller)) || needed;
}
