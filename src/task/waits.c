#include "task/waits.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "sched/fork.h"

enum { ROOM = 64 };

/* ------------------------------------------------------------ one who waits */

static const struct thrum_site_ a_thread = {NULL, "a thread", NULL},
                                outside = {NULL, "no task of this runtime",
                                           NULL},
                                ended = {NULL, "a task that has ended", NULL};

static const struct thrum_site_ *task_on(struct stack *s)
{
    const struct thrum_site_ *site = load_relaxed(&s->child_site); /* a hint */

    return site == NULL ? &ended : site;
}

static void find_holder(struct waiting *w, struct sched *sched)
{
    uint32_t tag = 0;

    if (w->kind == &awaited_fork)
        w->holder = fork_runner(w->stack, w->thing);
    else if (w->kind != NULL && w->kind->holder != NULL)
        tag = w->kind->holder(w->thing);
    if (tag > STACK_HELD && sched != NULL)
        w->holder = stack_of_tag(&sched->pool, tag & ~STACK_HELD);
    w->held = w->holder != NULL || tag != 0;
    w->holder_task = w->holder == NULL ? &outside : task_on(w->holder);
}

struct waiting waiting_of(struct sched *sched, struct stack *s,
                          const struct thrum_awaited_ *kind, const void *thing)
{
    struct waiting w = {.stack = s, .kind = kind, .thing = thing};

    w.task = s == NULL ? &a_thread : task_on(s);
    find_holder(&w, sched);
    return w;
}

const char *task_tell(const struct thrum_site_ *site, char text[TASK_TEXT])
{
    if (site->where == NULL)
        snprintf(text, TASK_TEXT, "%s", site->name);
    else
        snprintf(text, TASK_TEXT, "%s (%s)", site->name, site->where);
    return text;
}

/* Is its address something to know it by? */
static bool has_address(const struct waiting *w)
{
    return w->thing != NULL && w->kind != &awaited_fork &&
           w->kind != &awaited_children;
}

const char *waiting_tell(const struct waiting *w, char text[WAITING_TEXT])
{
    const char *what = w->kind == NULL ? "something" : w->kind->what;
    char at[32] = "", by[TASK_TEXT + 16] = "", who[TASK_TEXT];

    if (has_address(w))
        snprintf(at, sizeof at, " at %p", w->thing);
    if (w->held && w->holder == w->stack)
        snprintf(by, sizeof by, ", held by itself or its caller");
    else if (w->held)
        snprintf(by, sizeof by, ", %s by %s",
                 w->kind == &awaited_fork ? "run" : "held",
                 task_tell(w->holder_task, who));
    snprintf(text, WAITING_TEXT, "%s%s%s", what, at, by);
    return text;
}

/* ------------------------------------------------------------------- a walk */

bool waits_begin_again(struct waits *ws)
{
    size_t room = 2 * ws->found;

    if (ws->found <= ws->room)
        return false;
    release(ws->all);
    ws->all = alloc(room * sizeof *ws->all);
    ws->room = ws->all == NULL ? 0 : room;
    ws->count = ws->found = 0;
    return ws->all != NULL;
}

void waits_free(struct waits *ws)
{
    release(ws->all);
    *ws = (struct waits){.sched = ws->sched};
}

/* The place of the walk. */
struct place {
    struct waits *waits;
    struct scope *top;
    int depth;
    waits_see *see;
    void *arg;
};

static void found(struct place *p, struct scope *s, struct waiting w)
{
    struct waits *ws = p->waits;

    w.top = p->top;
    w.depth = p->depth;
    if (p->see != NULL)
        p->see(s, p->depth, &w, p->arg);
    if (ws->found++ < ws->room)
        ws->all[ws->count++] = w;
}

static bool is_listed(const struct scope *s, const struct stack *stack)
{
    const struct scope_wait *w = s->waits;

    while (w != NULL && w->wait.stack != stack)
        w = w->next;
    return w != NULL;
}

/* Whoever opened s may wait for what no cancel ends, and is in no list: to close
 * it, to join a fork. A hint: he may go on just now, so that nothing is to be
 * looked up in the thing. */
static void look_at_opener(struct place *p, struct scope *s)
{
    struct stack *stack = s->stack;
    const struct thrum_awaited_ *kind;

    if (stack == NULL || load_relaxed(&stack->deque.scope) != scope_public(s) ||
        is_listed(s, stack))
        return;
    kind = load_relaxed(&stack->deque.waits_for);
    if (kind != NULL && kind->holder == NULL)
        found(p, s,
              waiting_of(p->waits->sched, stack, kind,
                         load_relaxed(&stack->deque.waits_at)));
}

/* Under its lock. The opener is the last, so that those inside follow. */
static void look_at(struct place *p, struct scope *s)
{
    struct sched *sched = p->waits->sched;

    if (p->see != NULL)
        p->see(s, p->depth, NULL, p->arg);
    for (struct scope_wait *w = s->waits; w != NULL; w = w->next)
        found(p, s, waiting_of(sched, w->wait.stack, w->kind, w->thing));
    look_at_opener(p, s);
}

void waits_walk(struct waits *ws, struct scope *top, waits_see *see, void *arg)
{
    struct place p = {ws, top, 1, see, arg};
    struct scope *s = top, *next;

    spin_lock(&top->lock);
    look_at(&p, top);
    for (next = top->inner;;) {
        if (next != NULL) {
            s = next;
            spin_lock(&s->lock);
            p.depth++;
            look_at(&p, s);
            next = s->inner;
            continue;
        }
        spin_unlock(&s->lock);
        if (s == top)
            return;
        next = s->next; /* the parent's lock is held */
        s = s->parent;
        p.depth--;
    }
}

/* ----------------------------------------------------------------- a circle */

static bool is_inside(const struct waits *ws, size_t i, const struct waiting *w)
{
    return i < ws->count && ws->all[i].top == w->top &&
           ws->all[i].depth > w->depth;
}

static int compare(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)(*(struct waiting *const *)a)->stack,
              y = (uintptr_t)(*(struct waiting *const *)b)->stack;

    return x < y ? -1 : x > y;
}

/* All, in the order of their stacks; NULL: no memory. */
static struct waiting **sorted(const struct waits *ws)
{
    struct waiting **all = alloc((ws->count + 1) * sizeof *all);

    for (size_t i = 0; all != NULL && i < ws->count; i++)
        all[i] = &ws->all[i];
    if (all != NULL)
        qsort(all, ws->count, sizeof *all, compare);
    return all;
}

static struct waiting *find(const struct waits *ws, struct waiting **sorted,
                            struct stack *stack)
{
    struct waiting key = {.stack = stack}, *at = &key, **found;

    found = bsearch(&at, sorted, ws->count, sizeof at, compare);
    return found == NULL ? NULL : *found;
}

/* Whom w waits for, of those that wait: all[at] up to all[end]. */
static void find_awaited(const struct waits *ws, struct waiting **sorted,
                         struct waiting *w)
{
    struct waiting *holder;

    w->on_path = false;
    w->at = w->end = 0;
    if (w->kind == &awaited_children) {
        w->at = w->end = (size_t)(w - ws->all) + 1;
        while (is_inside(ws, w->end, w))
            w->end++;
    } else if (w->holder != NULL) {
        holder = find(ws, sorted, w->holder);
        if (holder == NULL)
            return;
        w->at = (size_t)(holder - ws->all);
        w->end = w->at + 1;
    }
}

/* The next one that w waits for, who has not been seen, or leads back; NULL:
 * there is none. */
static struct waiting *step(struct waits *ws, struct waiting *w)
{
    while (w->at < w->end) {
        struct waiting *next = &ws->all[w->at++];

        if (next->on_path || next->at < next->end)
            return next;
    }
    return NULL;
}

static void link_circle(struct waiting *first)
{
    struct waiting *w = first;

    do {
        w->from->next = w;
        w = w->from;
    } while (w != first);
}

/* Depth first. */
static struct waiting *circle_from(struct waits *ws, struct waiting *start)
{
    struct waiting *w = start, *next;

    w->on_path = true;
    for (;;) {
        next = step(ws, w);
        if (next != NULL) {
            bool back = next->on_path;

            next->on_path = true;
            next->from = w;
            if (back)
                return next;
            w = next;
            continue;
        }
        w->on_path = false;
        if (w == start)
            return NULL;
        w = w->from;
    }
}

const struct waiting *waits_circle(struct waits *ws)
{
    struct waiting **by_stack = sorted(ws), *found = NULL;

    if (by_stack == NULL)
        return NULL;
    for (size_t i = 0; i < ws->count; i++)
        find_awaited(ws, by_stack, &ws->all[i]);
    release(by_stack);
    for (size_t i = 0; i < ws->count && found == NULL; i++)
        found = circle_from(ws, &ws->all[i]);
    if (found != NULL)
        link_circle(found);
    return found;
}

bool waits_has(const struct waits *ws, const struct waiting *w)
{
    for (const struct waiting *v = ws->all; v < ws->all + ws->count; v++)
        if (v->stack == w->stack && v->thing == w->thing &&
            v->holder == w->holder)
            return true;
    return false;
}
