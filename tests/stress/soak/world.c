/* What is not only the library's: threads that block, pipes, connections, other
 * programs, signals. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "soak.h"

/* --- blocking calls ------------------------------------------------------- */

static void let_go(void *copy)
{
    (void)copy;
    ended(CALLS, 1);
}

static thrum_err *block(void *copy)
{
    begun(CALLS, 1);
    must(getppid() >= 0 && *(uint64_t *)copy == 42);
    return NULL;
}

thrum_err *offload(struct rng *r)
{
    uint64_t copy = 42;
    thrum_err *err;

    switch (rng_below(r, 16)) {
    case 0:
        thrum_block_enter();
        must(getppid() >= 0);
        thrum_block_leave();
        return NULL;
    case 1: /* it may be left */
        err = thrum_offload_ex(block, &copy, .size = sizeof copy,
                               .drop = let_go);
        break;
    case 2:
        err = thrum_offload(block, &copy);
        break;
    default:
        return NULL;
    }
    must(err == NULL || thrum_err_is(err, &THRUM_CANCELED));
    ended(CALLS, err == NULL);
    return err;
}

/* --- pipes ---------------------------------------------------------------- */

enum { PIECE = 2000 };

struct piped {
    int ends[2]; /* written to [1] */
    uint32_t pieces;
};

static thrum_err *pour(void *arg)
{
    struct piped *p = arg;
    char bytes[PIECE] = {0};
    ssize_t n = 1;

    while (p->pieces-- > 0 && n > 0) {
        n = thrum_write(p->ends[1], bytes, sizeof bytes);
        begun(BYTES, n > 0 ? (uint64_t)n : 0);
    }
    must(thrum_close(p->ends[1]) == 0);
    return thrum_rc(n);
}

static thrum_err *drink(void *arg)
{
    struct piped *p = arg;
    char bytes[PIECE];
    ssize_t n;

    while ((n = thrum_read(p->ends[0], bytes, sizeof bytes)) > 0)
        ended(BYTES, (uint64_t)n);
    return thrum_rc(n);
}

thrum_err *flow(struct rng *r)
{
    struct piped p = {.pieces = 1 + rng_below(r, 40)};
    char bytes[PIECE];
    thrum_err *err;
    thrum_scope s;
    ssize_t n;

    if (rng_below(r, 8) != 0)
        return NULL;
    must(rng_below(r, 2) == 0
             ? pipe2(p.ends, O_CLOEXEC) == 0
             : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p.ends) == 0);
    thrum_scope_open(&s, .timeout = THRUM_US(rng_below(r, 2) * 200));
    (void)start(&s, pour, &p);
    (void)start(&s, drink, &p);
    err = thrum_scope_close(&s, NULL);
    while ((n = read(p.ends[0], bytes, sizeof bytes)) > 0) /* nobody writes */
        ended(BYTES, (uint64_t)n);
    must(n == 0 && thrum_close(p.ends[0]) == 0);
    return err;
}

/* --- connections ---------------------------------------------------------- */

enum { CLIENTS = 4, SAID = 3000 };

struct server {
    int listener;
    char port[8];
    thrum_scope *connections;
};

static thrum_err *answer(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char bytes[SAID];
    ssize_t n;

    while ((n = thrum_read(fd, bytes, sizeof bytes)) > 0)
        if (thrum_write_full(fd, bytes, (size_t)n, NULL) != 0)
            break;
    must(thrum_close(fd) == 0);
    ended(CONNECTIONS, 1);
    return NULL;
}

static thrum_err *serve(void *arg)
{
    struct server *s = arg;
    int fd;

    while ((fd = thrum_accept(s->listener, NULL, NULL)) >= 0) {
        begun(CONNECTIONS, 1);
        (void)start(s->connections, answer, (void *)(intptr_t)fd);
    }
    must(fd == -EBADF || fd == -ECANCELED);
    return NULL;
}

static thrum_err *ask(void *arg)
{
    struct server *s = arg;
    char said[SAID], heard[SAID] = {0};
    int fd = thrum_dial("127.0.0.1", s->port), rc;

    if (fd < 0)
        return thrum_rc(fd);
    begun(CONNECTIONS, 1);
    memset(said, 'a', sizeof said);
    rc = thrum_write_full(fd, said, sizeof said, NULL);
    if (rc == 0)
        rc = thrum_read_full(fd, heard, sizeof heard, NULL);
    must(rc != 0 || memcmp(said, heard, sizeof said) == 0);
    must(thrum_close(fd) == 0);
    ended(CONNECTIONS, 1);
    return thrum_rc(rc);
}

/* Half of the clients may not have the time. */
static thrum_err *ask_all(struct server *s)
{
    thrum_scope patient, hasty;

    thrum_scope_open(&patient, .name = "patient");
    thrum_scope_open(&hasty, .name = "hasty", .timeout = THRUM_US(100));
    for (int i = 0; i < CLIENTS; i++)
        (void)start(i % 2 == 0 ? &patient : &hasty, ask, s);
    thrum_err_drop(thrum_scope_close(&hasty, NULL));
    return thrum_scope_close(&patient, NULL);
}

static thrum_err *converse(void)
{
    struct sockaddr_in addr;
    socklen_t size = sizeof addr;
    thrum_scope scope;
    struct server s;
    thrum_err *err;

    s.listener = thrum_listen("127.0.0.1", "0");
    must(s.listener >= 0 &&
         getsockname(s.listener, (struct sockaddr *)&addr, &size) == 0);
    snprintf(s.port, sizeof s.port, "%u", (unsigned)ntohs(addr.sin_port));
    s.connections = &scope;
    thrum_scope_open(&scope, .name = "server");
    (void)start(&scope, serve, &s);
    err = ask_all(&s);
    must(thrum_close(s.listener) == 0);
    return thrum_err_add(err, thrum_scope_close(&scope, NULL));
}

/* --- programs and signals ------------------------------------------------- */

/* One that ends, and one that would wait for its input. */
static thrum_err *run_programs(void)
{
    char *const yes[] = {"true", NULL}, *const cat[] = {"cat", NULL};
    thrum_process p;
    thrum_scope s;

    must(thrum_process_start(&p, yes) == 0);
    begun(PROCESSES, 2);
    must(thrum_process_wait(&p) == NULL);
    ended(PROCESSES, 1);
    thrum_scope_open(&s, .name = "cat");
    must(thrum_process_start(&p, cat, .in = THRUM_PIPE, .grace = -1) == 0);
    thrum_scope_cancel(&s, NULL);
    thrum_err_drop(thrum_process_wait(&p));
    must(p.status != 0 && thrum_close(p.in) == 0);
    ended(PROCESSES, 1);
    return thrum_scope_close(&s, NULL);
}

static thrum_err *take_signal(void *unused)
{
    must(thrum_signal_wait(&soak_signals, NULL) == SIGUSR1);
    ended(SIGNALS, 1);
    return unused;
}

static thrum_err *signal_ourselves(void)
{
    thrum_scope s;

    thrum_scope_open(&s, .name = "signals");
    (void)start(&s, take_signal, NULL);
    thrum_yield();
    begun(SIGNALS, 1);
    must(kill(getpid(), SIGUSR1) == 0);
    return thrum_scope_close(&s, NULL);
}

static bool is_emulated(void)
{
    const char *run = getenv("RUN");

    return run != NULL && *run != '\0';
}

/* An emulator has the signals for itself. */
thrum_err *visit_world(void *unused)
{
    (void)unused;
    THRUM_TRY(converse());
    if (is_emulated())
        return NULL;
    THRUM_TRY(run_programs());
    return signal_ourselves();
}
