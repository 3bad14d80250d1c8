/* Barriers, for two and for three; latches. */
#include <errno.h>
#include <string.h>

#include "things.h"

/* Who is about to come counts as come; who is canceled has not. */
static struct {
    thrum_barrier barrier;
    unsigned all, come, passed, rounds;
    bool any_left;
    const struct step *first[3]; /* to come */
} barriers[BARRIERS];

static struct {
    thrum_latch latch;
    unsigned left;
    bool counts[STEPS_MAX]; /* a step has counted it down */
} latches[LATCHES];

/* By a step. */
static bool told[STEPS_MAX];

/* ----------------------------------------------------------------- barriers */

/* They have met for the first time: then it is known who. */
static void hear_the_others(unsigned b)
{
    if (barriers[b].come != barriers[b].all || barriers[b].any_left)
        return;
    for (unsigned i = 0; i < barriers[b].all; i++)
        must(told[number_of(barriers[b].first[i])]);
}

static thrum_err *meet(struct task *t, struct step *s)
{
    unsigned b = s->which % BARRIERS, all = barriers[b].all;
    struct attempt a = attempt(t, s);
    int64_t rc;

    told[number_of(s)] = true;
    if (barriers[b].come < all)
        barriers[b].first[barriers[b].come] = s;
    barriers[b].come++;
    rc = attempted(a, thrum_barrier_wait(&barriers[b].barrier));
    must(rc == 0 || rc == 1 || rc == -ECANCELED);
    if (rc < 0) {
        barriers[b].come--;
        barriers[b].any_left = true;
        return thrum_rc(rc);
    }
    barriers[b].passed++;
    barriers[b].rounds += rc == 1;
    must(barriers[b].passed <= barriers[b].come / all * all);
    must(barriers[b].rounds <= barriers[b].come / all);
    hear_the_others(b);
    return NULL;
}

static bool barrier_blocks(unsigned b)
{
    unsigned waiting = 0;

    for (int i = 0; i < program.task_count; i++) {
        const struct step *s = program.tasks[i].pending;

        waiting += s != NULL && s->op == OP_MEET && s->which % BARRIERS == b;
    }
    return waiting < barriers[b].all;
}

/* ------------------------------------------------------------------ latches */

/* Before those are done that there are. */
static thrum_err *add(struct step *s)
{
    unsigned l = s->which % LATCHES;

    if (latches[l].left == 0)
        return NULL;
    latches[l].left++;
    thrum_latch_add(&latches[l].latch, 1);
    return NULL;
}

static thrum_err *count_down(struct step *s)
{
    unsigned l = s->which % LATCHES;

    if (latches[l].left == 0)
        return NULL;
    told[number_of(s)] = latches[l].counts[number_of(s)] = true;
    latches[l].left--;
    thrum_latch_done(&latches[l].latch);
    return NULL;
}

static thrum_err *await_all(struct task *t, struct step *s)
{
    unsigned l = s->which % LATCHES;
    struct attempt a = attempt(t, s);
    int64_t rc = attempted(a, thrum_latch_wait(&latches[l].latch));

    must(rc == -ECANCELED || (rc == 0 && latches[l].left == 0));
    for (int i = 0; i < program.step_count && rc == 0; i++)
        must(!latches[l].counts[i] || told[i]);
    return thrum_rc(rc);
}

/* -------------------------------------------------------------- all of them */

static thrum_err *do_step(struct task *t, struct step *s)
{
    switch ((unsigned)s->op) {
    case OP_MEET:
        return meet(t, s);
    case OP_ADD:
        return add(s);
    case OP_DONE:
        return count_down(s);
    default:
        return await_all(t, s);
    }
}

static bool is_right(const struct step *s)
{
    return s->op == OP_MEET ? barrier_blocks(s->which % BARRIERS)
                            : latches[s->which % LATCHES].left > 0;
}

static void make(void)
{
    NOTED(barriers);
    NOTED(latches);
    memset(barriers, 0, sizeof barriers);
    memset(latches, 0, sizeof latches);
    memset(told, 0, sizeof told);
    for (unsigned i = 0; i < BARRIERS; i++) {
        barriers[i].all = 2 + i;
        must(thrum_barrier_init(&barriers[i].barrier, barriers[i].all) == 0);
    }
    for (unsigned i = 0; i < LATCHES; i++) {
        latches[i].left = 1 + i;
        thrum_latch_init(&latches[i].latch, latches[i].left);
    }
}

static void end(void)
{
    for (int i = 0; i < BARRIERS; i++)
        must(barriers[i].passed == barriers[i].come &&
             barriers[i].passed == barriers[i].rounds * barriers[i].all);
}

const struct things meetings = {make, end, do_step, is_right};
