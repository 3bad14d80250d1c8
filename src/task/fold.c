/* What becomes of errors: what one means to the others when it comes, and what
 * all come to at the close. */

#include "task/scope.h"

#include <errno.h>

/* Canceled, as far as is known without asking: that is for good. */
static bool is_known_canceled(const struct scope *s)
{
    return load_relaxed(&s->stops) != 0 || /* hints: else it is kept, and */
           load_relaxed(&s->seen) == SEEN_CANCELED; /* dropped by the fold */
}

bool scope_ended(struct scope *s, size_t index, thrum_err *err)
{
    bool failed = err != NULL && !error_is_canceled(err);

    if (s->policy == THRUM_FIRST) {
        if ((load_relaxed(&s->stops) & STOP_WON) != 0 || /* a hint */
            !scope_stop(s, STOP_WON)) {
            thrum_err_drop(err);
            return false;
        }
        if (err != NULL)
            (void)error_sink_add(&s->errors, index, err);
        return true;
    }
    if (err == NULL)
        return s->policy == THRUM_ANY && scope_stop(s, STOP_WON);
    if (!failed && is_known_canceled(s))
        error_sink_add_dropped(&s->errors, err);
    else if (error_sink_add(&s->errors, index, err) && failed &&
             s->policy == THRUM_ALL)
        (void)scope_stop(s, STOP_FAILED);
    return false;
}

/* Who asks for a kind gets it without memory, too; only the text is poorer. */
static thrum_err *or_plain(thrum_err *e, const thrum_kind *kind, int rc)
{
    return thrum_err_is(e, kind) ? e : thrum_rc(rc);
}

/* What a cancel, outside or of its own, comes to when nothing failed but by being
 * canceled. */
static thrum_err *canceled(struct scope *s, bool outside)
{
    uint32_t stops = load_relaxed(&s->stops); /* nobody is left to set one */

    if (outside)
        return thrum_rc(-ECANCELED);
    if (stops & STOP_DEADLINE)
        return or_plain(thrum_fail_(s->where, &THRUM_TIMEOUT,
                                    "%s: the deadline passed",
                                    s->name == NULL ? "scope" : s->name),
                        &THRUM_TIMEOUT, -ETIMEDOUT);
    if ((stops & STOP_CANCEL) == 0) /* the policy, which has had its say */
        return s->policy == THRUM_FIRST ? thrum_rc(-ECANCELED) : NULL;
    if (!s->of_task)
        return NULL;
    if (s->why == NULL)
        return thrum_rc(-ECANCELED);
    return or_plain(
        thrum_fail_(s->where, &THRUM_CANCELED, "canceled: %s", s->why),
        &THRUM_CANCELED, -ECANCELED);
}

static bool is_canceled(const struct scope *s, bool outside)
{
    return outside || load_relaxed(&s->stops) != 0; /* as above */
}

/* Of the children, and of the body where it counts as one of them. */
static thrum_err *fold(struct scope *s)
{
    bool outside = scope_canceled_outside(s);
    thrum_err *err;

    if (error_sink_is_empty(&s->errors))
        return NULL;
    err = error_sink_fold(
        &s->errors, s->policy == THRUM_SETTLE ? PRIMARY_LOWEST : PRIMARY_FIRST,
        is_canceled(s, outside) ? CANCELED_DROP : CANCELED_KEEP);
    return err != NULL ? err : canceled(s, outside);
}

static bool chooses(const struct scope *s)
{
    return s->policy == THRUM_ANY || s->policy == THRUM_FIRST;
}

/* As many as the scope keeps: its sink is empty again. */
static thrum_err *beside(struct scope *s, thrum_err *err, thrum_err *body)
{
    if (err == NULL || body == NULL)
        return err == NULL ? body : err;
    (void)error_sink_add(&s->errors, ERROR_NO_INDEX, err);
    (void)error_sink_add(&s->errors, ERROR_NO_INDEX, body);
    return error_sink_fold(&s->errors, PRIMARY_FIRST, CANCELED_KEEP);
}

/* What is not the body's failure is that of a clean-up to be noted: it stands among
 * the losers, and is told with them. */
static bool drops_losers(const struct scope *s, const thrum_err *body)
{
    bool failed = (load_relaxed(&s->stops) & STOP_FAILED) != 0;

    return s->policy == THRUM_ANY &&
           (!failed || (body != NULL && !error_is_canceled(body)));
}

/* THRUM_ANY and THRUM_FIRST. The body has its own say. */
static thrum_err *fold_choice(struct scope *s, thrum_err *body)
{
    bool won = (load_relaxed(&s->stops) & STOP_WON) != 0;
    thrum_err *err = NULL;

    if (won && drops_losers(s, body))
        thrum_err_drop(error_sink_fold(&s->errors, PRIMARY_FIRST,
                                       CANCELED_DROP)); /* the losers' */
    else
        err = fold(s);
    if (body != NULL && error_is_canceled(body)) {
        thrum_err_drop(body);
        body = won || err != NULL ? NULL
                                  : canceled(s, scope_canceled_outside(s));
    } else if (body != NULL && err != NULL && error_is_canceled(err)) {
        thrum_err_drop(err);
        err = NULL;
    }
    if (!won && err == NULL && body == NULL &&
        load_relaxed(&s->children) >> 32 == 0 && load_relaxed(&s->own) == 0)
        err = thrum_fail_(s->where, &THRUM_ERROR,
                          "nothing to choose from: no child");
    return beside(s, err, body);
}

void scope_body_failed(struct scope *s, thrum_err *body)
{
    bool failed = !error_is_canceled(body);

    if (!chooses(s))
        (void)error_sink_add(&s->errors, ERROR_NO_INDEX, body);
    if (failed && s->policy != THRUM_SETTLE)
        (void)scope_stop(s, STOP_FAILED);
}

/* Nobody but the body has anything to say. */
static thrum_err *alone(struct scope *s, thrum_err *body)
{
    bool outside;

    if (thrum_err_count(body) != 1) {
        (void)error_sink_add(&s->errors, ERROR_NO_INDEX, body);
        return fold(s);
    }
    if (!error_is_canceled(body))
        return body;
    outside = scope_canceled_outside(s);
    if (!is_canceled(s, outside))
        return body;
    thrum_err_drop(body);
    return canceled(s, outside);
}

thrum_err *scope_fold(struct scope *s, thrum_err *body, bool had_children)
{
    if (chooses(s))
        return fold_choice(s, body);
    if (body != NULL && error_sink_is_empty(&s->errors))
        return alone(s, body);
    if (!had_children && body != NULL)
        (void)error_sink_add(&s->errors, ERROR_NO_INDEX, body);
    return fold(s);
}

thrum_err *scope_fold_alone(struct scope *around, thrum_err *err)
{
    struct error_sink sink = {0};

    if (err == NULL || thrum_err_count(err) == 1 || !scope_canceled(around))
        return err;
    (void)error_sink_add(&sink, ERROR_NO_INDEX, err);
    err = error_sink_fold(&sink, PRIMARY_FIRST, CANCELED_DROP);
    return err != NULL ? err : thrum_rc(-ECANCELED);
}
