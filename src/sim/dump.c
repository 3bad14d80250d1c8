/* Who waits, and for what. */

#include "sim/sim.h"

#include "task/text.h"
#include "task/waits.h"

enum { LAST_LINE = 32 }; /* room for it */

struct dump {
    struct sim *sim;
    struct text text;
    unsigned more; /* lines that had no room */
};

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
    d->more += !text_add(&d->text, "\n%s (%s) waits for %s since %.9f s%s%s",
                         place.name == NULL ? "a task" : place.name,
                         place.where == NULL ? "?" : place.where,
                         waiting_tell(&w, what), seconds(s->deque.since),
                         inner->of_task ? "" : ", in scope ",
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
        d->more += !text_add(
            &d->text,
            "\neach of these waits for the next, the last for the first:");
        do {
            d->more += !text_add(&d->text, "\n  %s waits for %s",
                                 task_tell(w->task, who),
                                 waiting_tell(w, what));
            w = w->next;
        } while (w != circle);
    }
    waits_free(&ws);
}

void dump_waiting(struct sim *sim, char *text, size_t bytes)
{
    struct dump d = {.sim = sim, .text = text_begin(text, bytes - LAST_LINE)};

    say_circle(&d);
    stack_pool_each(&sim->rt->sched.pool, see, &d);
    d.text.left += LAST_LINE;
    if (d.more > 0)
        text_add(&d.text, "\nand %u more", d.more);
}
