/* Other programs. One is waited for by a descriptor that the kernel gives for it
 * (pidfd), like any other; without, by a look now and then. */
#include <thrum/process.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thrum/io.h>
#include <thrum/offload.h>

#include "base/base.h"
#include "io/play.h"
#include "io/simulate.h"
#include "os/process.h"
#include "task/scope.h"

enum { STREAMS = 3 };

#define GRACE   THRUM_SEC(1)
#define LOOK_NS THRUM_MS(5)

const thrum_kind THRUM_EXIT = {
    .name = "THRUM_EXIT", .parent = &THRUM_ERROR, .code = 0};

/* ----------------------------------------------------------------- starting */

/* Its ends of the streams, -1 for none, and whether they are to be closed. */
struct streams {
    int fds[STREAMS];
    bool ours[STREAMS]; /* made here */
};

/* What stream i is to be. `other`: our end of a pipe. */
static int open_stream(struct streams *s, int i, int wish, int *other)
{
    int ends[2], rc = 0;

    if (wish == THRUM_INHERIT)
        return 0;
    if (wish == THRUM_PIPE) {
        rc = process_pipe(ends);
        if (rc < 0)
            return rc;
        s->fds[i] = ends[i != STDIN_FILENO];
        *other = ends[i == STDIN_FILENO];
        fd_fresh(*other);
    } else if (wish == THRUM_TO_OUT) {
        rc = process_dup(s->fds[STDOUT_FILENO] >= 0 ? s->fds[STDOUT_FILENO]
                                                    : STDOUT_FILENO);
        s->fds[i] = rc;
    } else {
        rc = wish == THRUM_NULL ? process_null() : process_dup(wish);
        s->fds[i] = rc;
    }
    s->ours[i] = rc >= 0;
    return rc < 0 ? rc : 0;
}

static int open_streams(struct streams *s, thrum_process *p,
                        const thrum_process_opts *o)
{
    int rc = open_stream(s, STDIN_FILENO, o->in, &p->in);

    if (rc == 0)
        rc = open_stream(s, STDOUT_FILENO, o->out, &p->out);
    if (rc == 0)
        rc = open_stream(s, STDERR_FILENO, o->err, &p->err);
    return rc;
}

static void close_streams(struct streams *s)
{
    for (int i = 0; i < STREAMS; i++)
        if (s->ours[i])
            (void)close(s->fds[i]);
}

static void close_ours(thrum_process *p)
{
    int *all[] = {&p->in, &p->out, &p->err};

    for (int i = 0; i < STREAMS; i++)
        if (*all[i] >= 0) {
            (void)close(*all[i]); /* nobody has used it yet */
            *all[i] = -1;
        }
}

struct start {
    struct process_how how;
    pid_t pid;
};

/* In the pool: the kernel suspends the thread until the program runs. */
static thrum_err *spawn(void *arg)
{
    struct start *s = arg;

    return thrum_rc(process_spawn(&s->pid, &s->how));
}

static int number_of(thrum_err *e)
{
    int rc = -thrum_err_errno(e);

    thrum_err_drop(e);
    return rc;
}

/* A number that no process has, and kill(2) refuses: the kernel's end before. */
#define PLAYED_PID (1 << 22)

static int start_played(thrum_process *p, struct start *s)
{
    int rc = play_start(&p->played_, s->how.argv, s->how.fds, &p->fd_);

    if (rc == 0)
        p->pid = PLAYED_PID + p->fd_;
    return rc;
}

static int start(thrum_process *p, struct start *s)
{
    int rc;

    if (simulated())
        return start_played(p, s);
    rc = number_of(thrum_offload(spawn, s));
    if (rc < 0)
        return rc;
    p->pid = s->pid;
    p->fd_ = process_fd(s->pid); /* or it is looked at now and then */
    if (p->fd_ >= 0)
        fd_fresh(p->fd_);
    return 0;
}

int thrum_process_start_(thrum_process *p, char *const *argv,
                         const thrum_process_opts *o)
{
    struct streams s = {.fds = {-1, -1, -1}};
    struct start begin = {.how = {.argv = argv, .env = o->env, .dir = o->dir}};
    int rc;

    REQUIRE(p != NULL && argv != NULL && argv[0] != NULL,
            "no process, or no program");
    REQUIRE(o->in >= THRUM_NULL && o->out >= THRUM_NULL &&
                o->err >= THRUM_TO_OUT,
            "no such stream");
    *p = (thrum_process){.in = -1,
                         .out = -1,
                         .err = -1,
                         .fd_ = -1,
                         .grace_ = o->grace != 0 ? o->grace : GRACE,
                         .name_ = argv[0],
                         .where_ = o->where};
    rc = open_streams(&s, p, o);
    if (rc == 0) {
        memcpy(begin.how.fds, s.fds, sizeof s.fds);
        rc = start(p, &begin);
    }
    close_streams(&s);
    if (rc < 0)
        close_ours(p);
    return rc;
}

/* ---------------------------------------------- one that runs, or is played */

static int tell(thrum_process *p, int signal)
{
    return p->played_ != NULL ? play_signal(p->played_, signal)
                              : process_signal(p->pid, signal);
}

static int has_ended(thrum_process *p)
{
    return p->played_ != NULL ? play_has_ended(p->played_)
                              : process_has_ended(p->pid);
}

static int reap(thrum_process *p)
{
    return p->played_ != NULL ? play_reap(p->played_, &p->status)
                              : process_reap(p->pid, &p->status);
}

/* ------------------------------------------------------------------ waiting */

/* Without a descriptor for it, or what is needed to wait for one: look now and
 * then. */
static int look_for_end(thrum_process *p)
{
    int rc;

    while ((rc = has_ended(p)) == 0) {
        rc = thrum_sleep(LOOK_NS);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* 0, or -ECANCELED; it is not reaped. */
static int wait_for_end(thrum_process *p)
{
    int rc = p->fd_ >= 0 ? thrum_wait_fd(p->fd_, POLLIN) : -ENOSYS;

    if (rc < 0 && rc != -ECANCELED)
        rc = look_for_end(p);
    return rc == -ECANCELED ? rc : 0;
}

/* The caller's cancel does not reach these. */
static bool ends_within(thrum_process *p, thrum_time grace)
{
    struct scope s;
    int rc;

    scope_open(&s,
               &(thrum_scope_opts){.name = p->name_,
                                   .where = p->where_,
                                   .shield = true,
                                   .timeout = grace},
               NULL);
    rc = wait_for_end(p);
    thrum_err_drop(scope_close(&s, NULL));
    return rc == 0;
}

static void make_end(thrum_process *p)
{
    if (p->grace_ > 0) {
        (void)tell(p, SIGTERM);
        if (ends_within(p, p->grace_))
            return;
    }
    (void)tell(p, SIGKILL);
    (void)ends_within(p, 0);
}

static thrum_err *how_it_ended(thrum_process *p)
{
    int status = p->status;

    if (WIFSIGNALED(status))
        return thrum_fail_(p->where_, &THRUM_EXIT, "%s was ended by signal %d",
                           p->name_, WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return thrum_fail_(p->where_, &THRUM_EXIT, "%s exited with status %d",
                           p->name_, WEXITSTATUS(status));
    return NULL;
}

thrum_err *thrum_process_wait(thrum_process *p)
{
    bool canceled;
    int rc;

    REQUIRE(p != NULL && p->pid > 0, "no process, or it was waited for");
    canceled = wait_for_end(p) == -ECANCELED;
    rc = reap(p);
    if (rc == -EAGAIN) {
        make_end(p);
        rc = reap(p);
    } else {
        canceled = false; /* it had ended by itself */
    }
    if (p->fd_ >= 0)
        (void)thrum_close(p->fd_);
    p->fd_ = -1;
    p->pid = 0;
    if (rc < 0) { /* somebody else has reaped it */
        p->status = -1;
        return thrum_rc(rc);
    }
    return canceled ? thrum_rc(-ECANCELED) : how_it_ended(p);
}

int thrum_process_signal(thrum_process *p, int signal)
{
    int rc;

    REQUIRE(p != NULL && p->pid > 0, "no process, or it was waited for");
    rc = tell(p, signal);
    return rc == -ESRCH ? 0 : rc;
}
