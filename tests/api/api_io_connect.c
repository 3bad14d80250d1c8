/* Are connections made and taken, one or thousands, and is everything that goes
 * wrong with them told? How: the loopback and Unix sockets. */
#include "lib/fds.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

/* --- an echo server ------------------------------------------------------- */

struct server {
    int listener;
    struct sockaddr_storage addr;
    socklen_t size;
    unsigned clients;
    _Atomic unsigned served;
};

static thrum_err *echo(void *arg)
{
    int fd = *(int *)arg;
    char bytes[512];
    ssize_t got;

    while ((got = thrum_read(fd, bytes, sizeof bytes)) > 0)
        CHECK(thrum_write_full(fd, bytes, (size_t)got, NULL) == 0);
    CHECK(got == 0 && thrum_close(fd) == 0);
    return NULL;
}

static thrum_err *serve(void *arg)
{
    struct server *s = arg;
    thrum_scope scope;

    thrum_scope_open(&scope, .name = "connections");
    for (unsigned i = 0; i < s->clients; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t size = sizeof peer;
        int fd = thrum_accept(s->listener, (struct sockaddr *)&peer, &size);

        CHECK(fd >= 0 && peer.ss_family == s->addr.ss_family);
        CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
        CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        CHECK(thrum_spawn(&scope, echo, &fd, sizeof fd) == 0);
    }
    return thrum_scope_close(&scope, NULL);
}

static thrum_err *talk(void *arg)
{
    struct server *s = arg;
    int fd = socket(s->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unsigned char out[64], in[64];

    CHECK(fd >= 0);
    CHECK(thrum_connect(fd, (struct sockaddr *)&s->addr, s->size) == 0);
    for (size_t i = 0; i < 5; i++) {
        fill(out, i, sizeof out);
        CHECK(thrum_write_full(fd, out, sizeof out, NULL) == 0);
        CHECK(thrum_read_full(fd, in, sizeof in, NULL) == 0);
        check_bytes(in, i, sizeof in);
    }
    CHECK(shutdown(fd, SHUT_WR) == 0);
    CHECK(thrum_read(fd, in, 1) == 0);
    CHECK(thrum_close(fd) == 0);
    atomic_fetch_add(&s->served, 1);
    return NULL;
}

static thrum_err *serve_and_talk(struct server *s)
{
    thrum_scope scope;

    thrum_scope_open(&scope, .name = "echo");
    CHECK(thrum_spawn(&scope, serve, s, 0) == 0);
    for (unsigned i = 0; i < s->clients; i++)
        CHECK(thrum_spawn(&scope, talk, s, 0) == 0);
    expect_ok(thrum_scope_close(&scope, NULL));
    CHECK(atomic_load(&s->served) == s->clients);
    CHECK(thrum_close(s->listener) == 0);
    return NULL;
}

static thrum_err *echo_tcp(void *arg)
{
    struct server s = {.clients = 200};

    (void)arg;
    s.listener = listen_tcp(&s.addr, &s.size);
    return serve_and_talk(&s);
}

static void clients_are_served_all_at_once(void **state)
{
    (void)state;
    on_runtimes(echo_tcp, NULL);
}

/* A Unix socket whose queue is short: those who find no room wait. */
static thrum_err *echo_unix(void *arg)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct server s = {.clients = 20, .size = sizeof(sa_family_t)};

    (void)arg;
    s.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(s.listener, (struct sockaddr *)&un, s.size) == 0); /* any name */
    s.size = sizeof s.addr;
    CHECK(getsockname(s.listener, (struct sockaddr *)&s.addr, &s.size) == 0);
    CHECK(listen(s.listener, 1) == 0);
    return serve_and_talk(&s);
}

static void so_they_are_by_unix_sockets(void **state)
{
    (void)state;
    on_runtimes(echo_unix, NULL);
}

static void so_they_are_by_threads(void **state)
{
    struct server s = {.clients = 1};
    thrum_rt *rt;

    (void)state;
    s.listener = listen_tcp(&s.addr, &s.size);
    assert_int_equal(thrum_start(&rt, NULL), 0);
    CHECK(thrum_post(rt, serve, &s, 0) == 0);
    expect_ok(talk(&s));
    expect_ok(thrum_stop(rt));
    assert_int_equal(thrum_close(s.listener), 0);
}

/* --- what goes wrong ------------------------------------------------------ */

static thrum_err *refused(void *arg)
{
    struct sockaddr_storage addr;
    socklen_t size;
    int listener = listen_tcp(&addr, &size);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    (void)arg;
    CHECK(thrum_close(listener) == 0);
    CHECK(thrum_connect(fd, (struct sockaddr *)&addr, size) == -ECONNREFUSED);
    CHECK(thrum_close(fd) == 0);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(thrum_connect(fd, (struct sockaddr *)&addr, 1) == -EINVAL);
    CHECK(thrum_accept(fd, NULL, NULL) == -EINVAL); /* it does not listen */
    CHECK(thrum_close(fd) == 0);
    return NULL;
}

static void a_connection_that_is_refused_says_so(void **state)
{
    (void)state;
    on_runtimes(refused, NULL);
    expect_ok(refused(NULL));
}

static thrum_err *waits_for_a_listener(void *arg)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_storage addr;
    socklen_t size = sizeof addr;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fds[3];
    thrum_scope scope;

    (void)arg;
    CHECK(bind(listener, (struct sockaddr *)&un, sizeof un.sun_family) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&addr, &size) == 0);
    CHECK(listen(listener, 0) == 0);
    for (int i = 0; i < 3; i++)
        fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(thrum_connect(fds[0], (struct sockaddr *)&addr, size) == 0);
    thrum_scope_open(&scope, .timeout = THRUM_MS(3));
    CHECK(thrum_connect(fds[1], (struct sockaddr *)&addr, size) == -ECANCELED);
    expect_kind(thrum_scope_close(&scope, thrum_rc(-ECANCELED)),
                &THRUM_TIMEOUT);
    for (int i = 0; i < 3; i++)
        CHECK(thrum_close(fds[i]) == 0);
    CHECK(thrum_close(listener) == 0);
    return NULL;
}

static void one_that_waits_may_be_canceled(void **state)
{
    (void)state;
    on_runtimes(waits_for_a_listener, NULL);
    expect_ok(waits_for_a_listener(NULL));
}

struct dialer {
    int fd, result;
    _Atomic bool begun;
    struct sockaddr_storage addr;
    socklen_t size;
};

static thrum_err *dial_late(void *arg)
{
    struct dialer *d = arg;

    d->begun = true;
    d->result = thrum_connect(d->fd, (struct sockaddr *)&d->addr, d->size);
    return NULL;
}

/* The number is another socket's when there is room. */
static thrum_err *close_before_there_is_room(void *arg)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct dialer first = {.size = sizeof first.addr}, late = {0};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;
    thrum_scope s;

    (void)arg;
    CHECK(bind(listener, (struct sockaddr *)&un, sizeof un.sun_family) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&first.addr, &first.size) ==
          0);
    CHECK(listen(listener, 0) == 0);
    late.addr = first.addr;
    late.size = first.size;
    first.fd = socket(AF_UNIX, SOCK_STREAM, 0);
    late.fd = fd_aside(socket(AF_UNIX, SOCK_STREAM, 0));
    expect_ok(dial_late(&first));
    CHECK(first.result == 0);

    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, dial_late, &late, 0) == 0);
    while (!late.begun) /* of one worker: then it waits */
        thrum_yield();
    CHECK(thrum_close(late.fd) == 0);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(dup2(fd, late.fd) == late.fd);
    CHECK(thrum_close(thrum_accept(listener, NULL, NULL)) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(late.result == -EBADF);
    CHECK(close(fd) == 0 && close(late.fd) == 0);
    CHECK(thrum_close(first.fd) == 0 && thrum_close(listener) == 0);
    return NULL;
}

static void one_that_waits_hears_of_a_close(void **state)
{
    thrum_opts opts = {.workers = 1};

    (void)state;
    expect_ok(thrum_run(&opts, close_before_there_is_room, NULL));
}

/* No descriptor is left for what is to be accepted; it waits in the queue. */
static thrum_err *too_many(void *arg)
{
    struct sockaddr_storage addr;
    struct rlimit before, few;
    socklen_t size;
    int listener = listen_tcp(&addr, &size);
    int fd = socket(AF_INET, SOCK_STREAM, 0), got;

    (void)arg;
    CHECK(thrum_connect(fd, (struct sockaddr *)&addr, size) == 0);
    CHECK(thrum_wait_fd(listener, POLLIN) == POLLIN);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = (struct rlimit){0, before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    CHECK(thrum_accept(listener, NULL, NULL) == -EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    got = thrum_accept(listener, NULL, NULL);
    CHECK(got >= 0);
    CHECK(thrum_close(got) == 0 && thrum_close(fd) == 0);
    CHECK(thrum_close(listener) == 0);
    return NULL;
}

static void
a_connection_that_finds_no_descriptor_waits_in_the_queue(void **state)
{
    (void)state;
    if (!is_emulated())
        on_runtimes(too_many, NULL);
}

static int listening_at(int unix_socket)
{
    char name[64];

    snprintf(name, sizeof name, "@thrum-api-io-connect-%d", (int)getpid());
    return unix_socket ? thrum_listen_unix(name)
                       : thrum_listen("127.0.0.1", "0");
}

static thrum_err *write_one(void *fd)
{
    return thrum_rc(thrum_write(*(int *)fd, "x", 1) == 1 ? 0 : -EIO);
}

/* As when those who connected have them all. By who has listened before, in a
 * runtime in which nobody has waited yet. */
static thrum_err *wait_without_descriptors(void *arg)
{
    int listener = listening_at(*(int *)arg), fds[2];
    struct rlimit before, few;
    thrum_scope s;
    char c;

    CHECK(listener >= 0 && pipe(fds) == 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = (struct rlimit){0, before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, write_one, &fds[1], 0) == 0);
    CHECK(thrum_read(fds[0], &c, 1) == 1);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(thrum_close(fds[0]) == 0 && thrum_close(fds[1]) == 0);
    CHECK(thrum_close(listener) == 0);
    return NULL;
}

static void who_listens_can_wait_without_any_descriptor_left(void **state)
{
    thrum_opts one = {.workers = 1};

    (void)state;
    for (int unix_socket = 0; unix_socket < 2 && !is_emulated(); unix_socket++)
        expect_ok(thrum_run(&one, wait_without_descriptors, &unix_socket));
}

/* --- several who accept --------------------------------------------------- */

enum { ACCEPTORS = 6, CONNECTIONS = 60 };

struct acceptors {
    struct server s;
    _Atomic unsigned accepted;
};

static thrum_err *accept_and_close(void *arg)
{
    struct acceptors *a = arg;
    int fd;

    while ((fd = thrum_accept(a->s.listener, NULL, NULL)) >= 0) {
        CHECK(thrum_close(fd) == 0);
        if (atomic_fetch_add(&a->accepted, 1) + 1 == CONNECTIONS)
            CHECK(thrum_close(a->s.listener) == 0);
    }
    CHECK(fd == -EBADF);
    return NULL;
}

static thrum_err *connect_and_close(void *arg)
{
    struct server *s = arg;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte;

    CHECK(thrum_connect(fd, (struct sockaddr *)&s->addr, s->size) == 0);
    CHECK(thrum_read(fd, &byte, 1) == 0);
    CHECK(thrum_close(fd) == 0);
    return NULL;
}

/* An edge may be of several connections: none is left over. */
static thrum_err *accept_together(void *arg)
{
    struct acceptors a = {.accepted = 0};
    thrum_scope scope;

    (void)arg;
    a.s.listener = listen_tcp(&a.s.addr, &a.s.size);
    thrum_scope_open(&scope);
    for (int i = 0; i < ACCEPTORS; i++)
        CHECK(thrum_spawn(&scope, accept_and_close, &a, 0) == 0);
    for (int i = 0; i < CONNECTIONS; i++)
        CHECK(thrum_spawn(&scope, connect_and_close, &a.s, 0) == 0);
    expect_ok(thrum_scope_close(&scope, NULL));
    CHECK(atomic_load(&a.accepted) == CONNECTIONS);
    return NULL;
}

static void several_may_accept_and_none_is_left_over(void **state)
{
    (void)state;
    on_runtimes(accept_together, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_served_all_at_once),
        cmocka_unit_test(so_they_are_by_unix_sockets),
        cmocka_unit_test(so_they_are_by_threads),
        cmocka_unit_test(a_connection_that_is_refused_says_so),
        cmocka_unit_test(one_that_waits_may_be_canceled),
        cmocka_unit_test(one_that_waits_hears_of_a_close),
        cmocka_unit_test(
            a_connection_that_finds_no_descriptor_waits_in_the_queue),
        cmocka_unit_test(who_listens_can_wait_without_any_descriptor_left),
        cmocka_unit_test(several_may_accept_and_none_is_left_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
