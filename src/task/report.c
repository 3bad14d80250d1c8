#include "task/text.h"
#include "task/waits.h"

#include <stdlib.h>
#include <string.h>

enum {
    TOLD_MAX = 8,
    LAST_LINE = 32,
    TEXT = 2048,
    REPORT = 4096,
    A_SECOND = 16, /* slow scopes told of on stderr */
};

static _Atomic(thrum_opts (*)(struct sched *)) finder; /* code: relaxed */

void report_set_finder(thrum_opts (*of)(struct sched *sched))
{
    store_relaxed(&finder, of);
}

/* sched NULL: those of the default runtime, or zeros. */
static thrum_opts opts_of(struct sched *sched)
{
    thrum_opts (*of)(struct sched *) = load_relaxed(&finder);

    return of == NULL ? (thrum_opts){0} : of(sched);
}

/* A thread of the blocking pool is in a scope of its runtime. */
static thrum_opts current_opts(void)
{
    struct stack *here = worker_current();
    struct scope *s = here == NULL ? scope_current() : NULL;

    if (here != NULL)
        return opts_of(here->worker->sched);
    return opts_of(s == NULL || scope_is_alone(s) ? NULL : s->sched);
}

/* ------------------------------------------------------------------- errors */

static bool is_fatal(void)
{
    const char *text = getenv("THRUM_FATAL_UNHANDLED");

    return text != NULL && *text != '\0' && strcmp(text, "0") != 0;
}

static void to_stderr(const thrum_err *err)
{
    char text[REPORT];

    (void)thrum_err_format(err, text, sizeof text);
    fprintf(stderr, "%s%s", text,
            text[0] != '\0' && text[strlen(text) - 1] == '\n' ? "" : "\n");
}

static void report(const thrum_opts *opts, thrum_err *err)
{
    if (opts->on_error != NULL)
        opts->on_error(err, opts->user);
    else
        to_stderr(err);
    if (is_fatal()) {
        if (opts->on_error != NULL)
            to_stderr(err);
        die("THRUM_FATAL_UNHANDLED is set, and nobody handled this error");
    }
    thrum_err_drop(err);
}

bool thrum_report(thrum_err *err)
{
    thrum_opts opts;

    if (err == NULL)
        return false;
    opts = current_opts();
    report(&opts, err);
    return true;
}

void report_child(struct scope *root, thrum_err *err)
{
    thrum_opts opts = opts_of(root->sched);
    bool told_to = load_relaxed(&root->stops) != 0; /* a hint */

    if (err == NULL)
        return;
    if (told_to && error_is_canceled(err))
        thrum_err_drop(err);
    else
        report(&opts, err);
}

/* -------------------------------------------------------------- slow scopes */

/* What is told of those inside. */
struct tale {
    struct text text;
    unsigned told, more; /* more: of these, how many they are */
};

static bool is_full(const struct tale *t)
{
    return t->told == TOLD_MAX || t->text.cut;
}

static void say_child(struct tale *t, const char *name, const char *where,
                      const char *does, const char *what)
{
    if (!is_full(t) && text_add(&t->text, "\n%s, started at %s, %s%s", name,
                                where, does, what))
        t->told++;
    else
        t->more++;
}

/* The first wait that is found. */
static void note_wait(struct scope *s, int depth, const struct waiting *w,
                      void *first)
{
    char *text = first;

    (void)s;
    (void)depth;
    if (w != NULL && *text == '\0')
        (void)waiting_tell(w, text);
}

/* Those that have waited, and may do so now. */
static void say_linked(struct tale *t, struct scope *s)
{
    struct waits ws = {.sched = s->sched};

    spin_lock(&s->lock);
    for (struct scope *c = s->inner; c != NULL; c = c->next) {
        char what[WAITING_TEXT] = "";

        if (!is_full(t))
            waits_walk(&ws, c, note_wait, what);
        say_child(t, c->name == NULL ? "a scope" : c->name, c->where,
                  *what == '\0' ? "has not ended" : "waits for ", what);
    }
    spin_unlock(&s->lock);
}

/* Those that have never waited run on some worker now, or have not begun. */
static void say_running(struct tale *t, struct scope *s)
{
    struct sched *sched = s->sched;
    char who[24];

    for (unsigned i = 0; i < sched_count(sched); i++) {
        struct stack *stack = load_acquire(&sched->workers[i].stack); /* [S7] */
        const struct thrum_site_ *site;

        if (stack == NULL || load_relaxed(&stack->child_of) != s)
            continue; /* a look at who moves: good enough to tell */
        site = load_relaxed(&stack->child_site);
        if (site == NULL)
            continue; /* it has moved */
        snprintf(who, sizeof who, "worker %u", i);
        say_child(t, site->name, site->where, "runs on ", who);
    }
}

void report_children(struct scope *s, char *text, size_t bytes)
{
    struct tale t = {.text = text_begin(text, bytes - LAST_LINE)};

    if (s->sched != NULL)
        say_running(&t, s);
    say_linked(&t, s);
    t.text.left += LAST_LINE;
    if (t.more > 0)
        text_add(&t.text, "\nand %u more", t.more);
    else if (t.told == 0 && scope_live(s) > 1)
        text_add(&t.text,
                 "\nchildren that are ready to run, or have not begun");
}

/* Thousands may be slow at once, of one cancel. */
static bool may_say_slow(void)
{
    static _Atomic uint64_t said; /* the second, how many in it */
    uint64_t second = (uint64_t)(clock_now() / THRUM_SEC(1)) << 32, next;
    uint64_t seen = load_relaxed(&said); /* only this is shared */

    do
        next = (seen >> 32 << 32) == second ? seen + 1 : second + 1;
    while (!cas_relaxed(&said, &seen, next));
    if (next == second + A_SECOND + 1)
        fprintf(stderr, "thrum: more scopes are slow: on_slow gets them all\n");
    return next <= second + A_SECOND;
}

static void tell_slow(const thrum_opts *opts, const struct scope *s,
                      int64_t took, const thrum_err *err)
{
    const char *name = s->name != NULL ? s->name : s->where;

    if (opts->on_slow != NULL)
        opts->on_slow(name, took, err, opts->user);
    else if (err != NULL && thrum_err_is(err, &THRUM_SLOW))
        to_stderr(err);
    else
        fprintf(stderr, "thrum: %s took %.3f s\n", name, (double)took / 1e9);
}

/* By its kind on_slow knows an open scope from a closed one. */
static const struct leaf slow_without_memory = {
    .head.refs = ERROR_IMMORTAL,
    .kind = &THRUM_SLOW,
    .message = "a scope is open, and there is no memory to tell more",
    .index = ERROR_NO_INDEX,
    .depth = 1,
};

void report_slow(struct scope *s, int64_t took)
{
    thrum_opts opts = opts_of(s->sched);
    struct error_context context;
    char text[TEXT];
    thrum_err *err;

    if (opts.on_slow == NULL && !may_say_slow())
        return;
    report_children(s, text, sizeof text);
    local_context_of(s, &context); /* here any task may run */
    err = error_of_another(
        &context, s->where, &THRUM_SLOW, "%s is open for %.3f s%s%s",
        s->name == NULL ? "scope" : s->name, (double)took / 1e9,
        load_relaxed(&s->stops) != 0 ? ", and was canceled" : "", /* a hint */
        text);
    if (err == NULL)
        err = (thrum_err *)&slow_without_memory.head;
    tell_slow(&opts, s, took, err);
    thrum_err_drop(err);
}

void report_took(struct scope *s, int64_t took, const thrum_err *err)
{
    thrum_opts opts = opts_of(s->sched);

    if (opts.on_slow != NULL || may_say_slow())
        tell_slow(&opts, s, took, err);
}
