#include "program.h"

#include <thrum/offload.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
    struct program *p;
    const uint8_t *at, *end;
    uint32_t lengths; /* given out */
};

static uint8_t byte(struct reader *r)
{
    return r->at == r->end ? 0 : *r->at++;
}

/* Sums of different ones differ, as good as always. */
static int64_t length(struct reader *r, int bits)
{
    uint64_t z = (++r->lengths * UINT64_C(256) + byte(r) % 8) *
                 UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return 1 + (int64_t)((z ^ z >> 31) >> (64 - bits));
}

static struct task *read_task(struct reader *r, struct step *around, int depth);

static void read_kids(struct reader *r, struct step *s, struct step *around,
                      int depth)
{
    int n = 1 + byte(r) % KIDS_MAX;
    uint8_t options = byte(r);

    s->policy = s->op == OP_FORK ? THRUM_ALL : (thrum_policy)(options % 4);
    s->more = length(r, 40);
    s->cancels_first = s->op == OP_FORK && (options & 192) == 192;
    if (s->op == OP_SCOPE) {
        s->shield = (options & 12) == 12;
        s->body_fails = (options & 48) == 48;
        s->timeout = options & 64 ? length(r, 40) : 0;
        s->clean_up = options & 128 ? length(r, 28) : 0;
        around = s;
    }
    while (n-- > 0 && r->p->count < TASKS_MAX)
        s->kid[s->kids++] = read_task(r, around, depth - 1);
}

/* Some are rare: where one is, the model knows less. */
static enum op read_op(uint8_t b)
{
    static const enum op ops[] = {OP_SLEEP, OP_SLEEP,  OP_SCOPE,  OP_SCOPE,
                                  OP_SCOPE, OP_GATHER, OP_GATHER, OP_FORK,
                                  OP_FORK,  OP_CANCEL, OP_FAIL};

    if (b >= 254)
        return OP_OFFLOAD;
    return b >= 250 ? OP_FOREVER : ops[b % (sizeof ops / sizeof *ops)];
}

static struct task *read_task(struct reader *r, struct step *around, int depth)
{
    struct task *t = &r->p->tasks[r->p->count++];

    *t = (struct task){.around = around};
    t->steps = 1 + byte(r) % STEPS_MAX;
    for (int i = 0; i < t->steps; i++) {
        struct step *s = &t->step[i];

        s->op = read_op(byte(r));
        s->length = length(r, 40);
        if ((s->op == OP_CANCEL && around == NULL) ||
            (s->op >= OP_SCOPE && s->op <= OP_FORK &&
             (depth == 0 || r->p->count == TASKS_MAX)))
            s->op = OP_SLEEP;
        if (s->op >= OP_SCOPE && s->op <= OP_FORK)
            read_kids(r, s, around, depth);
        if (s->op == OP_OFFLOAD)
            r->p->exact = false;
    }
    return t;
}

void program_read(struct program *p, const uint8_t *bytes, size_t n)
{
    struct reader r = {.p = p, .at = bytes, .end = bytes + n};

    p->count = 0;
    p->exact = true;
    (void)read_task(&r, NULL, DEPTH_MAX);
}

/* ------------------------------------------------------------------ running */

THRUM_KIND(Planned, THRUM_ERROR);

enum outcome outcome_of(const thrum_err *e)
{
    if (e == NULL)
        return OK;
    if (thrum_err_is(e, &THRUM_TIMEOUT))
        return TIMED_OUT;
    return thrum_err_is(e, &THRUM_CANCELED) ? CANCELED : FAILED;
}

/* Failures go before cancellations; else the first does. */
static thrum_err *keep(thrum_err *err, thrum_err *e)
{
    if (err == NULL || e == NULL ||
        is_failure(outcome_of(err)) == is_failure(outcome_of(e)))
        return thrum_err_add(err, e);
    if (is_failure(outcome_of(err))) {
        thrum_err_drop(e);
        return err;
    }
    thrum_err_drop(err);
    return e;
}

static thrum_err *run_task(void *task);

static thrum_err *clean(void *length)
{
    return thrum_rc(thrum_sleep(*(int64_t *)length));
}

static thrum_err *run_scope(struct step *s)
{
    thrum_scope_opts opts = {.where = "fuzz",
                             .timeout = s->timeout,
                             .policy = s->policy,
                             .shield = s->shield};
    thrum_err *err;

    thrum_scope_open_(&s->scope, &opts);
    if (s->clean_up != 0)
        thrum_defer(&s->scope, clean, &s->clean_up);
    for (int i = 0; i < s->kids; i++)
        if (thrum_spawn(&s->scope, run_task, s->kid[i], 0) != 0)
            abort();
    err = thrum_rc(thrum_sleep(s->more));
    if (err == NULL && s->body_fails)
        err = thrum_fail(&Planned, "a body");
    return thrum_scope_close(&s->scope, err);
}

static thrum_err *run_gather(struct step *s)
{
    thrum_job jobs[KIDS_MAX];
    thrum_err *err;

    for (int i = 0; i < s->kids; i++)
        jobs[i] = (thrum_job){.fn = run_task, .arg = s->kid[i]};
    err = thrum_gather(jobs, (size_t)s->kids, s->policy);
    if (s->policy != THRUM_SETTLE)
        return err;
    for (int i = 0; i < s->kids; i++)
        thrum_err_drop(jobs[i].err);
    if (err == NULL)
        return NULL;
    thrum_err_drop(err); /* failures may stand behind the cancellation */
    return thrum_rc(-ECANCELED);
}

static thrum_err *run_forks(struct step *s)
{
    thrum_task forks[KIDS_MAX];
    thrum_err *err;

    for (int i = 0; i < s->kids; i++)
        thrum_fork(&forks[i], run_task, s->kid[i]);
    err = thrum_rc(thrum_sleep(s->more));
    if (err == NULL && s->cancels_first && s->kids > 0)
        thrum_task_cancel(&forks[0]);
    for (int i = s->kids - 1; i >= 0; i--)
        err = keep(err, thrum_join(&forks[i]));
    return err;
}

static thrum_err *nothing(void *unused)
{
    return unused;
}

static thrum_err *run_step(struct task *t, struct step *s)
{
    THRUM_TRY(thrum_sleep(s->length));
    switch (s->op) {
    case OP_FAIL:
        return thrum_fail(&Planned, "as planned");
    case OP_FOREVER:
        return thrum_rc(thrum_sleep(INT64_MAX));
    case OP_CANCEL:
        thrum_scope_cancel(&t->around->scope, NULL);
        return NULL;
    case OP_SCOPE:
        return run_scope(s);
    case OP_GATHER:
        return run_gather(s);
    case OP_FORK:
        return run_forks(s);
    case OP_OFFLOAD:
        return thrum_offload(nothing, NULL);
    case OP_SLEEP:
    case OPS:
        break;
    }
    return NULL;
}

static thrum_err *run_task(void *arg)
{
    struct task *t = arg;

    if (t->started) /* twice */
        abort();
    t->started = true;
    for (int i = 0; i < t->steps; i++)
        THRUM_TRY(run_step(t, &t->step[i]));
    return NULL;
}

thrum_err *program_run(struct program *p)
{
    for (int i = 0; i < p->count; i++)
        p->tasks[i].started = false;
    return run_task(&p->tasks[0]);
}

/* ------------------------------------------------------------------ showing */

static void show_task(const struct task *t, int indent)
{
    static const char *const names[] = {"sleep",  "fail",   "for ever",
                                        "cancel", "scope",  "gather",
                                        "fork",   "offload"};
    static const char *const policies[] = {"all", "settle", "any", "first"};

    for (int i = 0; i < t->steps; i++) {
        const struct step *s = &t->step[i];

        fprintf(stderr, "%*s%lld %s", indent, "", (long long)s->length,
                names[s->op]);
        if (s->kids > 0)
            fprintf(stderr, " %s%s%s, body %lld, timeout %lld, clean-up %lld",
                    policies[s->policy], s->shield ? ", shield" : "",
                    s->body_fails      ? ", fails"
                    : s->cancels_first ? ", cancels the first"
                                       : "",
                    (long long)s->more, (long long)s->timeout,
                    (long long)s->clean_up);
        fprintf(stderr, "\n");
        for (int k = 0; k < s->kids; k++) {
            show_task(s->kid[k], indent + 4);
            fprintf(stderr, "%*s--\n", indent + 4, "");
        }
    }
}

void program_show(const struct program *p)
{
    show_task(&p->tasks[0], 0);
}
