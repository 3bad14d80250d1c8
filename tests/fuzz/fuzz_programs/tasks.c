/* The tasks of a program, their scopes, forks and gathers. */
#include "program.h"

#include <errno.h>
#include <string.h>

THRUM_KIND(Planned, THRUM_ERROR);

/* The region that one is in, as the library has it. */
static const thrum_key AROUND = {.name = "around"};

bool deadlocked, program_ended;

/* Told before it begins, and by it in the end. */
static struct {
    bool begin, end;
} told[TASKS_MAX];

static thrum_err *run_task(void *task);

/* ---------------------------------------------------------- in plain memory */

static void tell_begin(const struct task *t)
{
    told[t - program.tasks].begin = true;
}

static void hear_end(const struct task *t)
{
    must(told[t - program.tasks].end == t->ended);
}

static void hear_children(const struct region *r)
{
    for (int i = 0; i < program.task_count; i++)
        if (program.tasks[i].in == r)
            hear_end(&program.tasks[i]);
}

/* ------------------------------------------------------------- cancellation */

/* The one that waits to be spawned has been counted. */
static bool is_full(const struct step *scope)
{
    return scope->limit > 0 &&
           scope->region.begun - scope->region.ended > scope->limit;
}

static bool is_right_to_wait(struct step *s)
{
    if (s->op == OP_SCOPE)
        return is_full(s);
    if (s->op == OP_COMPLETE)
        return s->region.running > 0;
    return s->op == OP_SPAWN ? is_full(s->target) : things_block(s);
}

/* Before it the clock would have leapt there. Who waits for a condition may wait to
 * have the mutex again, whatever is canceled. */
static bool has_deadline(const struct task *t, const struct step *s)
{
    if (s->firm || s->op == OP_LOCK_FIRM || s->op == OP_WAIT)
        return false;
    for (const struct region *r = t->at; r != NULL;
         r = r->shield ? NULL : r->parent)
        if (r->deadline != INT64_MAX)
            return true;
    return false;
}

/* Nobody has canceled this task: so it was for a deadlock. Then, as nothing has
 * moved since, all that wait do so rightly. */
static void believe_the_deadlock(void)
{
    deadlocked = true;
    for (int i = 0; i < program.task_count; i++) {
        struct step *s = program.tasks[i].pending;

        must(s == NULL ||
             (is_right_to_wait(s) && !has_deadline(&program.tasks[i], s)));
    }
}

struct attempt attempt(struct task *t, struct step *s)
{
    t->pending = s;
    return (struct attempt){t, region_must(t->at)};
}

int64_t attempted(struct attempt a, int64_t rc)
{
    must(rc == -ECANCELED || !a.must);
    if (rc == -ECANCELED && !region_may(a.task->at))
        believe_the_deadlock();
    must(rc != -ECANCELED || thrum_canceled());
    a.task->pending = NULL;
    return rc;
}

/* ------------------------------------------------------------------- scopes */

/* One of thrum_with is the innermost wherever it is asked for. */
static thrum_scope *scope_of(struct step *s)
{
    return s->nameless ? NULL : &s->scope;
}

static bool spawn(struct task *t, struct step *s, struct step *into,
                  struct task *kid)
{
    int64_t rc;

    region_init(&kid->region, &into->region);
    kid->in = &into->region;
    kid->spawner = into != s && into->limit > 0 ? t : NULL;
    into->region.begun++;
    tell_begin(kid);
    t->pending = s;
    rc = thrum_spawn(scope_of(into), run_task, kid, 0);
    /* It asks for a cancel only if it has to wait. */
    rc = attempted((struct attempt){t, rc == -ECANCELED}, rc);
    must(rc == 0 || rc == -ECANCELED);
    if (rc != 0)
        into->region.begun--;
    return rc == 0;
}

static thrum_err *clean(void *arg)
{
    struct clean_up *c = arg;
    struct step *s = c->of;
    int index = (int)(c - s->clean_ups);

    must(s->region.ended == s->region.begun);
    hear_children(&s->region);
    must(index == s->defers - 1 - s->cleaned++);
    must(deadlocked || !thrum_canceled() ||
         thrum_now() >= s->closed_at + THRUM_SEC(10)); /* its grace */
    thrum_yield();
    return s->fails && index % 2 == 1 ? thrum_fail(&Planned, "a clean-up")
                                      : NULL;
}

static thrum_scope_opts begin_scope(struct task *t, struct step *s)
{
    thrum_scope_opts opts = {.where = "fuzz",
                             .policy = (thrum_policy)(s->options & 3),
                             .shield = (s->options & 4) != 0,
                             .limit = (unsigned)s->limit};

    region_init(&s->region, t->at);
    s->region.policy = opts.policy;
    s->region.shield = opts.shield;
    if (s->limit > 0 && !program.spawns) /* else some run in place */
        s->region.most = s->limit;
    if (s->options & 8) {
        opts.deadline = thrum_now() + (s->hurries ? 0 : THRUM_US(200));
        s->region.deadline = opts.deadline;
    }
    return opts;
}

static void open_scope(struct step *s, const thrum_scope_opts *opts)
{
    if (thrum_is_plain_(opts))
        thrum_scope_open_plain_(&s->scope, NULL, opts->where);
    else
        thrum_scope_open_(&s->scope, opts);
}

/* All of it but its open and its close. */
static thrum_err *do_scope(void *step)
{
    struct step *s = step;
    struct task *t = s->by;
    thrum_err *err;

    t->at = &s->region;
    thrum_bind(scope_of(s), &s->binding, &AROUND, &s->region);
    for (int i = 0; i < s->defers; i++) {
        s->clean_ups[i].of = s;
        thrum_defer(scope_of(s), clean, &s->clean_ups[i]);
    }
    for (struct task *kid = s->kids; kid != NULL; kid = kid->next)
        if (!spawn(t, s, s, kid))
            break;
    err = run_steps(t, s->body);
    s->closing.body = ended_how(err);
    s->closing.body_failures = failures_of(err);
    if ((s->closing.body & FAILURE) && s->region.policy != THRUM_SETTLE)
        s->region.may = true;
    s->closing.before = !s->region.shield && region_must(s->region.parent);
    s->closed_at = thrum_now();
    return err;
}

static thrum_err *in_scope(struct task *t, struct step *s)
{
    thrum_scope_opts opts = begin_scope(t, s);
    struct closing *c = &s->closing;
    thrum_err *err;

    *c = (struct closing){.fails = s->fails ? s->defers / 2 : 0};
    s->by = t;
    if (s->nameless) {
        err = thrum_with_(do_scope, s, &opts);
        c->expired = c->unsure = thrum_now() >= s->region.deadline;
    } else {
        open_scope(s, &opts);
        err = thrum_scope_close(&s->scope, do_scope(s));
        c->expired = thrum_scope_expired(&s->scope);
    }
    t->at = s->region.parent;
    must(s->cleaned == s->defers);
    hear_children(&s->region);
    region_check(&s->region, *c, err);
    return err;
}

/* -------------------------------------------------------- forks and gathers */

/* Failures go before cancellations. */
static thrum_err *keep(thrum_err *err, thrum_err *e)
{
    bool was = (ended_how(err) & FAILURE) != 0;

    if (err == NULL || e == NULL || was == ((ended_how(e) & FAILURE) != 0))
        return thrum_err_add(err, e);
    thrum_err_drop(was ? e : err);
    return was ? err : e;
}

static void check_joined(const struct task *kid, const thrum_err *err)
{
    hear_end(kid);
    must(kid->began == kid->ended);
    must(ended_how(err) == (kid->began ? kid->came_to : CANCELED));
    must(kid->began || region_may(&kid->region));
}

static thrum_err *in_forks(struct task *t, struct step *s)
{
    thrum_task forks[KIDS_MAX];
    struct task *kids[KIDS_MAX], *never = NULL;
    thrum_err *err, *e;
    int n = 0;

    for (struct task *kid = s->kids; kid != NULL; kid = kid->next, n++) {
        kids[n] = kid;
        region_init(&kid->region, t->at);
        kid->in = NULL;
        kid->spawner = NULL;
        tell_begin(kid);
        thrum_fork(&forks[n], run_task, kid);
    }
    err = run_steps(t, s->body);
    if ((s->options & 1) && n > 0) {
        never = kids[0]->began ? NULL : kids[0];
        kids[0]->region.may = kids[0]->region.called = true;
        thrum_task_cancel(&forks[0]);
        kids[0]->region.must = true;
    }
    while (n-- > 0) {
        e = thrum_join(&forks[n]);
        check_joined(kids[n], e);
        err = keep(err, e);
    }
    must(never == NULL || !never->began);
    return err;
}

static void check_settled(struct step *s, thrum_job *jobs, const thrum_err *err)
{
    int n = 0;

    must(err == NULL ||
         (ended_how(err) != WELL && region_may(s->region.parent)));
    for (struct task *kid = s->kids; kid != NULL; kid = kid->next, n++) {
        if (err == NULL)
            check_joined(kid, jobs[n].err);
        must(err == NULL || jobs[n].err == NULL);
        thrum_err_drop(jobs[n].err);
    }
}

/* The one whose end decided, if one did, is told; no other. */
static void check_winner(const struct step *s, const thrum_job *jobs,
                         const thrum_err *err)
{
    int n = 0, winners = 0;

    for (const struct task *kid = s->kids; kid != NULL; kid = kid->next, n++) {
        winners += jobs[n].won;
        must(!jobs[n].won || kid->came_to == ended_how(err));
        must(!jobs[n].won || (kid->ended && s->region.policy > THRUM_SETTLE));
    }
    must(winners <= 1);
    if (s->region.policy > THRUM_SETTLE && err == NULL)
        must(winners == 1);
    if (s->region.policy == THRUM_FIRST && n > 0 && (ended_how(err) & FAILURE))
        must(winners == 1);
}

static thrum_err *run_nth(size_t i, void *kids)
{
    return run_task(((struct task **)kids)[i]);
}

/* As jobs; or by their numbers, and perhaps one after the other. */
static thrum_err *in_gather(struct task *t, struct step *s)
{
    bool numbered = (s->options & 4) != 0;
    struct task *kids[KIDS_MAX];
    struct closing c = {.body = WELL, .before = region_must(t->at)};
    thrum_job jobs[KIDS_MAX];
    thrum_err *err;
    size_t n = 0;

    region_init(&s->region, t->at);
    s->region.policy = (thrum_policy)(s->options & 3);
    if (numbered && (s->options & 8))
        s->region.most = 1;
    for (struct task *kid = s->kids; kid != NULL; kid = kid->next) {
        region_init(&kid->region, &s->region);
        kid->in = &s->region;
        kid->spawner = NULL;
        tell_begin(kid);
        kids[n] = kid;
        jobs[n++] = (thrum_job){.fn = run_task, .arg = kid};
    }
    s->region.begun = (int)n;
    err = numbered ? thrum_each(n, run_nth, kids, .policy = s->region.policy,
                                .limit = s->options & 8 ? 1 : 0)
                   : thrum_gather(jobs, n, s->region.policy);
    hear_children(&s->region);
    if (!numbered)
        check_winner(s, jobs, err);
    for (struct task *kid = s->kids; kid != NULL; kid = kid->next)
        if (!kid->began) {
            must(region_may(&s->region));
            s->region.ended++;
            s->region.ends |= CANCELED;
        }
    if (s->region.policy == THRUM_SETTLE && !numbered)
        check_settled(s, jobs, err);
    else
        region_check(&s->region, c, err);
    return err;
}

/* ------------------------------------------------------ one after the other */

/* Their ends are told as they come; then those that are left are canceled. */
static int take_some(struct task *t, struct step *s, thrum_completed *c,
                     bool *taken, thrum_job *jobs)
{
    thrum_job *job;
    int rc = 1;

    for (int i = 0; i < s->which && rc > 0; i++) {
        struct attempt a = attempt(t, s);

        a.must = a.must && i < s->region.begun; /* else it is the end */
        rc = (int)attempted(a, thrum_completed_next(c, &job));
        if (rc <= 0)
            break;
        must(!taken[job - jobs]);
        taken[job - jobs] = true;
        check_joined(job->arg, job->err);
        must(((struct task *)job->arg)->ended || region_may(&s->region));
        thrum_err_drop(job->err);
    }
    return rc;
}

static void check_rest(struct step *s, const bool *taken, const thrum_job *jobs,
                       const thrum_err *err)
{
    unsigned ends = 0;
    int n = 0;

    for (struct task *kid = s->kids; kid != NULL; kid = kid->next, n++) {
        must(kid->began == kid->ended);
        hear_end(kid);
        must(taken[n] || jobs[n].err == NULL);
        if (!taken[n] && kid->ended)
            ends |= kid->came_to;
    }
    must(((ended_how(err) & FAILURE) != 0) == ((ends & FAILURE) != 0));
    must(ended_how(err) != CANCELED || region_may(s->region.parent));
}

static thrum_err *in_completed(struct task *t, struct step *s)
{
    bool taken[KIDS_MAX] = {false};
    thrum_job jobs[KIDS_MAX];
    size_t n = 0, limit = s->options & 3;
    thrum_completed c;
    thrum_err *err;
    int rc;

    region_init(&s->region, t->at);
    s->region.policy = THRUM_SETTLE;
    s->region.most = limit > 0 ? (int)limit : TASKS_MAX;
    for (struct task *kid = s->kids; kid != NULL; kid = kid->next) {
        region_init(&kid->region, &s->region);
        kid->in = &s->region;
        kid->spawner = NULL;
        tell_begin(kid);
        jobs[n++] = (thrum_job){.fn = run_task, .arg = kid};
    }
    s->region.begun = (int)n;
    must(thrum_completed_open(&c, jobs, n, limit) == 0);
    t->at = &s->region;
    rc = take_some(t, s, &c, taken, jobs);
    must(rc != 0 || s->region.ended == s->region.begun);
    s->region.may = s->region.called = true;
    err = thrum_completed_close(&c);
    t->at = s->region.parent;
    check_rest(s, taken, jobs, err);
    return thrum_err_add(thrum_rc(rc < 0 ? rc : 0), err);
}

/* -------------------------------------------------------------------- steps */

/* Or the innermost, which may be the task's own. */
static thrum_err *cancel(struct task *t, struct step *s)
{
    bool innermost = (s->options & 1) != 0;
    struct region *r = innermost ? t->at : &s->target->region;

    r->may = r->called = true;
    thrum_scope_cancel(innermost ? NULL : &s->target->scope, NULL);
    r->must = true;
    return NULL;
}

/* The earliest up to a shield. */
static void check_deadline(const struct region *at)
{
    thrum_time first = INT64_MAX;

    for (const struct region *r = at; r != NULL;
         r = r->shield ? NULL : r->parent)
        first = r->deadline < first ? r->deadline : first;
    must(first <= thrum_now() || thrum_deadline() == first);
}

/* One that has passed stays so. Until it is moved nobody comes in. What passes while
 * it is moved may be noticed a little later. */
static thrum_err *move_deadline(struct task *t, struct step *s)
{
    struct region *r = &s->target->region;
    thrum_time now = thrum_now();
    thrum_time at = s->options & 1 ? INT64_MAX : now + s->which * THRUM_US(50);

    if (now < r->deadline)
        r->deadline = at;
    thrum_scope_set_deadline(&s->target->scope, at);
    r->must = r->must || now >= r->deadline;
    check_deadline(t->at);
    return NULL;
}

static thrum_err *take_a_while(struct task *t, struct step *s)
{
    thrum_time length = s->which * THRUM_US(50) + 1, start = thrum_now();
    struct attempt a = attempt(t, s);
    int64_t rc = attempted(a, thrum_sleep(length));

    must(rc == -ECANCELED || thrum_now() - start >= length);
    return thrum_rc(rc);
}

static thrum_err *check(struct task *t, struct step *s)
{
    struct attempt a = attempt(t, s);

    return thrum_rc(attempted(a, thrum_checkpoint()));
}

static thrum_err *run_step(struct task *t, struct step *s)
{
    switch ((unsigned)s->op) {
    case OP_FAIL:
        return thrum_fail(&Planned, "as planned");
    case OP_SLEEP:
        return take_a_while(t, s);
    case OP_YIELD:
        thrum_yield();
        return NULL;
    case OP_CHECK:
        return check(t, s);
    case OP_CANCEL:
        return cancel(t, s);
    case OP_DEADLINE:
        return move_deadline(t, s);
    case OP_SCOPE:
        return in_scope(t, s);
    case OP_SPAWN:
        if (s->kids != NULL)
            (void)spawn(t, s, s->target, s->kids);
        return NULL;
    case OP_FORK:
        return in_forks(t, s);
    case OP_GATHER:
        return in_gather(t, s);
    case OP_COMPLETE:
        return in_completed(t, s);
    default:
        return things_step(t, s);
    }
}

thrum_err *run_steps(struct task *t, struct step *s)
{
    thrum_err *err = NULL;

    /* A shield that is opened after a deadlock might stay for good. */
    for (; s != NULL && err == NULL && !deadlocked; s = s->next) {
        err = run_step(t, s);
        if (s->ignores && ended_how(err) == CANCELED) {
            thrum_err_drop(err);
            err = NULL;
        }
    }
    return err;
}

/* A child of a full scope that is spawned by another one may be called by that: it
 * is then where that is. */
static void find_place(struct task *t)
{
    if (t->spawner != NULL && thrum_get(&AROUND) != t->region.parent) {
        must(thrum_get(&AROUND) == t->spawner->at);
        t->region.parent = t->spawner->at;
        t->spawner->pending = NULL; /* it waits no more */
    }
    t->at = &t->region;
    thrum_bind(NULL, &t->binding, &AROUND, &t->region);
}

static thrum_err *run_task(void *arg)
{
    struct task *t = arg;
    thrum_err *err;

    must(!t->began && told[t - program.tasks].begin);
    t->began = true;
    find_place(t);
    t->sent = 0;
    memset(t->heard, 0, sizeof t->heard);
    if (t->in != NULL)
        must(++t->in->running <= t->in->most);
    err = run_steps(t, t->first);
    must(t->at == &t->region);
    t->came_to = ended_how(err);
    t->ended = told[t - program.tasks].end = true;
    if (t->in != NULL) {
        t->in->running--;
        region_child(t->in, err);
    }
    return err;
}

thrum_err *program_run(void *unused)
{
    struct task *root = &program.tasks[0];

    NOTED(program);
    NOTED(deadlocked);
    deadlocked = program_ended = false;
    for (int i = 0; i < program.task_count; i++) {
        program.tasks[i].began = program.tasks[i].ended = false;
        program.tasks[i].pending = NULL;
        program.tasks[i].in = NULL;
    }
    memset(told, 0, sizeof told);
    for (int i = 0; i < program.step_count; i++)
        program.steps[i].cleaned = 0;
    things_make();
    region_init(&root->region, NULL);
    root->spawner = NULL;
    tell_begin(root);
    thrum_err_drop(run_task(root));
    for (int i = 0; i < program.task_count; i++)
        must(program.tasks[i].began == program.tasks[i].ended);
    things_end();
    program_ended = true;
    return unused;
}
