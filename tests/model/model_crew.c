/* Workers that come and go: one blocks its thread and another is called in its
 * place, or hired; one is too many and stands by, or ends, while jobs are pushed;
 * there are more or fewer. What lies in the queue of one who is away or has gone
 * runs, and who is called looks at all of it: jobs that block their workers until
 * others run find what was left behind. With membarrier, and without. */
#include "model_workers.h"

#include <errno.h>

static _Atomic uint32_t hired[WORKERS], gone[WORKERS]; /* its thread */
static int refused; /* threads that are not to be had */

enum { SPARES = 1 };
enum { THREAD = 1, NEVER_NEEDED = 2 };

/* -------------------------------------------------------------- the threads */

static uint32_t take_word(_Atomic uint32_t *word)
{
    uint32_t is;

    while ((is = exchange_acquire(word, 0)) == 0)
        futex_wait(word, 0, CLOCK_NEVER);
    return is;
}

static void say(_Atomic uint32_t *word, uint32_t what)
{
    store_release(word, what);
    futex_wake(word, WORKERS);
}

static struct crew_member *make(void *arg)
{
    unsigned i = sched_count(&sched);

    MODEL_ASSERT(arg == &sched);
    if (i == WORKERS)
        return NULL;
    queue_init(&workers[i].queue, sched.idle.fenced);
    store_relaxed(&workers[i].stack, NULL);
    sched_show(&workers[i]);
    return &workers[i].member;
}

static unsigned index_of(struct crew_member *m)
{
    return container_of(m, struct worker, member)->index;
}

static int start_thread(struct crew_member *m)
{
    if (refused > 0) {
        refused--;
        return -EAGAIN;
    }
    say(&hired[index_of(m)], THREAD);
    return 0;
}

static void join_thread(struct crew_member *m)
{
    (void)take_word(&gone[index_of(m)]);
}

static const struct crew_hooks hooks = {make, start_thread, join_thread};

/* As worker_loop and retire_run do it. True: it was not needed for long. */
static bool work_until_gone(struct worker *w)
{
    struct thrum_job_ *job;

    sched_begin(w);
    while ((job = sched_find(&sched, w)) != NULL) {
        if (job != &w->retire) {
            run(stacks[w->index], job);
            continue;
        }
        sched_give_all(w);
        if (!crew_stand_by(&sched.crew, &w->member))
            return true;
        sched_begin(w);
    }
    return false;
}

/* A worker's threads, one after the other. */
static void threads(void)
{
    unsigned i = here()->index;

    while (take_word(&hired[i]) == THREAD) {
        store_release(&here()->stack, stacks[i]);
        if (!work_until_gone(here()))
            return; /* it is not to be joined, but by who stops */
        MODEL_ASSERT(queue_count(&here()->queue) == 0);
        store_release(&here()->stack, NULL);
        say(&gone[i], THREAD);
    }
}

/* As sched/start.c does it, but for who has no thread. */
static void stop_all(void)
{
    store_seq_cst(&sched.stopping, 1);
    crew_stop(&sched.crew);
    sched_wake_all(&sched);
    for (int i = 0; i < WORKERS; i++)
        if (workers[i].member.state == CREW_NO_THREAD)
            say(&hired[i], NEVER_NEEDED);
}

static void end_of(int id)
{
    MODEL_ASSERT(runs[id] == 0);
    runs[id]++;
    if (sub_acq_rel(&left, 1) == 1)
        stop_all();
}

/* --------------------------------------------------------------------- jobs */

static void submit_on_time(struct timer *t)
{
    (void)t;
    MODEL_ASSERT(false); /* nobody sleeps */
}

static int id_of(struct thrum_job_ *job)
{
    int id;

    memcpy(&id, job->u.bytes, sizeof id);
    return id;
}

static void end_only(struct thrum_job_ *job)
{
    end_of(id_of(job));
}

static void come(struct thrum_job_ *job)
{
    meet();
    end_of(id_of(job));
}

static const struct thrum_site_ brief = {end_only, "brief", ""};
static const struct thrum_site_ comer = {come, "comer", ""};

/* What it needs lies in its own queue. */
static void block(struct thrum_job_ *job)
{
    sched_push(here(), job_of_id(1, &comer));
    sched_leave(here());
    meet();
    sched_return(here());
    sched_push(here(), job_of_id(2, &brief)); /* one too many may retire */
    end_of(id_of(job));
}

/* Two do so, one after the other. */
static void block_second(struct thrum_job_ *job)
{
    sched_leave(here());
    meet();
    sched_return(here());
    end_of(id_of(job));
}

static const struct thrum_site_ second = {block_second, "second", ""};

static void block_twice(struct thrum_job_ *job)
{
    sched_push(here(), job_of_id(1, &second));
    sched_push(here(), job_of_id(2, &comer));
    block_second(job);
}

/* It says nothing, and another finds it. */
static void block_unannounced(struct thrum_job_ *job)
{
    sched_push(here(), job_of_id(1, &comer));
    meet();
    sched_push(here(), job_of_id(2, &brief));
    end_of(id_of(job));
}

/* No other comes. */
static void block_in_vain(struct thrum_job_ *job)
{
    sched_push(here(), job_of_id(1, &brief));
    sched_leave(here());
    sched_return(here());
    sched_push(here(), job_of_id(2, &brief));
    end_of(id_of(job));
}

/* Many turns: one that is too many goes in between. */
static void push_some(struct thrum_job_ *job)
{
    for (int id = 1; id < JOBS; id++)
        sched_push(here(), job_of_id(id, &brief));
    end_of(id_of(job));
}

static void meet_another(struct thrum_job_ *job)
{
    sched_push(here(), job_of_id(1, &comer));
    come(job);
}

static const struct thrum_site_ roots[] = {
    {block, "blocks", ""},
    {block_twice, "blocks twice", ""},
    {block_unannounced, "blocks unannounced", ""},
    {block_in_vain, "blocks in vain", ""},
    {push_some, "pushes", ""},
    {meet_another, "meets another", ""},
};

enum { BLOCK, BLOCK_TWICE, UNANNOUNCED, IN_VAIN, PUSH_SOME, MEET };
static int root;

static void submit_root(void)
{
    sched_submit(&sched, job_of_id(0, &roots[root]));
}

/* ------------------------------------------------------------ others' doing */

/* The monitor, when it finds that the first worker makes no turn. */
static void miss(void)
{
    while (load_relaxed(&met) == 0 && load_relaxed(&left) != 0)
        model_yield();
    (void)crew_miss(&sched.crew, &workers[0].member, false);
    (void)crew_miss(&sched.crew, &workers[1].member, true);
    (void)crew_fill(&sched.crew);
}

static void submit_and_grow(void)
{
    bool after = model_choose(2) == 1;

    if (!after)
        submit_root();
    MODEL_ASSERT(sched_resize(&sched, 2) == 0);
    if (after)
        submit_root();
}

static void submit_and_shrink(void)
{
    submit_root();
    MODEL_ASSERT(sched_resize(&sched, 1) == 0);
}

static void there_and_back(void)
{
    for (int i = 0; i < 2; i++) {
        MODEL_ASSERT(sched_resize(&sched, 1) == 0);
        MODEL_ASSERT(sched_resize(&sched, 2) == 0);
    }
    submit_root();
}

/* ---------------------------------------------------------------- scenarios */

static void prepare_crew(unsigned wanted, int which, int job_count, unsigned at)
{
    prepare_for(WORKERS, job_count);
    idle_init(&sched.idle, 1, sched.idle.fenced);
    for (unsigned i = 0; i < WORKERS; i++) {
        memset(&workers[i].member, 0, sizeof workers[i].member);
        store_relaxed(&workers[i].queue.jobs.count, 77); /* not made yet */
        store_relaxed(&workers[i].stack, (struct stack *)1);
        parker_init(&workers[i].member.parker);
        store_relaxed(&hired[i], 0);
        store_relaxed(&gone[i], 0);
        model_name(&hired[i], "hired");
        model_name(&workers[i].member, "member");
    }
    expected = at;
    root = which;
    refused = 0;
    store_relaxed(&sched.count, 0);
    sched.spares = SPARES;
    crew_init(&sched.crew, &hooks, &sched);
    (void)crew_want(&sched.crew, wanted, SPARES);
    model_name(&sched.crew, "crew");
    model_watch(&sched.crew.wanted, sizeof sched.crew.wanted);
    model_watch(&sched.crew.standing, 2 * sizeof sched.crew.standing);
}

static void one_that_blocks(void)
{
    prepare_crew(1, BLOCK, 3, 2);
}

static void two_of_which_one_blocks(void)
{
    prepare_crew(2, BLOCK, 3, 2);
}

static void two_that_block(void)
{
    prepare_crew(2, BLOCK_TWICE, 3, 3);
}

static void one_that_is_missed(void)
{
    prepare_crew(1, UNANNOUNCED, 3, 2);
}

static void one_without_others(void)
{
    prepare_crew(1, IN_VAIN, 3, 0);
    refused = 2;
}

static void one_that_pushes(void)
{
    prepare_crew(1, PUSH_SOME, JOBS, 0);
}

static void two_that_push(void)
{
    prepare_crew(2, PUSH_SOME, JOBS, 0);
}

static void one_that_meets(void)
{
    prepare_crew(1, MEET, 2, 2);
}

static void two_that_meet(void)
{
    prepare_crew(2, MEET, 2, 2);
}

static void all_is_counted(void)
{
    uint32_t running = 0;

    each_ran_once();
    for (int i = 0; i < WORKERS; i++) {
        struct crew_member *m = &workers[i].member;

        if ((unsigned)i >= sched_count(&sched))
            break; /* was never made */
        running += m->state == CREW_RUNS;
        MODEL_ASSERT(m->state != CREW_STANDS_BY);
        MODEL_ASSERT((load_relaxed(&m->aways) != 0) == (m->state == CREW_AWAY));
        MODEL_ASSERT(queue_count(&workers[i].queue) == 0);
    }
    MODEL_ASSERT(load_relaxed(&sched.crew.running) == running);
}

#define CREW(what, barrier, prepared, ...)                                     \
    {                                                                          \
        .name = what, .setup = prepared,                                       \
        .threads = {{"w0", threads},                                           \
                    {"w1", threads},                                           \
                    {"w2", threads},                                           \
                    __VA_ARGS__},                                              \
        .check = all_is_counted, .membarrier = barrier, .executions = 4000     \
    }
#define BOTH_CREWS(what, prepared, ...)                                        \
    CREW(what, true, prepared, __VA_ARGS__),                                   \
        CREW(what "_fenced", false, prepared, __VA_ARGS__)

static const struct model_scenario scenarios[] = {
    BOTH_CREWS("one_blocks", one_that_blocks, {"outsider", submit_root}),
    BOTH_CREWS("one_of_two_blocks", two_of_which_one_blocks,
               {"outsider", submit_root}),
    BOTH_CREWS("both_block", two_that_block, {"outsider", submit_root}),
    BOTH_CREWS("one_is_missed", one_that_is_missed, {"outsider", submit_root},
               {"monitor", miss}),
    BOTH_CREWS("no_thread_to_be_had", one_without_others,
               {"outsider", submit_root}),
    BOTH_CREWS("more", one_that_meets, {"outsider", submit_and_grow}),
    BOTH_CREWS("more_while_one_pushes", one_that_pushes,
               {"outsider", submit_and_grow}),
    BOTH_CREWS("fewer_while_one_pushes", two_that_push,
               {"outsider", submit_and_shrink}),
    BOTH_CREWS("fewer_and_more", two_that_meet, {"outsider", there_and_back}),
    {0}};

int main(void)
{
    return model_run(&(struct model){"model_crew", scenarios});
}
