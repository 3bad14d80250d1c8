/* Are hosts found by name, files opened, read and sent, Unix sockets found by path;
 * and is it told what went wrong? */
#include "lib/fds.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thrum/test.h>

static void meet(int listener, int fd)
{
    int got = thrum_accept(listener, NULL, NULL);
    char byte;

    CHECK(fd >= 0 && got >= 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) &&
          (fcntl(fd, F_GETFL) & O_NONBLOCK));
    CHECK(thrum_write(fd, "a", 1) == 1 && thrum_read(got, &byte, 1) == 1);
    CHECK(thrum_close(fd) == 0 && thrum_close(got) == 0);
    CHECK(thrum_close(listener) == 0);
}

/* --- hosts ---------------------------------------------------------------- */

/* By number, and by a name that may stand for several addresses, of which one
 * answers. */
static thrum_err *dial(void *arg)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    char port[8];

    (void)arg;
    for (int i = 0; i < 2; i++) {
        int listener = thrum_listen("127.0.0.1", "0");

        CHECK(listener >= 0);
        meet(listener, thrum_dial(hosts[i], port_of(listener, port)));
    }
    return NULL;
}

static void hosts_are_found_by_number_and_by_name(void **state)
{
    (void)state;
    on_runtimes(dial, NULL);
    expect_ok(dial(NULL));
}

static thrum_err *listen_everywhere(void *arg)
{
    int listener = thrum_listen(NULL, "0"), second;
    char port[8];

    (void)arg;
    CHECK(listener >= 0);
    second = thrum_listen(NULL, port_of(listener, port));
    CHECK(second == -EADDRINUSE);
    meet(listener, thrum_dial("127.0.0.1", port));
    return NULL;
}

static void one_may_listen_at_all_addresses_once(void **state)
{
    (void)state;
    on_runtimes(listen_everywhere, NULL);
}

static thrum_err *nobody_there(void *arg)
{
    int listener = thrum_listen("127.0.0.1", "0");
    thrum_scope s;
    char port[8];

    (void)arg;
    (void)port_of(listener, port);
    CHECK(thrum_close(listener) == 0);
    CHECK(thrum_dial("127.0.0.1", port) == -ECONNREFUSED);
    CHECK(thrum_dial("localhost", port) < 0);
    CHECK(thrum_dial("127.0.0.1", "no such service") == -EINVAL);
    CHECK(thrum_dial("127.0.0.1", "65536") == -EINVAL);
    CHECK(thrum_dial("127.0.0.1", "") == -EINVAL);
    CHECK(thrum_listen("127.0.0.1", "65536") == -EINVAL);
    CHECK(thrum_listen(NULL, "18446744073709551615") == -EINVAL);
    CHECK(thrum_listen("192.0.2.1", "0") == -EADDRNOTAVAIL);
    thrum_scope_open(&s);
    thrum_scope_cancel(&s, NULL);
    CHECK(thrum_dial("127.0.0.1", port) == -ECANCELED);
    CHECK(thrum_listen("127.0.0.1", port) == -ECANCELED);
    thrum_err_drop(thrum_scope_close(&s, NULL));
    return NULL;
}

static void it_is_told_why_not(void **state)
{
    (void)state;
    on_runtimes(nobody_there, NULL);
    expect_ok(nobody_there(NULL));
}

/* The first address of a name takes the call, and does not answer: its queue is
 * full. The second one has its turn. */
static int open_silent(uint16_t port)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = port};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);

    in.sin6_addr = in6addr_loopback;
    if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof in) != 0 ||
        listen(fd, 0) != 0) {
        close(fd);
        return -1;
    }
    for (int i = 0; i < 3; i++) {
        int client = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);

        (void)!connect(client, (struct sockaddr *)&in, sizeof in);
    }
    return fd;
}

static thrum_err *dial_second(void *arg)
{
    int listener = thrum_listen("127.0.0.1", "0");
    char port[8];
    int silent = open_silent(htons((uint16_t)atoi(port_of(listener, port))));

    (void)arg;
    meet(listener, thrum_dial("localhost", port));
    if (silent >= 0)
        close(silent);
    return NULL;
}

static void an_address_that_does_not_answer_is_not_waited_for(void **state)
{
    (void)state;
    on_runtimes(dial_second, NULL);
}

/* --- paths ---------------------------------------------------------------- */

static thrum_err *unix_paths(void *arg)
{
    char path[40], longer[200];
    int listener;

    (void)arg;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%sthrum-test-%d", i ? "@" : "/tmp/",
                 getpid());
        (void)unlink(path);
        listener = thrum_listen_unix(path);
        CHECK(listener >= 0);
        CHECK(thrum_listen_unix(path) == -EADDRINUSE);
        meet(listener, thrum_dial_unix(path));
        CHECK(thrum_dial_unix(path) == -ECONNREFUSED);
        (void)unlink(path);
    }
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    CHECK(thrum_dial_unix(longer) == -ENAMETOOLONG);
    CHECK(thrum_listen_unix("") == -EINVAL);
    CHECK(thrum_dial_unix("/tmp/no such socket") == -ENOENT);
    return NULL;
}

static void unix_sockets_are_found_by_path_and_by_name(void **state)
{
    (void)state;
    on_runtimes(unix_paths, NULL);
    expect_ok(unix_paths(NULL));
}

/* --- files ---------------------------------------------------------------- */

enum { LENGTH = 400000 };

static thrum_err *read_all(void *arg)
{
    unsigned char bytes[5000];
    size_t at = 0;
    ssize_t got;

    while ((got = thrum_read(*(int *)arg, bytes, sizeof bytes)) > 0) {
        check_bytes(bytes, at, (size_t)got);
        at += (size_t)got;
    }
    CHECK(got == 0 && at == LENGTH);
    return NULL;
}

static void send_file(int file)
{
    int fds[2];
    off_t at = 0;
    ssize_t sent;
    thrum_scope s;

    fds_open(TCP, fds);
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, read_all, &fds[0], 0) == 0);
    while ((sent = thrum_sendfile(fds[1], file, &at, LENGTH)) > 0)
        ;
    CHECK(sent == 0 && at == LENGTH);
    CHECK(shutdown(fds[1], SHUT_WR) == 0);
    expect_ok(thrum_scope_close(&s, NULL));
    fds_close(fds);
}

static thrum_err *files(void *arg)
{
    static unsigned char bytes[LENGTH];
    char path[] = "/tmp/thrum-test-XXXXXX";
    unsigned char some[100];
    struct stat st;
    int fd = mkstemp(path);

    (void)arg;
    CHECK(fd >= 0);
    CHECK(thrum_close(fd) == 0);
    fd = thrum_open(path, O_RDWR | O_TRUNC, 0);
    CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    fd = fd_aside(fd);
    fill(bytes, 0, LENGTH);
    CHECK(thrum_pwrite(fd, bytes, LENGTH, 0) == LENGTH);
    CHECK(thrum_fsync(fd) == 0);
    CHECK(thrum_stat(path, &st) == 0 && st.st_size == LENGTH);
    CHECK(thrum_pread(fd, some, sizeof some, 777) == sizeof some);
    check_bytes(some, 777, sizeof some);
    CHECK(thrum_pread(fd, some, sizeof some, LENGTH) == 0);
    send_file(fd);
    CHECK(thrum_close(fd) == 0 && unlink(path) == 0);
    CHECK(thrum_open(path, O_RDONLY, 0) == -ENOENT);
    CHECK(thrum_stat(path, &st) == -ENOENT);
    CHECK(thrum_pread(fd, some, 1, 0) == -EBADF);
    CHECK(thrum_pwrite(fd, some, 1, 0) == -EBADF);
    CHECK(thrum_fsync(fd) == -EBADF);
    CHECK(thrum_sendfile(fd, 0, NULL, 1) == -EBADF);
    CHECK(thrum_sendfile(-1, 0, NULL, 1) == -EBADF);
    return NULL;
}

static void files_are_read_written_and_sent(void **state)
{
    (void)state;
    on_each_io(files, NULL);
}

static thrum_err *send_to_nobody(void *arg)
{
    int fds[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    off_t at = 0;

    (void)arg;
    CHECK(file >= 0);
    fds_open(STREAM, fds);
    CHECK(thrum_close(fds[0]) == 0);
    CHECK(thrum_sendfile(fds[1], file, &at, 100) == -EPIPE && at == 0);
    CHECK(thrum_close(fds[1]) == 0);
    CHECK(thrum_close(file) == 0);
    return NULL;
}

static void a_file_that_is_sent_to_nobody_brings_no_signal(void **state)
{
    struct sigaction was;

    (void)state;
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, &was);
    on_each_io(send_to_nobody, NULL);
    expect_ok(send_to_nobody(NULL)); /* this thread has it open */
    expect_ok(thrum_sim(&(thrum_sim_opts){.rounds = 1}, send_to_nobody, NULL));
    sigaction(SIGPIPE, &was, NULL);
}

static thrum_err *canceled_files(void *arg)
{
    struct stat st;
    thrum_scope s;
    char byte;

    (void)arg;
    thrum_scope_open(&s);
    thrum_scope_cancel(&s, NULL);
    CHECK(thrum_open("/tmp/thrum-not-made", O_CREAT, 0) == -ECANCELED);
    CHECK(thrum_stat("/tmp", &st) == -ECANCELED);
    CHECK(thrum_pread(0, &byte, 1, 0) == -ECANCELED);
    CHECK(thrum_pwrite(0, &byte, 1, 0) == -ECANCELED);
    CHECK(thrum_fsync(0) == -ECANCELED);
    CHECK(thrum_sendfile(1, 0, NULL, 1) == -ECANCELED);
    CHECK(thrum_sendfile(-1, 0, NULL, 1) == -ECANCELED);
    CHECK(thrum_dial_unix("@nobody") == -ECANCELED);
    thrum_err_drop(thrum_scope_close(&s, NULL));
    CHECK(thrum_stat("/tmp/thrum-not-made", &st) == -ENOENT);
    return NULL;
}

static void a_canceled_task_does_nothing_with_files(void **state)
{
    (void)state;
    on_each_io(canceled_files, NULL);
    expect_ok(canceled_files(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_found_by_number_and_by_name),
        cmocka_unit_test(one_may_listen_at_all_addresses_once),
        cmocka_unit_test(it_is_told_why_not),
        cmocka_unit_test(an_address_that_does_not_answer_is_not_waited_for),
        cmocka_unit_test(unix_sockets_are_found_by_path_and_by_name),
        cmocka_unit_test(files_are_read_written_and_sent),
        cmocka_unit_test(a_file_that_is_sent_to_nobody_brings_no_signal),
        cmocka_unit_test(a_canceled_task_does_nothing_with_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
