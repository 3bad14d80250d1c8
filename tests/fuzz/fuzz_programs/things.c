/* What the tasks of a program share or use; and what each must be, whatever the
 * schedule: each kind in a file of its own. Only one task runs at a time, so what is
 * noted of them needs no lock. */
#include "things.h"

/* -------------------------------------------------------------- all of them */

static const struct things *const all[] = {
    &channels, &broadcasts, &locks,    &meetings, &streams, &connections,
    &services, &generators, &listings, &ranges,   &signals, &calls};

enum { ALL = sizeof all / sizeof *all };

/* Some of what a step may be is told by its options. */
static const struct things *call_of(const struct step *s)
{
    if (s->op == OP_GENERATE)
        return &generators;
    if (s->op == OP_OFFLOAD && (s->options & 10) == 10)
        return &listings;
    if (s->op == OP_FLOW && (s->options & 8))
        return &ranges;
    return s->op == OP_BACKGROUND && (s->options & 8) ? &signals : &calls;
}

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
    if (s->op < OP_DIAL)
        return &streams;
    if (s->op <= OP_ACCEPT && (s->options & 8))
        return &services;
    return s->op < OP_GENERATE ? &connections : call_of(s);
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
