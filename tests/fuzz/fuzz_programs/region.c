/* When something may be canceled, and how it may then end: the table in
 * thrum/scope.h, as far as it does not depend on who came first. */
#include "program.h"

#include <stdio.h>

void region_init(struct region *r, struct region *parent)
{
    *r = (struct region){
        .parent = parent, .deadline = INT64_MAX, .most = TASKS_MAX};
}

bool region_may(const struct region *r)
{
    for (; r != NULL; r = r->shield ? NULL : r->parent)
        if (r->may || thrum_now() >= r->deadline)
            return true;
    return deadlocked;
}

bool region_must(const struct region *r)
{
    for (; r != NULL; r = r->shield ? NULL : r->parent)
        if (r->must)
            return true;
    return false;
}

int failures_of(const thrum_err *err)
{
    const thrum_err *first;
    size_t n = ended_failures(err, &first);

    return n == 0 || n == thrum_err_count(err) ? (int)n : -1;
}

void region_child(struct region *r, const thrum_err *err)
{
    unsigned outcome = ended_how(err);
    int failed = failures_of(err);

    r->ended++;
    r->ends |= outcome;
    r->failures += failed;
    r->uncounted = r->uncounted || failed < 0;
    if ((r->policy == THRUM_ALL && (outcome & FAILURE)) ||
        (r->policy == THRUM_ANY && outcome == WELL) || r->policy == THRUM_FIRST)
        r->may = true;
}

/* ---------------------------------------------------------------- the table */

/* What being canceled comes to. */
static unsigned canceled_set(const struct region *r, struct closing c)
{
    unsigned inside = r->called ? WELL : CANCELED;

    if (c.expired &&
        (r->called || c.fails > 0 || c.unsure || r->policy > THRUM_SETTLE))
        inside |= TIMED_OUT; /* perhaps too late */
    else if (c.expired)
        inside = TIMED_OUT;
    if (c.before)
        return CANCELED;
    if (r->shield && deadlocked) /* then the shields are canceled themselves */
        inside |= WELL;
    return deadlocked || (!r->shield && region_may(r->parent))
               ? inside | CANCELED
               : inside;
}

static unsigned together(unsigned ends, unsigned canceled)
{
    if (ends & FAILURE)
        return ends & FAILURE;
    return ends & CANCELED ? canceled : WELL;
}

/* ANY and FIRST: the children have chosen; the body has its own say. */
static unsigned with_body(const struct region *r, unsigned chosen,
                          struct closing c)
{
    unsigned set = chosen & FAILURE;

    if (c.body == WELL)
        return chosen;
    if (c.body & FAILURE)
        return chosen & (WELL | CANCELED) ? set | c.body : set;
    if (chosen & CANCELED)
        set |= CANCELED;
    if (chosen & WELL)
        set |= (r->ends & WELL) | canceled_set(r, c);
    return set;
}

static unsigned chosen(const struct region *r, struct closing c)
{
    unsigned canceled = canceled_set(r, c);

    if (r->begun == 0) /* nothing to choose from */
        return FAILED | (c.body & ~(unsigned)WELL) |
               (c.body == CANCELED ? canceled & ~(unsigned)WELL : 0);
    if (r->policy == THRUM_ANY)
        return with_body(r, r->ends & WELL ? WELL : together(r->ends, canceled),
                         c);
    return with_body(
        r, (r->ends & (WELL | FAILURE)) | (r->ends & CANCELED ? canceled : 0),
        c);
}

static _Noreturn void unexpected(const struct region *r, struct closing c,
                                 unsigned set, const thrum_err *err)
{
    fprintf(stderr,
            "policy %d: one of %u was expected, it is %u, of %zu errors; "
            "children %u, with %d, body %u, with %d, %d clean-ups fail; called "
            "%d, expired %d, outside %d\n",
            (int)r->policy, set, ended_how(err), thrum_err_count(err), r->ends,
            r->failures, c.body, c.body_failures, c.fails, r->called, c.expired,
            region_may(r->parent));
    (void)thrum_report(thrum_err_ref(err));
    must(!"a scope may end so");
}

void region_check(const struct region *r, struct closing c,
                  const thrum_err *err)
{
    bool all = r->policy <= THRUM_SETTLE;
    unsigned ends = r->ends | c.body;
    unsigned set = all ? together(ends, canceled_set(r, c)) : chosen(r, c);
    int failures = r->failures + c.body_failures + c.fails;
    int count = (int)thrum_err_count(err);

    must(r->ended == r->begun);
    if (c.fails > 0)
        set = (set & FAILURE) | FAILED;
    if ((set & ended_how(err)) == 0)
        unexpected(r, c, set, err);
    if (!all || r->uncounted || c.body_failures < 0)
        return;
    /* Cancellations are dropped if it was canceled, and kept if it was not. */
    if (ends & CANCELED ? count < failures : count != failures)
        unexpected(r, c, set, err);
}
