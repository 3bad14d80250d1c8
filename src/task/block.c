/* Tasks that block their thread in place, and those who are told of them. */

#include <thrum/offload.h>

#include <string.h>

#include "sched/worker.h"
#include "task/runtime.h"

void thrum_block_enter(void)
{
    struct stack *here = worker_current();

    if (here != NULL)
        sched_leave(here->worker);
}

void thrum_block_leave(void)
{
    struct stack *here = worker_current();

    if (here != NULL)
        sched_return(here->worker);
}

/* Of the scheduler's, and no task's: it has moved on just now. */
static bool is_own(const struct thrum_site_ *site)
{
    return strcmp(site->where, "thrum") == 0;
}

/* False: not any more. */
static bool is_new(struct thrum_rt *rt, const struct thrum_site_ *site)
{
    for (unsigned i = 0; i < rt->stuck_count; i++)
        if (rt->stuck[i] == site)
            return false;
    if (rt->stuck_count == STUCK_PLACES)
        return false;
    rt->stuck[rt->stuck_count++] = site;
    return true;
}

void block_stuck(struct sched *sched, struct stack *s, bool computes)
{
    struct thrum_rt *rt = runtime_of(sched);
    const struct thrum_site_ *site = load_relaxed(&s->site); /* to tell of it */

    if (rt->opts.on_stuck != NULL && site != NULL && !is_own(site) &&
        is_new(rt, site))
        rt->opts.on_stuck(site->name, site->where, computes, rt->opts.user);
}
