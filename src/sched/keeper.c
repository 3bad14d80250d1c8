/* What the worker that keeps the time, or polls, is woken for: it waits for the
 * earliest timer there was when it lay down (sched.c, keep). */

#include "sched/sched.h"

/* It is to look anew at what it waits for. */
static void wake_keeper(struct sched *s)
{
    int32_t keeper = load_seq_cst(&s->keeper); /* [S3] */

    if (keeper != IDLE_NOBODY && idle_wake(&s->idle, (unsigned)keeper))
        sched_rouse(s, keeper);
}

void sched_arm(struct worker *w, struct timer *t, int64_t deadline,
               void (*fire)(struct timer *t))
{
    if (timers_add(&w->timers, t, deadline, fire)) /* t may be gone now */
        wake_keeper(w->sched);
}

void sched_arm_running(struct worker *w, struct timer *t, int64_t deadline,
                       void (*fire)(struct timer *t))
{
    struct sched *s = w->sched;

    sched_arm(w, t, deadline, fire);
    if (s->sim == NULL && load_seq_cst(&s->keeper) == IDLE_NOBODY) /* [S3] */
        relief_ask(&s->relief, deadline);
}

int sched_open_poller(struct sched *s, const struct poller_hooks *hooks)
{
    int rc = poller_open(&s->poller, hooks);

    if (rc > 0)
        wake_keeper(s); /* it sleeps where it hears of timers only [U1] */
    return rc > 0 ? 0 : rc;
}
