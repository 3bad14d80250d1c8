/* When and how a program ends, by the table in thrum/scope.h.
 *
 * Time is counted in 1024ths of a nanosecond: what follows from something comes
 * one later, so that all instants are ordered. A scope is gone through twice:
 * first as if nothing in it canceled it, which tells what would do so first; then
 * with that. What comes before that instant is the same both times. */
#include "program.h"

enum { FINE = 1024 };

/* Two things happened at one instant, and it matters which came first. */
static bool ambiguous;

static int64_t after(int64_t at, int64_t length)
{
    if (at == NEVER || length == NEVER)
        return NEVER;
    return at + length * FINE;
}

static int64_t next(int64_t at)
{
    return at == NEVER ? NEVER : at + 1;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* From `at` on, canceled at `cancel`. */
static struct end sleep_for(int64_t at, int64_t length, int64_t cancel)
{
    int64_t until = after(at, length);

    if (at == NEVER || until < cancel)
        return (struct end){until, OK};
    if (cancel == NEVER)
        return (struct end){NEVER, OK};
    return (struct end){cancel > at ? cancel : at, CANCELED};
}

static struct end run_task(struct task *t, int64_t at, int64_t cancel);

/* What is in a scope: its kids, and the body. */
struct inside {
    struct end kid[KIDS_MAX], body;
    int64_t last;
};

static struct end run_body(struct step *s, int64_t at, int64_t cancel)
{
    struct end e = {at, OK};

    if (s->op == OP_SCOPE)
        e = sleep_for(at, s->more, cancel);
    if (s->op == OP_SCOPE && e.how == OK && s->body_fails && e.at != NEVER)
        e.how = FAILED;
    return e;
}

static struct inside run_inside(struct step *s, int64_t at, int64_t cancel)
{
    struct inside in = {.body = run_body(s, at, cancel)};

    in.last = in.body.at;
    for (int i = 0; i < s->kids; i++) {
        in.kid[i] = run_task(s->kid[i], at, cancel);
        if (in.kid[i].at > in.last)
            in.last = in.kid[i].at;
    }
    return in;
}

/* When the policy would cancel the scope. */
static int64_t decided(const struct step *s, const struct inside *in)
{
    int64_t at = NEVER;

    for (int i = 0; i < s->kids; i++)
        if (s->policy == THRUM_FIRST ||
            (s->policy == THRUM_ANY && in->kid[i].how == OK) ||
            (s->policy == THRUM_ALL && is_failure(in->kid[i].how)))
            at = least(at, in->kid[i].at);
    if (s->policy != THRUM_SETTLE && is_failure(in->body.how))
        at = least(at, in->body.at);
    return at;
}

/* Why it was canceled by the time its children have ended. */
struct stops {
    bool outside, deadline, cancel, policy;
};

static enum outcome canceled(const struct step *s, struct stops by)
{
    if (by.outside)
        return CANCELED;
    if (by.deadline)
        return TIMED_OUT;
    if (by.cancel)
        return OK;
    return by.policy && s->policy != THRUM_FIRST ? OK : CANCELED;
}

/* The primary error of kids and body. */
static enum outcome fold(const struct step *s, const struct inside *in,
                         struct stops by)
{
    struct end best = {NEVER, OK};
    bool any_canceled = in->body.how == CANCELED;

    for (int i = 0; i < s->kids; i++) {
        any_canceled = any_canceled || in->kid[i].how == CANCELED;
        ambiguous = ambiguous ||
                    (is_failure(in->kid[i].how) && is_failure(best.how) &&
                     in->kid[i].how != best.how && in->kid[i].at == best.at);
        if (is_failure(in->kid[i].how) &&
            (best.how == OK ||
             (s->policy != THRUM_SETTLE && in->kid[i].at < best.at)))
            best = in->kid[i];
    }
    if (is_failure(in->body.how) &&
        (best.how == OK ||
         (s->policy != THRUM_SETTLE && in->body.at < best.at)))
        best = in->body;
    if (best.how != OK)
        return best.how;
    return any_canceled ? canceled(s, by) : OK;
}

/* THRUM_ANY and THRUM_FIRST: the kids, then the body. */
static enum outcome fold_choice(const struct step *s, struct inside in,
                                struct stops by)
{
    struct end body = in.body, first = {NEVER, OK};
    enum outcome kids;
    bool won = s->policy == THRUM_FIRST;

    for (int i = 0; i < s->kids; i++) {
        won = won || in.kid[i].how == OK;
        ambiguous = ambiguous || (i > 0 && in.kid[i].at == first.at &&
                                  in.kid[i].how != first.how);
        if (i == 0 || in.kid[i].at < first.at)
            first = in.kid[i];
    }
    in.body.how = OK;
    if (s->policy == THRUM_ANY)
        kids = won ? OK : fold(s, &in, by);
    else
        kids = first.how == CANCELED ? canceled(s, by) : first.how;
    if (body.how == CANCELED)
        return won || kids != OK ? kids : canceled(s, by);
    if (body.how != OK && kids == CANCELED)
        return body.how;
    return kids != OK ? kids : body.how;
}

static struct end run_scope(struct step *s, int64_t at, int64_t cancel)
{
    int64_t outside = s->shield ? NEVER : cancel;
    int64_t deadline = s->timeout == 0 ? NEVER : next(after(at, s->timeout));
    int64_t from_outside = least(outside, deadline), within;
    struct step *around = s;
    int64_t around_at;
    struct inside in;
    struct stops by;
    struct end e;

    /* What the kids of a gather do to the scope around, in either pass, too. */
    if (s->op == OP_GATHER && s->kids > 0 && s->kid[0]->around != NULL)
        around = s->kid[0]->around;
    s->canceled_at = NEVER;
    around_at = around->canceled_at;
    in = run_inside(s, at, from_outside);
    within = least(decided(s, &in), s->canceled_at);
    around->canceled_at = around_at;
    in = run_inside(s, at, least(from_outside, next(within)));
    by.policy = decided(s, &in) != NEVER;
    by.cancel = s->canceled_at <= in.last && s->canceled_at != NEVER;
    by.outside = outside <= in.last && outside != NEVER;
    by.deadline = deadline <= in.last && deadline != NEVER;
    e.at = after(in.last, s->clean_up);
    e.how = s->policy > THRUM_SETTLE ? fold_choice(s, in, by)
                                     : fold(s, &in, by);
    if (s->op == OP_GATHER && s->policy == THRUM_SETTLE) /* told in the jobs */
        e.how = OK;
    for (int i = 0; i < s->kids; i++)
        if (s->op == OP_GATHER && s->policy == THRUM_SETTLE && by.outside &&
            in.kid[i].how == CANCELED)
            e.how = CANCELED;
    return e;
}

static enum outcome keep(enum outcome a, enum outcome b)
{
    if (a == OK || (a == CANCELED && is_failure(b)))
        return b;
    return a;
}

static struct end run_forks(struct step *s, int64_t at, int64_t cancel)
{
    struct end e = sleep_for(at, s->more, cancel);
    int64_t first = e.how == OK && s->cancels_first ? next(e.at) : NEVER;

    for (int i = s->kids - 1; i >= 0; i--) {
        struct end kid = run_task(s->kid[i], at,
                                  i == 0 ? least(cancel, first) : cancel);

        e.how = keep(e.how, kid.how);
        e.at = kid.at > e.at ? kid.at : e.at;
    }
    return e;
}

static struct end run_task(struct task *t, int64_t at, int64_t cancel)
{
    struct end e = {at, OK};

    for (int i = 0; i < t->steps && e.how == OK && e.at != NEVER; i++) {
        struct step *s = &t->step[i];

        e = sleep_for(e.at, s->length, cancel);
        if (e.how != OK || e.at == NEVER)
            break;
        if (s->op == OP_FAIL)
            e.how = FAILED;
        else if (s->op == OP_FOREVER)
            e = sleep_for(e.at, NEVER, cancel);
        else if (s->op == OP_SCOPE || s->op == OP_GATHER)
            e = run_scope(s, e.at, cancel);
        else if (s->op == OP_FORK)
            e = run_forks(s, e.at, cancel);
        else if (s->op == OP_CANCEL) {
            t->around->canceled_at = least(t->around->canceled_at, e.at);
            cancel = least(cancel, next(e.at));
        }
    }
    return e;
}

struct end model_run(struct program *p)
{
    struct end e;

    ambiguous = false;
    e = run_task(&p->tasks[0], 0, NEVER);
    if (ambiguous)
        p->exact = false;
    if (e.at != NEVER)
        e.at /= FINE;
    return e;
}
