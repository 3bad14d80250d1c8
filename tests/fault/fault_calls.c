/* Does each byte arrive, in its order and once, when the kernel interrupts calls (EINTR),
 * transfers less than it was asked to, has no room (ENOBUFS) and no descriptor left
 * (EMFILE); and is nobody woken early, or not at all, when waits end for no reason?
 * How: the functions of the C library that the library calls are defined here, and
 * every second call or so meets something; what is told is tried again. */
#include "lib/sweep.h"

#include <dirent.h>
#include <dlfcn.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BYTES = 100000, CHUNK = 777, PEERS = 20, ROUNDS = 200 };

/* --------------------------------------------------------------- the faults */

enum what { INTERRUPTED, SHORT, REFUSED, KINDS, NOTHING = KINDS };

static _Atomic bool armed;
static _Atomic uint32_t calls;
static _Atomic unsigned struck[KINDS];
static bool is_tcp; /* a read of it stops short only where no more is there */

static uint32_t hash(uint32_t n)
{
    n = (n ^ n >> 16) * 0x7feb352du;
    n = (n ^ n >> 15) * 0x846ca68bu;
    return n ^ n >> 16;
}

/* What this call meets, of what it may. */
static enum what meets(bool may_be_short, bool may_be_refused)
{
    static const enum what of[8] = {INTERRUPTED, INTERRUPTED, SHORT,   SHORT,
                                    REFUSED,     NOTHING,     NOTHING, NOTHING};
    enum what what = armed ? of[hash(atomic_fetch_add(&calls, 1)) % 8]
                           : NOTHING;

    if ((what == SHORT && !may_be_short) ||
        (what == REFUSED && !may_be_refused))
        return NOTHING;
    if (what != NOTHING)
        struck[what]++;
    return what;
}

static long fails(int number)
{
    errno = number;
    return -1;
}

static long part_of(long n)
{
    return n < 2 ? n : 1 + (long)(hash((uint32_t)calls) % (uint32_t)n);
}

static long kernel(long number, long a, long b, long c, long d, long e, long f)
{
    static long (*_Atomic real)(long, ...);

    if (real == NULL)
        *(void **)(void *)&real = dlsym(RTLD_NEXT, "syscall");
    return real(number, a, b, c, d, e, f);
}

/* It may end for no reason, too; and a futex again and again say that there is no
 * need to wait, which there is. */
static long waits(long number, const long a[6])
{
    switch (meets(true, number == SYS_futex)) {
    case INTERRUPTED:
        return fails(EINTR);
    case SHORT:
        return 0;
    case REFUSED:
        return fails(EAGAIN);
    case NOTHING:
        break;
    }
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long transfers(long number, const long a[6])
{
    bool sends = number == SYS_sendto;

    switch (meets(sends || !is_tcp, sends)) {
    case INTERRUPTED:
        return fails(EINTR);
    case REFUSED:
        return fails(ENOBUFS);
    case SHORT:
        return kernel(number, a[0], a[1], part_of(a[2]), a[3], a[4], a[5]);
    case NOTHING:
        break;
    }
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static long vector(long number, const long a[6])
{
    struct iovec one = *(const struct iovec *)a[1];

    switch (meets(a[2] > 0, false)) {
    case INTERRUPTED:
        return fails(EINTR);
    case SHORT:
        one.iov_len = (size_t)part_of((long)one.iov_len);
        return kernel(number, a[0], (long)&one, 1, a[3], a[4], a[5]);
    case REFUSED:
    case NOTHING:
        break;
    }
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

long syscall(long number, ...)
{
    va_list list;
    long a[6];

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_epoll_pwait2 || number == SYS_epoll_pwait ||
        (number == SYS_futex &&
         (a[1] & ~FUTEX_PRIVATE_FLAG) == FUTEX_WAIT_BITSET))
        return waits(number, a);
    if (number == SYS_recvfrom || number == SYS_sendto)
        return transfers(number, a);
    if (number == SYS_preadv2 || number == SYS_pwritev2)
        return vector(number, a);
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static ssize_t message(long number, int fd, const struct msghdr *m, int flags)
{
    switch (meets(false, number == SYS_sendmsg)) {
    case INTERRUPTED:
        return fails(EINTR);
    case REFUSED:
        return fails(ENOBUFS);
    case SHORT:
    case NOTHING:
        break;
    }
    return kernel(number, fd, (long)m, flags, 0, 0, 0);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    return message(SYS_recvmsg, fd, m, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    return message(SYS_sendmsg, fd, m, flags);
}

/* As the C library declares it, it cannot be defined. */
int own_accept4(int fd, struct sockaddr *addr, socklen_t *size,
                int flags) __asm__("accept4");

int own_accept4(int fd, struct sockaddr *addr, socklen_t *size, int flags)
{
    switch (meets(true, true)) {
    case INTERRUPTED:
        return (int)fails(EINTR);
    case SHORT: /* nor is that told */
        return (int)fails(ECONNABORTED);
    case REFUSED:
        return (int)fails(EMFILE);
    case NOTHING:
        break;
    }
    return (int)kernel(SYS_accept4, fd, (long)addr, (long)size, flags, 0, 0);
}

int socket(int family, int type, int protocol)
{
    return meets(false, true) == REFUSED
               ? (int)fails(EMFILE)
               : (int)kernel(SYS_socket, family, type, protocol, 0, 0, 0);
}

/* ------------------------------------------------------------------ streams */

static unsigned char byte_at(size_t i)
{
    return (unsigned char)(i * 2654435761u >> 13);
}

/* Whole, in vectors, or as much as goes at once. */
static size_t write_some(int fd, unsigned char *bytes, size_t n, size_t round)
{
    struct iovec v[2] = {{bytes, n / 2}, {bytes + n / 2, n - n / 2}};
    size_t done;
    ssize_t rc;

    if (round % 3 == 0) {
        rc = thrum_write_full(fd, bytes, n, &done);
        CHECK(rc == -ENOBUFS || (rc == 0 && done == n));
        return done;
    }
    rc = round % 3 == 1 ? thrum_write(fd, bytes, n) : thrum_writev(fd, v, 2);
    CHECK(rc > 0 || rc == -ENOBUFS);
    return rc < 0 ? 0 : (size_t)rc;
}

static thrum_err *write_all(void *arg)
{
    int fd = *(int *)arg;
    unsigned char bytes[CHUNK];

    for (size_t at = 0, round = 0; at < BYTES; round++) {
        size_t n = BYTES - at < CHUNK ? BYTES - at : CHUNK;

        for (size_t i = 0; i < n; i++)
            bytes[i] = byte_at(at + i);
        at += write_some(fd, bytes, n, round);
    }
    CHECK(thrum_close(fd) == 0);
    return NULL;
}

static thrum_err *read_all(void *arg)
{
    int fd = *(int *)arg;
    unsigned char bytes[CHUNK];
    struct iovec v[2] = {{bytes, 300}, {bytes + 300, CHUNK - 300}};
    size_t at = 0;
    ssize_t n = 1;

    for (size_t round = 0; n > 0; round++) {
        n = round % 2 == 0 ? thrum_read(fd, bytes, CHUNK)
                           : thrum_readv(fd, v, 2);
        CHECK(n >= 0);
        for (ssize_t i = 0; i < n; i++)
            CHECK(bytes[i] == byte_at(at++));
    }
    CHECK(at == BYTES && thrum_close(fd) == 0);
    return NULL;
}

static int again(int rc)
{
    CHECK(rc >= 0 || rc == -EMFILE);
    return rc;
}

static void connect_tcp(int fds[2])
{
    struct sockaddr_storage addr;
    socklen_t size = sizeof addr;
    int listener;

    while ((listener = again(thrum_listen("127.0.0.1", "0"))) < 0)
        ;
    CHECK(getsockname(listener, (struct sockaddr *)&addr, &size) == 0);
    while ((fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
        ;
    CHECK(thrum_connect(fds[1], (struct sockaddr *)&addr, size) == 0);
    while ((fds[0] = again(thrum_accept(listener, NULL, NULL))) < 0)
        ;
    CHECK(thrum_close(listener) == 0);
}

static thrum_err *streams(void *unused)
{
    (void)unused;
    for (int kind = 0; kind < 3; kind++) {
        int fds[2];
        thrum_scope s;

        is_tcp = kind == 2;
        if (kind == 0)
            CHECK(pipe(fds) == 0);
        else if (kind == 1)
            CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
        else
            connect_tcp(fds);
        thrum_scope_open(&s);
        CHECK(thrum_spawn(&s, read_all, &fds[0], 0) == 0);
        CHECK(thrum_spawn(&s, write_all, &fds[1], 0) == 0);
        CHECK(thrum_scope_close(&s, NULL) == NULL);
    }
    is_tcp = false;
    return NULL;
}

/* ---------------------------------------------------- connections, messages */

static const char *path(void)
{
    static char text[32];

    snprintf(text, sizeof text, "@thrum-calls-%d", getpid());
    return text;
}

static thrum_err *be_peer(size_t i, void *unused)
{
    unsigned char byte = (unsigned char)i;
    int fd;

    (void)unused;
    while ((fd = again(thrum_dial_unix(path()))) < 0)
        ;
    while (thrum_write(fd, &byte, 1) != 1)
        ;
    CHECK(thrum_close(fd) == 0);
    return NULL;
}

static thrum_err *accept_all(void *arg)
{
    bool seen[PEERS] = {false};

    for (int i = 0; i < PEERS; i++) {
        unsigned char byte = PEERS;
        int fd;

        while ((fd = again(thrum_accept(*(int *)arg, NULL, NULL))) < 0)
            ;
        CHECK(thrum_read(fd, &byte, 1) == 1);
        CHECK(byte < PEERS && !seen[byte]);
        seen[byte] = true;
        CHECK(thrum_close(fd) == 0);
    }
    return NULL;
}

static thrum_err *connections(void *unused)
{
    thrum_scope s;
    int listener;

    while ((listener = again(thrum_listen_unix(path()))) < 0)
        ;
    thrum_scope_open(&s);
    CHECK(thrum_spawn(&s, accept_all, &listener, 0) == 0);
    CHECK(thrum_each(PEERS, be_peer, unused) == NULL);
    CHECK(thrum_scope_close(&s, NULL) == NULL);
    return thrum_rc(thrum_close(listener));
}

static thrum_err *messages(void *unused)
{
    int fds[2];

    (void)unused;
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned in = ~i, out = i;
        struct iovec to = {&in, sizeof in}, from = {&out, sizeof out};
        struct msghdr get = {.msg_iov = &to, .msg_iovlen = 1};
        struct msghdr put = {.msg_iov = &from, .msg_iovlen = 1};
        ssize_t rc;

        while ((rc = thrum_sendmsg(fds[1], &put, 0)) == -ENOBUFS)
            ;
        CHECK(rc == sizeof out);
        CHECK(thrum_recvmsg(fds[0], &get, 0) == sizeof in && in == i);
    }
    CHECK(thrum_close(fds[0]) == 0 && thrum_close(fds[1]) == 0);
    return NULL;
}

/* Workers sleep and are woken, by timers, too. */
static thrum_err *nap(size_t i, void *unused)
{
    thrum_time start = thrum_now();
    int rc = thrum_sleep(THRUM_US(i));

    CHECK(thrum_now() - start >= (thrum_time)THRUM_US(i));
    (void)unused;
    return thrum_rc(rc);
}

static thrum_err *naps(void *unused)
{
    for (int i = 0; i < 5; i++)
        CHECK(thrum_each(2 * PEERS, nap, unused) == NULL);
    return NULL;
}

/* -------------------------------------------------------------------- tests */

static void with_faults(thrum_fn *tell)
{
    for (workers = 1; workers <= 4; workers *= 2) {
        thrum_opts opts = {.workers = workers};
        thrum_rt *rt;

        assert_int_equal(thrum_start(&rt, &opts), 0);
        armed = true;
        assert_null(thrum_call(rt, tell, NULL));
        armed = false;
        assert_null(thrum_stop(rt));
    }
}

static void all_bytes_come_in_their_order(void **state)
{
    (void)state;
    with_faults(streams);
}

static void each_connection_is_accepted_once(void **state)
{
    (void)state;
    with_faults(connections);
}

static void messages_stay_whole(void **state)
{
    (void)state;
    with_faults(messages);
}

static void who_sleeps_is_woken(void **state)
{
    (void)state;
    with_faults(naps);
}

/* All threads of the process; what it was, for later. */
static void cut_to_one_cpu(cpu_set_t *before)
{
    DIR *threads = opendir("/proc/self/task");
    cpu_set_t one;

    CHECK(threads != NULL && sched_getaffinity(0, sizeof *before, before) == 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, before))
            CPU_SET(i, &one);
    for (struct dirent *d; (d = readdir(threads)) != NULL;)
        if (d->d_name[0] != '.') /* one may have ended */
            (void)sched_setaffinity(atoi(d->d_name), sizeof one, &one);
    CHECK(closedir(threads) == 0);
}

/* Those who search and those who are searched for share it from here on. */
static thrum_err *lose_cpus(void *before)
{
    CHECK(naps(NULL) == NULL);
    cut_to_one_cpu(before);
    return naps(NULL);
}

static void one_cpu_that_is_left_is_enough(void **state)
{
    thrum_opts opts = {.workers = 4};
    cpu_set_t before;
    thrum_rt *rt;

    (void)state;
    assert_int_equal(thrum_start(&rt, &opts), 0);
    assert_null(thrum_call(rt, lose_cpus, &before));
    assert_null(thrum_stop(rt));
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void faults_were_met(void **state)
{
    unsigned all = struck[INTERRUPTED] + struck[SHORT] + struck[REFUSED];

    (void)state;
    for (int i = 0; i < KINDS; i++)
        assert_true(struck[i] > 100);
    print_message("           %u faults struck\n", all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_come_in_their_order),
        cmocka_unit_test(each_connection_is_accepted_once),
        cmocka_unit_test(messages_stay_whole),
        cmocka_unit_test(who_sleeps_is_woken),
        cmocka_unit_test(one_cpu_that_is_left_is_enough),
        cmocka_unit_test(faults_were_met),
    };

    if (SANITIZED || is_emulated()) {
        puts("skipped: a sanitizer, or an emulator, is between the library and "
             "the kernel");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
