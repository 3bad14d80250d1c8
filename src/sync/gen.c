/* Generators. Consumer and body hand the CPU to each other: exactly one of the
 * two runs or waits, the other's stack is at rest, so nothing here is shared at
 * any time, and what one did the other sees by the switch, or by what moved the
 * one that runs to another worker.
 *
 *      FRESH ---next---> OPEN ---the body returns---> ENDED
 *                         |  ^
 *                  close  v  | (a body that emits is told to end)
 *                        CLOSING ----------^
 *
 * All zero is NONE, and so is what was closed: no generator.
 *
 * As the body is in the tree of scopes below its consumer, a cancel finds it
 * where it waits; its consumer, which waits for nobody else, need not be found.
 */
#include <thrum/gen.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/base.h"
#include "base/sanitize.h"
#include "sched/worker.h"
#include "task/scope.h"

enum state { NONE, CLOSING, FRESH, OPEN, ENDED };

struct gen {
    int got;               /* of thrum/gen.h: what thrum_gen_next returns */
    struct thrum_job_ job; /* starts the body */
    struct scope *parent;
    size_t size;
    enum state state;
    bool counted;                  /* in its scope */
    struct stack *consumer, *body; /* whichever does not run is at rest */
    struct scope *own;             /* the body's, while it lives */
    char *items;                   /* where the next one goes, */
    size_t room;                   /* and how many more are asked for */
    thrum_err *err;
};

_Static_assert(sizeof(struct gen) <= sizeof(thrum_gen),
               "the public type has room for a generator");

/* The body's scope, by which an emit finds its generator. */
struct body {
    struct scope own;
    struct gen *gen;
    struct thrum_here_
        *here; /* where the body itself runs, and no fork of it */
};

static inline struct gen *gen_of(thrum_gen *g, const char *caller)
{
    REQUIRE_OF(caller, g != NULL, "no generator");
    return (struct gen *)(void *)g;
}

/* A scope sees to it that none is left when it closes. */
static void enter(struct gen *g)
{
    g->counted = !scope_is_borrowed(); /* it is but for want of memory */
    if (!g->counted)
        return;
    if (g->parent->generators == UINT16_MAX)
        die("thrum_gen_open: over 65,535 are open in one scope");
    g->parent->generators++;
}

void thrum_gen_open_(thrum_gen *g, const struct thrum_site_ *site, thrum_fn *fn,
                     void *arg, size_t item)
{
    struct gen *gen = gen_of(g, __func__);

    REQUIRE(worker_current() != NULL, "a generator is opened by a task");
    REQUIRE(fn != NULL, "no function");
    *gen = (struct gen){.parent = scope_own(), .size = item, .state = FRESH};
    store_relaxed(&gen->job.site, site); /* nobody else knows it */
    gen->job.u.call.fn = fn;
    gen->job.u.call.arg = arg;
    enter(gen);
}

/* ------------------------------------------------------------- the consumer */

/* Let the body run until it hands back. */
static int resume(struct gen *g, struct stack *self)
{
    int rc;

    g->consumer = self;
    tsan_promise(g);
    rc = g->state == FRESH ? worker_swap_new(self, &g->job)
                           : worker_swap(self, g->body);
    tsan_rely(g);
    return rc;
}

/* Where the caller could not tell himself. */
static inline struct stack *stack_at(struct thrum_deque_ *self)
{
    return likely(self != NULL) ? stack_of(self) : worker_current();
}

/* What comes after it is inline, so that this can be the last act. */
int thrum_gen_resume_(thrum_gen *gen, void *items, size_t n,
                      struct thrum_deque_ *deque)
{
    static const char next[] = "thrum_gen_next";
    struct gen *g = gen_of(gen, next);
    struct stack *self = stack_at(deque);

    REQUIRE_OF(next, self != NULL, "a generator is used by tasks");
    REQUIRE_OF(next, g->room == 0 && g->state > CLOSING,
               "a generator is used while it is open, by one task at a time, "
               "and not by its body");
    REQUIRE_OF(next, items != NULL || g->size == 0, "no place for the items");
    g->got = 0;
    if (scope_canceled(scope_on(self)))
        return -ECANCELED;
    if (g->state == ENDED || n == 0)
        return 0;
    g->items = items;
    g->room = n;
    return resume(g, self);
}

/* The body's stack, when it has ended. */
static void bury(struct gen *g)
{
    worker_give_back(worker_current(), g->body);
    g->body = NULL;
}

/* The body handed back because it has ended, or it was not asked. */
int thrum_gen_ended_(thrum_gen *gen, int rc)
{
    struct gen *g = (struct gen *)(void *)gen;

    g->room = 0;
    if (g->state == ENDED && g->body != NULL)
        bury(g);
    return rc < 0 ? rc : g->got;
}

static bool was_only_canceled(struct gen *g)
{
    return g->err != NULL && error_is_canceled(g->err) &&
           !scope_canceled(g->parent);
}

thrum_err *thrum_gen_close(thrum_gen *gen)
{
    struct gen *g = gen_of(gen, __func__);

    REQUIRE(worker_current() != NULL, "a generator is closed by a task");
    REQUIRE(g->room == 0 && g->state != CLOSING, "a generator that is in use");
    REQUIRE(g->state != NONE, "a generator that is not open");
    if (g->state == OPEN) {
        g->state = CLOSING;
        scope_cancel(g->own, NULL);
        (void)resume(g, worker_current());
        bury(g);
        if (was_only_canceled(g)) {
            thrum_err_drop(g->err);
            g->err = NULL;
        }
    }
    if (g->counted)
        g->parent->generators--;
    g->state = NONE;
    return g->err;
}

/* ----------------------------------------------------------------- the body */

void thrum_gen_run_(struct thrum_job_ *job)
{
    struct gen *g = container_of(job, struct gen, job);
    struct stack *self = worker_current();
    struct body body = {.gen = g, .here = self->deque.here};
    const struct thrum_site_ *site = load_relaxed(&job->site); /* const */
    struct child around = child_begin(self, g->parent, site);
    struct stack *consumer;

    tsan_rely(g);
    scope_open_task(&body.own, g->parent, self, site);
    body.own.generates = true;
    g->body = self;
    g->own = &body.own;
    g->state = OPEN;
    g->err = scope_close(&body.own, job->u.call.fn(job->u.call.arg));
    child_end(self, around);
    g->state = ENDED;
    consumer = g->consumer;
    tsan_promise(g);
    worker_swap_end(self, consumer);
}

static struct body *body_on(struct stack *stack)
{
    struct scope *s = stack == NULL ? NULL : scope_on(stack);

    while (s != NULL && s->stack == stack && !s->generates)
        s = s->parent;
    REQUIRE_OF("thrum_gen_emit",
               s != NULL && s->stack == stack &&
                   container_of(s, struct body, own)->here == stack->deque.here,
               "called outside of a generator's body, or in a fork of it");
    return container_of(s, struct body, own);
}

int thrum_gen_emit_(const void *item, struct thrum_deque_ *deque)
{
    struct stack *self = stack_at(deque);
    struct gen *g = body_on(self)->gen;
    int rc;

    REQUIRE(item != NULL || g->size == 0, "no item");
    if (g->state == CLOSING || scope_canceled(scope_on(self)))
        return -ECANCELED;
    if (likely(g->size == sizeof(void *)))
        memcpy(g->items, item, sizeof(void *));
    else if (g->size > 0)
        memcpy(g->items, item, g->size);
    g->got++;
    if (--g->room > 0) {
        if (g->size > 0) /* else there may be no place */
            g->items += g->size;
        return 0;
    }
    tsan_promise(g);
    rc = worker_swap(self, g->consumer);
    tsan_rely(g);
    return rc;
}
