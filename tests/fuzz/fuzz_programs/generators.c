/* Generators. Their items are 0, 1, 2, 3; whatever ends on the way, and whoever is
 * canceled, none is lost and none comes twice. */
#include <errno.h>

#include "things.h"

enum { ITEMS = 4 };

/* Of four kinds. */
enum kind {
    PLAIN,
    CHAINED,  /* the body is the consumer of another one */
    HURRIED,  /* it emits in a scope whose deadline passes meanwhile */
    CONSUMED, /* .. and so does its consumer ask */
};

static enum kind kind_of(const struct step *s)
{
    return (enum kind)(s->options >> 2 & 3);
}

static bool naps(const struct step *s)
{
    return (s->options & 1) != 0;
}

/* Where a scope is opened here, so that it is known when it may be canceled. */
struct inner {
    struct task *task;
    struct region region;
    thrum_scope scope;
};

static void enter(struct inner *in, struct task *t, thrum_time timeout)
{
    in->task = t;
    region_init(&in->region, t->at);
    in->region.deadline = thrum_now() + timeout;
    t->at = &in->region;
    thrum_scope_open(&in->scope, .timeout = timeout);
}

/* Its own deadline is no failure. */
static thrum_err *leave(struct inner *in, thrum_err *body)
{
    thrum_err *err = thrum_scope_close(&in->scope, body);

    in->task->at = in->region.parent;
    if (ended_how(err) != TIMED_OUT)
        return err;
    must(thrum_scope_expired(&in->scope));
    thrum_err_drop(err);
    return NULL;
}

/* --------------------------------------------------------------- the bodies */

/* Who is canceled cannot; who is in a shield may hear of the end by it. */
static thrum_err *emit_from(const struct step *s, unsigned *next, bool shielded)
{
    while (*next < ITEMS) {
        bool canceled;
        int rc;

        if (naps(s))
            THRUM_TRY(thrum_sleep(THRUM_US(1)));
        canceled = thrum_canceled();
        rc = thrum_gen_emit(next);
        must(rc == 0 || rc == -ECANCELED);
        must(rc == -ECANCELED || !canceled);
        must(rc == 0 || shielded || thrum_canceled());
        THRUM_TRY(rc);
        ++*next;
    }
    return NULL;
}

static thrum_err *count_up(void *step)
{
    unsigned next = 0;

    return emit_from(step, &next, false);
}

static thrum_err *pass_on(void *step)
{
    unsigned item, next = 0;
    thrum_gen from;
    int rc;

    thrum_gen_open(&from, count_up, step, sizeof item);
    while ((rc = thrum_gen_next(&from, &item)) > 0) {
        must(item == next++);
        rc = thrum_gen_emit(&item);
        if (rc < 0)
            break;
    }
    return thrum_err_add(thrum_rc(rc), thrum_gen_close(&from));
}

static thrum_err *nap(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(THRUM_US(2)));
}

/* What was not emitted in time is after. The child is canceled with it. */
static thrum_err *emit_in_time(void *step)
{
    const struct step *s = step;
    bool shielded = (s->options & 2) != 0;
    unsigned next = 0;
    thrum_scope scope;
    thrum_err *err;

    thrum_scope_open(&scope, .timeout = s->which * THRUM_US(1),
                     .shield = shielded);
    err = thrum_rc(thrum_spawn(&scope, nap, NULL, 0));
    if (err == NULL)
        err = emit_from(s, &next, shielded);
    err = thrum_scope_close(&scope, err);
    if (ended_how(err) == TIMED_OUT) {
        must(thrum_scope_expired(&scope));
        thrum_err_drop(err);
        err = NULL;
    }
    THRUM_TRY(err);
    return emit_from(s, &next, false);
}

static thrum_fn *body_of(const struct step *s)
{
    if (kind_of(s) == CHAINED)
        return pass_on;
    return kind_of(s) == HURRIED ? emit_in_time : count_up;
}

/* ------------------------------------------------------------- the consumer */

static int ask(const struct step *s, thrum_gen *g, unsigned *items)
{
    return s->options & 2 ? thrum_gen_next_many(g, items, MANY)
                          : thrum_gen_next(g, items);
}

/* As many as it wants, or there are. */
static int take(struct task *t, struct step *s, thrum_gen *g, unsigned *next)
{
    unsigned items[MANY];
    int more = 1;

    while (*next < s->which && more > 0) {
        struct attempt a = attempt(t, s);

        more = (int)attempted(a, ask(s, g, items));
        for (int i = 0; i < more; i++)
            must(items[i] == (*next)++);
        if (more > 0 && kind_of(s) >= HURRIED) {
            a = attempt(t, s);
            (void)attempted(a, thrum_sleep(THRUM_US(1)));
        }
    }
    return more;
}

/* Those that are asked for in time; the others after. */
static int take_in_time(struct task *t, struct step *s, thrum_gen *g,
                        unsigned *next)
{
    struct inner in;
    thrum_err *err;
    int more;

    enter(&in, t, THRUM_US(2));
    more = take(t, s, g, next);
    err = leave(&in, more < 0 ? thrum_rc(more) : NULL);
    must(err == NULL || ended_how(err) == CANCELED);
    thrum_err_drop(err);
    return more < 0 ? take(t, s, g, next) : more;
}

static thrum_err *generate(struct task *t, struct step *s)
{
    unsigned next = 0;
    thrum_err *err;
    thrum_gen g;
    int more;

    thrum_gen_open(&g, body_of(s), s, sizeof next);
    more = kind_of(s) == CONSUMED ? take_in_time(t, s, &g, &next)
                                  : take(t, s, &g, &next);
    must(next <= ITEMS && (more != 0 || next == ITEMS || region_may(t->at)));
    err = thrum_gen_close(&g);
    must(err == NULL || region_may(t->at));
    return thrum_err_add(more < 0 ? thrum_rc(more) : NULL, err);
}

/* It ends by itself. */
static bool is_right(const struct step *s)
{
    (void)s;
    return false;
}

static void nothing(void)
{
}

const struct things generators = {nothing, nothing, generate, is_right};
