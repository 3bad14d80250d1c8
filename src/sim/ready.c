/* All that is ready, and who of them runs next. */

#include "sim/sim.h"

#include "base/alloc.h"
#include "base/sanitize.h"

enum { CHANGE_BITS = 14 };

/* --------------------------------------------------------------------- plan */

uint32_t one_of(struct sim *sim, const uint32_t *of, uint32_t n)
{
    return of[sim_choose(sim, CHOOSE_PLAN, n)];
}

/* Within the first so many steps: most tests are short. */
static void changes_draw(struct sim *sim)
{
    struct plan *p = &sim->plan;
    uint32_t bits = sim_choose(sim, CHOOSE_RANK, CHANGE_BITS);

    bits = 2 + sim_choose(sim, CHOOSE_RANK, bits + 1);

    p->changes = sim_choose(sim, CHOOSE_RANK, CHANGES_MAX + 1);
    for (unsigned i = 0; i < p->changes; i++) {
        uint64_t at = 1 + sim_choose(sim, CHOOSE_RANK, UINT32_C(1) << bits);
        unsigned j = i;

        for (; j > 0 && p->change_at[j - 1] > at; j--)
            p->change_at[j] = p->change_at[j - 1];
        p->change_at[j] = at;
    }
}

void plan_draw(struct sim *sim)
{
    thrum_explore explore = sim->opts->explore;
    bool ranks = sim_choose(sim, CHOOSE_PLAN, 2) != 0;

    sim->plan = (struct plan){.ranks = explore == THRUM_EXPLORE
                                           ? ranks
                                           : explore == THRUM_EXPLORE_RANKS};
    sim->plan.takes_fork = ONE_OF(sim, 0, 256, 512, 1024);
    sim->plan.interrupts = ONE_OF(sim, 0, 16, 128, 512);
    sim->plan.calls_child = ONE_OF(sim, 0, 256, 512, 1024);
    sim->plan.chaos = ONE_OF(sim, 16, 128, 512);
    sim->plan.pace = ONE_OF(sim, 100, 3000, 100000, 1000000);
    changes_draw(sim);
}

/* -------------------------------------------------------------------- ranks */

/* Drawn ones are positive, the others below all that were given out. */
void rank_lowest(struct sim *sim)
{
    sim->running = --sim->lowest;
}

static int32_t rank_draw(struct sim *sim)
{
    return 1 + (int32_t)sim_choose(sim, CHOOSE_RANK, INT32_MAX);
}

/* For who lets others go first. If it were always the lowest, others would always
 * go first. */
void rank_anew(struct sim *sim)
{
    if (sim_choose(sim, CHOOSE_RANK, 2) == 0)
        rank_lowest(sim);
    else
        sim->running = rank_draw(sim);
}

bool ready_any_higher(const struct sim *sim)
{
    return sim->ready.count > 0 && sim->ready.all[0].rank > sim->running;
}

/* Up the heap, from the hole at i. */
static void sift_up(struct ready_set *set, size_t i, struct ready r)
{
    while (i > 0 && set->all[(i - 1) / 2].rank < r.rank) {
        set->all[i] = set->all[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    set->all[i] = r;
}

static void sift_down(struct ready_set *set, size_t i, struct ready r)
{
    size_t child;

    while ((child = 2 * i + 1) < set->count) {
        if (child + 1 < set->count &&
            set->all[child + 1].rank > set->all[child].rank)
            child++;
        if (set->all[child].rank <= r.rank)
            break;
        set->all[i] = set->all[child];
        i = child;
    }
    set->all[i] = r;
}

/* ---------------------------------------------------------------- the array */

void ready_init(struct ready_set *set)
{
    *set = (struct ready_set){.room = READY_LEAST};
    set->all = set->first;
}

void ready_free(struct ready_set *set)
{
    tsan_rely(set);
    if (set->all != set->first)
        release(set->all);
}

bool ready_has_room(struct ready_set *set)
{
    struct ready *more;

    if (set->count < set->room)
        return true;
    more = alloc(2 * set->room * sizeof *more);
    if (more == NULL)
        return false;
    for (size_t i = 0; i < set->count; i++)
        more[i] = set->all[i];
    ready_free(set);
    set->all = more;
    set->room *= 2;
    tsan_promise(set);
    return true;
}

void ready_add(struct sim *sim, struct thrum_job_ *job)
{
    struct ready_set *set = &sim->ready;
    struct stack *s = worker_resumed_by(job);
    struct ready r = {.job = job};

    if (s != NULL) {
        r.rank = s->sim_rank;
        r.polls = s->sim_polls;
        s->sim_polls = false;
    } else {
        r.rank = rank_draw(sim);
    }
    set->polling += r.polls;
    if (sim->plan.ranks)
        sift_up(set, set->count++, r);
    else
        set->all[set->count++] = r;
}

static struct thrum_job_ *take(struct sim *sim, size_t i)
{
    struct ready_set *set = &sim->ready;
    struct ready r = set->all[i], last = set->all[--set->count];

    set->polling -= r.polls;
    if (i < set->count && sim->plan.ranks)
        sift_down(set, i, last); /* i is 0 */
    else if (i < set->count)
        set->all[i] = last;
    trace_add(sim, "goes on", place_of_job(r.job), (uint32_t)set->count + 1);
    if (!r.polls)
        sim->vain = 0;
    sim->running = r.rank;
    return r.job;
}

static size_t choose(struct sim *sim)
{
    return sim->plan.ranks
               ? 0
               : sim_choose(sim, CHOOSE_NEXT, (uint32_t)sim->ready.count);
}

struct thrum_job_ *ready_pick(struct sim *sim)
{
    return take(sim, choose(sim));
}

/* It goes on with the rank of who calls it. */
struct thrum_job_ *ready_pick_child(struct sim *sim, struct thrum_scope *scope)
{
    size_t i = choose(sim);
    struct thrum_job_ *job = sim->ready.all[i].job;
    int32_t rank = sim->running;

    if (worker_resumed_by(job) != NULL || job_is_fork(job) ||
        load_relaxed(&job->scope) != scope) /* const in a queue */
        return NULL;
    (void)take(sim, i);
    sim->running = rank;
    return job;
}
