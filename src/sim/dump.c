/* Who waits, and for what. */

#include "sim/sim.h"

#include <stdarg.h>

#include "task/waits.h"

struct dump {
    struct sim *sim;
    char *at;
    size_t left;
    unsigned told, more;
};

enum { LINE_MAX_BYTES = 600 };

static void say(struct dump *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A line that has no room is only counted. */
static void say(struct dump *d, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n >= (int)sizeof line)
        n = sizeof line - 1;
    if ((size_t)n + 32 > d->left) { /* room for the last line */
        d->more++;
        return;
    }
    snprintf(d->at, d->left, "%s", line);
    d->at += n;
    d->left -= (size_t)n;
    d->told++;
}

static bool is_ready(const struct ready_set *set, const struct stack *s)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->all[i].job == &s->resume)
            return true;
    return false;
}

static void see(struct stack *s, void *arg)
{
    struct dump *d = arg;
    struct scope *inner = scope_on(s);
    struct place place = place_of_stack(s);
    /* Nobody writes it now. At rest without a wait is a generator's stack, or
     * that of its consumer. */
    const struct thrum_awaited_ *kind = load_relaxed(&s->deque.waits_for);
    struct waiting w = waiting_of(&d->sim->rt->sched, s,
                                  kind == NULL ? AWAITED("a generator") : kind,
                                  load_relaxed(&s->deque.waits_at));
    char what[WAITING_TEXT];

    if (inner == NULL || s == worker_current() || is_ready(&d->sim->ready, s))
        return;
    say(d, "\n%s (%s) waits for %s since %.9f s%s%s",
        place.name == NULL ? "a task" : place.name,
        place.where == NULL ? "?" : place.where, waiting_tell(&w, what),
        seconds(s->deque.since), inner->of_task ? "" : ", in scope ",
        inner->of_task        ? ""
        : inner->name != NULL ? inner->name
                              : inner->where);
}

static void walk(struct sim *sim, struct waits *ws)
{
    struct thrum_rt *rt = sim->rt;

    do {
        if (sim->of_main != NULL)
            waits_walk(ws, sim->of_main, NULL, NULL);
        for (struct scope *s = rt->calls; s != NULL; s = s->next)
            waits_walk(ws, s, NULL, NULL);
        waits_walk(ws, &rt->posted, NULL, NULL);
        waits_walk(ws, &rt->root, NULL, NULL);
    } while (waits_begin_again(ws));
}

static void say_circle(struct dump *d)
{
    struct waits ws = {.sched = &d->sim->rt->sched};
    const struct waiting *circle, *w;
    char who[TASK_TEXT], what[WAITING_TEXT];

    walk(d->sim, &ws);
    w = circle = waits_circle(&ws);
    if (circle != NULL) {
        say(d, "\neach of these waits for the next, the last for the first:");
        do {
            say(d, "\n  %s waits for %s", task_tell(w->task, who),
                waiting_tell(w, what));
            w = w->next;
        } while (w != circle);
    }
    waits_free(&ws);
}

void dump_waiting(struct sim *sim, char *text, size_t bytes)
{
    struct dump d = {.sim = sim, .at = text, .left = bytes};

    *text = '\0';
    say_circle(&d);
    stack_pool_each(&sim->rt->sched.pool, see, &d);
    if (d.more > 0)
        snprintf(d.at, d.left, "\nand %u more", d.more);
}
