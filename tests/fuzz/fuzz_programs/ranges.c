/* Loops over a range, and reductions of it, in parts that other workers may take:
 * each index once, and what they add up to in the order of the indices. */
#include <errno.h>
#include <string.h>

#include "things.h"

THRUM_KIND(Spoiled, THRUM_ERROR);

enum { LOW = 5, INDICES = 21 }; /* from LOW on */

struct range {
    const struct step *s;
    const struct region *at; /* that the loop is in */
    bool spoiled[INDICES];   /* a part that begins there has failed */
    size_t failures;
    int made, merged; /* accumulators */
};

/* What parts beside each other have added up. */
struct sum {
    size_t lo, hi, count;
};

static struct range ranges_of[STEPS_MAX];
static bool passed[STEPS_MAX][INDICES]; /* in plain memory */

static size_t end_of(const struct step *s)
{
    return LOW + s->which * (size_t)3;
}

static size_t grain_of(const struct step *s)
{
    return number_of(s) % 4;
}

static thrum_err *doze(void *unused)
{
    (void)unused;
    return thrum_rc(thrum_sleep(THRUM_US(10)));
}

/* Elsewhere, perhaps. */
static thrum_err *doze_in_fork(const struct range *r)
{
    thrum_task fork;
    thrum_err *err;

    thrum_fork(&fork, doze, NULL);
    err = thrum_join(&fork);
    must(err == NULL || r->failures > 0 || region_may(r->at));
    return err;
}

static thrum_err *do_part(size_t lo, size_t hi, void *range)
{
    struct range *r = range;
    size_t grain = grain_of(r->s);
    bool *here = passed[number_of(r->s)];

    must(LOW <= lo && lo < hi && hi <= end_of(r->s));
    must(grain == 0 || hi - lo <= grain);
    if (r->s->options & 4)
        THRUM_TRY(doze_in_fork(r));
    if ((r->s->options & 2) && lo % 4 == 0) {
        r->spoiled[lo - LOW] = true;
        r->failures++;
        return thrum_fail(&Spoiled, "a part");
    }
    for (size_t i = lo; i < hi; i++) {
        must(!here[i - LOW]);
        here[i - LOW] = true;
    }
    return NULL;
}

/* --------------------------------------------------------------- reductions */

static void add(struct sum *into, struct sum from)
{
    if (from.count == 0)
        return;
    must(into->count == 0 || into->hi <= from.lo);
    if (into->count == 0)
        into->lo = from.lo;
    into->hi = from.hi;
    into->count += from.count;
}

static void make_sum(void *acc, void *range)
{
    struct range *r = range;

    r->made++;
    *(struct sum *)acc = (struct sum){0};
}

static void merge_sums(void *into, void *from, void *range)
{
    struct range *r = range;

    r->merged++;
    add(into, *(struct sum *)from);
}

static thrum_err *add_part(size_t lo, size_t hi, void *acc, void *range)
{
    THRUM_TRY(do_part(lo, hi, range));
    add(acc, (struct sum){lo, hi, hi - lo});
    return NULL;
}

static const thrum_reduction adding = {.size = sizeof(struct sum),
                                       .init = make_sum,
                                       .merge = merge_sums,
                                       .fn = add_part};

static thrum_err *reduce(struct range *r)
{
    size_t hi = end_of(r->s);
    struct sum sum = {0};
    thrum_err *err = thrum_reduce(LOW, hi, grain_of(r->s), &adding, &sum, r);

    must(err != NULL || (sum.count == hi - LOW && r->made == r->merged));
    must(err != NULL || hi == LOW || (sum.lo == LOW && sum.hi == hi));
    return err;
}

/* --------------------------------------------------------------- their ends */

/* Each failure is told, once, by where its part begins. */
static void check_failures(struct range *r, const thrum_err *err)
{
    const thrum_err *leaf;
    size_t told = 0, at;

    for (size_t i = 0; (leaf = thrum_err_at(err, i)) != NULL; i++) {
        if (thrum_err_is(leaf, &THRUM_CANCELED))
            continue;
        at = thrum_err_index(leaf);
        must(thrum_err_is(leaf, &Spoiled));
        must(LOW <= at && at < end_of(r->s) && r->spoiled[at - LOW]);
        r->spoiled[at - LOW] = false;
        told++;
    }
    must(told == r->failures);
}

static thrum_err *in_range(struct task *t, struct step *s)
{
    struct range *r = &ranges_of[number_of(s)];
    struct attempt a = attempt(t, s);
    thrum_err *err;

    *r = (struct range){.s = s, .at = t->at};
    a.must = a.must && s->which > 0; /* else there is nothing to leave out */
    err = s->options & 1 ? reduce(r)
                         : thrum_for(LOW, end_of(s), grain_of(s), do_part, r);
    (void)attempted(a, ended_how(err) == CANCELED ? -ECANCELED : 0);
    check_failures(r, err);
    for (size_t i = LOW; err == NULL && i < end_of(s); i++)
        must(passed[number_of(s)][i - LOW]);
    return err;
}

static bool ends_by_itself(const struct step *s)
{
    (void)s;
    return false;
}

static void make(void)
{
    NOTED(ranges_of);
    memset(passed, 0, sizeof passed);
}

static void end(void)
{
}

const struct things ranges = {make, end, in_range, ends_by_itself};
