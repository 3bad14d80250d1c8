/* Does anything pile up? All features at once on real threads, wave after wave:
 * scopes, forks, spawns, cancels, deadlines, sleeps, blocking calls, failures,
 * background tasks, threads that post. What the process has, memory, descriptors,
 * threads and mappings, is what it had after the first waves; and as many tasks
 * have ended as have begun. `make soak SECONDS=600` goes on longer. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <thrum.h>

#include "base/atomic.h"
#include "base/sanitize.h"
#include "lib/stress.h"

enum { WARM = 40, SLACK_KIB = 8192, DEPTH = 4 };

static _Atomic uint64_t begun, ended, canceled, failed;

struct node {
    uint64_t seed;
    int depth;
};

static thrum_err *grow(void *node);

static struct node kid_of(struct rng *r, int depth)
{
    return (struct node){(uint64_t)rng_below(r, UINT32_MAX) << 20, depth - 1};
}

static thrum_err *in_scope(struct rng *r, int depth)
{
    thrum_time timeout = rng_below(r, 3) == 0 ? THRUM_US(rng_below(r, 300)) : 0;
    thrum_err *err = NULL;
    thrum_scope s;

    thrum_scope_open(&s, .name = "soak", .timeout = timeout,
                     .limit = rng_below(r, 4),
                     .policy = (thrum_policy)rng_below(r, 4));
    for (uint32_t n = 1 + rng_below(r, 6); n > 0; n--) {
        struct node kid = kid_of(r, depth);
        int rc = thrum_spawn(&s, grow, &kid, sizeof kid);

        must(rc == 0 || rc == -ECANCELED);
    }
    if (rng_below(r, 4) == 0)
        thrum_scope_cancel(&s, NULL);
    else if (rng_below(r, 4) == 0)
        err = thrum_rc(thrum_sleep(THRUM_US(rng_below(r, 200))));
    return thrum_scope_close(&s, err);
}

static thrum_err *in_forks(struct rng *r, int depth)
{
    struct node a = kid_of(r, depth), b = kid_of(r, depth);
    thrum_task fork;
    thrum_err *err;

    thrum_fork(&fork, grow, &a);
    err = grow(&b);
    if (rng_below(r, 4) == 0)
        thrum_task_cancel(&fork);
    return thrum_err_add(err, thrum_join(&fork));
}

static size_t entries(const char *folder);

static thrum_err *block(void *unused)
{
    add_relaxed(&begun, 1);
    must(entries("/proc/self/task") > 2);
    add_relaxed(&ended, 1);
    return unused;
}

static thrum_err *act(struct rng *r, int depth)
{
    switch (rng_below(r, depth > 0 ? 8 : 5)) {
    case 0:
        return thrum_rc(thrum_sleep(THRUM_US(rng_below(r, 100))));
    case 1:
        return rng_below(r, 8) == 0 ? thrum_offload(block, NULL) : NULL;
    case 2:
        return rng_below(r, 8) == 0 ? thrum_fail(&THRUM_ERROR, "as planned")
                                    : NULL;
    case 3:
        return thrum_rc(thrum_checkpoint());
    case 4:
        thrum_yield();
        return NULL;
    case 5:
        return in_forks(r, depth);
    default:
        return in_scope(r, depth);
    }
}

static thrum_err *grow(void *arg)
{
    struct node *node = arg;
    thrum_err *err = NULL;
    struct rng r;

    rng_init(&r, node->seed);
    add_relaxed(&begun, 1);
    for (int i = 0; i < 3 && err == NULL; i++)
        err = act(&r, node->depth);
    if (thrum_err_is(err, &THRUM_CANCELED))
        add_relaxed(&canceled, 1);
    else if (err != NULL)
        add_relaxed(&failed, 1);
    add_relaxed(&ended, 1);
    return err;
}

static void drop(const thrum_err *err, void *unused)
{
    (void)err, (void)unused;
}

static void drop_slow(const char *name, thrum_time took, const thrum_err *err,
                      void *unused)
{
    (void)name, (void)took, (void)err, (void)unused;
}

/* --- what there is ---------------------------------------------------------- */

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

static bool is_emulated(void)
{
    return getenv("RUN") != NULL && *getenv("RUN") != '\0';
}

static void nothing_grew(struct has at_first, struct has now)
{
    printf("at first %zu descriptors, %zu threads, %zu mappings, %zu KiB; "
           "now %zu, %zu, %zu, %zu\n",
           at_first.fds, at_first.threads, at_first.mappings, at_first.kib,
           now.fds, now.threads, now.mappings, now.kib);
    must(now.fds <= at_first.fds);
    if (SANITIZE_THREAD || SANITIZE_ADDRESS || is_emulated())
        return;                                 /* theirs grow */
    must(now.threads <= at_first.threads + 64); /* of the blocking pool */
    must(now.mappings <= at_first.mappings + 256);
    must(now.kib <= at_first.kib + SLACK_KIB);
}

/* --- waves ------------------------------------------------------------------ */

static void wave(thrum_rt *rt, uint64_t seed)
{
    struct node roots[8];

    for (unsigned i = 0; i < 8; i++) {
        roots[i] = (struct node){seed * 8 + i, DEPTH};
        must(thrum_post(rt, grow, &roots[i], sizeof roots[i]) == 0);
    }
    thrum_err_drop(thrum_call(rt, grow, &roots[0]));
}

/* A runtime a while: then another, as it must leave nothing either. */
static void life(uint64_t seed)
{
    thrum_opts opts = {.workers = 1 + (unsigned)(seed % 4),
                       .on_error = drop,
                       .on_slow = drop_slow};
    thrum_rt *rt;

    must(thrum_start(&rt, &opts) == 0);
    for (uint64_t i = 0; i < 4; i++)
        wave(rt, seed * 4 + i);
    thrum_err_drop(thrum_stop(rt));
    must(load_relaxed(&begun) == load_relaxed(&ended));
}

int main(void)
{
    struct has at_first = {0};
    uint64_t seed, lives = 0;

    for (stress_begin(stress_scale(200)); stress_next(&seed);) {
        life(seed);
        if (++lives == WARM)
            at_first = look();
    }
    if (lives > WARM)
        nothing_grew(at_first, look());
    printf("%llu tasks, %llu canceled, %llu failed\n",
           (unsigned long long)load_relaxed(&begun),
           (unsigned long long)load_relaxed(&canceled),
           (unsigned long long)load_relaxed(&failed));
    return 0;
}
