/* thrum_dump. Down the trees of a runtime: its two roots, and the calls from
 * outside. While locks are held (waits.h) nothing is written but into memory. */

#include <thrum/inspect.h>

#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "task/runtime.h"
#include "task/text.h"
#include "task/waits.h"

enum { TEXT = 32768, SMALL = 1024, INDENT_MAX = 40 };

/* Under its lock. */
static void say_scope(struct text *t, struct scope *s, int indent)
{
    uint32_t live = scope_live(s); /* the body is one */

    text_add(t, "%*s%s (%s)", indent, "", s->name == NULL ? "scope" : s->name,
             s->where == NULL ? "?" : s->where);
    if (live > 1)
        text_add(t, ", children: %u", live - 1);
    if (load_relaxed(&s->stops) != 0) /* a hint */
        text_add(t, ", canceled");
    text_add(t, "\n");
}

static void see(struct scope *s, int depth, const struct waiting *w, void *arg)
{
    int indent = 2 * depth < INDENT_MAX ? 2 * depth : INDENT_MAX;
    struct text *t = arg;
    char what[WAITING_TEXT];

    if (t->cut) /* others wait for the locks */
        return;
    if (w == NULL)
        say_scope(t, s, indent);
    else
        text_add(t, "%*s%s waits for %s\n", indent + 2, "",
                 w->stack == NULL ? "a thread" : "a task",
                 waiting_tell(w, what));
}

static void walk(struct waits *ws, struct thrum_rt *rt, struct text *t)
{
    waits_see *tell = t == NULL ? NULL : see;

    spin_lock(&rt->calls_lock);
    for (struct scope *s = rt->calls; s != NULL; s = s->next)
        waits_walk(ws, s, tell, t);
    spin_unlock(&rt->calls_lock);
    waits_walk(ws, &rt->posted, tell, t);
    waits_walk(ws, &rt->root, tell, t);
}

/* A walk takes its time, and what it has seen at its two ends may not be so at
 * once. What a second one sees again was so when the first had ended. */
static bool stays(const struct waiting *circle, struct thrum_rt *rt)
{
    struct waits now = {.sched = &rt->sched};
    const struct waiting *w = circle;
    bool all = true;

    do
        walk(&now, rt, NULL);
    while (waits_begin_again(&now));
    do {
        all = all && waits_has(&now, w);
        w = w->next;
    } while (w != circle);
    waits_free(&now);
    return all;
}

/* Nobody is at work, and there is nothing that will set one to work. */
static bool is_over(struct waits *ws, struct thrum_rt *rt)
{
    struct sched *sched = &rt->sched;

    for (size_t i = 0; i < ws->count; i++)
        if (ws->all[i].kind != NULL && ws->all[i].kind->outside)
            return false;
    return ws->count > 0 && ws->count == ws->found &&
           idle_asleep_count(&sched->idle) == sched_running(sched) &&
           !crew_any_away(&sched->crew) && !inbox_any(&sched->inbox) &&
           timers_earliest(&sched->timers) == TIMERS_NEVER &&
           !runtime_pool_at_work(rt);
}

static void dump(struct text *t, struct thrum_rt *rt)
{
    struct waits ws = {.sched = &rt->sched};
    const struct waiting *circle, *w;
    char who[TASK_TEXT], what[WAITING_TEXT];
    struct text empty = *t;

    do {
        *t = empty;
        text_add(t, "thrum: who waits\n");
        if (load_relaxed(&rt->sched.pool.lacks)) /* a hint */
            text_add(
                t,
                "  no memory for one more stack: a task that waits keeps its "
                "worker, what has not begun may wait for it\n");
        walk(&ws, rt, t);
    } while (waits_begin_again(&ws));
    if (is_over(&ws, rt))
        text_add(t,
                 "  all rest, and no timer is set: only another thread, or a "
                 "signal, can wake one\n");
    w = circle = waits_circle(&ws);
    if (circle != NULL && stays(circle, rt)) {
        text_add(t,
                 "  deadlock: each of these waits for the next, the last for "
                 "the first\n");
        do {
            text_add(t, "    %s waits for %s\n", task_tell(w->task, who),
                     waiting_tell(w, what));
            w = w->next;
        } while (w != circle);
    }
    waits_free(&ws);
}

static void put(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t n = write(fd, text, left);

        if (n <= 0)
            return;
        text += n;
        left -= (size_t)n;
    }
}

void thrum_dump(thrum_rt *rt, int fd)
{
    struct stack *here = worker_current();
    struct sched *sched = here != NULL ? here->worker->sched : sched_default();
    char small[SMALL], *all = alloc(TEXT);
    struct text t = all != NULL ? text_begin(all, TEXT)
                                : text_begin(small, sizeof small);

    if (rt == NULL && sched != NULL)
        rt = runtime_of(sched);
    if (rt != NULL)
        dump(&t, rt);
    else
        text_add(&t, "thrum: no runtime runs\n");
    put(fd, all != NULL ? all : small);
    if (t.cut)
        put(fd, "and more\n");
    release(all);
}
