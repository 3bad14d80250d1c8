/* What the tasks of a program share or use; and what each must be, whatever the
 * schedule: each kind in a file of its own. Only one task runs at a time, so what is
 * noted of them needs no lock. */
#include "things.h"

#include <errno.h>

/* --------------------------------------------------- generators, blocking calls */

static thrum_err *count_up(void *naps)
{
    for (unsigned i = 0; i < 4; i++) {
        if (*(bool *)naps)
            THRUM_TRY(thrum_sleep(1));
        THRUM_TRY(thrum_gen_emit(&i));
    }
    return NULL;
}

static thrum_err *generate(struct task *t, struct step *s)
{
    bool naps = (s->options & 1) != 0;
    struct attempt a = attempt(t, s);
    thrum_err *err;
    unsigned item, next = 0;
    thrum_gen g;
    int more = 1;

    thrum_gen_open(&g, count_up, &naps, sizeof item);
    while (next < s->which && (more = thrum_gen_next(&g, &item)) > 0)
        must(item == next++);
    a.must = a.must && s->which > 0;
    (void)attempted(a, more);
    must(next <= 4 && (more != 0 || next == 4 || region_may(t->at)));
    err = thrum_gen_close(&g);
    must(err == NULL || region_may(t->at));
    return thrum_err_add(more < 0 ? thrum_rc(more) : NULL, err);
}

static thrum_err *call(void *called)
{
    must(!*(bool *)called);
    *(bool *)called = true;
    return NULL;
}

static thrum_err *offload(struct task *t, struct step *s)
{
    struct attempt a = attempt(t, s);
    bool called = false;
    thrum_err *err = thrum_offload(call, &called);

    (void)attempted(a, err == NULL ? 0 : -ECANCELED);
    must(called == (err == NULL));
    must(err == NULL || thrum_err_is(err, &THRUM_CANCELED));
    return err;
}

static thrum_err *do_call(struct task *t, struct step *s)
{
    return s->op == OP_GENERATE ? generate(t, s) : offload(t, s);
}

static bool ends_by_itself(const struct step *s)
{
    (void)s;
    return false;
}

static void nothing(void)
{
}

static const struct things calls = {nothing, nothing, do_call, ends_by_itself};

/* ------------------------------------------------------------------ all of them */

static const struct things *const all[] = {&channels, &broadcasts, &locks,
                                           &meetings, &streams,    &calls};

enum { ALL = sizeof all / sizeof *all };

static const struct things *things_of(const struct step *s)
{
    if (s->op < OP_TELL)
        return &channels;
    if (s->op < OP_LOCK)
        return &broadcasts;
    if (s->op < OP_MEET)
        return &locks;
    if (s->op < OP_WRITE)
        return &meetings;
    return s->op < OP_GENERATE ? &streams : &calls;
}

thrum_err *things_step(struct task *t, struct step *s)
{
    return things_of(s)->step(t, s);
}

bool things_block(const struct step *s)
{
    return s->op > OP_CHECK && s->op < OP_CANCEL && things_of(s)->blocks(s);
}

void things_make(void)
{
    for (int i = 0; i < ALL; i++)
        all[i]->make();
}

void things_end(void)
{
    for (int i = 0; i < ALL; i++)
        all[i]->end();
}
