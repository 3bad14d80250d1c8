/* Who hears of descriptors, and when: what a descriptor makes ready runs, though
 * its worker gives up the role of who polls before it runs anything; who sleeps
 * in the kernel is woken by everything else as well. Workers, the relief and the
 * poller are the library's, and a guest's host that waits; the kernel is in the
 * checker. */
#include "model_workers.h"

#include "sched/guest.c"

/* To move in or out is not explored. */
void forked_tell(void (*forget_it)(void))
{
    (void)forget_it;
}

void worker_move_in(struct worker *w)
{
    (void)w;
}

int altstack_map(struct altstack *s)
{
    (void)s;
    return 0;
}

void altstack_unmap(struct altstack *s)
{
    (void)s;
}

void altstack_enter(struct altstack *s)
{
    (void)s;
}

void altstack_leave(struct altstack *s)
{
    (void)s;
}

static void submit_on_time(struct timer *t)
{
    (void)t;
    MODEL_ASSERT(false); /* in some years */
}

/* A descriptor that is ready makes a job. */
static void be_ready(void *key, unsigned what)
{
    MODEL_ASSERT(key == &sched.poller.set && what == POLL_READ);
    if (model_thread() < (int)sched_count(&sched))
        sched_push(here(), job_of_id(1, &meeting));
    else
        sched_submit(&sched, job_of_id(1, &meeting));
}

static void fetch_nothing(void *key)
{
    (void)key;
}

static bool check_nothing(struct poller *p)
{
    (void)p;
    return false;
}

static const struct poller_hooks hooks = {fetch_nothing, be_ready,
                                          check_nothing, NULL};

/* A task that waits for a descriptor, the first one to do so. */
static void root_opens_the_poller(struct thrum_job_ *job)
{
    MODEL_ASSERT(sched_open_poller(&sched, &hooks) == 0);
    just_end(job);
}

static const struct thrum_site_ opener = {root_opens_the_poller, "opener", ""};

static void submit_opener(void)
{
    sched_submit(&sched, job_of_id(0, &opener));
}

/* When somebody keeps the time, asleep where he hears of nothing else. */
static void submit_late_then_opener(void)
{
    sched_submit(&sched, job_of_id(2, &late_sleeper));
    while (load_relaxed(&sched.keeper) == IDLE_NOBODY)
        model_yield();
    sched_submit(&sched, job_of_id(0, &opener));
}

/* The kernel. */
static void make_ready(void)
{
    while (load_acquire(&sched.poller.hooks) == NULL)
        model_yield();
    model_tell(&sched.poller.set);
}

/* One job comes from outside, one through a descriptor while that one runs. */
static void submit_and_make_ready(void)
{
    while (load_acquire(&sched.poller.hooks) == NULL)
        model_yield();
    sched_submit(&sched, job_of_id(2, &meeting));
    model_tell(&sched.poller.set);
}

/* Whenever it is asked to, tired of it at once. */
static void relief(void)
{
    while (load_seq_cst(&sched.stopping) == 0) {
        if (load_seq_cst(&sched.relief.stands_in) != 0)
            (void)stand_in(&sched.relief, VAIN_LOOKS);
        model_yield();
    }
}

static void submit_when_open(void)
{
    while (load_acquire(&sched.poller.hooks) == NULL)
        model_yield();
    sched_submit(&sched, job_of_id(1, &meeting));
}

/* The loop of a guest's host, who lets it in whenever it is ready. */
static void wait_in_loop(struct worker *w)
{
    poll_until_ready(&w->sched->poller.set, CLOCK_NEVER);
}

/* Or one that waits itself: only one of the two runs at a time. */
static struct parker host_parker;
static _Atomic uint32_t inside, over; /* the guest's worker runs, has ended */
static _Atomic uint32_t goes_on;      /* the host */

void worker_enter(struct worker *w)
{
    (void)w;
    store_release(&inside, 1);
    while (load_acquire(&inside) != 0)
        model_yield();
}

void worker_leave(struct worker *w)
{
    (void)w;
    store_release(&inside, 0);
    while (load_acquire(&inside) == 0)
        model_yield();
}

static void work_inside(void)
{
    while (load_acquire(&inside) == 0)
        model_yield();
    work();
    store_release(&over, 1);
    store_release(&inside, 0);
}

static void wait_as_host(void)
{
    MODEL_ASSERT(guest_park(&sched, &host_parker, CLOCK_NEVER));
    MODEL_ASSERT(sched.host.awaited == NULL);
    store_relaxed(&goes_on, 1);
    while ((void)guest_run(&sched, CLOCK_NEVER), load_acquire(&over) == 0)
        poll_until_ready(&sched.poller.set, CLOCK_NEVER);
}

static void wake_host(void)
{
    parker_unpark_in(&host_parker, &sched.poller.set);
}

/* It has more to do as long as its host waits. */
static void run_until_host_goes_on(struct thrum_job_ *job)
{
    if (load_relaxed(&goes_on) == 0)
        sched_push(&workers[0], job);
    else
        just_end(job);
}

static const struct thrum_site_ runs_on = {run_until_host_goes_on, "on", ""};

static void wake_host_from_job(struct thrum_job_ *job)
{
    sched_push(&workers[0], job_of_id(1, &runs_on));
    wake_host();
    just_end(job);
}

static const struct thrum_site_ waker = {wake_host_from_job, "waker", ""};

static void submit_waker(void)
{
    sched_submit(&sched, job_of_id(0, &waker));
}

static void submit_then_wake_host(void)
{
    sched_submit(&sched, job_of_id(0, &meeting));
    while (load_relaxed(&left) > 1) /* it is run meanwhile */
        model_yield();
    wake_host();
    while (load_relaxed(&goes_on) == 0) /* though nothing else happens */
        model_yield();
    sched_submit(&sched, job_of_id(1, &meeting));
}

static void submit_late_sleeper(void)
{
    sched_submit(&sched, job_of_id(2, &late_sleeper));
}

static void guest_of(int64_t until)
{
    sched.guest = true;
    sched.host = (struct host){.leave = wait_in_loop, .until = until};
    MODEL_ASSERT(poller_open_for_host(&sched.poller) == 0);
}

static void one_guest(void)
{
    prepare_for(1, 3);
    expected = 1;
    guest_of(CLOCK_NEVER);
}

static void one_guest_of_who_waits(void)
{
    prepare_for(1, 2);
    expected = 1;
    guest_of(CLOCK_NEVER);
    sched.host.leave = worker_leave;
    parker_init(&host_parker);
    store_relaxed(&inside, 0);
    store_relaxed(&over, 0);
    store_relaxed(&goes_on, 0);
}

/* It may run one job at a time. */
static void one_guest_in_a_hurry(void)
{
    prepare_for(1, 3);
    expected = 1;
    guest_of(0);
    sched.relief.started = true;
    store_relaxed(&sched.relief.stands_in, 1);
}

/* The job that comes through a descriptor meets nobody. */
static void one_worker_polls(void)
{
    prepare_for(1, 2);
    expected = 1;
}

/* The relief was asked once, and is about to stop. */
static void one_worker_polls_two(void)
{
    prepare_for(1, 3);
    expected = 1;
    sched.relief.started = true;
    store_relaxed(&sched.relief.stands_in, 1);
}

static void two_workers_poll(void)
{
    prepare_for(2, 2);
    expected = 1;
}

static void three_workers_poll(void)
{
    prepare_for(3, 2);
    expected = 1;
}

static void two_workers_poll_and_keep_time(void)
{
    prepare_for(2, 3);
    expected = 1;
}

static void two_workers_and_a_tired_relief(void)
{
    prepare_for(2, 3);
    sched.relief.started = true;
    store_relaxed(&sched.relief.stands_in, 1);
}

/* Alone: a worker gives up the role as the relief, tired, ends to stand in. */
static void gives_role_up(void)
{
    (void)keep(&sched, &workers[0]);
    see_to_fds(&sched);
}

static void tired_relief(void)
{
    (void)stand_in(&sched.relief, VAIN_LOOKS);
}

static void one_worker_polls_in_its_sleep(void)
{
    prepare_for(1, 2);
    sched.relief.started = true;
    store_relaxed(&sched.relief.stands_in, 1);
    MODEL_ASSERT(poller_open(&sched.poller, &hooks) == 1);
    store_relaxed(&sched.keeper, 0);
}

static void somebody_looks(void)
{
    MODEL_ASSERT(load_relaxed(&sched.relief.stands_in) == 1);
}

/* Alone: a worker takes the role to keep the time, as the poller is opened. */
static _Atomic uint32_t heard;

static void hear(void *key, unsigned what)
{
    (void)key;
    (void)what;
    store_relaxed(&heard, 1);
}

static const struct poller_hooks hearing = {fetch_nothing, hear, check_nothing,
                                            NULL};

static void takes_role(void)
{
    idle_search(&sched.idle);
    while (load_relaxed(&heard) == 0)
        rest(&sched, &workers[0]);
}

static void opens_the_poller(void)
{
    MODEL_ASSERT(sched_open_poller(&sched, &hearing) == 0);
}

static void one_worker_keeps_time(void)
{
    prepare_for(1, 2);
    store_relaxed(&heard, 0);
    store_relaxed(&sched.timers.earliest, TIMERS_NEVER - 1);
}

static const struct model_scenario scenarios[] = {
    BOTH("descriptor", two_workers_poll, TWO, {"outsider", submit_opener},
         {"kernel", make_ready}),
    BOTH("descriptor_of_one", one_worker_polls, {"w0", work},
         {"outsider", submit_opener}, {"kernel", make_ready}),
    BOTH("a_keeper_is_told_to_poll", two_workers_poll_and_keep_time, TWO,
         {"outsider", submit_late_then_opener}, {"kernel", make_ready}),
    BOTH("submitted_while_one_polls", two_workers_poll, TWO,
         {"outsider", submit_opener}, {"outsider2", submit_when_open}),
    BOTH("submitted_while_the_one_polls", one_worker_polls, {"w0", work},
         {"outsider", submit_opener}, {"outsider2", submit_when_open}),
    BOTH("told_while_the_poller_works", two_workers_and_a_tired_relief, TWO,
         {"outsider", submit_opener}, {"kernel", submit_and_make_ready},
         {"relief", relief}),
    BOTH("told_while_nobody_sleeps", one_worker_polls_two, {"w0", work},
         {"outsider", submit_opener}, {"kernel", submit_and_make_ready},
         {"relief", relief}),
    {.name = "role_given_up",
     .setup = one_worker_polls_in_its_sleep,
     .threads = {{"w0", gives_role_up},
                 {"relief", tired_relief},
                 {"kernel", make_ready}},
     .check = somebody_looks,
     .membarrier = true,
     .executions = 6000},
    {.name = "role_taken",
     .setup = one_worker_keeps_time,
     .threads = {{"w0", takes_role},
                 {"outsider", opens_the_poller},
                 {"kernel", make_ready}},
     .membarrier = true,
     .executions = 6000},
    BOTH("an_interrupt_is_taken_by_who_looks", three_workers_poll, THREE,
         {"outsider", submit_opener}, {"kernel", make_ready}),
    BOTH("a_guest", one_guest, {"w0", work}, {"outsider", submit_opener},
         {"kernel", make_ready}, {"outsider2", submit_late_sleeper}),
    BOTH("a_guest_that_leaves_early", one_guest_in_a_hurry, {"w0", work},
         {"outsider", submit_opener}, {"kernel", submit_and_make_ready},
         {"relief", relief}),
    SCENARIO("a_host_is_woken_by_its_guest", true, one_guest_of_who_waits,
             {"w0", work_inside}, {"host", wait_as_host},
             {"outsider", submit_waker}),
    SCENARIO("a_host_is_woken_by_another", true, one_guest_of_who_waits,
             {"w0", work_inside}, {"host", wait_as_host},
             {"outsider", submit_then_wake_host}),
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_poller", scenarios});
}
