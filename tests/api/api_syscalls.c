/* Which calls of the kernel does a server make for each request? No other than a good
 * loop around epoll: one to read, one to write, one to wait. How: it runs in a child
 * that is traced, and is asked by a thread of this process. */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fds.h"

enum {
    CONNECTIONS = 4,
    WARM = 50, /* rounds before it counts */
    ROUNDS = 250,
    REQUESTS = ROUNDS * CONNECTIONS,
    MESSAGE = 64,
    TRIES = 5, /* the machine may stall */
    CALLS = 512,
    THREADS = 64
};

/* --------------------------------------------------------------- the server */

static int server_ends[CONNECTIONS], client_ends[CONNECTIONS];

static thrum_err *answer(void *arg)
{
    char some[4 * MESSAGE]; /* less than was asked for: no more is there */
    ssize_t n = thrum_read(*(int *)arg, some, sizeof some);

    if (n == 0)
        return thrum_rc(-ENODATA); /* the client has gone */
    if (n > 0)
        n = thrum_write_full(*(int *)arg, some, (size_t)n, NULL);
    return thrum_rc((int)n);
}

/* Each request has its time. */
static thrum_err *serve(size_t i, void *unused)
{

    int fd = server_ends[i];
    thrum_err *e = NULL;

    (void)unused;
    while (e == NULL)
        e = thrum_with(answer, &fd, .timeout = HOUR);
    thrum_err_drop(e);
    return NULL;
}

static thrum_err *serve_all(void *unused)
{
    return thrum_each(CONNECTIONS, serve, unused);
}

static _Noreturn void be_server(void)
{
    thrum_opts opts = {.workers = 1};

    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(60);
    for (int i = 0; i < CONNECTIONS; i++)
        close(client_ends[i]);
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    _exit(thrum_report(thrum_run(&opts, serve_all, NULL)));
}

/* -------------------------------------------------------------- the clients */

static _Atomic bool counts;

static void ask_all(void)
{
    char message[MESSAGE] = {0};

    for (int i = 0; i < CONNECTIONS; i++)
        CHECK(write(client_ends[i], message, MESSAGE) == MESSAGE);
    for (int i = 0; i < CONNECTIONS; i++)
        CHECK(recv(client_ends[i], message, MESSAGE, MSG_WAITALL) == MESSAGE);
}

static void *ask(void *unused)
{
    for (int i = 0; i < WARM + ROUNDS; i++) {
        counts = i >= WARM;
        ask_all();
    }
    counts = false;
    for (int i = 0; i < CONNECTIONS; i++)
        close(client_ends[i]);
    return unused;
}

/* --------------------------------------------------------------- the tracer */

/* Calls of a thread, by number. */
static struct thread_calls {
    pid_t thread;
    unsigned of[CALLS];
} calls[THREADS];

static void count(pid_t thread)
{
    struct __ptrace_syscall_info info = {0};
    unsigned i = 0;

    if (!counts ||
        ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0)
        return;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || info.entry.nr >= CALLS)
        return;
    while (i < THREADS - 1 && calls[i].thread != thread && calls[i].thread != 0)
        i++;
    calls[i].thread = thread;
    calls[i].of[info.entry.nr]++;
}

/* It has stopped: what it is to be told when it goes on. */
static int signal_for(pid_t thread, int status)
{
    int signal = WSTOPSIG(status);

    if (signal == (SIGTRAP | 0x80)) {
        count(thread);
        return 0;
    }
    return status >> 16 != 0 || signal == SIGSTOP ? 0 : signal;
}

/* The status it has ended with. */
static int trace(pid_t server)
{
    long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD |
                   PTRACE_O_EXITKILL;
    int status;
    pid_t thread;

    assert_int_equal(ptrace(PTRACE_SETOPTIONS, server, NULL, options), 0);
    (void)ptrace(PTRACE_SYSCALL, server, NULL, NULL);
    while ((thread = waitpid(-1, &status, __WALL)) > 0)
        if (WIFSTOPPED(status))
            (void)ptrace(PTRACE_SYSCALL, thread, NULL,
                         signal_for(thread, status));
        else if (thread == server)
            return status;
    return -1;
}

/* ----------------------------------------------------------------- the test */

static unsigned total(const struct thread_calls *t)
{
    unsigned n = 0;

    for (int i = 0; i < CALLS; i++)
        n += t->of[i];
    return n;
}

static bool waits(int call)
{
    return call == SYS_epoll_pwait || call == SYS_epoll_pwait2 ||
#ifdef SYS_epoll_wait
           call == SYS_epoll_wait ||
#endif
           call == SYS_io_uring_enter;
}

/* Those of threads that serve: another one may look after them now and then. */
static bool is_good(bool tells)
{
    unsigned reads = 0, writes = 0, wait_calls = 0, others = 0;

    for (int i = 0; i < THREADS && calls[i].thread != 0; i++) {
        const struct thread_calls *t = &calls[i];
        unsigned of_others = total(t);

        if (t->of[SYS_recvfrom] == 0 && t->of[SYS_sendto] == 0)
            continue;
        reads += t->of[SYS_recvfrom];
        writes += t->of[SYS_sendto];
        of_others -= t->of[SYS_recvfrom] + t->of[SYS_sendto];
        for (int n = 0; n < CALLS; n++)
            if (waits(n)) {
                wait_calls += t->of[n];
                of_others -= t->of[n];
            } else if (tells && t->of[n] > 0 && n != SYS_recvfrom &&
                       n != SYS_sendto) {
                print_message("call %d: %u\n", n, t->of[n]);
            }
        others += of_others;
    }
    if (tells)
        print_message("%d requests: %u reads, %u writes, %u waits, %u others\n",
                      REQUESTS, reads, writes, wait_calls, others);
    return reads <= REQUESTS * 1.1 && writes <= REQUESTS * 1.1 &&
           wait_calls <= REQUESTS * 1.1 && others <= REQUESTS * 0.1;
}

static void connect_all(void)
{
    for (int i = 0; i < CONNECTIONS; i++) {
        int fds[2];

        fds_open(TCP, fds);
        server_ends[i] = fds[0];
        client_ends[i] = fds[1];
    }
}

static int run(void)
{
    pthread_t client;
    pid_t server;
    int status;

    memset(calls, 0, sizeof calls);
    connect_all();
    fflush(NULL);
    server = fork();
    assert_true(server >= 0);
    if (server == 0)
        be_server();
    for (int i = 0; i < CONNECTIONS; i++)
        close(server_ends[i]);
    assert_int_equal(waitpid(server, &status, __WALL), server);
    assert_int_equal(pthread_create(&client, NULL, ask, NULL), 0);
    if (WIFSTOPPED(status))
        status = trace(server);
    assert_int_equal(pthread_join(client, NULL), 0);
    return status;
}

static void a_request_takes_no_call_more_than_an_epoll_loop(void **state)
{
    bool good = false;

    (void)state;
    for (int i = 0; !good && i < TRIES; i++) {
        assert_int_equal(run(), 0);
        good = is_good(i == TRIES - 1);
    }
    assert_true(good);
}

/* Some containers forbid it. */
static bool may_trace(void)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_takes_no_call_more_than_an_epoll_loop),
    };

    if (SANITIZED || is_emulated() || !may_trace()) {
        puts("skipped: nothing can be traced here, or what is traced is not "
             "the library's");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
