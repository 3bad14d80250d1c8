#include "os/cpu.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "os/cgroup.h"

/* The kernel refuses a set that has no room for all CPUs it was built for, and
 * does not say how many those are. */
enum { CPUS_FIRST = 1024, CPUS_LAST = 1 << 20 };

/* NULL: no memory, or the kernel does not tell. */
static cpu_set_t *affinity(int *cpus)
{
    for (*cpus = CPUS_FIRST; *cpus <= CPUS_LAST; *cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)*cpus);

        if (set == NULL)
            return NULL;
        if (sched_getaffinity(0, CPU_ALLOC_SIZE((size_t)*cpus), set) == 0)
            return set;
        CPU_FREE(set);
        if (errno != EINVAL)
            return NULL;
    }
    return NULL;
}

unsigned cpu_allowed(void)
{
    int saved = errno;
    int cpus;
    cpu_set_t *set = affinity(&cpus);
    long count;

    if (set != NULL) {
        count = CPU_COUNT_S(CPU_ALLOC_SIZE((size_t)cpus), set);
        CPU_FREE(set);
    } else {
        count = sysconf(_SC_NPROCESSORS_ONLN);
    }
    errno = saved;
    return count > 0 ? (unsigned)count : 1;
}

/* -1: set has not that many. */
static int nth_of(const cpu_set_t *set, int cpus, unsigned nth)
{
    size_t bytes = CPU_ALLOC_SIZE((size_t)cpus);

    for (int cpu = 0; cpu < cpus; cpu++)
        if (CPU_ISSET_S((size_t)cpu, bytes, set) && nth-- == 0)
            return cpu;
    return -1;
}

int cpu_pin(unsigned nth)
{
    int saved = errno;
    int cpus;
    cpu_set_t *set = affinity(&cpus);
    size_t bytes = CPU_ALLOC_SIZE((size_t)cpus);
    int cpu;
    int rc = 0;

    if (set == NULL)
        return -ENOMEM;
    cpu = nth_of(set, cpus, nth);
    if (cpu < 0) {
        rc = -EINVAL;
    } else {
        CPU_ZERO_S(bytes, set);
        CPU_SET_S((size_t)cpu, bytes, set);
        if (sched_setaffinity(0, bytes, set) < 0)
            rc = -errno;
    }
    CPU_FREE(set);
    errno = saved;
    return rc;
}

/* The text of a small file; "" if there is none. */
static void slurp(const char *dir, const char *name, char *text, size_t room)
{
    char *path;
    FILE *file;
    size_t length;

    text[0] = '\0';
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return;
    file = fopen(path, "re");
    free(path);
    if (file == NULL)
        return;
    length = fread(text, 1, room - 1, file);
    text[length] = '\0';
    fclose(file);
}

/* A number followed by white space or the end; *text moves behind it. */
static bool number(const char **text, uint64_t *value)
{
    char *end;

    if (**text < '0' || **text > '9')
        return false; /* "max", "-1", nothing */
    errno = 0;
    *value = strtoull(*text, &end, 10);
    if (errno != 0 || (*end != '\0' && *end != ' ' && *end != '\n'))
        return false;
    *text = end + (*end != '\0');
    return true;
}

/* 0: no limit. A quota of 1.5 CPUs is 2: 1 worker could not use it up. */
static unsigned whole_cpus(uint64_t quota, uint64_t period)
{
    uint64_t cpus;

    if (quota == 0 || period == 0)
        return 0;
    cpus = quota / period + (quota % period != 0);
    return cpus < UINT_MAX ? (unsigned)cpus : 0;
}

/* cpu.max: "150000 100000" or "max 100000", in microseconds. */
static unsigned limit_v2(const char *dir)
{
    char text[64];
    const char *at = text;
    uint64_t quota, period;

    slurp(dir, "cpu.max", text, sizeof text);
    if (!number(&at, &quota) || !number(&at, &period))
        return 0;
    return whole_cpus(quota, period);
}

static unsigned limit_v1(const char *dir)
{
    char quota_text[32], period_text[32];
    const char *quota_at = quota_text, *period_at = period_text;
    uint64_t quota, period;

    slurp(dir, "cpu.cfs_quota_us", quota_text, sizeof quota_text);
    slurp(dir, "cpu.cfs_period_us", period_text, sizeof period_text);
    if (!number(&quota_at, &quota) || !number(&period_at, &period))
        return 0;
    return whole_cpus(quota, period);
}

static void take_smaller(const char *dir, enum cgroup_version version,
                         void *arg)
{
    unsigned *least = arg;
    unsigned limit = version == CGROUP_V2 ? limit_v2(dir) : limit_v1(dir);

    if (limit != 0 && (*least == 0 || limit < *least))
        *least = limit;
}

unsigned cpu_quota(const char *root)
{
    unsigned least = 0;
    int saved = errno;

    cgroup_each(root, take_smaller, &least);
    errno = saved;
    return least;
}

unsigned cpu_count(void)
{
    unsigned allowed = cpu_allowed();
    unsigned quota = cpu_quota("");

    return quota != 0 && quota < allowed ? quota : allowed;
}
