/* Descriptors: what becomes of a call, and when the tasks hear what the kernel has
 * to say. */

#include "sim/sim.h"

enum {
    KEEPS = 512, /* of 1024: news that something is kept back of join it */
    AGAIN = 128, /* told once more */
};

/* -------------------------------------------------------------------- calls */

/* From nothing on, each order of magnitude as often. */
static int64_t delay(struct sim *sim)
{
    thrum_time most = sim->opts->io_delay;
    uint32_t bits = sim_choose(sim, CHOOSE_IO, sim->plan.delay_bits + 1);
    int64_t ns = sim_choose(sim, CHOOSE_IO, UINT32_C(1) << bits);

    if (sim->stalls > 0 || most < 0)
        return 0;
    return most > 0 && ns > most ? most : ns;
}

static int fault(struct sim *sim, const int *errors)
{
    uint32_t n = 0;

    while (errors[n] != 0)
        n++;
    if (n == 0 || sim->io_fault == 0 ||
        sim_choose(sim, CHOOSE_IO_FAULT, UINT32_MAX) >= sim->io_fault)
        return 0;
    trace_add(sim, "has a call fail", place_of_stack(worker_current()), 1);
    return errors[sim_choose(sim, CHOOSE_IO_FAULT, n)];
}

struct sched_fate sim_fate(struct sched_sim *hooks, const int *errors)
{
    struct sim *sim = sim_of(hooks);
    struct sched_fate fate = {0, 0};

    if (sim->stalls > 0)
        return fate;
    fate.takes = delay(sim);
    fate.error = fault(sim, errors);
    return fate;
}

/* One byte as often as any other number. */
size_t sim_share(struct sched_sim *hooks, size_t n)
{
    struct sim *sim = sim_of(hooks);
    uint32_t most = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;

    if (sim->stalls > 0 || sim->opts->io_whole ||
        !sim_chance(sim, CHOOSE_IO, sim->plan.shortens))
        return n;
    trace_add(sim, "transfers less", place_of_stack(worker_current()), 1);
    return sim_choose(sim, CHOOSE_IO, 2) == 0
               ? 1
               : 1 + sim_choose(sim, CHOOSE_IO, most - 1);
}

/* --------------------------------------------------------------------- news */

static void keep_back(struct sim *sim, const struct poll_event *event);

static void tell(struct sim *sim, const struct poll_event *event)
{
    poller_deliver(&sim->rt->sched.poller, event, 1);
}

static void tell_late(struct timer *t)
{
    struct news *n = container_of(t, struct news, timer);
    struct poll_event event = n->event;

    n->any = false;
    tell(n->sim, &event);
    if (sim_chance(n->sim, CHOOSE_IO, AGAIN))
        keep_back(n->sim, &event);
}

/* The place for it, or NULL: it is told at once. */
static struct news *place_for(struct sim *sim, const struct poll_event *event)
{
    struct news *free = NULL;

    for (unsigned i = 0; i < NEWS_MAX; i++) {
        struct news *n = &sim->news[i];

        if (!n->any)
            free = n;
        else if (poll_key(&n->event) == poll_key(event) &&
                 sim_chance(sim, CHOOSE_IO, KEEPS))
            return n;
    }
    return free;
}

static void keep_back(struct sim *sim, const struct poll_event *event)
{
    int64_t ns = delay(sim);
    struct news *n = ns == 0 ? NULL : place_for(sim, event);

    if (n == NULL) {
        tell(sim, event);
    } else if (n->any) {
        n->event.of.events |= event->of.events;
    } else {
        *n = (struct news){.sim = sim, .any = true, .event = *event};
        sched_arm(sim->rt->sched.workers, &n->timer, sim->now + ns, tell_late);
    }
}

/* The kernel says them in the order in which they came about. */
static int ask(struct sim *sim, struct poll_event *events)
{
    struct poller *p = &sim->rt->sched.poller;

    return poller_is_open(p) ? poll_wait(&p->set, events, POLLER_BATCH, 0) : 0;
}

void news_look(struct sim *sim)
{
    struct poll_event events[POLLER_BATCH];
    int n;

    do {
        n = ask(sim, events);
        for (int i = 0; i < n; i++)
            if (poll_key(&events[i]) != NULL)
                keep_back(sim, &events[i]);
    } while (n == POLLER_BATCH);
}

/* The check asks at its second look, and the kernel then says again what is no
 * news: who has been told of it, and still waits, would not be told in earnest. */
void news_check(struct sim *sim)
{
    struct poll_event events[POLLER_BATCH];

    if (!poller_is_open(&sim->rt->sched.poller))
        return;
    (void)poller_check(&sim->rt->sched.poller);
    (void)poller_check(&sim->rt->sched.poller);
    while (ask(sim, events) == POLLER_BATCH)
        ;
}

void news_begin(struct sim *sim)
{
    sim->plan.shortens = ONE_OF(sim, 0, 256, 1024);
    sim->plan.delay_bits = ONE_OF(sim, 0, 10, 20, 27);
    for (unsigned i = 0; i < NEWS_MAX; i++)
        sim->news[i].any = false;
}
