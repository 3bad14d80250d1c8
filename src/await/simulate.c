/* A blocking call in a simulation: there is no thread for it. The task waits as
 * long as it takes to be served, and calls fn itself. */

#include "await/simulate.h"

#include <errno.h>

#include "os/clock.h"
#include "task/scope.h"

struct nap {
    struct timer timer;
    struct scope_wait wait;
};

static void nap_over(struct timer *t)
{
    (void)wait_wake(&container_of(t, struct nap, timer)->wait.wait,
                    WAKE_DEADLINE);
}

bool nap_simulate(int64_t takes, const struct thrum_awaited_ *what)
{
    struct worker *w = worker_current()->worker;
    struct nap nap;

    wait_init(&nap.wait.wait);
    wait_tell(&nap.wait, what, NULL);
    sched_arm(w, &nap.timer, clock_now() + takes, nap_over);
    if (scope_sleep(scope_current(), &nap.wait) == WAKE_DEADLINE)
        return true;
    return !timers_remove(&nap.timer); /* it came as well */
}

thrum_err *pool_simulate(thrum_fn *fn, void *arg)
{
    struct stack *here = worker_current();
    struct sched *sched = here->worker->sched;
    int64_t takes = sched->sim->blocking(sched->sim);
    struct thrum_here_ borrowed;
    thrum_err *err;
    int saved;

    if (takes < 0)
        return thrum_rc(-ENOMEM);
    if (!nap_simulate(
            takes,
            AWAITED_OUTSIDE("a blocking call"))) /* in the queue, as it were */
        return thrum_rc(-ECANCELED);
    saved = *here->worker->errno_at; /* fn has another thread's */
    scope_here_begin(here, &borrowed);
    err = scope_here_end(here, &borrowed, fn(arg));
    *here->worker->errno_at = saved;
    sched_point(POINT_CALL);
    return err;
}
