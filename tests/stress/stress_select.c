/* Does a select do exactly one thing while closes, cancels and deadlines race with
 * it? Tasks and a thread select among a few channels, at random; what was sent is
 * what was received and what is left, item by item. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include <thrum.h>

#include "base/atomic.h"
#include "lib/stress.h"

enum { CHANS = 4, ACTORS = 6, EACH = 60, CASES = 4 };

struct round {
    thrum_chan chans[CHANS];
    uint64_t seed;
    _Atomic unsigned next;
    /* of each item: was it sent, how often was it received */
    _Atomic unsigned sent[(ACTORS + 1) * EACH], received[(ACTORS + 1) * EACH];
};

/* One select with a few random cases. False: it is over. */
static bool select_once(struct round *r, struct rng *rng, int item)
{
    thrum_case cases[CASES];
    int in = -1, n = 1 + (int)rng_below(rng, CASES), done;

    for (int i = 0; i < n; i++) {
        bool send = rng_below(rng, 2) == 0;

        cases[i] = (thrum_case){.ch = &r->chans[rng_below(rng, CHANS)]};
        cases[i].op = send ? THRUM_SEND : THRUM_RECV;
        cases[i].item = send ? &item : &in;
    }
    done = thrum_select(cases, n, rng_below(rng, 4) != 0);
    if (done == -ECANCELED || done == -EAGAIN) {
        must(in == -1);
        return done == -EAGAIN;
    }
    must(done >= 0 && done < n);
    must((in != -1) == (cases[done].op == THRUM_RECV && cases[done].rc == 0));
    if (cases[done].rc == -EPIPE)
        return true;
    if (cases[done].op == THRUM_SEND)
        add_relaxed(&r->sent[item], 1); /* read when all have ended */
    else
        add_relaxed(&r->received[in], 1);
    return true;
}

static void act(struct round *r, unsigned actor)
{
    struct rng rng;

    rng_init(&rng, r->seed * 100 + actor);
    for (int i = 0; i < EACH; i++)
        if (!select_once(r, &rng, (int)actor * EACH + i) &&
            rng_below(&rng, 2) == 0)
            break;
}

static thrum_err *task_acts(void *arg)
{
    struct round *r = arg;
    unsigned actor = add_relaxed(&r->next, 1); /* any number */
    thrum_scope s;

    /* Some are over soon. */
    thrum_scope_open(&s, .timeout = actor % 3 == 1 ? THRUM_US(30) : 0);
    act(r, actor);
    thrum_err_drop(thrum_scope_close(&s, NULL));
    return NULL;
}

static void *thread_acts(void *arg)
{
    struct round *r = arg;

    act(r, add_relaxed(&r->next, 1)); /* any number */
    return NULL;
}

static void check(struct round *r)
{
    int item;

    for (int i = 0; i < CHANS; i++) {
        while (thrum_chan_try_recv(&r->chans[i], &item) == 0)
            add_relaxed(&r->received[item], 1);
        thrum_chan_fini(&r->chans[i]);
    }
    for (int i = 0; i < (ACTORS + 1) * EACH; i++) {
        unsigned sent = load_relaxed(&r->sent[i]); /* all have ended */

        must(sent <= 1 && load_relaxed(&r->received[i]) == sent);
    }
}

/* Whoever still waits is ended by the close. */
static thrum_err *one_round(void *arg)
{
    struct round *r = arg;
    bool with_thread = r->seed % 8 == 0;
    struct rng rng;
    thrum_scope s, canceled;
    pthread_t thread;

    rng_init(&rng, r->seed);
    for (size_t i = 0; i < CHANS; i++)
        must(thrum_chan_init(&r->chans[i], sizeof(int), i % 3) == 0);
    thrum_scope_open(&s, .name = "round");
    if (with_thread)
        must(pthread_create(&thread, NULL, thread_acts, r) == 0);
    for (int i = 0; i < ACTORS - 2; i++)
        must(thrum_spawn(&s, task_acts, r, 0) == 0);
    thrum_scope_open(&canceled, .name = "canceled");
    for (int i = 0; i < 2; i++)
        must(thrum_spawn(&canceled, task_acts, r, 0) == 0);
    for (uint32_t i = rng_below(&rng, 30); i > 0; i--)
        thrum_yield();
    thrum_scope_cancel(&canceled, NULL);
    for (int i = 0; i < CHANS; i++) {
        thrum_chan_close(&r->chans[i]);
        thrum_yield();
    }
    must(thrum_scope_close(&canceled, NULL) == NULL);
    must(thrum_scope_close(&s, NULL) == NULL);
    if (with_thread)
        must(pthread_join(thread, NULL) == 0);
    check(r);
    return NULL;
}

int main(void)
{
    thrum_rt *rts[2];
    uint64_t seed;

    for (unsigned i = 0; i < 2; i++)
        must(thrum_start(&rts[i], &(thrum_opts){.workers = i + 1}) == 0);
    for (stress_begin(stress_scale(3000)); stress_next(&seed);) {
        struct round r = {.seed = seed};

        must(thrum_call(rts[seed % 2], one_round, &r) == NULL);
    }
    for (unsigned i = 0; i < 2; i++)
        must(thrum_stop(rts[i]) == NULL);
    return 0;
}
