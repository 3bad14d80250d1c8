#include "io/play.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <thrum/io.h>
#include <thrum/test.h>

#include "base/alloc.h"
#include "io/simulate.h"
#include "os/process.h"

enum { STREAMS = 3, SIGNALS = 64 };

/* One thread has all of it. */
struct thrum_played_ {
    thrum_sim_process shown; /* what the program is given */
    const thrum_sim_program *program;
    struct sched *sched;
    struct scope scope; /* `runs`: around all that it does */
    bool runs, ended;
    int signal; /* that it is to end by; 0: none */
    int status;
    int end; /* of its pipe */
    char *argv[];
};

/* ------------------------------------------------------------------ it runs */

/* As wait(2) has it. */
static int status_of(const struct thrum_played_ *p, int rc)
{
    if (rc >= 0 && p->signal != SIGKILL)
        return (rc & 255) << 8;
    if (p->signal != 0)
        return p->signal;
    return rc == -EPIPE ? SIGPIPE : SIGABRT;
}

static void close_all(struct thrum_played_ *p)
{
    const int fds[] = {p->shown.in, p->shown.out, p->shown.err};

    for (int i = 0; i < STREAMS; i++)
        if (fds[i] >= STREAMS)
            (void)thrum_close(fds[i]);
}

static thrum_err *call_main(void *arg)
{
    struct thrum_played_ *p = arg;

    p->status = status_of(p, p->program->main(&p->shown));
    return NULL;
}

/* A signal may have come before. */
static void run_main(struct thrum_played_ *p)
{
    scope_open(&p->scope, &(thrum_scope_opts){.name = p->program->name}, NULL);
    p->runs = true;
    p->status = status_of(p, -ECANCELED);
    if (p->signal == 0)
        thrum_err_drop(thrum_with(call_main, p));
    p->runs = false;
    thrum_err_drop(scope_close(&p->scope, NULL));
}

static thrum_err *play(void *arg)
{
    struct thrum_played_ *p = arg;
    int end = p->end;

    run_main(p);
    close_all(p);
    tsan_promise(p); /* to who reaps it */
    p->ended = true;
    (void)thrum_close(end); /* it may be reaped, and is gone */
    return NULL;
}

/* ----------------------------------------------------------------- starting */

static const thrum_sim_program *find(const char *name)
{
    const thrum_sim_program *p = worker_current()->worker->sched->sim->programs;

    while (p->name != NULL && strcmp(p->name, name) != 0)
        p++;
    return p->name == NULL ? NULL : p;
}

static struct thrum_played_ *make(char *const *argv)
{
    struct thrum_played_ *p;
    size_t count = 0, bytes = 0;
    char *text;

    for (; argv[count] != NULL; count++)
        bytes += strlen(argv[count]) + 1;
    p = alloc(sizeof *p + (count + 1) * sizeof *argv + bytes);
    if (p == NULL)
        return NULL;
    text = (char *)&p->argv[count + 1];
    for (size_t i = 0; i < count; i++) {
        p->argv[i] = text;
        text = stpcpy(text, argv[i]) + 1;
    }
    p->argv[count] = NULL;
    return p;
}

/* Its own of all that it is given. */
static int copy_streams(struct thrum_played_ *p, const int fds[STREAMS])
{
    int *own[] = {&p->shown.in, &p->shown.out, &p->shown.err};

    for (int i = 0; i < STREAMS; i++) {
        *own[i] = i;
        if (fds[i] < 0)
            continue;
        *own[i] = process_dup(fds[i]);
        if (*own[i] < 0)
            return *own[i];
        fd_fresh(*own[i]);
    }
    return 0;
}

static int start(struct thrum_played_ *p, const int fds[STREAMS], int *end)
{
    int rc = copy_streams(p, fds), ends[2];

    if (rc == 0)
        rc = process_pipe(ends);
    if (rc == 0) {
        fd_fresh(ends[0]);
        p->end = ends[1];
        *end = ends[0];
        rc = thrum_spawn(thrum_root(), play, p, 0);
        if (rc < 0) {
            (void)close(ends[0]);
            (void)close(ends[1]);
        }
    }
    if (rc < 0)
        close_all(p);
    return rc;
}

int play_start(struct thrum_played_ **made, char *const *argv,
               const int fds[STREAMS], int *end)
{
    struct sched *sched = worker_current()->worker->sched;
    const thrum_sim_program *program;
    struct thrum_played_ *p;
    int rc = simulate_call(SIMULATE_PROCESS);

    if (rc < 0)
        return rc;
    if (sched->sim->programs == NULL)
        return -ENOSYS;
    program = find(argv[0]);
    if (program == NULL)
        return -ENOENT;
    p = make(argv);
    if (p == NULL)
        return -ENOMEM;
    p->program = program;
    p->sched = sched;
    p->shown = (thrum_sim_process){
        .argv = p->argv, .in = -1, .out = -1, .err = -1, .user = program->user};
    p->runs = p->ended = false;
    p->signal = p->status = 0;
    rc = start(p, fds, end);
    if (rc < 0)
        release(p);
    else
        *made = p;
    return rc;
}

/* ------------------------------------------------------------------ signals */

/* Below it nothing is shielded any more. */
static void reach_shielded(struct stack *stack, void *arg)
{
    struct thrum_played_ *p = arg;
    struct scope *s = scope_on(stack), *up = s;

    while (up != NULL && up != &p->scope)
        up = up->parent;
    for (; up != NULL && s != up; s = s->parent)
        if (s->shield)
            scope_cancel(s, NULL);
}

static bool is_ignored(int signal)
{
    return signal == 0 || signal == SIGCHLD || signal == SIGURG ||
           signal == SIGWINCH || signal == SIGCONT || signal == SIGSTOP ||
           signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

int play_signal(struct thrum_played_ *p, int signal)
{
    if (signal < 0 || signal > SIGNALS)
        return -EINVAL;
    if (p->ended || is_ignored(signal))
        return 0;
    if (p->signal != SIGKILL)
        p->signal = signal;
    if (p->runs)
        scope_cancel(&p->scope, "a signal");
    if (p->runs && signal == SIGKILL)
        stack_pool_each(&p->sched->pool, reach_shielded, p);
    return 0;
}

/* ------------------------------------------------------------------ its end */

int play_has_ended(const struct thrum_played_ *p)
{
    return p->ended;
}

int play_reap(struct thrum_played_ *p, int *status)
{
    if (!p->ended)
        return -EAGAIN;
    tsan_rely(p);
    *status = p->status;
    release(p);
    return 0;
}
