/* What is told of a failing round. */

#include "sim/sim.h"

static struct place place_of_scope(const struct scope *s)
{
    while (s != NULL && !s->of_task)
        s = s->parent;
    return s == NULL ? (struct place){NULL, NULL}
                     : (struct place){s->name, s->where};
}

struct place place_of_stack(struct stack *s)
{
    return place_of_scope(scope_on(s));
}

struct place place_of_job(struct thrum_job_ *job)
{
    struct stack *s = worker_resumed_by(job);
    const struct thrum_site_ *site;

    if (s != NULL)
        return place_of_stack(s);
    site = job_site(job);
    return (struct place){site->name, site->where};
}

void trace_add(struct sim *sim, const char *what, struct place place,
               uint32_t of)
{
    struct trace *t = &sim->trace;

    t->events[t->count++ % TRACE_MAX] = (struct event){sim->now, what, place,
                                                       of};
}

static void tell(const struct event *e)
{
    fprintf(stderr, "%16.9f s  ", seconds(e->now));
    if (e->place.name != NULL)
        fprintf(stderr, "%s (%s) ", e->place.name, e->place.where);
    fprintf(stderr, "%s", e->what);
    if (e->of > 1)
        fprintf(stderr, ", one of %u that are ready", e->of);
    fprintf(stderr, "\n");
}

void trace_tell(struct sim *sim, const char *what)
{
    const struct trace *t = &sim->trace;
    uint64_t first = t->count > TRACE_MAX ? t->count - TRACE_MAX : 0;

    fprintf(stderr, "thrum_sim: the last %llu of %llu decisions\n",
            (unsigned long long)(t->count - first),
            (unsigned long long)t->count);
    for (uint64_t i = first; i < t->count; i++)
        tell(&t->events[i % TRACE_MAX]);
    fprintf(stderr,
            "thrum_sim: %s; THRUM_SEED=0x%llx in the environment repeats it\n",
            what, (unsigned long long)sim->seed);
}
