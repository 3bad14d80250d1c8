/* What a task calls for itself: blocking calls, what is made once, pipelines, processes,
 * tasks of the background. All of it ends by itself. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thrum/test.h>

#include "things.h"

THRUM_KIND(Broken, THRUM_ERROR);

/* ----------------------------------------------------------- blocking calls */

static thrum_sem one_call;
static unsigned in_calls;

static thrum_err *call(void *called)
{
    must(!*(bool *)called);
    *(bool *)called = true;
    return NULL;
}

/* Of which there is one at a time. */
static thrum_err *call_alone(void *called)
{
    must(++in_calls == 1);
    thrum_yield();
    in_calls--;
    return call(called);
}

/* In a simulation no call is left. */
static void drop(void *copy)
{
    (void)copy;
    must(!"nobody has left it");
}

static thrum_err *offload(struct task *t, struct step *s)
{
    struct attempt a = attempt(t, s);
    bool called = false;
    thrum_err *err = s->options & 1
                         ? thrum_offload_ex(call_alone, &called,
                                            .size = sizeof called, .drop = drop,
                                            .sem = &one_call)
                         : thrum_offload(call, &called);

    (void)attempted(a, err == NULL ? 0 : -ECANCELED);
    must(called == (err == NULL));
    must(err == NULL || thrum_err_is(err, &THRUM_CANCELED));
    return err;
}

/* As children of a scope: who is canceled before his turn is not called. */
static thrum_err *spawn_calls(struct task *t, struct step *s)
{
    int n = 1 + s->which % MANY, made = 0;
    struct attempt a = attempt(t, s);
    bool called[MANY] = {false};
    thrum_scope scope;
    thrum_err *err;

    thrum_scope_open(&scope);
    for (int i = 0; i < n; i++)
        must(thrum_spawn_blocking(&scope, call, &called[i], 0) == 0);
    err = thrum_scope_close(&scope, NULL);
    (void)attempted(a, err == NULL ? 0 : -ECANCELED);
    for (int i = 0; i < n; i++)
        made += called[i];
    must((made == n) == (err == NULL) && (made == 0 || !a.must));
    must(err == NULL || thrum_err_is(err, &THRUM_CANCELED));
    return err;
}

/* ------------------------------------------------------------------- a file */

enum { PART = 64 };

static int file; /* -1: none yet */

/* In a place of its own; what is not written stays zero. */
static thrum_err *write_and_read(struct task *t, struct step *s)
{
    char out[PART], in[PART] = {0}, none[PART] = {0};
    off_t at = number_of(s) * PART;
    struct attempt a;
    int64_t n;

    if (file < 0)
        file = memfd_create("fuzz", MFD_CLOEXEC);
    must(file >= 0);
    memset(out, 1 + (int)number_of(s), PART);
    a = attempt(t, s);
    n = attempted(a, thrum_pwrite(file, out, PART, at));
    must(n == PART || n == -ECANCELED ||
         (program.faults && (n == -EIO || n == -ENOSPC)));
    must(pread(file, in, PART, at) >= 0);
    must(memcmp(in, n == PART ? out : none, PART) == 0);
    if (n < 0)
        return n == -ECANCELED ? thrum_rc(n) : NULL;
    memset(in, 0, PART);
    a = attempt(t, s);
    n = attempted(a, thrum_pread(file, in, PART, at));
    must(n == PART || n == -ECANCELED || (program.faults && n == -EIO));
    must(memcmp(in, n == PART ? out : none, PART) == 0);
    return n == -ECANCELED ? thrum_rc(n) : NULL;
}

/* --------------------------------------------------------------------- once */

static struct {
    thrum_once once;
    bool making, made;
} onces[ONCES];

static bool told[ONCES];

static thrum_err *make_once(void *step)
{
    struct step *s = step;
    unsigned o = s->which % ONCES;
    thrum_err *err = NULL;

    must(!onces[o].making && !onces[o].made);
    onces[o].making = true;
    if (s->options & 1)
        err = thrum_rc(thrum_sleep(THRUM_US(10)));
    else
        thrum_yield();
    if (err == NULL && (s->options & 2))
        err = thrum_fail(&Broken, "not made");
    onces[o].making = false;
    onces[o].made = told[o] = err == NULL;
    return err;
}

static thrum_err *call_once(struct task *t, struct step *s)
{
    unsigned o = s->which % ONCES;
    bool made = onces[o].made;
    struct attempt a = attempt(t, s);
    thrum_err *err;

    a.must = false; /* it may be made */
    err = thrum_once_call(&onces[o].once, make_once, s);
    (void)attempted(a, ended_how(err) == CANCELED ? -ECANCELED : 0);
    must(err == NULL ? onces[o].made && told[o] : !made);
    must(ended_how(err) != FAILED || (s->options & 2));
    return err;
}

/* ---------------------------------------------------------------- pipelines */

enum { ITEMS = 8 };

struct flow {
    const struct step *s;
    unsigned begun, ended, at_once;
    bool failed;
};

static struct flow flows[STEPS_MAX];
static bool passed[STEPS_MAX][ITEMS];

static unsigned tokens_of(const struct flow *f)
{
    return 1 + 3 * (f->s->options >> 2 & 1);
}

static unsigned parallel_of(const struct flow *f)
{
    return 1 + (f->s->options & 1);
}

static thrum_err *begin_item(void *item, void *flow, bool *end)
{
    struct flow *f = flow;

    *end = f->begun == f->s->which;
    if (*end)
        return NULL;
    *(unsigned *)item = f->begun++;
    must(f->begun - f->ended <= tokens_of(f));
    return NULL;
}

static thrum_err *first_stage(void *item, void *flow)
{
    struct flow *f = flow;
    unsigned i = *(unsigned *)item;
    int rc;

    must(++f->at_once <= parallel_of(f));
    rc = thrum_sleep(THRUM_US(10) * ((i + 1) % 3));
    f->at_once--;
    if (rc == 0 && (f->s->options & 2) && i == 1) {
        f->failed = true;
        return thrum_fail(&Broken, "an item");
    }
    passed[number_of(f->s)][i] = true;
    return thrum_rc(rc);
}

static thrum_err *last_stage(void *item, void *flow)
{
    struct flow *f = flow;

    must(*(unsigned *)item == f->ended && passed[number_of(f->s)][f->ended]);
    f->ended++;
    return NULL;
}

static thrum_err *flow(struct task *t, struct step *s)
{
    struct flow *f = &flows[number_of(s)];
    thrum_stage stages[] = {{.fn = first_stage, .ctx = f},
                            {.fn = last_stage, .ctx = f, .in_order = true}};
    struct attempt a = attempt(t, s);
    thrum_err *err;

    *f = (struct flow){.s = s};
    stages[0].parallel = parallel_of(f);
    err = thrum_pipeline_run(&(thrum_pipeline){.source = begin_item,
                                               .ctx = f,
                                               .stages = stages,
                                               .n = 2,
                                               .item = sizeof(unsigned),
                                               .tokens = tokens_of(f)});
    a.must = a.must && s->which > 0;
    (void)attempted(a, ended_how(err) == CANCELED ? -ECANCELED : 0);
    must((ended_how(err) == FAILED) == f->failed);
    must(err != NULL || (f->ended == s->which && f->begun == s->which));
    return err;
}

/* ---------------------------------------------------------------- processes */

/* By the number of the step; a signal may come before it begins. */
static bool entered[STEPS_MAX], exited[STEPS_MAX];

static int enter(const thrum_sim_process *p)
{
    int step = atoi(p->argv[1]);

    must(!entered[step]);
    entered[step] = true;
    return step;
}

static int leave(thrum_sim_process *p)
{
    int step = enter(p), rc = thrum_sleep(THRUM_US(20));

    exited[step] = true;
    return rc < 0 ? rc : program.steps[step].which;
}

static int echo(thrum_sim_process *p)
{
    char some[64];
    int step = enter(p);
    int64_t n;

    while ((n = thrum_read(p->in, some, sizeof some)) > 0) {
        n = thrum_write_full(p->out, some, (size_t)n, NULL);
        if (n < 0)
            break;
    }
    exited[step] = true;
    return (int)n;
}

static int stay(thrum_sim_process *p)
{
    int step = enter(p), rc = thrum_sleep(INT64_MAX);

    exited[step] = true;
    return rc;
}

const thrum_sim_program things_programs[] = {{.name = "leave", .main = leave},
                                             {.name = "echo", .main = echo},
                                             {.name = "stay", .main = stay},
                                             {0}};

/* All comes back. */
static int64_t talk(struct step *s, thrum_process *p)
{
    char out[64], in[64];
    size_t size = 1 + s->which * (size_t)8, got = 0;
    int64_t rc;

    memset(out, 'a' + s->which, size);
    rc = thrum_write_full(p->in, out, size, NULL);
    must(thrum_close(p->in) == 0);
    p->in = -1;
    must(rc == 0 || rc == -ECANCELED);
    while (rc == 0 && got < size) {
        int64_t n = thrum_read(p->out, in + got, sizeof in - got);

        must(n > 0 || n == -ECANCELED);
        got += n > 0 ? (size_t)n : 0;
        rc = n > 0 ? 0 : n;
    }
    must(rc < 0 || memcmp(in, out, size) == 0);
    if (rc == 0)
        rc = thrum_read(p->out, in, 1);
    must(rc == 0 || rc == -ECANCELED);
    return rc;
}

static void check_status(const struct step *s, const thrum_process *p,
                         const thrum_err *err)
{
    int kind = s->options % 3, status = p->status;

    must(exited[number_of(s)] == entered[number_of(s)]);
    if (ended_how(err) == CANCELED)
        return;
    must(entered[number_of(s)] || kind == 2);
    must(err == NULL || thrum_err_is(err, &THRUM_EXIT));
    must(kind == 2 ? WIFSIGNALED(status) && WTERMSIG(status) == SIGINT
                   : WIFEXITED(status));
    must(kind == 2 || WEXITSTATUS(status) == (kind == 0 ? s->which : 0));
    must((err == NULL) == (status == 0));
}

static void close_pipes(thrum_process *p)
{
    if (p->in >= 0)
        must(thrum_close(p->in) == 0);
    if (p->out >= 0)
        must(thrum_close(p->out) == 0);
}

static thrum_err *process(struct task *t, struct step *s)
{
    int kind = s->options % 3, pipe = kind == 1 ? THRUM_PIPE : THRUM_INHERIT;
    char number[8],
        *argv[] = {(char *)things_programs[kind].name, number, NULL};
    struct attempt a = attempt(t, s);
    thrum_process p;
    thrum_err *err;
    int64_t rc;

    snprintf(number, sizeof number, "%u", number_of(s));
    rc = thrum_process_start(&p, argv, .in = pipe, .out = pipe);
    must(rc == 0 || rc == -ECANCELED ||
         (program.faults && (rc == -EAGAIN || rc == -ENOMEM)));
    rc = attempted(a, rc);
    if (rc != 0)
        return rc == -ECANCELED ? thrum_rc(rc) : NULL;
    a = attempt(t, s);
    a.must = false; /* it may have ended */
    if (kind == 1)
        (void)talk(s, &p);
    if (kind == 2)
        must(thrum_process_signal(&p, SIGINT) == 0);
    err = thrum_process_wait(&p);
    (void)attempted(a, ended_how(err) == CANCELED ? -ECANCELED : 0);
    close_pipes(&p);
    check_status(s, &p, err);
    if (ended_how(err) == CANCELED)
        return err;
    thrum_err_drop(err);
    return NULL;
}

/* -------------------------------------------------------- of the background */

static unsigned in_background;

/* Whatever becomes of who has spawned it. */
static thrum_err *run_behind(void *step)
{
    const struct step *s = step;
    int rc = thrum_sleep(s->which * THRUM_US(50));

    must(rc == 0 || deadlocked);
    must(thrum_canceled() == deadlocked);
    in_background--;
    return NULL;
}

static thrum_err *spawn_behind(struct step *s)
{
    in_background++;
    must(thrum_spawn(thrum_root(), run_behind, s, 0) == 0);
    return NULL;
}

/* -------------------------------------------------------------- all of them */

static thrum_err *do_call(struct task *t, struct step *s)
{
    switch ((unsigned)s->op) {
    case OP_OFFLOAD:
        if ((s->options & 6) == 4)
            return spawn_calls(t, s);
        return s->options & 2 ? write_and_read(t, s) : offload(t, s);
    case OP_ONCE:
        return call_once(t, s);
    case OP_FLOW:
        return flow(t, s);
    case OP_PROCESS:
        return process(t, s);
    default:
        return spawn_behind(s);
    }
}

static bool ends_by_itself(const struct step *s)
{
    (void)s;
    return false;
}

static void make(void)
{
    NOTED(onces);
    NOTED(in_background);
    NOTED(in_calls);
    NOTED(flows);
    NOTED(file);
    memset(onces, 0, sizeof onces);
    memset(told, 0, sizeof told);
    memset(passed, 0, sizeof passed);
    memset(entered, 0, sizeof entered);
    memset(exited, 0, sizeof exited);
    in_background = in_calls = 0;
    file = -1;
    thrum_sem_init(&one_call, 1);
}

static void end(void)
{
    while (in_background > 0)
        thrum_yield();
    must(file < 0 || thrum_close(file) == 0);
    must(in_calls == 0 && thrum_sem_try_acquire(&one_call));
}

const struct things calls = {make, end, do_call, ends_by_itself};
