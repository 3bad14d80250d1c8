/* Does anything pile up? All features at once on real threads, life after life of
 * two runtimes, and a guest: what tasks do, canceled at random, is in tree.c,
 * share.c and world.c. What the process has, memory, descriptors, threads and
 * mappings, is what it had after the first lives; and of each kind of thing as
 * many have ended as were begun. `make soak SECONDS=600` goes on longer, and says
 * how far it is each minute. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "soak.h"

#include "base/sanitize.h"

enum { WARM = 20, SLACK_KIB = 4096, DEPTH = 4, WAVES = 8, ROOTS = 8 };

/* --- the counts ----------------------------------------------------------- */

static struct {
    const char *name;
    _Alignas(64) _Atomic uint64_t begun;
    _Alignas(64) _Atomic uint64_t ended;
} counts[KINDS] = {
    {.name = "forks"},     {.name = "jobs of gathers"},
    {.name = "spawns"},    {.name = "deferred functions"},
    {.name = "locks"},     {.name = "permits"},
    {.name = "items"},     {.name = "news"},
    {.name = "emitted"},   {.name = "blocking calls"},
    {.name = "bytes"},     {.name = "connections"},
    {.name = "processes"}, {.name = "signals"},
};

/* Read when all threads have been joined. */
void begun(enum kind kind, uint64_t n)
{
    add_relaxed(&counts[kind].begun, n);
}

void ended(enum kind kind, uint64_t n)
{
    add_relaxed(&counts[kind].ended, n);
}

static void show_counts(void)
{
    for (int i = 0; i < KINDS; i++)
        printf("%20s %14" PRIu64 " begun %14" PRIu64 " ended\n", counts[i].name,
               load_relaxed(&counts[i].begun), load_relaxed(&counts[i].ended));
}

static void all_is_balanced(void)
{
    for (int i = 0; i < KINDS; i++)
        if (load_relaxed(&counts[i].begun) != load_relaxed(&counts[i].ended)) {
            show_counts();
            must(!"as many have ended as were begun");
        }
}

/* --- what there is -------------------------------------------------------- */

struct has {
    size_t fds, threads, mappings, kib;
};

static size_t entries(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t n = 0;

    must(dir != NULL);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static struct has look(void)
{
    struct has h = {entries("/proc/self/fd"), entries("/proc/self/task"), 0, 0};
    FILE *maps = fopen("/proc/self/maps", "re");
    FILE *statm = fopen("/proc/self/statm", "re");
    int c;

    must(maps != NULL && statm != NULL);
    while ((c = getc(maps)) != EOF)
        h.mappings += c == '\n';
    must(fscanf(statm, "%*u %zu", &h.kib) == 1);
    h.kib *= (size_t)sysconf(_SC_PAGESIZE) / 1024;
    fclose(maps);
    fclose(statm);
    return h;
}

static void show(const char *when, uint64_t lives, struct has h)
{
    printf("%s, %" PRIu64 " lives: %zu descriptors, %zu threads, %zu mappings, "
           "%zu KiB\n",
           when, lives, h.fds, h.threads, h.mappings, h.kib);
    fflush(stdout);
}

/* Sanitizers and emulators have their own, which grow. A thread that was joined
 * may be listed for a moment yet. */
static void nothing_grew(struct has at_first, struct has now)
{
    const char *run = getenv("RUN");

    must(now.fds <= at_first.fds);
    if (SANITIZE_THREAD || SANITIZE_ADDRESS || (run != NULL && *run != '\0'))
        return;
    must(now.threads <= at_first.threads + 8);
    must(now.mappings <= at_first.mappings + 64);
    must(now.kib <= at_first.kib + SLACK_KIB);
}

/* --- lives ---------------------------------------------------------------- */

static void drop(const thrum_err *err, void *unused)
{
    (void)err, (void)unused;
}

static void drop_slow(const char *name, thrum_time took, const thrum_err *err,
                      void *unused)
{
    (void)name, (void)took, (void)err, (void)unused;
}

/* Between two runtimes, and a thread. */
static thrum_chan between;
static _Atomic uint32_t senders;

static thrum_err *send_between(void *unused)
{
    for (uint64_t i = 0; i < 100; i++) {
        THRUM_TRY(thrum_chan_send(&between, &i));
        begun(ITEMS, 1);
    }
    if (sub_acq_rel(&senders, 1) == 1)
        thrum_chan_close(&between);
    return unused;
}

static thrum_err *receive_between(void *unused)
{
    while (thrum_chan_recv(&between, NULL) == 0)
        ended(ITEMS, 1);
    return unused;
}

static void wave(thrum_rt *rt, uint64_t seed)
{
    struct node roots[ROOTS];

    for (uint64_t i = 0; i < ROOTS; i++) {
        roots[i] = (struct node){seed * ROOTS + i, DEPTH, KINDS, false};
        must(thrum_post(rt, grow, &roots[i], sizeof roots[i]) == 0);
    }
    must(thrum_resize(rt, 1 + (unsigned)(seed % 4)) == 0);
    thrum_err_drop(thrum_call(rt, grow, &roots[0]));
}

static void two_runtimes(uint64_t seed)
{
    thrum_opts opts = {.workers = 1 + (unsigned)(seed % 4),
                       .on_error = drop,
                       .on_slow = drop_slow};
    thrum_rt *rts[2];

    must(thrum_chan_init(&between, sizeof(uint64_t), seed % 3) == 0);
    store_relaxed(&senders, 2); /* nobody runs */
    for (int i = 0; i < 2; i++) {
        must(thrum_start(&rts[i], &opts) == 0);
        must(thrum_post(rts[i], send_between, NULL, 0) == 0);
        must(thrum_post(rts[i], receive_between, NULL, 0) == 0);
    }
    thrum_err_drop(receive_between(NULL));
    for (uint64_t i = 0; i < WAVES; i++)
        wave(rts[i % 2], seed * WAVES + i);
    if (seed % 8 == 1)
        must(thrum_call(rts[0], visit_world, NULL) == NULL);
    for (int i = 0; i < 2; i++)
        thrum_err_drop(thrum_stop(rts[i]));
    thrum_chan_fini(&between);
}

static void a_guest(uint64_t seed)
{
    struct node root = {seed, DEPTH, KINDS, false};
    thrum_rt *rt;

    must(thrum_start(&rt, &(thrum_opts){.guest = true,
                                        .on_error = drop,
                                        .on_slow = drop_slow}) == 0);
    must(thrum_post(rt, grow, &root, sizeof root) == 0);
    while (thrum_poll(rt, THRUM_US(100)) == 1)
        continue;
    thrum_err_drop(thrum_stop(rt));
}

sigset_t soak_signals;

/* --- so long -------------------------------------------------------------- */

static void keep_told(uint64_t lives)
{
    static thrum_time next;
    thrum_time now = thrum_now();

    if (next == 0)
        next = now + THRUM_SEC(60);
    if (now < next)
        return;
    next += THRUM_SEC(60);
    show("so far", lives, look());
    show_counts();
}

int main(void)
{
    struct has at_first = {0}, at_last;
    uint64_t seed, lives = 0;

    soak_signals = thrum_signals_block(SIGUSR1);
    for (stress_begin(stress_scale(60)); stress_next(&seed);) {
        two_runtimes(seed);
        a_guest(seed);
        all_is_balanced();
        if (++lives == WARM)
            at_first = look();
        keep_told(lives);
    }
    if (lives > WARM) {
        at_last = look();
        show("at first", WARM, at_first);
        show("in the end", lives, at_last);
        nothing_grew(at_first, at_last);
    }
    show_counts();
    return 0;
}
