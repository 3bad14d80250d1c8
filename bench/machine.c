/* What does this machine charge for what a scheduler is made of?
 *
 * No task here: only what lies below. A figure of another bench in nanoseconds
 * says little without these, taken in the same run.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

static long repeats;

static void empty(void)
{
    __asm__ volatile("");
}

static void add(int64_t start, long count)
{
    bench_add((double)(bench_now() - start) / (double)count);
}

static void call(unsigned workers)
{
    void (*fn)(void) = bench_hide(&empty);
    int64_t start = bench_now();

    (void)workers;
    for (long i = 0; i < repeats; i++)
        fn();
    add(start, repeats);
}

static void locked_add(unsigned workers)
{
    atomic_long sum = 0;
    int64_t start = bench_now();

    (void)workers;
    for (long i = 0; i < repeats; i++)
        atomic_fetch_add(&sum, 1);
    add(start, repeats);
    bench_expect("the sum", atomic_load(&sum), repeats);
}

static void allocation(unsigned workers)
{
    int64_t start = bench_now();

    (void)workers;
    for (long i = 0; i < repeats; i++)
        free(bench_hide(malloc(64)));
    add(start, repeats);
}

static void clock_reading(unsigned workers)
{
    int64_t start = bench_now(), last = start;

    (void)workers;
    for (long i = 0; i < repeats / 10; i++)
        last = bench_now();
    add(start, repeats / 10);
    bench_expect("time went on", last >= start, 1);
}

static void system_call(unsigned workers)
{
    int64_t start = bench_now();

    (void)workers;
    for (long i = 0; i < repeats / 10; i++)
        syscall(SYS_getppid);
    add(start, repeats / 10);
}

static void first_touch(unsigned workers)
{
    long pages = repeats / 100;
    size_t bytes = (size_t)pages * 4096;
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int64_t start = bench_now();

    (void)workers;
    if (at == MAP_FAILED)
        bench_fail("mmap");
    madvise(at, bytes, MADV_NOHUGEPAGE);
    for (long i = 0; i < pages; i++)
        at[i * 4096] = 1;
    add(start, pages);
    munmap(at, bytes);
}

static void *end_at_once(void *arg)
{
    return arg;
}

static void thread(unsigned workers)
{
    long count = repeats / 1000;
    int64_t start = bench_now();

    (void)workers;
    for (long i = 0; i < count; i++) {
        pthread_t id;

        if (pthread_create(&id, NULL, end_at_once, NULL) != 0)
            bench_fail("pthread_create");
        pthread_join(id, NULL);
    }
    add(start, count);
}

static const struct bench_series series = {
    .name = "machine",
    .cases = {{"call", "ns", .run = call, .once = true},
              {"locked_add", "ns", .run = locked_add, .once = true},
              {"malloc_free", "ns", .run = allocation, .once = true},
              {"clock", "ns", .run = clock_reading, .once = true},
              {"syscall", "ns", .run = system_call, .once = true},
              {"page_fault", "ns", .run = first_touch, .once = true},
              {"thread", "ns", .run = thread, .once = true}},
    .rounds = 11,
};

int main(int argc, char **argv)
{
    bench_begin(argc > 1 ? argv[1] : NULL);
    repeats = bench_pick(10000, 1000000, 1000000);
    bench_run(&series);
    return bench_end();
}
