/* thrum_dump. Down the trees of a runtime: its two roots, and the calls from
 * outside. Of a path the locks are held, as in a cancel (cancel.c): so all that is
 * looked at is open. Nothing is written meanwhile but into memory. */

#include <thrum/inspect.h>

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "task/runtime.h"
#include "task/scope.h"

enum { TEXT = 32768, SMALL = 1024, INDENT_MAX = 40 };

struct text {
    char *at;
    size_t left;
    bool cut;
};

static void say(struct text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= t->left) {
        t->cut = true;
        n = 0;
        *t->at = '\0';
    }
    t->at += n;
    t->left -= (size_t)n;
}

/* Under its lock. */
static void say_scope(struct text *t, struct scope *s, int depth)
{
    int indent = 2 * depth < INDENT_MAX ? 2 * depth : INDENT_MAX;
    uint32_t live = scope_live(s); /* the body is one */

    say(t, "%*s%s (%s)", indent, "", s->name == NULL ? "scope" : s->name,
        s->where == NULL ? "?" : s->where);
    if (live > 1)
        say(t, ", children: %u", live - 1);
    if (load_relaxed(&s->stops) != 0) /* a hint */
        say(t, ", canceled");
    say(t, "\n");
    for (struct scope_wait *w = s->waits; w != NULL; w = w->next) {
        struct stack *stack = w->wait.stack;
        const char *what = /* a hint: it may be waking up just now */
            stack == NULL ? NULL : load_relaxed(&stack->deque.waits_for);

        say(t, "%*s%s waits for %s\n", indent + 2, "",
            stack == NULL ? "a thread" : "a task",
            what == NULL ? "something" : what);
    }
}

static void walk(struct text *t, struct scope *top, int depth)
{
    struct scope *s = top, *next;

    spin_lock(&top->lock);
    say_scope(t, top, depth);
    for (next = top->inner;;) {
        if (next != NULL) {
            s = next;
            spin_lock(&s->lock);
            say_scope(t, s, ++depth);
            next = s->inner;
            continue;
        }
        spin_unlock(&s->lock);
        if (s == top)
            return;
        next = s->next; /* the parent's lock is held */
        s = s->parent;
        depth--;
    }
}

static void dump(struct text *t, struct thrum_rt *rt)
{
    say(t, "thrum: who waits\n");
    spin_lock(&rt->calls_lock);
    for (struct scope *s = rt->calls; s != NULL; s = s->next)
        walk(t, s, 1);
    spin_unlock(&rt->calls_lock);
    walk(t, &rt->posted, 1);
    walk(t, &rt->root, 1);
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
    struct text t = {.at = small, .left = sizeof small};

    if (all != NULL)
        t = (struct text){.at = all, .left = TEXT};
    *t.at = '\0';
    if (rt == NULL && sched != NULL)
        rt = runtime_of(sched);
    if (rt != NULL)
        dump(&t, rt);
    else
        say(&t, "thrum: no runtime runs\n");
    put(fd, all != NULL ? all : small);
    if (t.cut)
        put(fd, "and more\n");
    release(all);
}
