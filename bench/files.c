/* What does a call on a file cost?
 *
 * read: a task reads 4 KiB that the kernel has in memory, over and over; its floor
 * is pread(2). write: the same, written, which may have to wait; its floor is
 * pwrite(2) in the blocking pool. many_write: a thousand tasks do so at once, for
 * each. THRUM_IO=epoll is without io_uring.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <thrum.h>

#include "bench.h"

enum { PAGE = 4096, PAGES = 256 };

static long calls, many;
static int file;

struct transfer {
    ssize_t (*call)(int fd, void *bytes, size_t n, off_t at);
    long i;
    ssize_t got;
};

static thrum_err *transfer(void *arg)
{
    struct transfer *t = arg;
    char bytes[PAGE];

    memset(bytes, 0, sizeof bytes);
    t->got = t->call(file, bytes, PAGE, t->i % PAGES * PAGE);
    return NULL;
}

static ssize_t write_as_posix(int fd, void *bytes, size_t n, off_t at)
{
    return pwrite(fd, bytes, n, at);
}

static ssize_t write_as_thrum(int fd, void *bytes, size_t n, off_t at)
{
    return thrum_pwrite(fd, bytes, n, at);
}

static thrum_err *transfer_elsewhere(void *arg)
{
    return thrum_offload(transfer, arg);
}

/* -------------------------------------------------------- one after another */

struct series {
    thrum_fn *fn;
    ssize_t (*call)(int fd, void *bytes, size_t n, off_t at);
};

static thrum_err *one_by_one(void *arg)
{
    struct series *s = arg;
    int64_t start = bench_now();
    long good = 0;

    for (long i = 0; i < calls; i++) {
        struct transfer t = {s->call, i, 0};

        THRUM_TRY(s->fn(&t));
        good += t.got == PAGE;
    }
    bench_add((double)(bench_now() - start) / (double)calls);
    bench_expect("whole pages", good, calls);
    return NULL;
}

static void read_floor(unsigned workers)
{
    (void)workers;
    (void)one_by_one(&(struct series){transfer, pread});
}

static void read_one(unsigned workers)
{
    bench_call(workers, one_by_one, &(struct series){transfer, thrum_pread});
}

static void write_floor(unsigned workers)
{
    bench_call(workers, one_by_one,
               &(struct series){transfer_elsewhere, write_as_posix});
}

static void write_one(unsigned workers)
{
    bench_call(workers, one_by_one, &(struct series){transfer, write_as_thrum});
}

/* -------------------------------------------------------------- all at once */

static thrum_err *at_once(void *arg)
{
    struct series *s = arg;
    struct transfer *all = calloc((size_t)many, sizeof *all);
    int64_t start = bench_now();
    thrum_scope scope;
    thrum_err *e;
    long good = 0;
    int rc = 0;

    thrum_scope_open(&scope, .name = "transfers");
    for (long i = 0; i < many && rc == 0; i++) {
        all[i] = (struct transfer){s->call, i, 0};
        rc = thrum_spawn(&scope, s->fn, &all[i], 0);
    }
    e = thrum_scope_close(&scope, thrum_rc(rc));
    bench_add((double)(bench_now() - start) / (double)many);
    for (long i = 0; i < many; i++)
        good += all[i].got == PAGE;
    free(all);
    bench_expect("whole pages", good, many);
    return e;
}

static void many_floor(unsigned workers)
{
    bench_call(workers, at_once,
               &(struct series){transfer_elsewhere, write_as_posix});
}

static void write_many(unsigned workers)
{
    bench_call(workers, at_once, &(struct series){transfer, write_as_thrum});
}

static const struct bench_series series = {
    .name = "files",
    .cases =
        {
            {"read_floor", "ns", .run = read_floor, .once = true},
            {"read", "ns", .run = read_one},
            {"write_floor", "ns", .run = write_floor},
            {"write", "ns", .run = write_one, .floor = "write_floor"},
            {"many_floor", "ns", .run = many_floor},
            {"many_write", "ns", .run = write_many, .floor = "many_floor"},
        },
};

static void open_file(void)
{
    char path[] = "/tmp/thrum-bench-XXXXXX";
    char bytes[PAGE] = {1};

    file = mkstemp(path);
    if (file < 0 || unlink(path) != 0)
        bench_fail("a file in /tmp");
    for (int i = 0; i < PAGES; i++)
        if (pwrite(file, bytes, PAGE, i * PAGE) != PAGE)
            bench_fail("writing to /tmp");
}

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    calls = bench_pick(100, 1000, 5000);
    many = bench_pick(100, 1000, 1000);
    open_file();
    bench_run(&series);
    return bench_end();
}
