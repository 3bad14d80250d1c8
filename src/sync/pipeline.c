/* An item lies in a slot, and there are as many slots as items may be under way.
 * A carrier is a task that asks the source for an item, carries it through all
 * stages, and begins anew.
 *
 * Nobody waits for his turn in a stage that keeps the order. Items are numbered by
 * the source; a carrier whose item comes too early leaves it there, parked, and
 * takes another from the source. Who has done an item there looks whether the next
 * one is parked, and if so sees to it: he goes on with it if his own has left the
 * last stage, else he starts a carrier for it. All numbers from the one whose turn
 * it is to the highest there is are in different slots, so they differ by less
 * than there are slots, and `parked` is a ring of as many.
 *
 * Nor does anybody wait for the source: a carrier that finds it taken ends. Who
 * has got an item from it starts another carrier, if there are free slots, and none
 * that was started has yet to begin. So what one worker can do alone is done by one
 * carrier, which never waits, and who has nothing to do takes the next. One that
 * finds no free slot ends, too.
 *
 * Why one is left that goes on: if the source is taken, who has it will have an
 * item, or has seen the end. If all slots are in use, one of them is not parked,
 * as among those that are the one with the lowest number follows one that is not;
 * its carrier asks the source again when it is through.
 *
 * A carrier that fails keeps its turn, or its permit: nobody can enter that stage
 * in its place before the cancel, which its end brings, has told all. */

#include <thrum/pipeline.h>

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "task/scope.h"

enum { TOKENS_DEFAULT = 16, ALIGN = 16 };

struct slot {
    struct slot *next; /* in a list */
    uint64_t number;
    size_t stage; /* the next */
    _Alignas(ALIGN) char item[];
};

struct stage {
    struct permits permits; /* of a stage with a limit */
    struct spin lock;       /* of a stage that keeps the order, and these */
    uint64_t next;          /* lock: whose turn it is */
    struct slot **parked;   /* lock: who was too early */
};

struct run {
    const thrum_pipeline *what;
    unsigned tokens;
    thrum_scope *scope;
    struct stage *stages;

    struct spin lock;
    struct slot *free; /* lock */
    bool starting;     /* lock: a carrier has been started, and not begun */
    bool taken;        /* lock: the source; who has it may touch these */
    bool end;
    uint64_t count; /* of items */
};

struct carrier {
    struct run *run;
    struct slot *slot; /* to begin with; NULL: ask the source */
};

static thrum_err *carry(void *carrier);

static void lock(struct spin *l)
{
    spin_lock(l);
    tsan_rely(l);
}

static void unlock(struct spin *l)
{
    tsan_promise(l);
    spin_unlock(l);
}

/* ---------------------------------------------------------- slots, carriers */

static void slot_put(struct run *r, struct slot *slot)
{
    lock(&r->lock);
    slot->next = r->free;
    r->free = slot;
    unlock(&r->lock);
}

static int start(struct run *r, struct slot *slot)
{
    struct carrier c = {r, slot};

    return thrum_spawn(r->scope, carry, &c, sizeof c);
}

static void has_begun(struct run *r)
{
    lock(&r->lock);
    r->starting = false;
    unlock(&r->lock);
}

/* ---------------------------------------------------------------- one stage */

/* Is it this item's turn? If not it is left there. */
static bool enter_turn(struct run *r, struct stage *st, struct slot *slot)
{
    bool mine;

    lock(&st->lock);
    mine = st->next == slot->number;
    if (!mine)
        st->parked[slot->number % r->tokens] = slot;
    unlock(&st->lock);
    return mine;
}

/* The next item, if it was left there. */
static struct slot *end_turn(struct run *r, struct stage *st)
{
    struct slot **at, *next;

    lock(&st->lock);
    st->next++;
    at = &st->parked[st->next % r->tokens];
    next = *at;
    *at = NULL;
    unlock(&st->lock);
    return next;
}

/* What a stage returns that was not canceled by us is a failure, whatever it says:
 * it must end the others, who wait for its turn or its permit. */
static thrum_err *call_stage(const thrum_stage *what, struct slot *slot)
{
    thrum_err *err = what->fn(slot->item, what->ctx);

    if (err != NULL && error_is_canceled(err) && !thrum_canceled())
        err = thrum_wrap_("thrum_pipeline_run", err, &THRUM_ERROR,
                          "a stage was canceled by itself");
    return err;
}

/* *parked: it was too early. *follower: the one that was, and now is not. */
static thrum_err *pass_in_order(struct run *r, struct slot *slot, bool *parked,
                                struct slot **follower)
{
    const thrum_stage *what = &r->what->stages[slot->stage];
    struct stage *st = &r->stages[slot->stage];

    *parked = !enter_turn(r, st, slot);
    if (*parked) /* it may be another's by now */
        return NULL;
    THRUM_TRY(call_stage(what, slot));
    *follower = end_turn(r, st);
    return NULL;
}

static thrum_err *pass_limited(struct run *r, struct slot *slot)
{
    const thrum_stage *what = &r->what->stages[slot->stage];
    struct permits *permits = &r->stages[slot->stage].permits;

    if (!permits_take(permits, scope_current(), AWAITED("room in a pipeline")))
        return thrum_rc(-ECANCELED);
    tsan_rely(permits);
    THRUM_TRY(call_stage(what, slot));
    tsan_promise(permits);
    permits_give(permits);
    return NULL;
}

static thrum_err *pass(struct run *r, struct slot *slot, bool *parked,
                       struct slot **follower)
{
    const thrum_stage *what = &r->what->stages[slot->stage];

    *parked = false;
    if (thrum_canceled())
        return thrum_rc(-ECANCELED);
    if (what->in_order)
        return pass_in_order(r, slot, parked, follower);
    if (what->parallel != 0 && what->parallel < r->tokens)
        return pass_limited(r, slot);
    return call_stage(what, slot);
}

/* ----------------------------------------------------------------- carrying */

/* It was parked, and it is its turn now. Ours has left the last stage: we go on
 * with it. Else somebody else does, unless there is no memory for that. */
static void see_to(struct run *r, struct slot *follower, bool ours_is_done,
                   struct slot **todo)
{
    if (!ours_is_done && start(r, follower) == 0)
        return;
    follower->next = *todo;
    *todo = follower;
}

/* To its end, or to where it is parked. */
static thrum_err *carry_one(struct run *r, struct slot *slot,
                            struct slot **todo)
{
    size_t n = r->what->n;
    bool parked;

    while (slot->stage < n) {
        struct slot *follower = NULL;

        THRUM_TRY(pass(r, slot, &parked, &follower));
        if (parked)
            return NULL;
        slot->stage++;
        if (follower != NULL)
            see_to(r, follower, slot->stage == n, todo);
    }
    slot_put(r, slot);
    return NULL;
}

/* Those linked by `next`, and what they make it the turn of. */
static thrum_err *carry_all(struct run *r, struct slot *todo)
{
    while (todo != NULL) {
        struct slot *slot = todo;

        todo = slot->next;
        THRUM_TRY(carry_one(r, slot, &todo));
    }
    return NULL;
}

/* The source, and a slot for what it gives; NULL: there is nothing to be had now. */
static struct slot *take_source(struct run *r)
{
    struct slot *slot = NULL;

    lock(&r->lock);
    if (!r->taken && !r->end)
        slot = r->free;
    if (slot != NULL) {
        r->free = slot->next;
        r->taken = true;
    }
    unlock(&r->lock);
    return slot;
}

/* True: a carrier is to be started. */
static bool leave_source(struct run *r)
{
    bool wanted;

    lock(&r->lock);
    r->taken = false;
    wanted = !r->end && !r->starting && r->free != NULL;
    if (wanted)
        r->starting = true;
    unlock(&r->lock);
    return wanted;
}

static thrum_err *ask_source(struct run *r, struct slot *slot)
{
    thrum_err *err = thrum_canceled() ? thrum_rc(-ECANCELED) : NULL;

    if (err == NULL)
        err = r->what->source(slot->item, r->what->ctx, &r->end);
    if (err != NULL)
        r->end = true;
    if (r->end)
        return err;
    slot->number = r->count++;
    slot->stage = 0;
    slot->next = NULL;
    return NULL;
}

/* *slot: the next item, or NULL: the carrier is to end. */
static thrum_err *begin(struct run *r, struct slot **slot)
{
    struct slot *s = take_source(r);
    thrum_err *err;
    bool end;

    *slot = NULL;
    if (s == NULL)
        return NULL;
    err = ask_source(r, s);
    end = r->end;
    /* Without memory for another those that there are do its work. */
    if (leave_source(r) && start(r, NULL) != 0)
        has_begun(r);
    if (end)
        return err;
    *slot = s;
    return NULL;
}

static thrum_err *carry(void *arg)
{
    struct carrier *c = arg;
    struct run *r = c->run;
    struct slot *slot = c->slot;

    if (slot == NULL) {
        has_begun(r);
        THRUM_TRY(begin(r, &slot));
    }
    while (slot != NULL) {
        THRUM_TRY(carry_all(r, slot));
        THRUM_TRY(begin(r, &slot));
    }
    return NULL;
}

/* ---------------------------------------------------------------- the whole */

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* Is it a number of bytes that there can be? */
static bool fits(const thrum_pipeline *p, unsigned tokens)
{
    size_t most = SIZE_MAX / 4 / tokens;

    return p->item < most - sizeof(struct slot) - ALIGN &&
           p->n <= most / sizeof(struct slot *) &&
           p->n <= SIZE_MAX / 4 / sizeof(struct stage);
}

static size_t count_in_order(const thrum_pipeline *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        n += p->stages[i].in_order;
    return n;
}

/* One piece of memory: the run, its stages, what is parked there, the slots. */
static struct run *run_new(const thrum_pipeline *p, unsigned tokens)
{
    size_t stages = rounded(sizeof(struct run));
    size_t parked = stages + rounded(p->n * sizeof(struct stage));
    size_t slots = parked +
                   rounded(count_in_order(p) * tokens * sizeof(struct slot *));
    size_t stride = rounded(sizeof(struct slot) + p->item);
    struct run *r = fits(p, tokens) ? alloc(slots + stride * tokens) : NULL;
    struct slot **ring;

    if (r == NULL)
        return NULL;
    memset(r, 0, slots + stride * tokens);
    r->what = p;
    r->tokens = tokens;
    r->starting = true;
    r->stages = (struct stage *)(void *)((char *)r + stages);
    ring = (struct slot **)(void *)((char *)r + parked);
    for (size_t i = 0; i < p->n; i++) {
        permits_init(&r->stages[i].permits, p->stages[i].parallel);
        if (p->stages[i].in_order) {
            r->stages[i].parked = ring;
            ring += tokens;
        }
    }
    for (unsigned i = 0; i < tokens; i++)
        slot_put(r, (struct slot *)(void *)((char *)r + slots + i * stride));
    return r;
}

thrum_err *thrum_pipeline_run(const thrum_pipeline *p)
{
    struct run *r;
    thrum_scope s;
    thrum_err *err;

    REQUIRE(p != NULL && p->source != NULL, "there is no source");
    for (size_t i = 0; i < p->n; i++)
        REQUIRE(p->stages[i].fn != NULL, "a stage without a function");
    r = run_new(p, p->tokens == 0 ? TOKENS_DEFAULT : p->tokens);
    if (r == NULL)
        return thrum_rc(-ENOMEM);
    thrum_scope_open(&s, .name = "pipeline");
    REQUIRE(scope_of(&s)->sched != NULL,
            "no runtime runs: start one with thrum_run");
    r->scope = &s;
    err = thrum_scope_close(&s, thrum_rc(start(r, NULL)));
    release(r);
    return err;
}
