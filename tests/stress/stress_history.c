/* Do a mutex, a semaphore and an event do what some order of the calls would have
 * done one after the other? Three tasks and a thread call at random; when each call
 * began and ended is written down. Then an order is looked for, in which no call
 * comes before one that had ended when it began, and every result is what it would
 * be in that order. Short histories, many of them; a cancel comes at any time. */
#include <stdio.h>
#include <string.h>

#include <errno.h>

#include <thrum.h>

#include "base/atomic.h"
#include "lib/stress.h"
#include "os/clock.h"
#include "os/thread.h"
#include "parts/parker.h"

enum { PROCESSES = 4, TURNS = 2, CALLS = PROCESSES * TURNS * 2 };

enum thing { MUTEX, SEM, EVENT, THINGS };

/* TAKE must succeed, TAKE_OR_NOT may be canceled, TRY asks. Of an event: WAIT may
 * be canceled. */
enum call { TAKE, TAKE_OR_NOT, TRY, GIVE, SET, RESET, ASK, WAIT };

struct record {
    enum call call;
    bool yes; /* what it returned */
    uint32_t began, ended;
};

struct process {
    struct rng rng;
    bool is_task;
    unsigned turns, count;
    struct record records[TURNS * 2];
};

static enum thing thing;
static thrum_mutex mutex;
static thrum_sem sem;
static thrum_event event;
static unsigned permits;
static struct process processes[PROCESSES];
static _Atomic uint32_t now;
static uint64_t histories, canceled;

/* ------------------------------------------------------------------ calling */

static bool take(enum call call)
{
    if (thing == SEM)
        return call == TRY ? thrum_sem_try_acquire(&sem)
                           : thrum_sem_acquire(&sem) == 0;
    if (call == TRY)
        return thrum_mutex_trylock(&mutex);
    if (call == TAKE_OR_NOT)
        return thrum_mutex_lock_cancelable(&mutex) == 0;
    thrum_mutex_lock(&mutex);
    return true;
}

static bool do_call(enum call call)
{
    switch (call) {
    case GIVE:
        if (thing == SEM)
            thrum_sem_release(&sem);
        else
            thrum_mutex_unlock(&mutex);
        return true;
    case SET:
        thrum_event_set(&event);
        return true;
    case RESET:
        thrum_event_reset(&event);
        return true;
    case ASK:
        return thrum_event_is_set(&event);
    case WAIT:
        return thrum_event_wait(&event) == 0;
    case TAKE:
    case TAKE_OR_NOT:
    case TRY:
    default:
        return take(call);
    }
}

static void linger(struct process *p)
{
    uint32_t n = rng_below(&p->rng, 64);

    if (n < 16)
        thrum_yield();
    while (n-- > 16)
        cpu_relax();
}

static bool note(struct process *p, enum call call)
{
    struct record *r = &p->records[p->count++];

    r->call = call;
    r->began = add_seq_cst(&now, 1);
    r->yes = do_call(call);
    r->ended = add_seq_cst(&now, 1);
    linger(p);
    return r->yes;
}

static void turn(struct process *p)
{
    static const enum call of_events[] = {SET, RESET, ASK, WAIT};

    if (thing == EVENT) /* nobody cancels a thread */
        (void)note(p, of_events[rng_below(&p->rng, p->is_task ? 4 : 3)]);
    else if (note(p, (enum call)rng_below(&p->rng, 3)))
        (void)note(p, GIVE);
}

static thrum_err *run_process(void *arg)
{
    struct process *p = arg;

    for (unsigned i = 0; i < p->turns; i++)
        turn(p);
    return NULL;
}

/* --------------------------------------------------------------- the thread */

static struct parker go, ended;
static bool over;

static void run_in_thread(void *arg)
{
    for (;;) {
        (void)parker_park(&go, CLOCK_NEVER);
        if (over)
            return;
        (void)run_process(arg);
        parker_unpark(&ended);
    }
}

/* ----------------------------------------------------------------- checking */

static struct record *history[CALLS];
static unsigned calls;
static bool seen[1 << CALLS][3]; /* which are done, and the state: no way on */

/* What the state becomes; -1: that result cannot be. */
static int after(int state, const struct record *r)
{
    switch (r->call) {
    case TAKE:
    case TAKE_OR_NOT:
    case TRY:
        return r->yes ? state - 1 : state == 0 ? 0 : -1;
    case GIVE:
        return state + 1;
    case SET:
        return 1;
    case RESET:
        return 0;
    case ASK:
        return r->yes == (state == 1) ? state : -1;
    case WAIT:
    default:
        return state == 1 ? 1 : -1;
    }
}

static bool search(uint32_t done, int state)
{
    uint32_t first_end = UINT32_MAX;

    if (done == (UINT32_C(1) << calls) - 1)
        return true;
    if (seen[done][state])
        return false;
    seen[done][state] = true;
    for (unsigned i = 0; i < calls; i++)
        if (!(done >> i & 1) && history[i]->ended < first_end)
            first_end = history[i]->ended;
    for (unsigned i = 0; i < calls; i++) {
        int next;

        if ((done >> i & 1) || history[i]->began > first_end)
            continue;
        next = after(state, history[i]);
        if (next >= 0 && search(done | UINT32_C(1) << i, next))
            return true;
    }
    return false;
}

/* What was canceled has not happened. A semaphore's acquire may be, always. */
static bool counts(const struct record *r)
{
    return r->yes || r->call == TRY || r->call == ASK;
}

static void check(int state)
{
    calls = 0;
    for (int i = 0; i < PROCESSES; i++)
        for (unsigned k = 0; k < processes[i].count; k++)
            if (counts(&processes[i].records[k]))
                history[calls++] = &processes[i].records[k];
            else
                canceled++;
    memset(seen, 0, sizeof *seen << calls);
    if (!search(0, state)) {
        for (unsigned i = 0; i < calls; i++)
            fprintf(stderr, "thing %d: call %d at %u to %u: %d\n", (int)thing,
                    (int)history[i]->call, history[i]->began, history[i]->ended,
                    history[i]->yes);
        must(!"there is an order");
    }
    histories++;
}

/* ---------------------------------------------------------------- a history */

static void prepare(struct rng *rng)
{
    thing = (enum thing)rng_below(rng, THINGS);
    permits = thing == SEM ? 1 + rng_below(rng, 2) : 1;
    memset((void *)&mutex, 0, sizeof mutex);
    memset((void *)&event, 0, sizeof event);
    thrum_sem_init(&sem, permits);
    store_relaxed(&now, 0); /* shown by the spawn */
    for (int i = 0; i < PROCESSES; i++) {
        struct process *p = &processes[i];

        rng_init(&p->rng, rng_below(rng, UINT32_MAX));
        p->is_task = i > 0;
        p->turns = 1 + rng_below(rng, i < 3 ? 2 : 1);
        p->count = 0;
    }
}

static thrum_err *one_history(struct rng *rng)
{
    thrum_scope s;

    prepare(rng);
    thrum_scope_open(&s, .name = "history");
    for (int i = 1; i < PROCESSES; i++)
        must(thrum_spawn(&s, run_process, &processes[i], 0) == 0);
    parker_unpark(&go);
    for (uint32_t n = rng_below(rng, 20); n > 0; n--)
        thrum_yield();
    thrum_scope_cancel(&s, NULL);
    must(thrum_scope_close(&s, NULL) == NULL);
    (void)parker_park(&ended, CLOCK_NEVER);
    check(thing == EVENT ? 0 : (int)permits);
    return NULL;
}

static thrum_err *many_histories(void *seed)
{
    struct rng rng;

    rng_init(&rng, *(uint64_t *)seed);
    for (uint64_t i = stress_scale(5000); i > 0; i--)
        (void)one_history(&rng);
    return NULL;
}

int main(void)
{
    struct thread thread;
    uint64_t seed;

    parker_init(&go);
    parker_init(&ended);
    must(thread_start(&thread, "process", 0, run_in_thread, &processes[0]) ==
         0);
    for (stress_begin(6); stress_next(&seed);) {
        thrum_opts opts = {.workers = 1 + (unsigned)(seed % 3)};
        thrum_rt *rt;

        must(thrum_start(&rt, &opts) == 0);
        must(thrum_call(rt, many_histories, &seed) == NULL);
        must(thrum_stop(rt) == NULL);
    }
    over = true;
    parker_unpark(&go);
    thread_join(&thread);
    printf("%llu histories, %llu calls canceled\n",
           (unsigned long long)histories, (unsigned long long)canceled);
    return 0;
}
