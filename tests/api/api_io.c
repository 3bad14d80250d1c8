/* Do reading and writing do what read(2) and write(2) do, and wait instead of
 * saying EAGAIN? How: pipes, Unix sockets and TCP, all as blocking as a program
 * gets them, with tasks at both ends. */
#include "lib/fds.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

/* --- there and back ------------------------------------------------------- */

/* In a simulation it goes byte by byte, as it were. */
static size_t much(void)
{
    return thrum_sim_seed() == 0 ? 300000 : 20000;
}

struct stream {
    int fd;
    size_t chunk;
};

static thrum_err *write_much(void *arg)
{
    struct stream *s = arg;
    unsigned char bytes[4096];
    size_t at = 0, done;

    while (at < much()) {
        size_t left = much() - at, n = left < s->chunk ? left : s->chunk;

        fill(bytes, at, n);
        CHECK(thrum_write_full(s->fd, bytes, n, &done) == 0 && done == n);
        at += n;
    }
    CHECK(thrum_close(s->fd) == 0);
    return NULL;
}

static thrum_err *read_much(void *arg)
{
    struct stream *s = arg;
    unsigned char bytes[4096];
    size_t at = 0;
    ssize_t got;

    while ((got = thrum_read(s->fd, bytes, s->chunk)) > 0) {
        check_bytes(bytes, at, (size_t)got);
        at += (size_t)got;
    }
    CHECK(got == 0 && at == much());
    CHECK(thrum_read(s->fd, bytes, 1) == 0); /* it stays so */
    CHECK(thrum_close(s->fd) == 0);
    return NULL;
}

static thrum_err *stream_all(void *arg)
{
    static const size_t chunks[][2] = {
        {4096, 4096}, {1000, 4096}, {4096, 777}, {513, 200}};

    (void)arg;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
            struct stream in = {.chunk = chunks[i][0]};
            struct stream out = {.chunk = chunks[i][1]};
            int fds[2];
            thrum_scope s;

            fds_open((enum kind)kind, fds);
            in.fd = fds[0];
            out.fd = fds[1];
            thrum_scope_open(&s);
            CHECK(thrum_spawn(&s, read_much, &in, 0) == 0);
            CHECK(thrum_spawn(&s, write_much, &out, 0) == 0);
            expect_ok(thrum_scope_close(&s, NULL));
        }
    return NULL;
}

static void all_bytes_come_in_their_order_then_the_end(void **state)
{
    (void)state;
    on_runtimes(stream_all, NULL);
}

static void *read_there(void *arg)
{
    return read_much(arg);
}

static void *write_there(void *arg)
{
    return write_much(arg);
}

static void so_do_those_of_threads_that_are_no_workers(void **state)
{
    struct stream in = {.chunk = 1000}, out = {.chunk = 4096};
    pthread_t reader, writer;

    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        int fds[2];

        fds_open((enum kind)kind, fds);
        in.fd = fds[0];
        out.fd = fds[1];
        assert_int_equal(pthread_create(&reader, NULL, read_there, &in), 0);
        assert_int_equal(pthread_create(&writer, NULL, write_there, &out), 0);
        pthread_join(reader, NULL);
        pthread_join(writer, NULL);
    }
}

/* --- several places ------------------------------------------------------- */

static thrum_err *vectors(void *arg)
{
    (void)arg;
    if (is_emulated()) /* it cannot say whether a pipe has room: less goes */
        return NULL;
    for (int kind = 0; kind < KINDS; kind++) {
        unsigned char out[30], in[30] = {0};
        struct iovec from[3] = {{out, 7}, {out + 7, 0}, {out + 7, 23}};
        struct iovec to[2] = {{in, 29}, {in + 29, 1}};
        int fds[2];

        fill(out, 0, sizeof out);
        fds_open((enum kind)kind, fds);
        CHECK(thrum_writev(fds[1], from, 3) == 30);
        CHECK(thrum_readv(fds[0], to, 2) == 30);
        check_bytes(in, 0, sizeof in);
        CHECK(thrum_writev(fds[1], from, -1) == -EINVAL);
        CHECK(thrum_readv(fds[0], to, INT_MAX) == -EINVAL);
        fds_close(fds);
    }
    return NULL;
}

static void vectors_are_read_and_written(void **state)
{
    (void)state;
    on_threads(vectors, NULL);
}

/* As read(2) it waits for nothing, and takes no message. */
static thrum_err *read_nothing(void *arg)
{
    const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    struct iovec none[2] = {{NULL, 0}, {NULL, 0}};
    char byte;
    int fds[2];

    (void)arg;
    for (size_t i = 0; i < 3; i++) {
        CHECK(socketpair(AF_UNIX, types[i], 0, fds) == 0);
        CHECK(thrum_read(fds[0], &byte, 0) == 0);
        CHECK(thrum_readv(fds[0], none, 2) == 0);
        CHECK(thrum_write(fds[1], "x", 1) == 1);
        CHECK(thrum_read(fds[0], &byte, 0) == 0);
        CHECK(thrum_readv(fds[0], none, 2) == 0);
        CHECK(thrum_read(fds[0], &byte, 1) == 1 && byte == 'x');
        fds_close(fds);
        CHECK(thrum_read(fds[0], &byte, 0) == -EBADF);
    }
    return NULL;
}

static void nothing_is_read_at_once(void **state)
{
    (void)state;
    on_runtimes(read_nothing, NULL);
    expect_ok(read_nothing(NULL));
}

static thrum_err *full_and_short(void *arg)
{
    unsigned char bytes[10] = {0};
    size_t done = 99;
    int fds[2];

    (void)arg;
    fds_open(PIPE, fds);
    CHECK(thrum_write_full(fds[1], "0123456789", 10, NULL) == 0);
    CHECK(thrum_read_full(fds[0], bytes, 4, &done) == 0 && done == 4);
    CHECK(thrum_read_full(fds[0], bytes, 0, &done) == 0 && done == 0);
    CHECK(thrum_close(fds[1]) == 0);
    CHECK(thrum_read_full(fds[0], bytes, 10, &done) == -ENODATA && done == 6);
    CHECK(memcmp(bytes, "456789", 6) == 0);
    CHECK(thrum_close(fds[0]) == 0);
    return NULL;
}

static void an_end_before_all_was_read_is_told(void **state)
{
    (void)state;
    on_runtimes(full_and_short, NULL);
}

/* --- ends ----------------------------------------------------------------- */

static thrum_err *write_to_nobody(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < KINDS; kind++) {
        struct iovec one = {"x", 1};
        size_t done;
        ssize_t rc;
        int fds[2];

        fds_open((enum kind)kind, fds);
        CHECK(thrum_close(fds[0]) == 0);
        do /* TCP must hear of it first */
            rc = thrum_write(fds[1], "x", 1);
        while (rc == 1);
        CHECK(rc == -EPIPE || (kind == TCP && rc == -ECONNRESET));
        CHECK(thrum_writev(fds[1], &one, 1) == -EPIPE);
        CHECK(thrum_write_full(fds[1], "x", 1, &done) == -EPIPE && done == 0);
        CHECK(thrum_close(fds[1]) == 0);
    }
    return NULL;
}

static void a_pipe_that_nobody_reads_is_an_error_and_no_signal(void **state)
{
    struct sigaction was;

    (void)state;
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, &was);
    on_runtimes(write_to_nobody, NULL);
    expect_ok(write_to_nobody(NULL)); /* this thread has it open */
    sigaction(SIGPIPE, &was, NULL);
}

static thrum_err *half_close(void *arg)
{
    (void)arg;
    for (int kind = STREAM; kind < KINDS; kind++) {
        char byte;
        int fds[2];

        fds_open((enum kind)kind, fds);
        CHECK(thrum_write(fds[1], "a", 1) == 1);
        CHECK(shutdown(fds[1], SHUT_WR) == 0);
        CHECK(thrum_read(fds[0], &byte, 1) == 1 && byte == 'a');
        CHECK(thrum_read(fds[0], &byte, 1) == 0);
        CHECK(thrum_write(fds[0], "b", 1) == 1);
        CHECK(thrum_read(fds[1], &byte, 1) == 1 && byte == 'b');
        fds_close(fds);
    }
    return NULL;
}

static void one_way_may_be_closed_alone(void **state)
{
    (void)state;
    on_runtimes(half_close, NULL);
}

/* By one end; the other has perhaps said before that it sends no more. */
static void reset_by(int i, bool half)
{
    struct linger at_once = {1, 0};
    char byte;
    int fds[2];

    fds_open(TCP, fds);
    CHECK(setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) ==
          0);
    CHECK(!half || shutdown(fds[1 - i], SHUT_WR) == 0);
    CHECK(thrum_close(fds[i]) == 0);
    CHECK(thrum_read(fds[1 - i], &byte, 1) == -ECONNRESET);
    CHECK(thrum_read(fds[1 - i], &byte, 1) == 0);
    CHECK(thrum_write(fds[1 - i], "x", 1) == -EPIPE);
    CHECK(thrum_close(fds[1 - i]) == 0);
}

static thrum_err *reset(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++)
        reset_by(i % 2, i > 1);
    return NULL;
}

static void a_reset_is_told(void **state)
{
    (void)state;
    on_runtimes(reset, NULL);
}

static thrum_err *bad_numbers(void *arg)
{
    char byte;
    struct iovec one = {&byte, 1};
    struct msghdr m = {.msg_iov = &one, .msg_iovlen = 1};
    int fds[2];

    (void)arg;
    fds_open(PIPE, fds);
    fds_close(fds);
    for (int i = 0; i < 2; i++) {
        int fd = i == 0 ? -1 : fds[0];

        CHECK(thrum_read(fd, &byte, 1) == -EBADF);
        CHECK(thrum_write(fd, "x", 1) == -EBADF);
        CHECK(thrum_readv(fd, &one, 1) == -EBADF);
        CHECK(thrum_writev(fd, &one, 1) == -EBADF);
        CHECK(thrum_recvmsg(fd, &m, 0) == -EBADF);
        CHECK(thrum_sendmsg(fd, &m, 0) == -EBADF);
        CHECK(thrum_accept(fd, NULL, NULL) == -EBADF);
        CHECK(thrum_connect(fd, NULL, 0) == -EBADF);
        CHECK(thrum_wait_fd(fd, POLLIN) == -EBADF);
        CHECK(thrum_close(fd) == -EBADF);
    }
    CHECK(thrum_wait_fd(0, 0) == -EINVAL);
    CHECK(thrum_wait_fd(0, POLLHUP) == -EINVAL);
    return NULL;
}

static void what_is_not_open_is_told(void **state)
{
    (void)state;
    on_runtimes(bad_numbers, NULL);
    expect_ok(bad_numbers(NULL));
}

/* --- messages ------------------------------------------------------------- */

static thrum_err *datagrams(void *arg)
{
    int fds[2];
    char in[8];
    struct iovec to = {in, sizeof in}, from = {"hello", 5};
    struct msghdr get = {.msg_iov = &to, .msg_iovlen = 1};
    struct msghdr put = {.msg_iov = &from, .msg_iovlen = 1};

    (void)arg;
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
    CHECK(thrum_recvmsg(fds[0], &get, MSG_DONTWAIT) == -EAGAIN);
    CHECK(thrum_sendmsg(fds[1], &put, 0) == 5);
    CHECK(thrum_sendmsg(fds[1], &put, MSG_DONTWAIT) == 5);
    CHECK(thrum_recvmsg(fds[0], &get, MSG_PEEK) == 5);
    CHECK(thrum_recvmsg(fds[0], &get, 0) == 5 && memcmp(in, "hello", 5) == 0);
    CHECK(thrum_recvmsg(fds[0], &get, 0) == 5);
    while (thrum_sendmsg(fds[1], &put, MSG_DONTWAIT) > 0)
        ;
    CHECK(thrum_sendmsg(fds[1], &put, MSG_DONTWAIT) == -EAGAIN);
    fds_close(fds);
    return NULL;
}

static void messages_keep_their_bounds(void **state)
{
    (void)state;
    on_runtimes(datagrams, NULL);
}

/* --- other files, other modes --------------------------------------------- */

static thrum_err *modes(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < KINDS; kind++)
        for (int flags = 0; flags <= O_NONBLOCK; flags += O_NONBLOCK) {
            char byte;
            int fds[2];

            fds_open((enum kind)kind, fds);
            for (int i = 0; i < 2; i++) {
                int is = fcntl(fds[i], F_GETFL);

                CHECK(fcntl(fds[i], F_SETFL, is | flags) == 0);
            }
            CHECK(thrum_write(fds[1], "a", 1) == 1);
            CHECK(thrum_wait_fd(fds[0], POLLIN) == POLLIN);
            CHECK(thrum_read(fds[0], &byte, 1) == 1);
            for (int i = 0; i < 2; i++)
                CHECK((fcntl(fds[i], F_GETFL) & O_NONBLOCK) == flags);
            fds_close(fds);
        }
    return NULL;
}

static void the_mode_of_a_descriptor_is_left_alone(void **state)
{
    (void)state;
    on_runtimes(modes, NULL);
}

static thrum_err *add_to_event(void *arg)
{
    uint64_t n = 7;

    CHECK(thrum_write(*(int *)arg, &n, sizeof n) == sizeof n);
    return NULL;
}

static thrum_err *event(void *arg)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t n = 0;
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, add_to_event, &fd, 0) == 0);
    CHECK(thrum_read(fd, &n, sizeof n) == sizeof n && n == 7);
    expect_ok(thrum_scope_close(&s, NULL));
    CHECK(thrum_close(fd) == 0);
    return NULL;
}

static void other_files_that_are_polled_are_waited_for(void **state)
{
    (void)state;
    on_runtimes(event, NULL);
}

static thrum_err *terminal(void *arg)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
    char bytes[8];

    (void)arg;
    if (master < 0)
        return NULL; /* there are none here */
    CHECK(grantpt(master) == 0 && unlockpt(master) == 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    CHECK(slave >= 0);
    CHECK(thrum_write_full(master, "hi\n", 3, NULL) == 0);
    CHECK(thrum_read(slave, bytes, sizeof bytes) == 3);
    CHECK(memcmp(bytes, "hi\n", 3) == 0);
    CHECK(thrum_close(slave) == 0);
    CHECK(thrum_close(master) == 0);
    return NULL;
}

static void so_are_terminals(void **state)
{
    (void)state;
    on_threads(terminal, NULL);
}

static thrum_err *regular(void *arg)
{
    FILE *file = tmpfile();
    unsigned char bytes[100], in[100];
    struct iovec v = {in, sizeof in};
    int fd = fileno(file);

    (void)arg;
    fill(bytes, 0, sizeof bytes);
    CHECK(thrum_write_full(fd, bytes, sizeof bytes, NULL) == 0);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK(thrum_read_full(fd, in, sizeof in, NULL) == 0);
    check_bytes(in, 0, sizeof in);
    CHECK(thrum_read(fd, in, 1) == 0);
    CHECK(thrum_writev(fd, &v, 1) == 100);
    CHECK(thrum_readv(fd, &v, 1) == 0);
    CHECK(thrum_wait_fd(fd, POLLIN) == POLLIN);
    fclose(file);
    fd = open("/dev/null", O_RDWR);
    CHECK(thrum_write(fd, "x", 1) == 1 && thrum_read(fd, in, 1) == 0);
    CHECK(thrum_close(fd) == 0);
    return NULL;
}

static void regular_files_are_never_waited_for(void **state)
{
    (void)state;
    on_runtimes(regular, NULL);
    expect_ok(regular(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_come_in_their_order_then_the_end),
        cmocka_unit_test(so_do_those_of_threads_that_are_no_workers),
        cmocka_unit_test(vectors_are_read_and_written),
        cmocka_unit_test(nothing_is_read_at_once),
        cmocka_unit_test(an_end_before_all_was_read_is_told),
        cmocka_unit_test(a_pipe_that_nobody_reads_is_an_error_and_no_signal),
        cmocka_unit_test(one_way_may_be_closed_alone),
        cmocka_unit_test(a_reset_is_told),
        cmocka_unit_test(what_is_not_open_is_told),
        cmocka_unit_test(messages_keep_their_bounds),
        cmocka_unit_test(the_mode_of_a_descriptor_is_left_alone),
        cmocka_unit_test(other_files_that_are_polled_are_waited_for),
        cmocka_unit_test(so_are_terminals),
        cmocka_unit_test(regular_files_are_never_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
