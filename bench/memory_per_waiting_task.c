/* What does a task that waits keep, in memory, page tables and mappings?
 *
 * So many tasks sleep at the same time: a million in full. resident and tables
 * are bytes for each task, mappings is how many the whole process has (the
 * kernel allows 65530 unless told otherwise), create is the time to get one
 * there. The floor is one page of each stack, touched, in one bare mapping with
 * the stacks as far apart as the runtime's.
 *
 * Each measurement is a process of its own, so that none finds the memory that
 * another gave back.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <thrum.h>

#include "bench.h"

enum { STACK = 256 * 1024, SLEEP_S = 5 };

struct use {
    double resident, tables, mappings, create_ns;
};

static long tasks;

/* ------------------------------------------------------- reading the kernel */

static double status_bytes(const char *field)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long kib = -1;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            kib = strtol(line + strlen(field) + 1, NULL, 10);
    if (file == NULL || kib < 0)
        bench_fail("/proc/self/status");
    fclose(file);
    return (double)kib * 1024;
}

static double mapping_count(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    double lines = 0;
    int c;

    if (file == NULL)
        bench_fail("/proc/self/maps");
    while ((c = getc(file)) != EOF)
        lines += c == '\n';
    fclose(file);
    return lines;
}

static struct use look(void)
{
    return (struct use){.resident = status_bytes("VmRSS"),
                        .tables = status_bytes("VmPTE"),
                        .mappings = mapping_count()};
}

static struct use each_since(const struct use *before, int64_t start)
{
    struct use now = look();

    now.create_ns = (double)(bench_now() - start) / (double)tasks;
    now.resident = (now.resident - before->resident) / (double)tasks;
    now.tables = (now.tables - before->tables) / (double)tasks;
    return now;
}

/* --------------------------------------------------------------- the floor */

static struct use use_floor(unsigned workers)
{
    struct use before = look();
    int64_t start = bench_now();
    char *stacks = mmap(NULL, (size_t)tasks * STACK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    (void)workers;
    if (stacks == MAP_FAILED)
        bench_fail("mmap");
    madvise(stacks, (size_t)tasks * STACK, MADV_NOHUGEPAGE);
    for (long i = 0; i < tasks; i++)
        stacks[(size_t)(i + 1) * STACK - 1] = 1;
    return each_since(&before, start);
}

/* ------------------------------------------------------------------- tasks */

static atomic_long asleep_count;
static atomic_bool seen;

static thrum_err *sleep_until_seen(void *unused)
{
    int rc = 0;

    (void)unused;
    atomic_fetch_add_explicit(&asleep_count, 1, memory_order_relaxed);
    while (rc == 0 && !atomic_load(&seen))
        rc = thrum_sleep(THRUM_SEC(SLEEP_S));
    return thrum_rc(rc);
}

static thrum_err *spawn_sleepers(void *unused)
{
    thrum_scope s;
    int rc = 0;

    (void)unused;
    thrum_scope_open(&s, .name = "sleepers");
    for (long i = 0; i < tasks && rc == 0; i++)
        rc = thrum_spawn(&s, sleep_until_seen, NULL, 0);
    return thrum_scope_close(&s, thrum_rc(rc));
}

static struct use use_tasks(unsigned workers)
{
    thrum_opts opts = {.workers = workers, .stack_size = STACK};
    struct timespec tick = {.tv_nsec = 1000000};
    struct use before, use;
    thrum_rt *rt;
    int64_t start;

    if (thrum_start(&rt, &opts) != 0)
        bench_fail("thrum_start");
    before = look();
    start = bench_now();
    if (thrum_post(rt, spawn_sleepers, NULL, 0) != 0)
        bench_fail("thrum_post");
    while (atomic_load(&asleep_count) < tasks)
        nanosleep(&tick, NULL);
    use = each_since(&before, start);
    atomic_store(&seen, true);
    if (thrum_stop(rt) != NULL)
        bench_fail("a sleeper failed");
    return use;
}

/* ----------------------------------------------------------- measuring them */

static struct use in_a_process(struct use (*fn)(unsigned), unsigned workers)
{
    struct use use;
    int pipes[2], status;
    pid_t pid;

    fflush(stdout);
    if (pipe(pipes) != 0 || (pid = fork()) < 0)
        bench_fail("fork");
    if (pid == 0) {
        use = fn(workers);
        _exit(write(pipes[1], &use, sizeof use) != sizeof use);
    }
    close(pipes[1]);
    if (read(pipes[0], &use, sizeof use) != sizeof use ||
        waitpid(pid, &status, 0) != pid || status != 0)
        bench_fail("the measuring process failed");
    close(pipes[0]);
    return use;
}

static struct use latest;

static void floor_resident(unsigned workers)
{
    latest = in_a_process(use_floor, workers);
    bench_add(latest.resident);
}

static void resident(unsigned workers)
{
    latest = in_a_process(use_tasks, workers);
    bench_add(latest.resident);
}

/* The rest of what the case before has measured. */
static void tables(unsigned workers)
{
    (void)workers;
    bench_add(latest.tables);
}

static void mappings(unsigned workers)
{
    (void)workers;
    bench_add(latest.mappings);
}

static void create(unsigned workers)
{
    (void)workers;
    bench_add(latest.create_ns);
}

static const struct bench_series series = {
    .name = "memory_per_waiting_task",
    .cases = {{"floor", "B", .run = floor_resident, .once = true},
              {"floor_tables", "B", .run = tables, .once = true},
              {"floor_create", "ns", .run = create, .once = true},
              {"resident", "B", .run = resident},
              {"tables", "B", .run = tables, .floor = "floor_tables"},
              {"mappings", "count", .run = mappings},
              {"create", "ns", .run = create, .floor = "floor_create"}},
    .rounds = 1,
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    tasks = bench_pick(1000, 50000, 1000000);
    bench_run(&series);
    return bench_end();
}
