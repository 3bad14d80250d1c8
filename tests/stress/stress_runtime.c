/* Does every task run, once? Random trees of forks, spawns, scopes, loops,
 * offloads, sleeps and yields on a few workers, with posts and calls from other
 * threads; each task crosses itself off a list and guards its frame. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/offload.h>
#include <thrum/run.h>
#include <thrum/task.h>

#include "base/atomic.h"
#include "lib/stress.h"
#include "os/thread.h"

enum { FRAME = 16, FORKS = 6, OUTSIDERS = 2 };

/* Tasks first to last, all below one that has its number in `first`. */
struct part {
    size_t first, last;
};

THRUM_KIND(Planned, THRUM_ERROR, .code = 9);

static _Atomic uint8_t *ran;
static _Atomic uint64_t failed, seen_failed; /* planned, and come to light */
static uint64_t round_seed;

static void cross_off(size_t i)
{
    must(add_relaxed(&ran[i], 1) == 0);
}

static struct part cut(struct rng *r, struct part *rest, uint32_t most)
{
    size_t left = rest->last - rest->first;
    size_t n = 1 + rng_below(r, (uint32_t)(left < most ? left : most));
    struct part p = {rest->first, rest->first + n};

    rest->first += n;
    return p;
}

/* --------------------------------------------- what a task may do with some */

static thrum_err *tree(void *part);

static void count_failures(thrum_err *e)
{
    if (e == NULL)
        return;
    must(thrum_err_is(e, &Planned));
    add_relaxed(&seen_failed, thrum_err_count(e));
    thrum_err_drop(e);
}

static void fork_some(struct rng *r, struct part *rest)
{
    struct part part[FORKS];
    thrum_task t[FORKS];
    int n = 0, order = (int)rng_below(r, 3);

    while (n < FORKS && rest->first < rest->last) {
        part[n] = cut(r, rest, (uint32_t)(rest->last - rest->first) / 3 + 1);
        thrum_fork(&t[n], tree, &part[n]);
        n++;
    }
    if (rng_below(r, 8) == 0)
        thrum_yield();
    for (int i = 0; i < n; i++) {
        int at = order == 0 ? n - 1 - i : order == 1 ? i : (i + n / 2) % n;

        count_failures(thrum_join(&t[at]));
    }
}

THRUM_TASK(size_t, cross_off_all, size_t, first, size_t, last)
{
    size_t mid = first + (last - first) / 2, n;

    if (last - first == 1) {
        cross_off(first);
        return 1;
    }
    THRUM_FORK(cross_off_all, first, mid);
    if ((first & 63) == 0)
        thrum_yield();
    n = THRUM_CALL(cross_off_all, mid, last);
    return n + THRUM_JOIN(cross_off_all);
}

static void call_typed(struct rng *r, struct part *rest)
{
    struct part p = cut(r, rest, 200);

    must(cross_off_all(p.first, p.last) == p.last - p.first);
}

/* A scope that settles hears of failures; in one where a failure would cancel
 * others they are counted before they get there. */
static thrum_err *swallow(void *part)
{
    count_failures(tree(part));
    return NULL;
}

static void spawn_some(struct rng *r, struct part *rest, thrum_scope *s,
                       bool settles)
{
    for (int i = 0; i < 10 && rest->first < rest->last; i++) {
        struct part p = cut(r, rest,
                            (uint32_t)(rest->last - rest->first) / 4 + 1);

        must(thrum_spawn(s, settles ? tree : swallow, &p, sizeof p) == 0);
    }
}

static void open_scope(struct rng *r, struct part *rest)
{
    bool settles = rng_below(r, 2);
    thrum_scope s;

    thrum_scope_open(&s, .name = "some", .limit = rng_below(r, 4),
                     .max_errors = 1 + rng_below(r, 20),
                     .policy = settles ? THRUM_SETTLE : THRUM_ALL);
    spawn_some(r, rest, &s, settles);
    if (rng_below(r, 4) == 0)
        thrum_yield();
    count_failures(thrum_scope_close(&s, NULL));
}

static thrum_err *cross_off_range(size_t lo, size_t hi, void *from)
{
    for (size_t i = lo; i < hi; i++)
        cross_off(*(size_t *)from + i);
    return NULL;
}

static void loop_over(struct rng *r, struct part *rest)
{
    struct part p = cut(r, rest, 500);

    must(thrum_for(0, p.last - p.first, rng_below(r, 3), cross_off_range,
                   &p.first) == NULL);
}

static thrum_err *blocking(void *arg)
{
    struct part *p = arg;

    for (size_t i = p->first; i < p->last; i++)
        cross_off(i);
    return NULL;
}

static void offload_some(struct rng *r, struct part *rest)
{
    struct part p = cut(r, rest, 3);

    must(thrum_offload(blocking, &p) == NULL);
}

static thrum_err *fail_planned(void *unused)
{
    (void)unused;
    add_relaxed(&failed, 1);
    return thrum_fail(&Planned, "as planned");
}

/* What a task does: in a scope that settles, if `settles`. */
static void do_something(struct rng *r, struct part *rest, bool settles,
                         bool *may_fail)
{
    thrum_task t;

    switch (rng_below(r, 32)) {
    case 0:
        must(thrum_sleep(THRUM_US(rng_below(r, 100))) == 0);
        break;
    case 1:
    case 2:
        thrum_yield();
        break;
    case 3:
        offload_some(r, rest);
        break;
    case 4:
        thrum_fork(&t, fail_planned, NULL);
        count_failures(thrum_join(&t));
        break;
    case 5:
        *may_fail = settles; /* else its children were canceled */
        break;
    case 6:
    case 7:
        loop_over(r, rest);
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        call_typed(r, rest);
        break;
    case 12:
    case 13:
    case 14:
    case 15:
    case 16:
        open_scope(r, rest);
        break;
    case 17:
    case 18:
    case 19:
    case 20:
    case 21:
        spawn_some(r, rest, NULL, settles);
        break;
    default:
        fork_some(r, rest);
    }
}

static thrum_err *tree(void *arg)
{
    struct part rest = *(struct part *)arg;
    volatile uint64_t frame[FRAME];
    bool fails = false, settles;
    thrum_err *e = NULL;
    thrum_scope s;
    struct rng r;

    rng_init(&r, round_seed * 1000003 + rest.first);
    settles = rng_below(&r, 2);
    if (settles)
        thrum_scope_open(&s, .policy = THRUM_SETTLE);
    for (int i = 0; i < FRAME; i++)
        frame[i] = rest.first * FRAME + (uint64_t)i;
    cross_off(rest.first);
    rest.first++;
    while (rest.first < rest.last)
        do_something(&r, &rest, settles, &fails);
    for (int i = 0; i < FRAME; i++)
        must(frame[i] == (*(struct part *)arg).first * FRAME + (uint64_t)i);
    if (fails)
        e = fail_planned(NULL);
    return settles ? thrum_scope_close(&s, e) : e;
}

/* ------------------------------------------------------------------- rounds */

struct outsider {
    struct thread thread;
    thrum_rt *rt;
    struct part part;
    uint64_t seed;
};

/* Calls and posts in turn, from a thread that is no worker. */
static void submit(void *arg)
{
    struct outsider *o = arg;
    struct rng r;

    rng_init(&r, o->seed);
    while (o->part.first < o->part.last) {
        struct part p = cut(&r, &o->part, 400);

        if (rng_below(&r, 2))
            count_failures(thrum_call(o->rt, tree, &p));
        else
            must(thrum_post(o->rt, swallow, &p, sizeof p) == 0);
    }
}

static void one_round(size_t tasks, uint64_t seed)
{
    struct outsider out[OUTSIDERS];
    size_t inside = tasks - tasks / 4, each = tasks / 4 / OUTSIDERS;
    thrum_opts opts = {.workers = 1 + (unsigned)(seed % 8)};
    struct part whole = {0, inside};
    thrum_rt *rt;

    round_seed = seed;
    must(thrum_start(&rt, &opts) == 0);
    for (int i = 0; i < OUTSIDERS; i++) {
        out[i].rt = rt;
        out[i].seed = seed + (uint64_t)i;
        out[i].part.first = inside + (size_t)i * each;
        out[i].part.last = out[i].part.first + each;
        must(thread_start(&out[i].thread, "outside", 0, submit, &out[i]) == 0);
    }
    count_failures(thrum_call(rt, tree, &whole));
    for (int i = 0; i < OUTSIDERS; i++)
        thread_join(&out[i].thread);
    count_failures(thrum_stop(rt));

    for (size_t i = 0; i < inside + OUTSIDERS * each; i++)
        must(load_relaxed(&ran[i]) == 1);
    must(load_relaxed(&failed) == load_relaxed(&seen_failed));
}

int main(void)
{
    size_t tasks = stress_scale(50000);
    uint64_t seed, total = 0;

    ran = calloc(tasks, sizeof *ran);
    must(ran != NULL);
    for (stress_begin(20); stress_next(&seed); total += tasks) {
        memset((void *)ran, 0, tasks);
        one_round(tasks, seed);
    }
    printf("%llu tasks, %llu of them failed as planned\n",
           (unsigned long long)total,
           (unsigned long long)load_relaxed(&failed));
    free((void *)ran);
    return 0;
}
