/* Workers that come and go, and a look at what runs on them. */

#include "sched/sched.h"

void sched_show(struct worker *w)
{
    struct sched *s = w->sched;

    idle_grow(&s->idle, w->index + 1);
    store_release(&s->count, w->index + 1); /* [S10] */
}

void sched_wake_all(struct sched *s)
{
    for (unsigned i = 0; i < sched_count(s); i++)
        if (idle_wake(&s->idle, i))
            sched_rouse(s, (int)i);
}

void sched_answered(struct worker *w)
{
    struct sched *s = w->sched;
    bool any = false;

    store_relaxed(&w->asked, 0); /* hints, all of them */
    for (unsigned i = 0; i < sched_count(s) && !any; i++)
        any = load_relaxed(&s->workers[i].asked) != 0;
    if (!any)
        idle_ask_turns(&s->idle, false);
}

int sched_resize(struct sched *s, unsigned n)
{
    int rc = crew_want(&s->crew, n, s->spares);

    if (load_relaxed(&s->crew.too_many) != 0) /* as we counted, or another */
        sched_wake_all(s);                    /* who sleeps is to go, too */
    return rc;
}

void sched_leave(struct worker *w)
{
    if (!sched_has_threads(w->sched))
        return;
    sched_give_all(w);
    crew_leave(&w->sched->crew, &w->member);
    relief_attend(&w->sched->relief);
}

void sched_return(struct worker *w)
{
    if (!sched_has_threads(w->sched))
        return;
    crew_return(&w->sched->crew, &w->member);
    store_relaxed(&w->turn, load_relaxed(&w->turn) + 1); /* its own: it moves */
    relief_attend(&w->sched->relief);
}

void sched_begin(struct worker *w)
{
    w->begins = true;
}

void sched_be_back(struct worker *w)
{
    crew_be_back(&w->sched->crew, &w->member);
    relief_attend(&w->sched->relief);
}

bool sched_look(void *sched)
{
    struct sched *s = sched;
    bool any = false;

    for (unsigned i = 0; i < sched_count(s); i++) {
        struct stack *stack = load_acquire(&s->workers[i].stack); /* [S7] */

        if (stack != NULL && load_acquire(&stack->deque.pending) != NULL)
            any = s->hooks.look(stack) || any; /* [R7] */
    }
    return any;
}
