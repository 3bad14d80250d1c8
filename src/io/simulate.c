#include "io/simulate.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "await/simulate.h"
#include "os/loopback.h"
#include "os/net.h"
#include "os/transfer.h"

static struct sched *here(void)
{
    return worker_current()->worker->sched;
}

bool simulate_is_on(void)
{
    return worker_current() != NULL && here()->sim != NULL;
}

/* --------------------------------------------------------------------- fate */

static const int of_none[] = {0}, of_wait[] = {-ENOMEM, -ENOSPC, 0},
                 of_read[] = {-ECONNRESET, -ETIMEDOUT, 0},
                 of_write[] = {-EPIPE, -ECONNRESET, 0},
                 of_send[] = {-ENOBUFS, 0},
                 of_accept[] = {-EMFILE, -ENFILE, -ENOMEM, 0},
                 of_connect[] = {-ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, 0},
                 of_opening[] = {-EMFILE, -ENFILE, 0}, of_file[] = {-EIO, 0},
                 of_file_write[] = {-EIO, -ENOSPC, 0},
                 of_process[] = {-EAGAIN, -ENOMEM, 0},
                 of_lookup[] = {-EAGAIN, -ENOENT, 0};

/* 0, -ECANCELED, or what is to be its result. */
static int meet_fate(const int *errors)
{
    struct sched_fate fate;

    if (scope_canceled(scope_current()))
        return -ECANCELED;
    fate = here()->sim->fate(here()->sim, errors);
    if (fate.takes > 0 &&
        !nap_simulate(fate.takes, AWAITED_OUTSIDE("the kernel")))
        return -ECANCELED;
    return fate.error;
}

static const int *faults_of(const struct call *c, enum transfer_kind kind,
                            unsigned what)
{
    if (c->kind == CALL_ACCEPT)
        return of_accept;
    if (c->kind == CALL_WAIT)
        return of_wait;
    if (kind == TRANSFER_STREAM)
        return what == POLL_READ ? of_read : of_write;
    return kind == TRANSFER_MESSAGES && what == POLL_WRITE ? of_send : of_none;
}

/* ------------------------------------------------------------------- shares */

static size_t share_of(size_t n, enum transfer_kind kind, unsigned what)
{
    if (n < 2 || kind == TRANSFER_MESSAGES || kind == TRANSFER_OTHER ||
        (kind == TRANSFER_PIPE && what == POLL_WRITE && n <= PIPE_BUF))
        return n;
    return here()->sim->share(here()->sim, n);
}

static ssize_t try_some(struct call *c, attempt *try, enum transfer_kind kind,
                        unsigned what)
{
    size_t n = c->u.some.n;
    ssize_t rc;

    c->u.some.n = share_of(n, kind, what);
    rc = try(c);
    c->u.some.n = n;
    return rc;
}

/* A share of them is one of the first place that has any. */
static ssize_t try_vector(struct call *c, attempt *try, enum transfer_kind kind,
                          unsigned what)
{
    const struct iovec *v = c->u.vector.v;
    int count = c->u.vector.count;
    struct iovec one = {0};
    size_t n = 0, share;
    ssize_t rc;

    for (int i = 0; i < count; i++) {
        if (one.iov_len == 0)
            one = v[i];
        n += v[i].iov_len;
    }
    share = share_of(n, kind, what);
    if (share == n)
        return try(c);
    if (one.iov_len > share)
        one.iov_len = share;
    c->u.vector.v = &one;
    c->u.vector.count = 1;
    rc = try(c);
    c->u.vector.v = v;
    c->u.vector.count = count;
    return rc;
}

/* -------------------------------------------------------------------- calls */

static ssize_t try_now(struct call *c, attempt *try, enum transfer_kind kind,
                       unsigned what)
{
    switch (c->kind) {
    case CALL_SOME:
        return try_some(c, try, kind, what);
    case CALL_VECTOR:
        return try_vector(c, try, kind, what);
    case CALL_ACCEPT:
        return loopback_accept(c->fd, c->u.accept.addr, c->u.accept.size);
    case CALL_MESSAGE:
    case CALL_WAIT:
        break;
    }
    return try(c);
}

static size_t length_of(const struct call *c)
{
    const struct iovec *v = c->u.vector.v;
    size_t count = (size_t)c->u.vector.count, n = 0;

    if (c->kind == CALL_SOME)
        return c->u.some.n;
    if (c->kind == CALL_MESSAGE) {
        v = c->u.message.m->msg_iov;
        count = c->u.message.m->msg_iovlen;
    }
    for (size_t i = 0; i < count; i++)
        n += v[i].iov_len;
    return n;
}

/* What has ended does not fail; where no more comes a reset is no news to who reads. */
static int fails_as(int fd, unsigned what, int failed)
{
    int ended = loopback_is_end(fd) ? transfer_poll(fd, POLLRDHUP) : 0;

    if ((ended & POLLHUP) || (ended > 0 && what == POLL_READ))
        return 0;
    if (ended > 0)
        return -EPIPE;
    return failed == -EPIPE && loopback_is_end(fd) ? -ECONNRESET : failed;
}

static ssize_t try_stream(struct call *c, attempt *try, unsigned what,
                          int failed)
{
    size_t n = length_of(c);
    ssize_t rc;

    if (failed == -ECANCELED)
        return failed;
    if (failed != 0)
        failed = fails_as(c->fd, what, failed);
    if (failed != 0) {
        loopback_break(c->fd);
        return failed;
    }
    rc = try_now(c, try, TRANSFER_STREAM, what);
    if (what == POLL_WRITE ? rc == -EPIPE
                           : (rc == 0 && n > 0) || rc == -ECONNRESET)
        return loopback_ended(c->fd, rc, n);
    return rc;
}

static ssize_t try_other(struct call *c, attempt *try, enum transfer_kind kind,
                         unsigned what, int failed)
{
    ssize_t rc = failed == 0 ? try_now(c, try, kind, what) : failed;

    return c->kind == CALL_WAIT && rc > 0 ? loopback_polled(c->fd, (int)rc)
                                          : rc;
}

/* The number may be another file's by then. */
static bool was_closed_since(struct call *c)
{
    uint32_t closes = c->seen.closes;

    c->seen = fd_see(c->f);
    return c->seen.closes != closes;
}

ssize_t simulate_try(struct call *c, attempt *try, unsigned what)
{
    enum transfer_kind kind = transfer_kind_of(c->fd);
    int failed = meet_fate(faults_of(c, kind, what));
    ssize_t rc;

    if (was_closed_since(c))
        return -EBADF;
    rc = kind == TRANSFER_STREAM && c->kind != CALL_ACCEPT &&
                 c->kind != CALL_WAIT
             ? try_stream(c, try, what, failed)
             : try_other(c, try, kind, what, failed);
    sched_point(POINT_CALL);
    return rc;
}

int simulate_connect(int fd, const struct sockaddr *addr, socklen_t size)
{
    uint32_t closes = fd_closes(fd);
    int rc = meet_fate(of_connect), listener;

    if (fd_closes(fd) != closes)
        return -EBADF;
    if (rc < 0)
        return rc;
    if (!loopback_is_for(fd, addr, size))
        return transfer_connect(fd, addr, size);
    rc = loopback_connect(here(), fd, addr, &listener);
    if (listener >= 0)
        fd_fresh(listener);
    if (rc == 0)
        fd_fresh(fd);
    sched_point(POINT_CALL);
    return rc;
}

int simulate_listen(const struct sockaddr *addr, socklen_t size)
{
    int rc = meet_fate(of_opening);

    return rc < 0 ? rc : loopback_listen(here(), addr, size);
}

int simulate_call(enum simulated_call call)
{
    static const int *const errors[] = {of_opening, of_file, of_file_write,
                                        of_process};

    return meet_fate(errors[call]);
}

/* Numbers may have colons; localhost is known everywhere. */
static bool is_name(const char *host)
{
    return host != NULL && strcmp(host, "localhost") != 0 &&
           strchr(host, ':') == NULL &&
           host[strspn(host, "0123456789.")] != '\0';
}

int simulate_lookup(const char *host, const char *port, bool passive,
                    struct addrinfo **list)
{
    int rc = meet_fate(of_lookup);
    uint32_t hash = 2166136261;
    char number[16];

    if (rc < 0)
        return rc;
    if (!is_name(host))
        return net_lookup(host, port, false, passive, list);
    for (const char *c = host; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619;
    snprintf(number, sizeof number, "127.%u.%u.%u", 1 + (hash >> 24) % 254,
             hash >> 16 & 255, 1 + (hash & 0xffff) % 254);
    return net_lookup(number, port, false, passive, list);
}
