/* A service at a Unix socket: who dials says which step does, and who accepts answers
 * that. Either may be canceled on the way; the other one is told then. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "things.h"

static struct {
    int listener; /* -1: not yet, or closed */
    bool closed;
    unsigned connected, accepted, asking;
} service;

/* Of each step that dials, or accepts. */
static struct {
    bool asked, waits, answered;
    bool accepts; /* and has nobody yet */
} calls_of[STEPS_MAX];

static char name[32];

/* The other end has gone, or the call was made to fail. */
static bool is_broken(int64_t rc)
{
    return rc == -ENODATA || rc == -EPIPE || rc == -ECONNRESET ||
           (program.faults && rc == -ETIMEDOUT);
}

static int64_t tell(struct task *t, struct step *s, int fd, unsigned number)
{
    struct attempt a = attempt(t, s);
    size_t done;
    int64_t rc;

    rc = attempted(a, thrum_write_full(fd, &number, sizeof number, &done));
    must(rc == 0 || rc == -ECANCELED || is_broken(rc));
    must(rc == 0 ? done == sizeof number : done < sizeof number);
    return rc;
}

static int64_t hear(struct task *t, struct step *s, int fd, unsigned *number)
{
    struct attempt a = attempt(t, s);
    size_t done;
    int64_t rc = attempted(a,
                           thrum_read_full(fd, number, sizeof *number, &done));

    must(rc == 0 || rc == -ECANCELED || is_broken(rc));
    must(rc == 0 ? done == sizeof *number : done < sizeof *number);
    must(rc != 0 ||
         (*number < (unsigned)program.step_count && calls_of[*number].asked));
    return rc;
}

/* Its answer is its own number; none comes if who accepted it was canceled, or nobody
 * did. */
static thrum_err *dial(struct task *t, struct step *s)
{
    unsigned me = number_of(s), answer = STEPS_MAX;
    bool gone = service.closed;
    struct attempt a = attempt(t, s);
    int fd = (int)attempted(a, thrum_dial_unix(name));
    int64_t rc = fd;

    must(fd < 0 || !gone);
    must(fd >= 0 || fd == -ECANCELED ||
         (fd == -ECONNREFUSED && (service.closed || program.faults)) ||
         (program.faults && (fd == -ETIMEDOUT || fd == -EHOSTUNREACH ||
                             fd == -EMFILE || fd == -ENFILE)));
    if (fd >= 0) {
        service.connected++;
        calls_of[me].asked = true;
        rc = tell(t, s, fd, me);
    }
    if (rc == 0) {
        service.asking++;
        calls_of[me].waits = true;
        rc = hear(t, s, fd, &answer);
        calls_of[me].waits = false;
        service.asking--;
        must(rc != 0 || (answer == me && calls_of[me].answered));
    }
    if (fd >= 0)
        must(thrum_close(fd) == 0);
    return rc == -ECANCELED ? thrum_rc(rc) : NULL;
}

static thrum_err *serve(struct task *t, struct step *s)
{
    unsigned number = 0;
    struct attempt a;
    int64_t rc;
    int fd;

    if (service.closed)
        return NULL;
    a = attempt(t, s);
    calls_of[number_of(s)].accepts = true;
    fd = (int)attempted(a, thrum_accept(service.listener, NULL, NULL));
    calls_of[number_of(s)].accepts = false;
    must(fd >= 0 || fd == -ECANCELED || (fd == -EBADF && service.closed) ||
         (program.faults && (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)));
    if (fd < 0)
        return fd == -ECANCELED ? thrum_rc(fd) : NULL;
    service.accepted++;
    rc = hear(t, s, fd, &number);
    if (rc == 0) {
        must(!calls_of[number].answered);
        calls_of[number].answered = true;
        rc = tell(t, s, fd, number);
    }
    must(thrum_close(fd) == 0);
    return rc == -ECANCELED ? thrum_rc(rc) : NULL;
}

static thrum_err *close_service(void)
{
    if (!service.closed) {
        service.closed = true;
        must(thrum_close(service.listener) == 0);
    }
    return NULL;
}

static thrum_err *do_step(struct task *t, struct step *s)
{
    if (service.listener < 0) {
        service.listener = thrum_listen_unix(name);
        must(service.listener >= 0);
    }
    if (s->which == 7)
        return close_service();
    return s->op == OP_DIAL ? dial(t, s) : serve(t, s);
}

/* Who waits to be answered was not accepted. */
static bool is_right(const struct step *s)
{
    unsigned left = service.connected - service.accepted;

    if (service.closed)
        return false;
    if (s->op == OP_ACCEPT)
        return calls_of[number_of(s)].accepts && left == 0;
    return calls_of[number_of(s)].waits && !calls_of[number_of(s)].answered &&
           service.asking <= left;
}

static void make(void)
{
    NOTED(service);
    NOTED(calls_of);
    memset(&service, 0, sizeof service);
    memset(calls_of, 0, sizeof calls_of);
    service.listener = -1;
    snprintf(name, sizeof name, "@thrum-fuzz-%d", (int)getpid());
}

static void end(void)
{
    must(service.asking == 0);
    if (service.listener >= 0 && !service.closed)
        must(thrum_close(service.listener) == 0);
}

const struct things services = {make, end, do_step, is_right};
