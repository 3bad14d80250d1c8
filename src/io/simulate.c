#include "io/simulate.h"

#include <errno.h>
#include <limits.h>
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

/* ----------------------------------------------------------------------- fate */

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

/* --------------------------------------------------------------------- shares */

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

/* ---------------------------------------------------------------------- calls */

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

/* The other end did not just close it. */
static bool is_reset(const struct call *c, unsigned what, ssize_t rc)
{
    return (rc == -EPIPE || (rc == 0 && what == POLL_READ)) &&
           loopback_was_reset(c->fd);
}

/* It does not go on, for this end or the other. */
static void break_off(int fd)
{
    loopback_reset(fd);
    transfer_break(fd);
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
    rc = failed == 0 ? try_now(c, try, kind, what) : failed;
    if (kind == TRANSFER_STREAM && c->kind != CALL_ACCEPT &&
        c->kind != CALL_WAIT) {
        if (failed != 0 && failed != -ECANCELED)
            break_off(c->fd);
        else if (is_reset(c, what, rc))
            rc = -ECONNRESET;
    }
    sched_point(POINT_CALL);
    return rc;
}

int simulate_connect(int fd, const struct sockaddr *addr, socklen_t size)
{
    int rc = meet_fate(of_connect), listener;

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

void simulate_close(int fd)
{
    if (loopback_closes_by_reset(fd))
        loopback_reset(fd);
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
