/* A token is a task with room for one item: it asks the source for one, carries
 * it through all stages, and begins anew. The first is started at once, each
 * other by a token that has got an item, as long as there are fewer than were
 * asked for: so what one worker can do alone is done by one token, which never
 * waits, and who has nothing to do takes the next.
 *
 * Items are numbered by the source. In a stage that keeps the order a token waits
 * until it is its number's turn. All numbers from the one whose turn it is to the
 * highest there is are held by different tokens, so they differ by less than
 * there are tokens, and `turns` is a ring of as many lines with one place each.
 *
 * A token that fails keeps its turn, or its permit: nobody can enter that stage in
 * its place before the cancel, which its end brings, has told all. */

#include <thrum/pipeline.h>

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "task/scope.h"

enum { TOKENS_DEFAULT = 16, ALIGN = 16 };

struct stage {
    struct permits permits; /* of a stage with a limit */
    struct spin lock;       /* of a stage that keeps the order, and these */
    uint64_t next;          /* lock: whose turn it is */
    struct line *turns;     /* lock: who waits for his */
};

struct run {
    const thrum_pipeline *what;
    unsigned tokens;
    struct permits source; /* one: who has it may touch the next four */
    unsigned started;      /* tokens */
    uint64_t count;        /* of items */
    bool end;
    thrum_scope *scope;
    char *items; /* of each token */
    struct stage *stages;
};

/* -------------------------------------------------------------------- one stage */

static int wait_for_turn(struct run *r, struct stage *st, uint64_t number)
{
    struct line *line = &st->turns[number % r->tokens];
    struct line_place place;
    struct scope_wait w;
    bool mine;

    wait_init(&w.wait);
    spin_lock(&st->lock);
    mine = st->next == number;
    if (!mine)
        line_enter(line, &place, &w.wait);
    spin_unlock(&st->lock);
    if (mine || scope_sleep_in(scope_current(), &w, line, &st->lock, &place))
        return 0;
    return -ECANCELED;
}

static void end_turn(struct run *r, struct stage *st)
{
    struct line_place *next;

    spin_lock(&st->lock);
    st->next++;
    next = line_call(&st->turns[st->next % r->tokens]);
    spin_unlock(&st->lock);
    if (next != NULL)
        line_let_go(next);
}

static thrum_err *pass_in_order(struct run *r, size_t i, void *item,
                                uint64_t number)
{
    const thrum_stage *what = &r->what->stages[i];

    THRUM_TRY(wait_for_turn(r, &r->stages[i], number));
    THRUM_TRY(what->fn(item, what->ctx));
    end_turn(r, &r->stages[i]);
    return NULL;
}

static thrum_err *pass_limited(struct run *r, size_t i, void *item)
{
    const thrum_stage *what = &r->what->stages[i];

    if (!permits_take(&r->stages[i].permits, scope_current()))
        return thrum_rc(-ECANCELED);
    THRUM_TRY(what->fn(item, what->ctx));
    permits_give(&r->stages[i].permits);
    return NULL;
}

static bool is_limited(const struct run *r, const thrum_stage *what)
{
    return what->parallel != 0 && what->parallel < r->tokens;
}

static thrum_err *pass(struct run *r, size_t i, void *item, uint64_t number)
{
    const thrum_stage *what = &r->what->stages[i];

    if (thrum_canceled())
        return thrum_rc(-ECANCELED);
    if (what->in_order)
        return pass_in_order(r, i, item, number);
    if (is_limited(r, what))
        return pass_limited(r, i, item);
    return what->fn(item, what->ctx);
}

/* --------------------------------------------------------------------- one token */

struct token {
    struct run *run;
    unsigned index;
};

static thrum_err *carry(void *token);

/* With the source: one more, if there may be. Without memory for it those that
 * there are do its work. */
static int start_token(struct run *r)
{
    struct token t = {r, r->started};
    int rc;

    if (r->started == r->tokens)
        return 0;
    r->started++;
    rc = thrum_spawn(r->scope, carry, &t, sizeof t);
    if (rc != 0)
        r->started--;
    return rc;
}

/* The next item, and its number. */
static thrum_err *begin(struct run *r, void *item, uint64_t *number, bool *end)
{
    thrum_err *err = NULL;

    if (!permits_take(&r->source, scope_current()))
        return thrum_rc(-ECANCELED);
    if (!r->end && thrum_canceled())
        err = thrum_rc(-ECANCELED);
    else if (!r->end)
        err = r->what->source(item, r->what->ctx, &r->end);
    if (err != NULL)
        r->end = true;
    *end = r->end;
    if (!r->end) {
        *number = r->count++;
        (void)start_token(r);
    }
    permits_give(&r->source);
    return err;
}

static thrum_err *carry(void *arg)
{
    struct token *t = arg;
    struct run *r = t->run;
    void *item = r->items + t->index * r->what->item;
    uint64_t number = 0;
    bool end = false;

    for (;;) {
        THRUM_TRY(begin(r, item, &number, &end));
        if (end)
            return NULL;
        for (size_t i = 0; i < r->what->n; i++)
            THRUM_TRY(pass(r, i, item, number));
    }
}

/* --------------------------------------------------------------------- the whole */

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* Is it a number of bytes that there can be? */
static bool fits(const thrum_pipeline *p, unsigned tokens)
{
    size_t most = SIZE_MAX / 4 / tokens;

    return p->item <= most && p->n <= most / sizeof(struct line) &&
           p->n <= SIZE_MAX / 4 / sizeof(struct stage);
}

static size_t lines_of(const thrum_pipeline *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        n += p->stages[i].in_order;
    return n;
}

/* One piece of memory: the run, its stages, their lines, the items. */
static struct run *run_new(const thrum_pipeline *p, unsigned tokens)
{
    size_t stages = rounded(sizeof(struct run));
    size_t lines = stages + rounded(p->n * sizeof(struct stage));
    size_t items = lines + rounded(lines_of(p) * tokens * sizeof(struct line));
    size_t bytes = items + rounded(p->item * tokens);
    struct run *r = fits(p, tokens) ? alloc(bytes) : NULL;
    struct line *line;

    if (r == NULL)
        return NULL;
    memset(r, 0, bytes);
    r->what = p;
    r->tokens = tokens;
    r->stages = (struct stage *)(void *)((char *)r + stages);
    r->items = (char *)r + items;
    line = (struct line *)(void *)((char *)r + lines);
    permits_init(&r->source, 1);
    for (size_t i = 0; i < p->n; i++) {
        permits_init(&r->stages[i].permits, p->stages[i].parallel);
        if (p->stages[i].in_order) {
            r->stages[i].turns = line;
            line += tokens;
        }
    }
    return r;
}

thrum_err *thrum_pipeline_run(const thrum_pipeline *p)
{
    struct run *r;
    thrum_scope s;
    thrum_err *err;

    REQUIRE(p->source != NULL, "there is no source");
    for (size_t i = 0; i < p->n; i++)
        REQUIRE(p->stages[i].fn != NULL, "a stage without a function");
    r = run_new(p, p->tokens == 0 ? TOKENS_DEFAULT : p->tokens);
    if (r == NULL)
        return thrum_rc(-ENOMEM);
    thrum_scope_open(&s, .name = "pipeline");
    r->scope = &s;
    err = thrum_scope_close(&s, thrum_rc(start_token(r)));
    release(r);
    return err;
}
