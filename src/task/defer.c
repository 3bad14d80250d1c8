/* Deferred functions: what a scope runs when it closes. */

#include "base/alloc.h"
#include "os/clock.h"
#include "task/scope.h"

enum { BLOCK = 15 };

struct deferred_block {
    struct deferred_block *below;
    unsigned count;
    struct deferred at[BLOCK];
};

/* Under the lock. */
static bool put(struct scope *s, struct deferred d)
{
    struct deferred_block *top = s->defers_more;

    if (s->defers_inline == 0)
        s->defers_more = top = NULL;
    if (s->defers_inline < DEFERRED_INLINE) {
        s->defers[s->defers_inline++] = d;
        return true;
    }
    if (top == NULL || top->count == BLOCK)
        return false;
    top->at[top->count++] = d;
    return true;
}

/* Under the lock: one more block, to be put() into. */
static void add_block(struct scope *s, struct deferred_block *block)
{
    block->below = s->defers_more;
    block->count = 0;
    s->defers_more = block;
}

/* The newest. False: there is none. */
static bool take(struct scope *s, struct deferred *d)
{
    struct deferred_block *top, *empty = NULL;
    bool any = true;

    spin_lock(&s->lock);
    top = s->defers_more;
    if (top != NULL) {
        *d = top->at[--top->count];
        if (top->count == 0) {
            empty = top;
            s->defers_more = top->below;
        }
    } else if (s->defers_inline > 0) {
        *d = s->defers[--s->defers_inline];
    } else {
        any = false;
    }
    spin_unlock(&s->lock);
    release(empty);
    return any;
}

static cold void cannot(struct scope *s, const char *what)
{
    thrum_err *e = thrum_fail_(s->where, &THRUM_NOMEM,
                               "no memory to defer %s: it is not called", what);

    (void)error_sink_add(&s->errors, ERROR_NO_INDEX, e);
    (void)scope_stop(s, STOP_FAILED);
}

/* A variable of a function that returns before the scope is closed: it lies below
 * the frame of who calls that function. */
bool defer_is_local(const struct scope *s, const void *arg)
{
    const char *here = __builtin_frame_address(0), *top = (const char *)s;

    if (s->stack != worker_current() || !s->framed)
        return false;
    return (const char *)arg >= here && (const char *)arg < top;
}

void thrum_defer_(thrum_scope *scope, thrum_fn *fn, void *arg, const char *what)
{
    struct scope *s = scope_given(scope, __func__);
    struct deferred d = {fn, arg};
    struct deferred_block *block;
    bool done;

    REQUIRE(fn != NULL, "no function");
    REQUIRE(!defer_is_local(s, arg),
            "a local variable of a function that returns "
            "before the scope is closed");
    REQUIRE(!s->supervised, "the root scope is not closed by anybody");
    spin_lock(&s->lock);
    done = put(s, d);
    spin_unlock(&s->lock);
    if (likely(done))
        return;
    block = alloc(sizeof *block);
    if (block == NULL) {
        cannot(s, what);
        return;
    }
    spin_lock(&s->lock); /* another block, even if one came meanwhile */
    add_block(s, block);
    (void)put(s, d);
    spin_unlock(&s->lock);
}

/* --------------------------------------------------------------- at the end */

/* One of them, shielded until `until`. What it spawns it waits for. */
static thrum_err *run(struct scope *s, struct deferred d, int64_t until)
{
    struct scope shield;

    scope_open(&shield,
               &(thrum_scope_opts){.where = s->where,
                                   .name = "clean-up",
                                   .shield = true,
                                   .deadline = until},
               s->sched);
    return scope_close(&shield, d.fn(d.arg));
}

/* A clean-up that fails is news, and what was canceled before it is not. */
static thrum_err *add(thrum_err *outcome, thrum_err *err)
{
    if (err == NULL || outcome == NULL || !error_is_canceled(outcome))
        return thrum_err_add(outcome, err);
    thrum_err_drop(outcome);
    return err;
}

thrum_err *defer_run(struct scope *s, thrum_err *err)
{
    thrum_time grace = s->has_grace ? s->grace : GRACE_DEFAULT;
    int64_t now = clock_now();
    int64_t until = grace > CLOCK_NEVER - 1 - now ? CLOCK_NEVER : now + grace;
    struct deferred d;

    spin_lock(&s->lock);
    s->alarm_ended = true; /* a clean-up may cancel s: nobody would disarm it */
    spin_unlock(&s->lock);
    s->ending = true;
    while (s->outcome = err, take(s, &d))
        err = add(err, run(s, d, until));
    s->ending = false;
    if (unlikely(!error_sink_is_empty(&s->errors))) /* cannot, meanwhile */
        err = add(err,
                  error_sink_fold(&s->errors, PRIMARY_FIRST, CANCELED_KEEP));
    return err;
}

const thrum_err *thrum_outcome(void)
{
    for (struct scope *s = scope_current(); s != NULL; s = s->parent)
        if (s->ending)
            return s->outcome;
    return NULL;
}
