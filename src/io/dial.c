/* Connections by name: looking it up, and trying its addresses at once (RFC 8305).
 *
 * The attempts start one after the other, the next when one has failed
 * or after DELAY; the first to be connected wins, and ends the others. */

#include <thrum/io.h>
#include <thrum/offload.h>
#include <thrum/task.h>

#include <errno.h>
#include <string.h>

#include "io/fd.h"
#include "io/simulate.h"
#include "os/forked.h"
#include "os/net.h"

#define DELAY THRUM_MS(250)

enum { ADDRESSES = 16, LOOKUPS = 32 };

/* --------------------------------------------------------------- looking up */

/* With copies: who waits may leave while a resolver does not answer. */
struct lookup {
    char host[NI_MAXHOST], port[NI_MAXSERV];
    bool any; /* no host */
    bool passive;
    struct addrinfo *list;
    int rc;
};

/* So that those who wait for a resolver leave some threads to others. */
static struct permits at_once = {.left = LOOKUPS};

/* In the child of a fork, where none is under way. */
static void forget(void)
{
    permits_init(&at_once, LOOKUPS);
}

FORGET_IN_CHILD(forget)

static thrum_err *look_up(void *arg)
{
    struct lookup *l = arg;

    l->rc = net_lookup(l->any ? NULL : l->host, l->port, false, l->passive,
                       &l->list);
    return NULL;
}

static void drop(void *arg)
{
    struct lookup *l = arg;

    if (l->rc == 0)
        net_lookup_free(l->list);
}

static int look_up_elsewhere(const char *host, const char *port, bool passive,
                             struct addrinfo **list)
{
    struct lookup l = {.any = host == NULL, .passive = passive};
    thrum_err *e;

    if (host != NULL && strlen(host) >= sizeof l.host)
        return -ENOENT;
    if (strlen(port) >= sizeof l.port)
        return -EINVAL;
    strcpy(l.host, host == NULL ? "" : host);
    strcpy(l.port, port);
    e = thrum_offload_ex(look_up, &l, .name = "a name lookup", .size = sizeof l,
                         .drop = drop,
                         .sem = (struct thrum_sem *)(void *)&at_once);
    if (e != NULL) {
        l.rc = -thrum_err_errno(e);
        thrum_err_drop(e);
    }
    *list = l.list;
    return l.rc;
}

/* Numbers need nobody to be asked. */
static int find(const char *host, const char *port, bool passive,
                struct addrinfo **list)
{
    if (thrum_canceled())
        return -ECANCELED;
    if (net_lookup(host, port, true, passive, list) == 0)
        return 0;
    if (simulated())
        return simulate_lookup(host, port, passive, list);
    return look_up_elsewhere(host, port, passive, list);
}

/* --------------------------------------------------------------- attempting */

struct dial;

struct attempt {
    struct dial *dial;
    const struct addrinfo *to;
};

struct dial {
    struct spin lock;
    int fd;    /* lock: the winner, or -1 */
    int error; /* lock: of the first that failed */
    struct permits
        failures; /* one for each that has failed: to start another */
    unsigned count;
    struct attempt attempts[ADDRESSES];
};

/* One address family after the other takes turns, the first one's first. */
static void sort(struct dial *d, const struct addrinfo *list)
{
    const struct addrinfo *own = list, *other = list;
    int first = list->ai_family;

    while (d->count < ADDRESSES && (own != NULL || other != NULL)) {
        const struct addrinfo **turn = d->count % 2 == 0 ? &own : &other;

        while (own != NULL && own->ai_family != first)
            own = own->ai_next;
        while (other != NULL && other->ai_family == first)
            other = other->ai_next;
        if (*turn == NULL)
            turn = turn == &own ? &other : &own;
        if (*turn == NULL)
            break;
        d->attempts[d->count++] = (struct attempt){d, *turn};
        *turn = (*turn)->ai_next;
    }
}

static int connect_to(const struct addrinfo *to)
{
    int fd, rc = simulated() ? simulate_call(SIMULATE_OPEN) : 0;

    if (rc < 0)
        return rc;
    fd = net_socket(to->ai_family);
    if (fd < 0)
        return fd;
    fd_fresh(fd);
    rc = thrum_connect(fd, to->ai_addr, to->ai_addrlen);
    if (rc < 0)
        (void)thrum_close(fd);
    return rc < 0 ? rc : fd;
}

/* False: another one was faster. */
static bool win(struct dial *d, int fd)
{
    bool first;

    spin_lock(&d->lock);
    first = d->fd < 0;
    if (first)
        d->fd = fd;
    spin_unlock(&d->lock);
    return first;
}

static void note_failure(struct dial *d, int error)
{
    spin_lock(&d->lock);
    if (d->error == 0)
        d->error = error;
    spin_unlock(&d->lock);
    permits_give(&d->failures);
}

static thrum_err *try_address(void *arg)
{
    struct attempt *a = arg;
    int fd = connect_to(a->to);

    if (fd < 0) {
        note_failure(a->dial, fd);
        return thrum_rc(fd);
    }
    if (!win(a->dial, fd))
        (void)thrum_close(fd);
    return NULL;
}

/* Until one has failed, or has already and was not waited for; or for so long. */
static void wait_for_failure(struct dial *d)
{
    thrum_scope s;

    thrum_scope_open(&s, .timeout = DELAY);
    (void)permits_take(&d->failures, scope_current(),
                       AWAITED_OUTSIDE("a connection"));
    thrum_err_drop(thrum_scope_close(&s, NULL));
}

static void race(struct dial *d)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "dial", .policy = THRUM_ANY);
    for (unsigned i = 0; i < d->count && !thrum_canceled(); i++) {
        int rc = thrum_spawn(&s, try_address, &d->attempts[i], 0);

        if (rc < 0)
            note_failure(d, rc);
        if (i + 1 < d->count)
            wait_for_failure(d);
    }
    thrum_err_drop(thrum_scope_close(&s, NULL));
}

/* A thread that is no worker has no tasks to do so at once. */
static void try_in_turn(struct dial *d)
{
    for (unsigned i = 0; i < d->count && d->fd < 0 && !thrum_canceled(); i++)
        thrum_err_drop(try_address(&d->attempts[i]));
}

int thrum_dial(const char *host, const char *port)
{
    struct addrinfo *list;
    struct dial d = {.fd = -1};
    int rc;

    REQUIRE(port != NULL, "no port");
    rc = find(host, port, false, &list);
    if (rc < 0)
        return rc;
    sort(&d, list);
    if (d.count == 1 || worker_current() == NULL)
        try_in_turn(&d);
    else
        race(&d);
    net_lookup_free(list);
    if (d.fd >= 0)
        return d.fd;
    return thrum_canceled() ? -ECANCELED : d.error;
}

/* Who listens will wait, and those who connect may then have all descriptors: what
 * the runtime needs to wait is opened before. */
static int listening(int fd)
{
    struct poller *p;
    int rc = 0;

    if (fd < 0)
        return fd;
    fd_fresh(fd);
    if (worker_current() != NULL && !simulated())
        rc = fd_poller(&p);
    if (rc < 0)
        (void)thrum_close(fd);
    return rc < 0 ? rc : fd;
}

int thrum_listen(const char *host, const char *port)
{
    struct addrinfo *list;
    int rc;

    REQUIRE(port != NULL, "no port");
    rc = find(host, port, true, &list);
    if (rc < 0)
        return rc;
    rc = -EADDRNOTAVAIL;
    for (struct addrinfo *a = list; a != NULL && rc < 0; a = a->ai_next)
        rc = simulated() ? simulate_listen(a->ai_addr, a->ai_addrlen)
                         : net_listen(a->ai_family, a->ai_addr, a->ai_addrlen);
    net_lookup_free(list);
    return listening(rc);
}

/* ------------------------------------------------------------- Unix sockets */

int thrum_dial_unix(const char *path)
{
    struct sockaddr_storage addr;
    struct addrinfo to = {.ai_family = AF_UNIX,
                          .ai_addr = (struct sockaddr *)&addr};
    int rc;

    REQUIRE(path != NULL, "no path");
    rc = net_unix_address(path, &addr, &to.ai_addrlen);
    return rc < 0 ? rc : connect_to(&to);
}

int thrum_listen_unix(const char *path)
{
    struct sockaddr_storage addr;
    socklen_t size;
    int rc;

    REQUIRE(path != NULL, "no path");
    rc = net_unix_address(path, &addr, &size);
    if (rc == 0)
        rc = net_listen(AF_UNIX, (struct sockaddr *)&addr, size);
    return listening(rc);
}
