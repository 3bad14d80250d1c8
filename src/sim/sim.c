/* Rounds. */

#include "sim/sim.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "os/altstack.h"
#include "os/clock.h"
#include "os/env.h"
#include "os/fault.h"
#include "os/lock.h"
#include "sched/start.h"

enum { ROUNDS = 100, STEPS = 10000000 };

#define SEED UINT64_C(0x74687275)

/* ----------------------------------------------------------------- the body */

static void main_run(struct thrum_job_ *job);

static const struct thrum_site_ main_site = {main_run, "main", "thrum_sim"};

/* What is left when the body has returned. */
static void leftovers(struct sim *sim)
{
    struct scope *root = &sim->rt->root;
    uint32_t left = scope_live(root) - 1;

    if (left == 0)
        return;
    if (!sim->opts->background) {
        char text[768];

        report_children(root, text, sizeof text);
        sim->err = thrum_err_add(
            sim->err,
            thrum_fail_("thrum_sim", &THRUM_ERROR,
                        "%u tasks are left in the background%s", left, text));
    }
    scope_cancel(root, NULL);
}

static void main_run(struct thrum_job_ *job)
{
    struct sim *sim = container_of(job, struct sim, main);
    struct child around = child_begin(worker_current(), NULL, &main_site);
    struct scope own;
    thrum_err *err;

    scope_open_task(&own, NULL, worker_current(), &main_site);
    sim->of_main = &own;
    err = scope_close(&own, sim->fn(sim->arg));
    sim->of_main = NULL;
    child_end(worker_current(), around);
    sim->ended = true;
    if (sim->stalls > 0 && thrum_err_is(err, &THRUM_CANCELED))
        thrum_err_drop(err); /* as it was told to */
    else
        sim->err = thrum_err_add(sim->err, err);
    leftovers(sim);
    tsan_promise(sim);
}

/* ---------------------------------------------------------------- one round */

static bool alloc_fails(void)
{
    struct sim *sim = sim_current();

    if (sim == NULL || sim->fault == 0 || sim->deciding || sim->stalls > 0 ||
        sim_choose(sim, CHOOSE_FAULT, UINT32_MAX) >= sim->fault)
        return false;
    trace_add(sim, "gets no memory", place_of_stack(worker_current()), 1);
    return true;
}

static void tell_of_crash(void)
{
    struct sim *sim = sim_current();

    if (sim != NULL)
        trace_tell(sim, "the program dies in this round");
}

/* Each kind of choice gets numbers of its own. */
static void seed(struct sim *sim)
{
    for (unsigned i = 0; i < CHOICES; i++) {
        uint64_t z = sim->seed + (i + 1) * UINT64_C(0x9E3779B97F4A7C15);

        z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
        rng_init(&sim->rng[i], z ^ z >> 31);
    }
}

static void begin(struct sim *sim)
{
    sim->now = EPOCH;
    sim->running = 1;
    sim->lowest = 0;
    sim->changed = sim->polls = 0;
    sim->steps = sim->vain = sim->hash = 0;
    sim->stop_at = sim->opts->steps;
    sim->ended = sim->over = sim->deciding = false;
    sim->asks = false;
    sim->stalls = 0;
    sim->of_main = NULL;
    sim->err = NULL;
    sim->trace.count = 0;
    store_relaxed(&sim->main.site, &main_site); /* one thread */
    ready_init(&sim->ready);
    seed(sim);
    plan_draw(sim);
    news_begin(sim);
}

/* The calling thread is the worker. */
static void run(struct sim *sim)
{
    struct altstack altstack;
    bool has_altstack = altstack_map(&altstack) == 0;

    if (has_altstack)
        altstack_enter(&altstack);
    clock_simulate(&sim->now);
    queue_push(&sim->rt->sched.workers[0].queue, &sim->main);
    tsan_promise(&sim->main);
    worker_main(&sim->rt->sched.workers[0]);
    tsan_rely(sim);
    clock_simulate(NULL);
    if (has_altstack) {
        altstack_leave(&altstack);
        altstack_unmap(&altstack);
    }
}

static bool is_abandoned(struct sim *sim)
{
    return !sim->ended || scope_live(&sim->rt->posted) > 1 ||
           scope_live(&sim->rt->root) > 1;
}

static void silent(const char *name, thrum_time took, const thrum_err *err,
                   void *user)
{
    (void)name, (void)took, (void)err, (void)user;
}

static thrum_opts runtime_opts(const thrum_sim_opts *opts)
{
    thrum_opts run = opts->run != NULL ? *opts->run
                                       : (thrum_opts){.on_slow = silent};

    run.workers = 1;
    run.pin = run.guest = false;
    return run;
}

static thrum_err *round_run(struct sim *sim)
{
    thrum_opts opts = runtime_opts(sim->opts);
    int rc = runtime_start(&sim->rt, &opts, &sim->hooks);

    if (rc < 0)
        return thrum_rc(rc);
    begin(sim);
    run(sim);
    if (!is_abandoned(sim))
        sim->err = thrum_err_add(sim->err, scope_join(&sim->rt->posted, NULL));
    runtime_free(sim->rt);
    ready_free(&sim->ready);
    return sim->err;
}

/* ------------------------------------------------------------------- rounds */

/* The first one's as it is, so that a seed that was printed can be given. */
static uint64_t seed_of(uint64_t first, unsigned round)
{
    uint64_t z = first + round * UINT64_C(0xD1342543DE82EF95);

    if (round == 0)
        return first;
    z = (z ^ z >> 32) * UINT64_C(0xD6E8FEB86659FD93);
    return z ^ z >> 32;
}

static thrum_err *twice(struct sim *sim)
{
    uint64_t hash = sim->hash, steps = sim->steps;
    thrum_err *err = round_run(sim);

    if (err != NULL || (hash == sim->hash && steps == sim->steps))
        return err;
    return thrum_fail_("thrum_sim", &THRUM_ERROR,
                       "the same seed leads to another course (%llu decisions, "
                       "then %llu): something but the seed decides",
                       (unsigned long long)steps,
                       (unsigned long long)sim->steps);
}

static thrum_err *one(struct sim *sim, unsigned round)
{
    thrum_err *err = round_run(sim);

    if (err == NULL && sim->opts->twice)
        err = twice(sim);
    if (err == NULL)
        return NULL;
    if (!sim->opts->quiet)
        trace_tell(sim, "this round has failed");
    return thrum_wrap_("thrum_sim", err, &THRUM_ERROR,
                       "round %u of a simulation, THRUM_SEED=0x%llx", round,
                       (unsigned long long)sim->seed);
}

/* THRUM_ROUNDS, or 0: it does not say. */
static unsigned wished_rounds(void)
{
    uint64_t n;

    if (!env_number("THRUM_ROUNDS", &n))
        return 0;
    if (n > 0 && n <= UINT32_MAX)
        return (unsigned)n;
    env_complain("THRUM_ROUNDS",
                 "is no number of rounds: as if it were not set");
    return 0;
}

static void fill_in(thrum_sim_opts *o)
{
    unsigned rounds = wished_rounds();

    if (o->seed == 0)
        o->seed = SEED;
    if (o->rounds == 0)
        o->rounds = ROUNDS;
    if (o->limit <= 0)
        o->limit = THRUM_SEC(3600) * 24 * 3652;
    o->limit = o->limit > CLOCK_NEVER - EPOCH ? CLOCK_NEVER : o->limit + EPOCH;
    if (o->steps == 0)
        o->steps = STEPS;
    if (rounds != 0)
        o->rounds = rounds;
    if (env_number("THRUM_SEED", &o->seed))
        o->rounds = 1;
}

/* What is of the whole process, while any thread simulates. */
static struct lock enter_lock = LOCK_INITIALIZER;
static unsigned running, faulty; /* lock: enter_lock */

static void enter(const struct sim *sim)
{
    lock_acquire(&enter_lock);
    if (running++ == 0)
        fault_tell(tell_of_crash);
    if (sim->fault != 0 && faulty++ == 0)
        alloc_fail_if(alloc_fails);
    add_relaxed(&thrum_simulations_, 1); /* this thread's own tasks ask */
    lock_release(&enter_lock);
}

static void leave(const struct sim *sim)
{
    lock_acquire(&enter_lock);
    add_relaxed(&thrum_simulations_, (uint32_t)-1); /* likewise */
    if (sim->fault != 0 && --faulty == 0)
        alloc_fail_if(NULL);
    if (--running == 0)
        fault_tell(NULL);
    lock_release(&enter_lock);
}

static uint64_t of_2_32(double chance)
{
    return chance <= 0   ? 0
           : chance >= 1 ? UINT32_MAX
                         : (uint64_t)(chance * (double)UINT32_MAX);
}

thrum_err *thrum_sim(const thrum_sim_opts *opts, thrum_fn *fn, void *arg)
{
    thrum_sim_opts o = opts == NULL ? (thrum_sim_opts){0} : *opts;
    thrum_err *err = NULL;
    struct sim *sim;

    REQUIRE(fn != NULL, "no function");
    if (worker_current() != NULL)
        return thrum_fail_("thrum_sim", &THRUM_ERROR,
                           "thrum_sim is called from a task: a simulation has "
                           "a thread of its own");
    sim = alloc(sizeof *sim);
    if (sim == NULL)
        return thrum_rc(-ENOMEM);
    fill_in(&o);
    *sim = (struct sim){.hooks = sim_hooks, .opts = &o, .fn = fn, .arg = arg};
    sim->hooks.programs = o.programs;
    sim->fault = of_2_32(o.fault);
    sim->io_fault = of_2_32(o.io_fault);
    enter(sim);
    for (unsigned i = 0; err == NULL && i < o.rounds; i++) {
        sim->seed = seed_of(o.seed, i);
        err = one(sim, i);
    }
    leave(sim);
    release(sim);
    return err;
}

bool thrum_chaos(const char *site)
{
    struct sim *sim;

    if (likely(load_relaxed(&thrum_simulations_) == 0)) /* as sched_point */
        return false;
    sim = sim_current();
    if (sim == NULL || sim->stalls > 0 ||
        !sim_chance(sim, CHOOSE_CHAOS, sim->plan.chaos))
        return false;
    trace_add(sim, "chaos: it is so", (struct place){site, "thrum_chaos"}, 1);
    return true;
}

uint64_t thrum_sim_seed(void)
{
    struct sim *sim = sim_current();

    return sim == NULL ? 0 : sim->seed;
}
