/* What does a server cost? TCP on the loopback, messages of 64 bytes, each answered
 * before the next: CPU of the server's process for one request, all threads of it.
 * Connecting is not counted.
 *
 * The floor is an epoll loop as one writes it by hand: level-triggered, one read
 * and one write for each event. `ring` is a loop around io_uring (lib/ring.h). The
 * other case is a task for each connection that reads and writes, on one worker.
 * All are asked by the same program, a process of its own on another core; how fast
 * that is limits the requests a second.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thrum.h>

#include "bench.h"
#include "lib/ring.h"

enum { MESSAGE = 64, EVENTS = 256, MOST = 1000 };

/* What the generator is told, and says. */
struct order {
    uint16_t port;
    unsigned connections;
    long requests; /* in all */
};

static int to_generator, from_generator;
static struct order now;

static void pin(int cpu)
{
    cpu_set_t set, allowed;
    int seen = 0;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 ||
        CPU_COUNT(&allowed) < 2)
        return;
    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &allowed) && seen++ == cpu)
            CPU_SET(i, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static void must(bool ok, const char *what)
{
    if (!ok)
        bench_fail(what);
}

/* ------------------------------------------------------------ the generator */

static void say(int fd)
{
    static const char message[MESSAGE];

    must(write(fd, message, MESSAGE) == MESSAGE, "generator: write");
}

static int connect_one(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(fd >= 0, "socket");
    must(connect(fd, (struct sockaddr *)&in, sizeof in) == 0, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* One event: an answer, and the next question. */
static long ask_on(int fd, long asked, long requests)
{
    char in[MESSAGE];
    ssize_t got = read(fd, in, sizeof in);

    must(got == MESSAGE, "generator: read");
    if (asked < requests)
        say(fd);
    return asked + 1;
}

static void generate(const struct order *o)
{
    static int fds[MOST];
    struct epoll_event events[EVENTS];
    long answers = 0, asked = o->connections;
    int set = epoll_create1(EPOLL_CLOEXEC);

    for (unsigned i = 0; i < o->connections; i++) {
        struct epoll_event e = {.events = EPOLLIN};

        e.data.fd = fds[i] = connect_one(o->port);
        must(epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &e) == 0, "epoll_ctl");
    }
    for (unsigned i = 0; i < o->connections; i++)
        say(fds[i]);
    while (answers < o->requests) {
        int n = epoll_wait(set, events, EVENTS, -1);

        for (int i = 0; i < n; i++, answers++)
            asked = ask_on(events[i].data.fd, asked, o->requests);
    }
    for (unsigned i = 0; i < o->connections; i++)
        close(fds[i]);
    close(set);
}

static void be_generator(int in, int out)
{
    struct order o;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(0);
    while (read(in, &o, sizeof o) == sizeof o) {
        generate(&o);
        must(write(out, &o, sizeof o) == sizeof o, "generator: say");
    }
    _exit(0);
}

static void start_generator(void)
{
    int in[2], out[2];

    must(pipe(in) == 0 && pipe(out) == 0, "pipe");
    if (fork() == 0) {
        close(in[1]);
        close(out[0]);
        be_generator(in[0], out[1]);
    }
    close(in[0]);
    close(out[1]);
    to_generator = in[1];
    from_generator = out[0];
}

/* -------------------------------------------------------- the three servers */

static int listen_here(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t size = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof in) == 0 &&
             listen(fd, 2 * MOST) == 0 &&
             getsockname(fd, (struct sockaddr *)&in, &size) == 0,
         "listen");
    now.port = in.sin_port;
    return fd;
}

static double cpu_us(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* From when all connections have been answered once until all is answered. */
static long answers;
static double cpu_from, cpu_to;
static int64_t time_from, time_to;

static void count_answer(void)
{
    answers++;
    if (answers == now.connections) {
        cpu_from = cpu_us();
        time_from = bench_now();
    } else if (answers == now.requests) {
        cpu_to = cpu_us();
        time_to = bench_now();
    }
}

static unsigned left; /* connections that are still to end */

static void add_to(int set, int fd)
{
    struct epoll_event e = {.events = EPOLLIN};

    e.data.fd = fd;
    must(fd >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
}

static void answer_on(int fd)
{
    char bytes[512];
    ssize_t got = read(fd, bytes, sizeof bytes);

    if (got > 0) {
        must(write(fd, bytes, (size_t)got) == got, "write");
        count_answer();
        return;
    }
    close(fd);
    left--;
}

static void serve_bare(int listener)
{
    struct epoll_event events[EVENTS];
    int set = epoll_create1(EPOLL_CLOEXEC);

    add_to(set, listener);
    left = now.connections;
    while (left > 0) {
        int n = epoll_wait(set, events, EVENTS, -1);

        for (int i = 0; i < n; i++)
            if (events[i].data.fd == listener)
                add_to(set, accept4(listener, NULL, NULL, SOCK_NONBLOCK));
            else
                answer_on(events[i].data.fd);
    }
    close(set);
}

enum { RECEIVE, SEND };

/* What an entry was for comes back with its end. */
static struct io_uring_sqe *entry(unsigned opcode, unsigned i, unsigned buffer)
{
    struct io_uring_sqe *e = ring_entry();

    e->fd = (int)i;
    e->flags = IOSQE_FIXED_FILE;
    e->opcode = (uint8_t)(opcode == SEND ? IORING_OP_SEND : IORING_OP_RECV);
    e->user_data = opcode | (uint64_t)i << 8 | (uint64_t)buffer << 32;
    return e;
}

/* Until there is an end. */
static void receive(unsigned i)
{
    struct io_uring_sqe *e = entry(RECEIVE, i, 0);

    e->flags |= IOSQE_BUFFER_SELECT;
    e->ioprio = IORING_RECV_MULTISHOT;
}

static void answer_end(const struct io_uring_cqe *end)
{
    unsigned i = (uint32_t)end->user_data >> 8;
    unsigned buffer = end->flags >> IORING_CQE_BUFFER_SHIFT;
    struct io_uring_sqe *e;

    if ((end->user_data & 0xff) == SEND) {
        must(end->res == MESSAGE, "ring: send");
        ring_give_back((unsigned)(end->user_data >> 32));
        return;
    }
    must(end->res >= 0, "ring: receive");
    left -= end->res == 0;
    if (end->res == 0)
        return;
    e = entry(SEND, i, buffer);
    e->addr = (uintptr_t)ring_buffer(buffer);
    e->len = (uint32_t)end->res;
    count_answer();
    if (!(end->flags & IORING_CQE_F_MORE))
        receive(i);
}

static void serve_ring(int listener)
{
    static int fds[MOST];
    struct io_uring_cqe end;

    left = now.connections;
    for (unsigned i = 0; i < left; i++) {
        fds[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        must(fds[i] >= 0, "accept");
    }
    ring_register(fds, left);
    for (unsigned i = 0; i < left; i++)
        receive(i);
    while (left > 0) {
        ring_wait();
        while (ring_ended(&end))
            answer_end(&end);
    }
    for (unsigned i = 0; i < now.connections; i++)
        close(fds[i]);
}

static thrum_err *echo(void *arg)
{
    int fd = *(int *)arg;
    char bytes[512];
    ssize_t got;

    while ((got = thrum_read(fd, bytes, sizeof bytes)) > 0) {
        THRUM_TRY(thrum_write_full(fd, bytes, (size_t)got, NULL));
        count_answer();
    }
    thrum_close(fd);
    return thrum_rc(got);
}

static thrum_err *serve_tasks(void *arg)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "server");
    for (unsigned i = 0; i < now.connections; i++) {
        int fd = thrum_accept(*(int *)arg, NULL, NULL);

        must(fd >= 0 && thrum_spawn(&s, echo, &fd, sizeof fd) == 0, "accept");
    }
    return thrum_scope_close(&s, NULL);
}

/* ---------------------------------------------------------------- the cases */

enum server { EPOLL, RING, TASKS, SERVERS };

static double rate[SERVERS]; /* requests a second, of the last round */

static void serve(enum server server, int listener)
{
    if (server == EPOLL)
        serve_bare(listener);
    else if (server == RING)
        serve_ring(listener);
    else
        bench_call(1, serve_tasks, &listener);
}

static void measure(enum server server, unsigned connections)
{
    int listener = listen_here();
    struct order done;
    double requests;

    now.connections = connections;
    now.requests = connections + bench_pick(2000, 40000, 100000);
    if (connections == 1)
        now.requests /= 4;
    answers = 0;
    must(write(to_generator, &now, sizeof now) == sizeof now, "generator");
    serve(server, listener);
    must(read(from_generator, &done, sizeof done) == sizeof done, "generator");
    close(listener);
    requests = (double)(now.requests - now.connections);
    rate[server] = requests * 1e9 / (double)(time_to - time_from);
    bench_add((cpu_to - cpu_from) / requests);
}

static void measure_ring(unsigned connections)
{
    if (!ring_open())
        return;
    measure(RING, connections);
    ring_close();
}

#define CASES(n)                                                               \
    static void epoll_##n(unsigned workers)                                    \
    {                                                                          \
        (void)workers;                                                         \
        measure(EPOLL, n);                                                     \
    }                                                                          \
    static void ring_##n(unsigned workers)                                     \
    {                                                                          \
        (void)workers;                                                         \
        measure_ring(n);                                                       \
    }                                                                          \
    static void tasks_##n(unsigned workers)                                    \
    {                                                                          \
        (void)workers;                                                         \
        measure(TASKS, n);                                                     \
    }

CASES(1)
CASES(100)
CASES(1000)

static void epoll_rate(unsigned workers)
{
    (void)workers;
    bench_add(rate[EPOLL]);
}

static void tasks_rate(unsigned workers)
{
    (void)workers;
    bench_add(rate[TASKS]);
}

int main(int argc, char **argv)
{
    static const struct bench_series series = {
        .name = "echo",
        .rounds = 7,
        .cases = {
            {"epoll, 1 connection", "us CPU", epoll_1, true, NULL},
            {"ring, 1 connection", "us CPU", ring_1, true, NULL},
            {"tasks, 1 connection", "us CPU", tasks_1, true, NULL},
            {"epoll, 1000", "us CPU", epoll_1000, true, NULL},
            {"ring, 1000", "us CPU", ring_1000, true, "epoll, 1000"},
            {"tasks, 1000", "us CPU", tasks_1000, true, "epoll, 1000"},
            {"epoll, 100", "us CPU", epoll_100, true, NULL},
            {"ring, 100", "us CPU", ring_100, true, "epoll, 100"},
            {"tasks, 100", "us CPU", tasks_100, true, "epoll, 100"},
            {"epoll, 100: rate", "req/s", epoll_rate, true, NULL},
            {"tasks, 100: rate", "req/s", tasks_rate, true, NULL},
        }};

    bench_begin(argc > 1 ? argv[1] : NULL);
    start_generator();
    pin(1);
    bench_run(&series);
    return bench_end();
}
