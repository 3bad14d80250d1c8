#include "outcome.h"

#include <stdio.h>

/* -------------------------------------------------------------- what may be */

long outcome_count(const thrum_err *e)
{
    const thrum_err *first;
    size_t n = thrum_err_count(e);

    return ended_failures(e, &first) == n ? (long)n : NOT_COUNTED;
}

/* Of several: what some may be, and what one surely is. */
struct mix {
    unsigned may, must;
    long count; /* of failures */
};

static void mix_in(struct mix *m, unsigned set, long count)
{
    m->may |= set;
    if ((set & ~(unsigned)FAILURE) == 0)
        m->must |= FAILURE;
    if (set == CANCELED || set == WELL)
        m->must |= set;
    if ((set & (set - 1)) != 0 || set == CANCELED || count < 0)
        m->count = NOT_COUNTED;
    else if (m->count >= 0 && set != WELL)
        m->count += count;
}

/* Under ALL and SETTLE. canceled: what a cancel comes to. */
static unsigned together(const struct mix *m, unsigned canceled)
{
    unsigned set = m->may & FAILURE;

    if (m->must & FAILURE)
        return set;
    if (m->may & CANCELED)
        set |= canceled;
    return m->must & CANCELED ? set : set | WELL;
}

unsigned outcome_of_task(const struct task *t, long *count)
{
    struct mix m = {0};

    *count = NOT_COUNTED;
    if (load_acquire(&t->started) == 0)
        return CANCELED;
    must(load_acquire(&t->ended) == 1);
    mix_in(&m, t->returned, t->count);
    for (int i = 0; i < t->own_count; i++) {
        must(load_acquire(&t->own[i].started) == 1);
        must(load_acquire(&t->own[i].ended) == 1);
        mix_in(&m, t->own[i].returned, t->own[i].count);
    }
    *count = m.count;
    return together(&m, CANCELED);
}

/* The table: what comes of being canceled and nothing else. */
static unsigned canceled_set(struct region *r)
{
    unsigned inside = load_acquire(&r->over)       ? TIMED_OUT
                      : load_acquire(&r->canceled) ? WELL
                                                   : CANCELED;

    if (r->outside == NO)
        return inside;
    return r->outside == YES ? CANCELED : CANCELED | inside;
}

/* ANY and FIRST: the children have chosen; the body has its own say. */
static unsigned with_body(struct region *r, unsigned chosen, unsigned body,
                          bool won)
{
    unsigned set = chosen & FAILURE;

    if (body == WELL)
        return chosen;
    if (body & FAILURE)
        return chosen & (WELL | CANCELED) ? set | body : set;
    if (chosen & CANCELED)
        set |= CANCELED;
    if (chosen & WELL)
        set |= (won ? WELL : 0) | canceled_set(r);
    return set;
}

static unsigned chosen_set(struct region *r, const struct mix *kids,
                           unsigned body)
{
    bool any = r->policy == THRUM_ANY;
    unsigned set;

    if (r->kids == 0) /* nothing to choose from */
        return FAILED | (body & ~(unsigned)WELL) |
               (body == CANCELED ? canceled_set(r) & ~(unsigned)WELL : 0);
    if (any && (kids->must & WELL))
        set = WELL;
    else if (any)
        set = together(kids, canceled_set(r)) | (kids->may & WELL);
    else
        set = (kids->may & (WELL | FAILURE)) |
              (kids->may & CANCELED ? canceled_set(r) : 0);
    return with_body(r, set, body, (kids->may & WELL) != 0);
}

static void tell(const struct region *r, const struct mix *m, unsigned set,
                 unsigned is)
{
    fprintf(stderr,
            "policy %d: one of %u was expected, it is %u; %d children, of %u "
            "with %u; outside %d, canceled %d, over %d\n",
            (int)r->policy, set, is, r->kids, m->may, m->must, (int)r->outside,
            load_relaxed(&r->canceled), load_relaxed(&r->over));
}

void outcome_check(struct region *r, unsigned body, long body_count,
                   const thrum_err *err)
{
    struct mix m = {0};
    unsigned set, is = ended_how(err);
    int fails = (int)load_acquire(&r->of_kids_fail);
    long count;

    for (int i = 0; i < r->kids; i++) {
        unsigned kid = outcome_of_task(&r->kid[i], &count);

        mix_in(&m, kid, count);
        if (!load_acquire(&r->more_spawned[i]))
            continue;
        must(load_acquire(&r->more[i].started) == 1);
        kid = outcome_of_task(&r->more[i], &count);
        mix_in(&m, kid, count);
    }
    if (r->policy >= THRUM_ANY) {
        set = chosen_set(r, &m, body);
        m.count = NOT_COUNTED;
    } else {
        mix_in(&m, body, body_count);
        set = together(&m, canceled_set(r));
    }
    must(r->seen_outcome == 0 || (set & r->seen_outcome) != 0);
    for (int i = 0; i < r->defers; i++)
        fails += r->defer[i].fails;
    if (fails > 0)
        set = (set & FAILURE) | FAILED;
    if ((set & is) == 0)
        tell(r, &m, set, is);
    must((set & is) != 0);
    if (m.count >= 0)
        must(thrum_err_count(err) == (size_t)(m.count + fails));
}
