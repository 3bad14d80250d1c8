#include "os/loopback.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/atomic.h"
#include "os/lock.h"
#include "os/net.h"
#include "os/transfer.h"

enum {
    BLOCK = 256,
    GAP = 1024, /* so many numbers in a row are not open: none above is */
    FIRST_PORT = 32768,
    NOTES = 1024
};

/* An address, with no other bytes in it. */
struct place {
    uint16_t family, port;
    uint8_t ip[sizeof(struct in6_addr)];
};

/* What stands in the name of a Unix socket; it begins with a zero. */
struct name {
    char magic[8];
    const void *net;
    pid_t pid;
    uint32_t client; /* 0; of who connects, so that no two are alike */
    struct place place;
};

static const char magic[8] = {'\0', 't', 'h', 'r', 'u', 'm'};

/* ---------------------------------------------------------------- addresses */

static bool is_internet(int family)
{
    return family == AF_INET || family == AF_INET6;
}

static struct place place_of(const struct sockaddr *addr)
{
    struct place p;

    memset(&p, 0, sizeof p); /* its padding, too */
    p.family = addr->sa_family;
    if (p.family == AF_INET) {
        const struct sockaddr_in *in = (const void *)addr;

        p.port = in->sin_port;
        memcpy(p.ip, &in->sin_addr, sizeof in->sin_addr);
    } else {
        const struct sockaddr_in6 *in = (const void *)addr;

        p.port = in->sin6_port;
        memcpy(p.ip, &in->sin6_addr, sizeof in->sin6_addr);
    }
    return p;
}

static socklen_t address_of(const struct place *p,
                            struct sockaddr_storage *addr)
{
    struct sockaddr_in *in = (void *)addr;
    struct sockaddr_in6 *in6 = (void *)addr;

    memset(addr, 0, sizeof *addr);
    addr->ss_family = p->family;
    if (p->family == AF_INET) {
        in->sin_port = p->port;
        memcpy(&in->sin_addr, p->ip, sizeof in->sin_addr);
        return sizeof *in;
    }
    in6->sin6_port = p->port;
    memcpy(&in6->sin6_addr, p->ip, sizeof in6->sin6_addr);
    return sizeof *in6;
}

/* Of a socket of the Internet that has one. */
static bool own_place(int fd, struct place *p)
{
    struct sockaddr_storage addr = {0};
    socklen_t size = sizeof addr;

    if (getsockname(fd, (struct sockaddr *)&addr, &size) < 0 ||
        !is_internet(addr.ss_family))
        return false;
    *p = place_of((struct sockaddr *)&addr);
    return p->port != 0;
}

static int option(int fd, int which)
{
    socklen_t size = sizeof(int);
    int value = 0;

    return getsockopt(fd, SOL_SOCKET, which, &value, &size) < 0 ? -1 : value;
}

bool loopback_is_for(int fd, const struct sockaddr *addr, socklen_t size)
{
    if (size < sizeof addr->sa_family || !is_internet(addr->sa_family))
        return false;
    return size >= (addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                               : sizeof(struct sockaddr_in6)) &&
           option(fd, SO_TYPE) == SOCK_STREAM &&
           option(fd, SO_DOMAIN) == addr->sa_family;
}

/* -------------------------------------------------------------------- names */

static socklen_t name_size(void)
{
    return offsetof(struct sockaddr_un, sun_path) + sizeof(struct name);
}

static struct sockaddr_un name_of(const void *net, const struct place *place,
                                  uint32_t client)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct name name;

    memset(&name, 0, sizeof name);
    memcpy(name.magic, magic, sizeof magic);
    name.net = net;
    name.pid = getpid();
    name.client = client;
    name.place = *place;
    memcpy(un.sun_path, &name, sizeof name);
    return un;
}

static int unix_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

/* `made` goes under the number fd; the flag of that stays, and how it is closed. */
static int replace(int fd, int made)
{
    int flags = fcntl(fd, F_GETFD), rc = 0;
    struct linger linger;
    socklen_t size = sizeof linger;

    if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0)
        (void)setsockopt(made, SOL_SOCKET, SO_LINGER, &linger, size);
    if (flags < 0 || dup3(made, fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
        rc = -errno;
    close(made);
    return rc;
}

/* ---------------------------------------------------------------- listeners */

enum { PLACES = 3 };

/* Where who takes connections to `to` may listen: there, or everywhere. */
static unsigned places_for(struct place to, struct place places[PLACES])
{
    unsigned n = 0;

    places[n++] = to;
    memset(to.ip, 0, sizeof to.ip);
    if (memcmp(&to, &places[0], sizeof to) != 0)
        places[n++] = to;
    if (to.family == AF_INET) {
        to.family = AF_INET6;
        places[n++] = to;
    }
    return n;
}

static bool listens_at(int fd, const struct place *p)
{
    struct place own;

    return option(fd, SO_ACCEPTCONN) == 1 && own_place(fd, &own) &&
           memcmp(&own, p, sizeof own) == 0;
}

/* One of a block of numbers; *gap: how many were not open up to its end. */
static int find_in(int first, int count, const struct place *p, int *gap)
{
    struct pollfd fds[BLOCK];

    for (int i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = first + i};
    if (poll(fds, (nfds_t)count, 0) < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        *gap = fds[i].revents & POLLNVAL ? *gap + 1 : 0;
        if (*gap == 0 && listens_at(fds[i].fd, p))
            return fds[i].fd;
    }
    return -1;
}

/* Numbers are given from the lowest on. */
static int find_listener(const struct place *p)
{
    struct rlimit most;
    int count = BLOCK, gap = 0, found = -1;

    if (getrlimit(RLIMIT_NOFILE, &most) == 0 && most.rlim_cur < BLOCK)
        count = (int)most.rlim_cur; /* poll takes no more */
    for (int first = 0; found < 0 && gap < GAP && count > 0; first += count)
        found = find_in(first, count, p, &gap);
    return found;
}

static int unix_listener(const void *net, const struct place *p)
{
    struct sockaddr_un un = name_of(net, p, 0);
    int made = unix_socket(), rc;

    if (made < 0)
        return made;
    if (bind(made, (struct sockaddr *)&un, name_size()) == 0 &&
        listen(made, SOMAXCONN) == 0)
        return made;
    rc = -errno;
    close(made);
    return rc;
}

static int replace_listener(const void *net, int fd, const struct place *p)
{
    int made = unix_listener(net, p);

    return made < 0 ? made : replace(fd, made);
}

/* Does anybody here listen at p? */
static bool is_taken(const void *net, const struct place *p)
{
    struct sockaddr_un un = name_of(net, p, 0);
    int probe = unix_socket();
    bool is = probe >= 0 &&
              bind(probe, (struct sockaddr *)&un, name_size()) < 0;

    if (probe >= 0)
        close(probe);
    return is || find_listener(p) >= 0;
}

int loopback_listen(const void *net, const struct sockaddr *addr,
                    socklen_t size)
{
    struct place at = place_of(addr), places[PLACES + 1];
    unsigned n = places_for(at, places);
    int fd;

    if (at.family == AF_INET6)
        places[n++] = (struct place){.family = AF_INET, .port = at.port};
    for (unsigned i = 0; at.port != 0 && i < n; i++)
        if (is_taken(net, &places[i]))
            return -EADDRINUSE;
    fd = net_listen(at.family, addr, size);
    return fd < 0 && at.port != 0 ? unix_listener(net, &at) : fd;
}

/* -------------------------------------------------------------- connections */

static int connect_to(const void *net, int made, const struct place *p)
{
    struct sockaddr_un un = name_of(net, p, 0);

    return connect(made, (struct sockaddr *)&un, name_size()) < 0 ? -errno : 0;
}

static int connect_any(const void *net, int made, const struct place *to,
                       int *listener)
{
    struct place places[PLACES];
    unsigned n = places_for(*to, places);
    int rc = -ECONNREFUSED;

    for (unsigned i = 0; i < n && rc == -ECONNREFUSED; i++)
        rc = connect_to(net, made, &places[i]);
    for (unsigned i = 0; i < n && rc == -ECONNREFUSED; i++) {
        *listener = find_listener(&places[i]);
        if (*listener < 0)
            continue;
        rc = replace_listener(net, *listener, &places[i]);
        if (rc == 0)
            rc = connect_to(net, made, &places[i]);
    }
    return rc;
}

/* Without a name, if it cannot be: then nobody knows where it comes from. */
static void be_named(const void *net, int made, int fd, int family)
{
    static _Atomic uint32_t clients;
    struct sockaddr_un un;
    struct place own;

    if (!own_place(fd, &own)) {
        memset(&own, 0, sizeof own);
        own.family = (uint16_t)family;
        own.port = htons((uint16_t)(FIRST_PORT + fd % FIRST_PORT));
        if (family == AF_INET)
            memcpy(own.ip, &(struct in_addr){htonl(INADDR_LOOPBACK)},
                   sizeof(struct in_addr));
        else
            memcpy(own.ip, &in6addr_loopback, sizeof in6addr_loopback);
    }
    un = name_of(net, &own, add_relaxed(&clients, 1) + 1); /* a number */
    (void)bind(made, (struct sockaddr *)&un, name_size());
}

int loopback_connect(const void *net, int fd, const struct sockaddr *addr,
                     int *listener)
{
    struct place to = place_of(addr);
    int made = unix_socket(), rc;

    *listener = -1;
    if (made < 0)
        return made;
    be_named(net, made, fd, addr->sa_family);
    rc = connect_any(net, made, &to, listener);
    if (rc == 0)
        return replace(fd, made);
    close(made);
    return rc;
}

/* Is it one of these? */
static bool read_name(const struct sockaddr_storage *addr, socklen_t size,
                      struct name *name)
{
    if (addr->ss_family != AF_UNIX || size != name_size())
        return false;
    memcpy(name, ((const struct sockaddr_un *)(const void *)addr)->sun_path,
           sizeof *name);
    return memcmp(name->magic, magic, sizeof magic) == 0;
}

int loopback_accept(int fd, struct sockaddr *addr, socklen_t *size)
{
    struct sockaddr_storage from;
    socklen_t n = sizeof from;
    struct name name;
    int rc = transfer_accept(fd, (struct sockaddr *)&from, &n);

    if (rc < 0 || addr == NULL)
        return rc;
    if (read_name(&from, n, &name))
        n = address_of(&name.place, &from);
    memcpy(addr, &from, n < *size ? n : *size);
    *size = n;
    return rc;
}

/* --------------------------------------------------------------- their ends */

/* Of a connection: that of who has connected, or of who has accepted. */
struct end {
    uint32_t client; /* 0: of none */
    bool accepted;
};

/* What one end has to hear of the other. */
enum how {
    UNKNOWN = 0, /* it has not ended, or not by loopback_close */
    CLOSED = 1,  /* what is written next is lost */
    RESET = 2,   /* to be told once */
    OVER = 4     /* all has been told */
};

/* The oldest are forgotten. */
static struct note {
    struct end of;
    enum how how;
} notes[NOTES];            /* lock: notes_lock */
static unsigned next_note; /* lock: notes_lock */
static struct lock notes_lock = LOCK_INITIALIZER;

static bool end_is(int fd, struct end *end)
{
    struct sockaddr_storage own = {0}, other = {0};
    socklen_t n = sizeof own, m = sizeof other;
    struct name name;

    if (getsockname(fd, (struct sockaddr *)&own, &n) < 0 ||
        getpeername(fd, (struct sockaddr *)&other, &m) < 0)
        return false;
    end->accepted = !read_name(&own, n, &name) || name.client == 0;
    if (end->accepted && !read_name(&other, m, &name))
        return false;
    end->client = name.client;
    return end->client != 0;
}

bool loopback_is_end(int fd)
{
    struct end end;

    return end_is(fd, &end);
}

/* Under the lock. */
static struct note *find_note(struct end of)
{
    for (unsigned i = 0; i < NOTES; i++)
        if (notes[i].of.client == of.client &&
            notes[i].of.accepted == of.accepted)
            return &notes[i];
    return NULL;
}

static void note(struct end of, enum how how)
{
    struct note *n;

    lock_acquire(&notes_lock);
    n = find_note(of);
    if (n == NULL)
        n = &notes[next_note++ % NOTES];
    *n = (struct note){of, how};
    lock_release(&notes_lock);
}

/* If it is one of these it is told with this. */
static enum how hear(int fd, unsigned told)
{
    enum how how = UNKNOWN;
    struct note *n;
    struct end end;

    if (!end_is(fd, &end))
        return how;
    lock_acquire(&notes_lock);
    n = find_note(end);
    if (n != NULL) {
        how = n->how;
        if (how & told)
            n->how = OVER;
    }
    lock_release(&notes_lock);
    return how;
}

/* Before it is: an end that was said, by this one or the other, is not taken back by
 * a reset. */
static enum how how_it_closes(int fd)
{
    struct linger linger = {0, 0};
    socklen_t size = sizeof linger;
    char byte = 0;
    bool said = send(fd, &byte, 0, MSG_NOSIGNAL) < 0;

    if ((getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size) == 0 &&
         linger.l_onoff != 0 && linger.l_linger == 0) ||
        recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        return said ? OVER : RESET;
    return transfer_poll(fd, POLLRDHUP) > 0 ? OVER : CLOSED;
}

void loopback_close(int fd)
{
    struct end end;

    if (!end_is(fd, &end) || hear(fd, CLOSED | RESET) != UNKNOWN)
        return; /* the other one is gone */
    end.accepted = !end.accepted;
    note(end, how_it_closes(fd));
}

void loopback_break(int fd)
{
    struct end end;

    if (end_is(fd, &end) && hear(fd, CLOSED | RESET) == UNKNOWN) {
        note(end, OVER);
        end.accepted = !end.accepted;
        note(end, RESET);
    }
    transfer_break(fd);
}

ssize_t loopback_ended(int fd, ssize_t rc, size_t n)
{
    bool writes = rc == -EPIPE;

    switch (hear(fd, writes ? CLOSED | RESET : RESET)) {
    case CLOSED:
        return writes ? (ssize_t)n : rc;
    case RESET:
        return -ECONNRESET;
    case OVER:
        return writes ? rc : 0;
    case UNKNOWN:
        break;
    }
    return writes && option(fd, SO_ERROR) == ECONNRESET ? -ECONNRESET : rc;
}

int loopback_polled(int fd, int events)
{
    enum how how = hear(fd, 0);

    if (how == CLOSED)
        return events & ~POLLHUP; /* one may still write */
    return how == RESET ? events | POLLERR : events;
}
