/* Who waits, and for what. */

#include "sim/sim.h"

#include <stdarg.h>

struct dump {
    struct sim *sim;
    char *at;
    size_t left;
    unsigned told, more;
};

enum { LINE_MAX_BYTES = 200 };

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
    const char *what = load_relaxed(
        &s->deque.waits_for); /* nobody writes it now */

    if (inner == NULL || s == worker_current() || is_ready(&d->sim->ready, s))
        return;
    say(d, "\n%s (%s) waits for %s since %.9f s%s%s",
        place.name == NULL ? "a task" : place.name,
        place.where == NULL ? "?" : place.where, what == NULL ? "?" : what,
        seconds(s->deque.since), inner->of_task ? "" : ", in scope ",
        inner->of_task        ? ""
        : inner->name != NULL ? inner->name
                              : inner->where);
}

void dump_waiting(struct sim *sim, char *text, size_t bytes)
{
    struct dump d = {.sim = sim, .at = text, .left = bytes};

    *text = '\0';
    stack_pool_each(&sim->rt->sched.pool, see, &d);
    if (d.more > 0)
        snprintf(d.at, d.left, "\nand %u more", d.more);
}
