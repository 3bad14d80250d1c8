/* Does every byte come once, and does nobody wait for ever? Random numbers of tasks
 * and threads write to and read from random pipes and sockets, with deadlines that
 * end some waits and closes that end the rest; the sums balance. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thrum.h>

#include "base/atomic.h"
#include "lib/stress.h"
#include "os/thread.h"

enum { CHANNELS = 6, TASKS = 24, OUTSIDERS = 2, PIECE = 3000 };

static int ends[CHANNELS][2]; /* written to [1] */
static _Atomic uint64_t written, came, timeouts;
static _Atomic uint32_t writers;
static uint64_t round_seed;
static uint64_t pieces;

static void sum_up(_Atomic uint64_t *to, const unsigned char *bytes, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += bytes[i];
    add_relaxed(to, sum); /* a count */
}

/* Some waits end too early; nothing was transferred then. */
static thrum_err *write_piece(struct rng *r, int fd, unsigned char *bytes,
                              size_t n)
{
    size_t at = 0;

    while (at < n) {
        thrum_scope s;
        ssize_t rc;

        thrum_scope_open(&s, .timeout = THRUM_US(rng_below(r, 300)) + 1);
        rc = thrum_write(fd, bytes + at, n - at);
        thrum_err_drop(thrum_scope_close(&s, NULL));
        must(rc > 0 || rc == -ECANCELED);
        if (rc == -ECANCELED) {
            add_relaxed(&timeouts, 1); /* a count */
            continue;
        }
        sum_up(&written, bytes + at, (size_t)rc);
        at += (size_t)rc;
    }
    return NULL;
}

static thrum_err *write_some(void *arg)
{
    unsigned char bytes[PIECE];
    struct rng r;

    rng_init(&r, round_seed + (uintptr_t)arg);
    for (uint64_t i = 0; i < pieces; i++) {
        size_t n = 1 + rng_below(&r, PIECE);
        int fd = ends[rng_below(&r, CHANNELS)][1];

        memset(bytes, 1 + (int)rng_below(&r, 255), n);
        thrum_err_drop(write_piece(&r, fd, bytes, n));
    }
    if (sub_acq_rel(&writers, 1) == 1)
        for (int i = 0; i < CHANNELS; i++)
            must(thrum_close(ends[i][1]) == 0);
    return NULL;
}

static thrum_err *read_all(void *arg)
{
    unsigned char bytes[PIECE];
    uintptr_t id = (uintptr_t)arg;
    int fd = ends[id % CHANNELS][0];
    struct rng r;
    ssize_t got = 1;

    rng_init(&r, ~round_seed + id);
    while (got != 0) {
        thrum_scope s;

        thrum_scope_open(&s, .timeout = THRUM_US(rng_below(&r, 300)) + 1);
        if (rng_below(&r, 4) == 0)
            (void)!thrum_wait_fd(fd, POLLIN);
        got = thrum_read(fd, bytes, 1 + rng_below(&r, PIECE));
        thrum_err_drop(thrum_scope_close(&s, NULL));
        must(got >= 0 || got == -ECANCELED);
        if (got > 0)
            sum_up(&came, bytes, (size_t)got);
    }
    return NULL;
}

static void write_outside(void *arg)
{
    thrum_err_drop(write_some(arg));
}

static thrum_err *all(void *unused)
{
    thrum_scope s;

    (void)unused;
    thrum_scope_open(&s, .name = "stress");
    for (uintptr_t i = 0; i < TASKS; i++) {
        must(thrum_spawn(&s, read_all, (void *)i, 0) == 0);
        must(thrum_spawn(&s, write_some, (void *)i, 0) == 0);
    }
    return thrum_scope_close(&s, NULL);
}

static void one_round(uint64_t seed)
{
    struct thread out[OUTSIDERS];
    thrum_opts opts = {0};
    struct rng r;

    rng_init(&r, seed);
    round_seed = seed;
    opts.workers = 1 + rng_below(&r, 4);
    store_relaxed(&written, 0); /* nobody else runs */
    store_relaxed(&came, 0);
    store_relaxed(&writers, TASKS + OUTSIDERS);
    for (int i = 0; i < CHANNELS; i++)
        must(rng_below(&r, 2) == 0
                 ? pipe(ends[i]) == 0
                 : socketpair(AF_UNIX, SOCK_STREAM, 0, ends[i]) == 0);
    for (uintptr_t i = 0; i < OUTSIDERS; i++)
        must(thread_start(&out[i], "outsider", 65536, write_outside,
                          (void *)(TASKS + i)) == 0);
    must(thrum_run(&opts, all, NULL) == NULL);
    for (int i = 0; i < OUTSIDERS; i++)
        thread_join(&out[i]);
    for (int i = 0; i < CHANNELS; i++)
        must(thrum_close(ends[i][0]) == 0);
    must(load_relaxed(&written) == load_relaxed(&came));
}

int main(void)
{
    uint64_t seed;

    pieces = stress_scale(40);
    for (stress_begin(10); stress_next(&seed);)
        one_round(seed);
    printf("%llu waits ended by their deadline\n",
           (unsigned long long)load_relaxed(&timeouts));
    return 0;
}
