/* Does a simulated connection end as a real one does? One table, held by the kernel's
 * TCP and by the simulation, by who has connected and by who has accepted. */
#include "lib/fds.h"

#include <ctype.h>
#include <poll.h>
#include <sys/ioctl.h>

/* What one end does, in small letters, and the other one, in capitals: w writes a
 * byte, r reads one, s shuts down its writing, c closes, x closes by a reset, p asks
 * what it might do. What each comes to: a number; A EAGAIN, R ECONNRESET, P EPIPE;
 * of p: i in and out, h the end of both ways, too, e and an error. */
static const struct row {
    const char *what, *comes_to;
} rows[] = {
    /* A reset is told once, to who asks first; what was sent before is read. */
    {"Xrwr", "0RP0"},
    {"Xwrwr", "0R0P0"},
    {"Xprp", "0eRh"},
    {"Xpwp", "0eRh"},
    {"WXrrw", "101RP"},
    {"WXwrr", "10R10"},
    {"sXrw", "00RP"},
    {"sXwr", "00R0"},
    {"WsXw", "100R"},
    /* To close with something unread is one. */
    {"wCrw", "10RP"},
    {"wCwr", "10R0"},
    {"wCprpw", "10eRhP"},
    {"wXrwr", "10RP0"},
    {"wXwr", "10R0"},
    {"wsXrw", "100RP"},
    /* After the end was told it is none. */
    {"SXrw", "000P"},
    {"SXwr", "00P0"},
    {"SrXwr", "000P0"},
    {"wSCrw", "1000P"},
    {"wSCwr", "100P0"},
    {"wsSXrw", "10000P"},
    {"wsSCwr", "1000P0"},
    /* What is written after a close is lost, once. */
    {"Crwwr", "001P0"},
    {"Cwwr", "01P0"},
    {"Cprpw", "0i0i1"},
    {"SCwwr", "001P0"},
    {"SrCwr", "00010"},
    {"WCrrww", "10101P"},
    {"WCwrrw", "10110P"},
    /* Who has shut down knows. */
    {"sCrw", "000P"},
    {"swCr", "0P00"},
    {"sSrw", "000P"},
    {"sSCw", "000P"},
    {"swr", "0PA"},
    {"SWwRr", "0P110"},
};

/* --- a connection --------------------------------------------------------- */

struct run {
    int fds[2]; /* -1: it is closed */
    int unread[2];
    unsigned way; /* by which calls it is read and written */
};

static void connect_both(struct run *run, bool accepted)
{
    int listener = thrum_listen("127.0.0.1", "0");
    char port[8];

    CHECK(listener >= 0);
    run->fds[accepted] = thrum_dial("127.0.0.1", port_of(listener, port));
    run->fds[!accepted] = thrum_accept(listener, NULL, NULL);
    CHECK(run->fds[0] >= 0 && run->fds[1] >= 0 && thrum_close(listener) == 0);
}

/* What one end does comes to the other one in its own time. */
static void until_heard(int fd, short events, int unread)
{
    struct pollfd p = {.fd = fd, .events = events};
    int there = 0;

    if (fd < 0)
        return;
    if (unread == 0)
        CHECK(poll(&p, 1, -1) == 1);
    while (unread > 0 && there < unread)
        CHECK(ioctl(fd, FIONREAD, &there) == 0);
}

/* --- its calls ------------------------------------------------------------ */

static ssize_t read_one(unsigned way, int fd)
{
    char byte;
    struct iovec one = {&byte, 1};
    struct msghdr m = {.msg_iov = &one, .msg_iovlen = 1};

    return way == 0   ? thrum_read(fd, &byte, 1)
           : way == 1 ? thrum_readv(fd, &one, 1)
                      : thrum_recvmsg(fd, &m, MSG_DONTWAIT);
}

static ssize_t write_one(unsigned way, int fd)
{
    char byte = 'a';
    struct iovec one = {&byte, 1};
    struct msghdr m = {.msg_iov = &one, .msg_iovlen = 1};

    return way == 0   ? thrum_write(fd, &byte, 1)
           : way == 1 ? thrum_writev(fd, &one, 1)
                      : thrum_sendmsg(fd, &m, MSG_DONTWAIT);
}

static char told(ssize_t rc)
{
    return rc >= 0             ? (char)('0' + rc)
           : rc == -EAGAIN     ? 'A'
           : rc == -ECONNRESET ? 'R'
           : rc == -EPIPE      ? 'P'
                               : '?';
}

static char told_events(int events)
{
    return events & POLLERR ? 'e' : events & POLLHUP ? 'h' : 'i';
}

static ssize_t write_to(struct run *run, int i)
{
    ssize_t rc = write_one(run->way, run->fds[i]);

    if (rc == 1 && run->fds[1 - i] < 0)
        until_heard(run->fds[i], 0, 0); /* it is sent back */
    else if (rc == 1)
        until_heard(run->fds[1 - i], 0, ++run->unread[1 - i]);
    return rc;
}

static ssize_t read_from(struct run *run, int i, char expected)
{
    ssize_t rc = read_one(expected == 'A' ? 2 : run->way, run->fds[i]);

    if (rc == 1)
        run->unread[i]--;
    return rc;
}

static int shut_down(struct run *run, int i)
{
    int rc = shutdown(run->fds[i], SHUT_WR);

    until_heard(run->fds[1 - i], POLLRDHUP, 0);
    return rc;
}

static int close_one(struct run *run, int i, bool reset)
{
    struct linger at_once = {1, 0};
    bool resets = reset || run->unread[i] > 0;
    int fd = run->fds[i];

    if (reset)
        CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) ==
              0);
    run->fds[i] = -1;
    CHECK(thrum_close(fd) == 0);
    until_heard(run->fds[1 - i], resets ? 0 : POLLRDHUP, 0);
    return 0;
}

static char do_one(struct run *run, char what, char expected)
{
    int i = what >= 'a' ? 0 : 1;

    switch (tolower(what)) {
    case 'w':
        return told(write_to(run, i));
    case 'r':
        return told(read_from(run, i, expected));
    case 's':
        return told(shut_down(run, i));
    case 'p':
        return told_events(thrum_wait_fd(run->fds[i], POLLIN | POLLOUT));
    default:
        return told(close_one(run, i, what == 'X' || what == 'x'));
    }
}

static void run_row(const struct row *row, bool accepted, unsigned way)
{
    struct run run = {.way = way};

    connect_both(&run, accepted);
    for (size_t i = 0; row->what[i] != '\0'; i++) {
        char is = do_one(&run, row->what[i], row->comes_to[i]);

        if (is != row->comes_to[i])
            fprintf(stderr, "%s: %c at %zu\n", row->what, is, i);
        CHECK(is == row->comes_to[i]);
    }
    for (int i = 0; i < 2; i++)
        if (run.fds[i] >= 0)
            CHECK(thrum_close(run.fds[i]) == 0);
}

/* A round of a simulation has all of them. */
static thrum_err *run_all(void *unused)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (unsigned way = 0; way < 3; way++)
            run_row(&rows[i], (i + way) % 2 == 0, way);
    return unused;
}

static void a_connection_ends_as_tcp_has_it(void **state)
{
    struct footprint before = footprint();

    (void)state;
    on_runtimes(run_all, NULL);
    assert_int_equal(footprint().fds, before.fds);
}

/* Whose listener is closed is reset, too. */
static thrum_err *give_up(void *writes)
{
    int listener = thrum_listen("127.0.0.1", "0"), fd;
    char port[8];

    CHECK(listener >= 0);
    fd = thrum_dial("127.0.0.1", port_of(listener, port));
    CHECK(fd >= 0 && thrum_close(listener) == 0);
    until_heard(fd, 0, 0);
    CHECK((*(bool *)writes ? write_one(0, fd) : read_one(0, fd)) ==
          -ECONNRESET);
    CHECK(read_one(0, fd) == 0 && write_one(0, fd) == -EPIPE);
    CHECK(thrum_close(fd) == 0);
    return NULL;
}

static void who_is_never_accepted_is_reset(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        on_runtimes(give_up, &(bool){i == 1});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_ends_as_tcp_has_it),
        cmocka_unit_test(who_is_never_accepted_is_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
