/* Connections by TCP: who dials, who accepts, what goes over them, how they end. Each
 * byte is the number of the step that puts it. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "things.h"

enum { ROOM = 4096 };

/* Its name, which both ends know. */
struct name {
    socklen_t size;
    struct sockaddr_storage addr;
};

/* The first end has dialed, the second one was accepted. */
static struct connection {
    struct name name;
    bool made[2];           /* there is that end, or was */
    int fds[2];             /* -1: none, or closed */
    bool shut[2], ended[2]; /* it has said that no more comes; is closed */
    uint64_t put[2], got[2];
    int resets[2]; /* that it was told of */
    bool torn;     /* reset: what was under way may be lost */
} all[CONNECTIONS];

static struct {
    int listener; /* -1: none */
    char port[8];
    unsigned dialed, strange;
    struct connection strangers[CONNECTIONS]; /* whose dial has not ended */
} net;

/* Of each step that puts: how much it was to, and how much of that was got. */
static struct {
    size_t asked, got;
} parts[STEPS_MAX];

/* Which it uses: chosen of those that are open when it begins. */
static struct use {
    struct connection *c; /* NULL: none */
    int end;
} uses[STEPS_MAX];

static struct connection *connection_of(const struct step *s)
{
    return uses[number_of(s)].c;
}

static int end_of(const struct step *s)
{
    return uses[number_of(s)].end;
}

static bool choose(const struct step *s)
{
    for (int i = 0; i < 2 * CONNECTIONS; i++) {
        int of = (s->options + i) % (2 * CONNECTIONS);
        struct use u = {&all[of / 2], of % 2};

        if (u.c->fds[u.end] >= 0) {
            uses[number_of(s)] = u;
            return true;
        }
    }
    return false;
}

static size_t size_of(const struct step *s)
{
    return 1 + s->which * (size_t)500;
}

/* Of four in which it does so. */
static int way_of(const struct step *s)
{
    return s->options >> 2 & 3;
}

static bool is_torn(const struct connection *c)
{
    return c->torn || program.faults;
}

static bool is_pending(const struct connection *c, enum op op, int end,
                       const struct step *but)
{
    for (int i = 0; i < program.task_count; i++) {
        const struct step *s = program.tasks[i].pending;

        if (s != NULL && s != but && s->op == op && connection_of(s) == c &&
            end_of(s) == end)
            return true;
    }
    return false;
}

/* -------------------------------------------------------------- their begin */

static void make_end(struct connection *c, int end, int fd)
{
    int size = ROOM;

    must(!c->made[end]); /* nobody is accepted twice */
    c->made[end] = true;
    c->fds[end] = fd;
    must(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
}

static bool is_same(const struct name *a, const struct name *b)
{
    return a->size == b->size && memcmp(&a->addr, &b->addr, a->size) == 0;
}

static void match(struct connection *c)
{
    for (unsigned i = 0; i < net.strange; i++)
        if (is_same(&net.strangers[i].name, &c->name)) {
            make_end(c, 1, net.strangers[i].fds[1]);
            net.strangers[i] = net.strangers[--net.strange];
            return;
        }
}

static void has_dialed(struct connection *c, int fd)
{
    c->name.size = sizeof c->name.addr;
    must(getsockname(fd, (void *)&c->name.addr, &c->name.size) == 0);
    make_end(c, 0, fd);
    match(c);
    c->torn = net.listener < 0; /* it may not have been accepted */
}

static bool may_refuse(int64_t rc)
{
    return rc == -ECONNREFUSED || rc == -ETIMEDOUT || rc == -EHOSTUNREACH ||
           rc == -EMFILE || rc == -ENFILE || rc == -EAGAIN || rc == -ENOENT;
}

static thrum_err *dial(struct task *t, struct step *s)
{
    bool gone = net.listener < 0;
    struct connection *c;
    struct attempt a;
    int64_t fd;

    if (net.dialed == CONNECTIONS)
        return NULL;
    c = &all[net.dialed++];
    a = attempt(t, s);
    fd = attempted(a, thrum_dial("server.example", net.port));
    must(fd < 0 || !gone);
    must(fd >= 0 || fd == -ECANCELED ||
         (program.faults ? may_refuse(fd)
                         : fd == -ECONNREFUSED && net.listener < 0));
    if (fd < 0)
        return fd == -ECANCELED ? thrum_rc(fd) : NULL;
    has_dialed(c, (int)fd);
    return NULL;
}

static thrum_err *accept_one(struct task *t, struct step *s)
{
    struct connection *c = &net.strangers[net.strange];
    struct attempt a;
    int64_t fd;

    if (net.listener < 0)
        return NULL;
    a = attempt(t, s);
    fd = attempted(a, thrum_accept(net.listener, NULL, NULL));
    must(fd >= 0 || fd == -ECANCELED || (fd == -EBADF && net.listener < 0) ||
         (program.faults && (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)));
    if (fd < 0)
        return fd == -ECANCELED ? thrum_rc(fd) : NULL;
    must(net.strange < CONNECTIONS);
    c = &net.strangers[net.strange++];
    c->fds[1] = (int)fd;
    c->name.size = sizeof c->name.addr;
    must(getpeername((int)fd, (void *)&c->name.addr, &c->name.size) == 0);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        if (all[i].made[0] && is_same(&all[i].name, &c->name)) {
            match(&all[i]);
            break;
        }
    return NULL;
}

/* ---------------------------------------------------------------- their use */

/* May a call at this end be told so? */
static void note_failure(struct connection *c, int end, int64_t rc)
{
    bool other = c->shut[1 - end] || c->ended[1 - end];

    must(rc >= 0 || rc == -ECANCELED || rc == -EAGAIN || rc == -EPIPE ||
         rc == -ECONNRESET || rc == -EBADF ||
         (program.faults &&
          (rc == -ETIMEDOUT || rc == -ENOMEM || rc == -ENOSPC)));
    must(rc != -EPIPE || c->shut[end] || other || is_torn(c));
    must(rc != -EBADF || c->ended[end]);
    must(rc != -ECONNRESET || is_torn(c));
    must(rc != -ECONNRESET || ++c->resets[end] == 1);
    if (rc == -ECONNRESET || rc == -ETIMEDOUT ||
        (rc == -EPIPE && !c->shut[end] && !other))
        c->torn = true;
}

static int64_t write_some(struct step *s, int fd, char *bytes, size_t size,
                          size_t *done)
{
    struct iovec two[] = {{bytes, size / 2},
                          {bytes + size / 2, size - size / 2}};
    struct msghdr m = {.msg_iov = two, .msg_iovlen = 2};

    switch (way_of(s)) {
    case 0:
        return thrum_write(fd, bytes, size);
    case 1:
        return thrum_writev(fd, two, 2);
    case 2:
        return thrum_sendmsg(fd, &m, MSG_DONTWAIT);
    default:
        return thrum_write_full(fd, bytes, size, done);
    }
}

static thrum_err *put(struct task *t, struct step *s)
{
    size_t size = size_of(s), done = 0;
    struct connection *c;
    char bytes[ROOM];
    struct attempt a;
    bool over;
    int64_t n;
    int end;

    if (!choose(s))
        return NULL;
    c = connection_of(s);
    end = end_of(s);
    over = c->shut[end] && !c->ended[1 - end];
    memset(bytes, (int)number_of(s), size);
    parts[number_of(s)].asked = size;
    a = attempt(t, s);
    n = attempted(a, write_some(s, c->fds[end], bytes, size, &done));
    must(n != 0 || done == size);
    must(n <= (int64_t)size && (n != -EAGAIN || way_of(s) == 2));
    note_failure(c, end, n);
    done += n > 0 ? (size_t)n : 0;
    must(done == 0 || !over);
    c->put[end] += done;
    return n == -ECANCELED ? thrum_rc(n) : NULL;
}

/* Who closes it while another one waits for it may have the number for another. */
static int64_t read_some(struct step *s, int fd, char *bytes, size_t size)
{
    struct iovec two[] = {{bytes, size / 2},
                          {bytes + size / 2, size - size / 2}};
    struct msghdr m = {.msg_iov = two, .msg_iovlen = 2};
    int64_t rc;

    switch (way_of(s)) {
    case 0:
        return thrum_read(fd, bytes, size);
    case 1:
        return thrum_readv(fd, two, 2);
    case 2:
        return thrum_recvmsg(fd, &m, MSG_DONTWAIT);
    default:
        rc = thrum_wait_fd(fd, POLLIN);
        if (rc > 0 && connection_of(s)->ended[end_of(s)])
            return -EBADF;
        return rc < 0 ? rc : thrum_read(fd, bytes, size);
    }
}

static void note_got(const struct connection *c, int end, const char *bytes,
                     int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        unsigned by = (unsigned char)bytes[i];

        must(by < (unsigned)program.step_count);
        must(program.steps[by].op == OP_PUT &&
             connection_of(&program.steps[by]) == c &&
             end_of(&program.steps[by]) != end);
        must(parts[by].got++ < parts[by].asked);
    }
}

static thrum_err *get(struct task *t, struct step *s)
{
    size_t size = size_of(s);
    struct connection *c;
    char bytes[ROOM];
    struct attempt a;
    int64_t n;
    int end;

    if (!choose(s))
        return NULL;
    c = connection_of(s);
    end = end_of(s);
    a = attempt(t, s);
    n = attempted(a, read_some(s, c->fds[end], bytes, size));
    must(n <= (int64_t)size && (n != -EAGAIN || way_of(s) == 2));
    note_failure(c, end, n);
    if (n > 0) {
        note_got(c, end, bytes, n);
        c->got[end] += (uint64_t)n;
    }
    if (n == 0) {
        must(c->shut[1 - end] || c->ended[1 - end] || is_torn(c));
        must(is_torn(c) || is_pending(c, OP_GET, end, s) ||
             c->got[end] >= c->put[1 - end]);
    }
    return n == -ECANCELED ? thrum_rc(n) : NULL;
}

/* --------------------------------------------------------------- their ends */

/* Whoever is not accepted yet is reset. */
static void close_listener(void)
{
    int fd = net.listener;

    if (fd < 0)
        return;
    net.listener = -1;
    for (unsigned i = 0; i < net.dialed; i++)
        if (all[i].made[0] && !all[i].made[1])
            all[i].torn = true;
    must(thrum_close(fd) == 0);
}

static void close_end(struct connection *c, int end, bool reset)
{
    struct linger at_once = {1, 0};
    int fd = c->fds[end];

    if (reset)
        must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) ==
             0);
    if (reset || c->put[1 - end] > c->got[end] ||
        is_pending(c, OP_PUT, 1 - end, NULL))
        c->torn = true;
    c->fds[end] = -1;
    c->ended[end] = true;
    must(thrum_close(fd) == 0);
}

static thrum_err *part(struct step *s)
{
    int how = way_of(s);
    struct use u;

    if (s->which == 7)
        close_listener();
    if (s->which == 7 || !choose(s))
        return NULL;
    u = uses[number_of(s)];
    if (how < 2) {
        u.c->shut[u.end] = true;
        must(shutdown(u.c->fds[u.end], SHUT_WR) == 0);
    } else
        close_end(u.c, u.end, how == 3);
    return NULL;
}

/* -------------------------------------------------------------- all of them */

static thrum_err *do_step(struct task *t, struct step *s)
{
    switch ((unsigned)s->op) {
    case OP_DIAL:
        return dial(t, s);
    case OP_ACCEPT:
        return accept_one(t, s);
    case OP_PUT:
        return put(t, s);
    case OP_GET:
        return get(t, s);
    default:
        return part(s);
    }
}

/* Who is to write all of it may have written some. */
static uint64_t most_put(const struct connection *c, int end)
{
    uint64_t n = c->put[end];

    for (int i = 0; i < program.task_count; i++) {
        const struct step *s = program.tasks[i].pending;

        if (s != NULL && s->op == OP_PUT && connection_of(s) == c &&
            end_of(s) == end && way_of(s) == 3)
            n += parts[number_of(s)].asked;
    }
    return n;
}

static bool any_waits_to_be_accepted(void)
{
    for (unsigned i = 0; i < net.dialed; i++)
        if (all[i].made[0] && !all[i].made[1])
            return true;
    return false;
}

/* Of a shutdown, the kernel tells a Unix socket that is full when it is not. */
static bool is_right(const struct step *s)
{
    const struct connection *c = connection_of(s);
    int end = end_of(s), other = 1 - end;

    if (s->op == OP_ACCEPT)
        return net.listener >= 0 && !any_waits_to_be_accepted();
    if (s->op == OP_DIAL || c->torn || c->ended[0] || c->ended[1])
        return false;
    return s->op == OP_PUT ? most_put(c, end) > c->got[other]
                           : !c->shut[other] && c->got[end] == c->put[other];
}

static void make_listener(void)
{
    struct sockaddr_storage addr = {0};
    socklen_t size = sizeof addr;

    net.listener = thrum_listen("server.example", "0");
    must(net.listener >= 0 || (program.faults && may_refuse(net.listener)));
    strcpy(net.port, "1"); /* where nobody listens */
    if (net.listener < 0)
        return;
    must(getsockname(net.listener, (void *)&addr, &size) == 0);
    snprintf(net.port, sizeof net.port, "%d",
             ntohs(((struct sockaddr_in *)(void *)&addr)->sin_port));
}

/* One to begin with. */
static void make_connection(void)
{
    struct connection *c = &all[net.dialed++];
    int fd = thrum_dial("server.example", net.port), got;

    must(fd >= 0 || program.faults);
    if (fd < 0)
        return;
    has_dialed(c, fd);
    got = thrum_accept(net.listener, NULL, NULL);
    must(got >= 0 || program.faults);
    if (got >= 0)
        make_end(c, 1, got);
}

static void make(void)
{
    NOTED(all);
    NOTED(parts);
    NOTED(net);
    NOTED(uses);

    memset(all, 0, sizeof all);
    memset(parts, 0, sizeof parts);
    memset(uses, 0, sizeof uses);
    for (int i = 0; i < CONNECTIONS; i++)
        all[i].fds[0] = all[i].fds[1] = -1;
    net.dialed = net.strange = 0;
    net.listener = -1;
    if (!program.connects)
        return;
    make_listener();
    make_connection();
}

/* What was put and not got is still there. */
static void balance(const struct connection *c, int end)
{
    int left;

    if (is_torn(c) || c->fds[end] < 0)
        return;
    must(ioctl(c->fds[end], FIONREAD, &left) == 0);
    must(c->ended[1 - end] || c->put[1 - end] == c->got[end] + (uint64_t)left);
}

static void end(void)
{
    if (!program.connects)
        return;
    for (unsigned i = 0; i < CONNECTIONS; i++)
        for (int k = 0; k < 2; k++)
            balance(&all[i], k);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        for (int k = 0; k < 2; k++)
            if (all[i].fds[k] >= 0)
                close_end(&all[i], k, false);
    for (unsigned i = 0; i < net.strange; i++)
        must(thrum_close(net.strangers[i].fds[1]) == 0);
    close_listener();
}

const struct things connections = {make, end, do_step, is_right};
