/* How many CPUs are ours, by every way a quota can be written down?
 * Over trees of made-up /proc and control group files in a temporary folder. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "os/cpu.h"
#include "os/thread.h"

#define MEMBERSHIP "/proc/self/cgroup"
#define MOUNTS     "/proc/self/mountinfo"

#define V2_AT(subtree, point)                                                  \
    "30 23 0:26 " subtree " " point                                            \
    " rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_AT(subtree, point)                                                  \
    "33 32 0:29 " subtree " " point                                            \
    " rw,nosuid shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n"

#define ROOT_FS "23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
#define V2      V2_AT("/", "/sys/fs/cgroup")
#define V1      V1_AT("/", "/sys/fs/cgroup/cpu,cpuacct")

static char root[64];

static int plant(void **state)
{
    (void)state;
    strcpy(root, "/tmp/thrum-cpu-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int uproot(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Write a file of the tree, with the folders above it. */
static void grow(const char *name, const char *text)
{
    char path[PATH_MAX];
    FILE *file;

    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static unsigned quota(void)
{
    return cpu_quota(root);
}

static void without_files_there_is_no_quota(void **state)
{
    (void)state;
    assert_int_equal(quota(), 0);
    grow(MEMBERSHIP, "0::/\n");
    assert_int_equal(quota(), 0);
    grow(MOUNTS, ROOT_FS);
    assert_int_equal(quota(), 0);
    grow(MOUNTS, ROOT_FS V2);
    assert_int_equal(quota(), 0);
}

static void version_2_says_it_in_one_file(void **state)
{
    (void)state;
    grow(MEMBERSHIP, "0::/app.slice/job\n");
    grow(MOUNTS, ROOT_FS V2);
    grow("/sys/fs/cgroup/app.slice/job/cpu.max", "300000 100000\n");
    assert_int_equal(quota(), 3);
    grow("/sys/fs/cgroup/app.slice/job/cpu.max", "max 100000\n");
    assert_int_equal(quota(), 0);
}

static void version_1_says_it_in_two(void **state)
{
    (void)state;
    grow(MEMBERSHIP, "5:memory:/m\n4:cpuset:/c\n3:cpu,cpuacct:/job\n");
    grow(MOUNTS, ROOT_FS V1);
    grow("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "400000\n");
    assert_int_equal(quota(), 0);
    grow("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 4);
    grow("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(quota(), 0);
}

static void a_fraction_is_rounded_up(void **state)
{
    (void)state;
    grow(MEMBERSHIP, "0::/\n");
    grow(MOUNTS, V2);
    grow("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    assert_int_equal(quota(), 2);
    grow("/sys/fs/cgroup/cpu.max", "200001 100000\n");
    assert_int_equal(quota(), 3);
    grow("/sys/fs/cgroup/cpu.max", "1000 1000000\n");
    assert_int_equal(quota(), 1);
}

static void the_smallest_quota_above_us_counts(void **state)
{
    (void)state;
    grow(MEMBERSHIP, "0::/a/b/c\n");
    grow(MOUNTS, V2);
    grow("/sys/fs/cgroup/a/b/c/cpu.max", "900000 100000\n");
    grow("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    grow("/sys/fs/cgroup/a/cpu.max", "500000 100000\n");
    assert_int_equal(quota(), 5);
    grow("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    assert_int_equal(quota(), 4);
    grow("/sys/fs/cgroup/a/b/c/cpu.max", "150000 50000\n");
    assert_int_equal(quota(), 3);
    grow("/sys/fs/cgroup/a/x/cpu.max", "100000 100000\n"); /* not above us */
    grow("/sys/fs/cpu.max", "100000 100000\n");
    assert_int_equal(quota(), 3);
}

static void version_1_quotas_nest_too(void **state)
{
    (void)state;
    grow(MEMBERSHIP, "3:cpuacct,cpu:/a/b\n");
    grow(MOUNTS, V1);
    grow("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    grow("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    grow("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n");
    grow("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    assert_int_equal(quota(), 3);
}

static void in_a_hybrid_tree_both_versions_count(void **state)
{
    (void)state;
    grow(MEMBERSHIP, "2:cpu,cpuacct:/old\n1:name=systemd:/new\n0::/new\n");
    grow(MOUNTS, ROOT_FS V2_AT("/", "/sys/fs/cgroup/unified") V1);
    grow("/sys/fs/cgroup/cpu,cpuacct/old/cpu.cfs_quota_us", "600000");
    grow("/sys/fs/cgroup/cpu,cpuacct/old/cpu.cfs_period_us", "100000");
    assert_int_equal(quota(), 6);
    grow("/sys/fs/cgroup/unified/new/cpu.max", "500000 100000");
    assert_int_equal(quota(), 5);
}

/* cpuset and cpuacct alone do not limit time, and are not the cpu controller. */
static void only_the_cpu_controller_counts(void **state)
{
    (void)state;
    grow(MEMBERSHIP, "7:cpuset:/j\n6:cpuacct:/j\n5:name=cpu:/j\n");
    grow(MOUNTS, "33 32 0:29 / /cg rw - cgroup cgroup rw,cpuset\n"
                 "34 32 0:30 / /cg rw - cgroup cgroup rw,cpuacct\n" V1);
    grow("/cg/j/cpu.cfs_quota_us", "100000");
    grow("/cg/j/cpu.cfs_period_us", "100000");
    grow("/sys/fs/cgroup/cpu,cpuacct/j/cpu.cfs_quota_us", "100000");
    grow("/sys/fs/cgroup/cpu,cpuacct/j/cpu.cfs_period_us", "100000");
    assert_int_equal(quota(), 0);
}

static void a_container_sees_its_subtree_at_the_mount_point(void **state)
{
    (void)state;
    grow(MEMBERSHIP, "4:cpu,cpuacct:/docker/0a1b/sub\n");
    grow(MOUNTS, V1_AT("/docker/0a1b", "/sys/fs/cgroup/cpu"));
    grow("/sys/fs/cgroup/cpu/sub/cpu.cfs_quota_us", "900000");
    grow("/sys/fs/cgroup/cpu/sub/cpu.cfs_period_us", "100000");
    assert_int_equal(quota(), 9);
    grow("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000");
    grow("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
    assert_int_equal(quota(), 2);
    grow(MEMBERSHIP, "4:cpu,cpuacct:/docker/0a1b\n");
    assert_int_equal(quota(), 2);
}

static void a_subtree_we_are_not_in_does_not_count(void **state)
{
    (void)state;
    grow(MEMBERSHIP, "0::/docker/0a1bcd\n");
    grow(MOUNTS, V2_AT("/docker/0a1b", "/sys/fs/cgroup"));
    grow("/sys/fs/cgroup/cpu.max", "100000 100000");
    grow("/sys/fs/cgroup/cd/cpu.max", "100000 100000");
    grow("/sys/fs/cgroupcd/cpu.max", "100000 100000");
    grow("/sys/fs/cgroup/docker/0a1bcd/cpu.max", "100000 100000");
    assert_int_equal(quota(), 0);
}

static void a_namespace_has_a_root_of_its_own(void **state)
{
    (void)state;
    grow(MOUNTS, V2);
    grow("/sys/fs/cgroup/cpu.max", "200000 100000");

    grow(MEMBERSHIP, "0::/\n"); /* in the root of our namespace */
    assert_int_equal(quota(), 2);
    grow(MEMBERSHIP, "0::/../other\n"); /* outside of it: not our quota */
    assert_int_equal(quota(), 0);
    grow(MEMBERSHIP, "0::/..\n");
    assert_int_equal(quota(), 0);
    grow(MEMBERSHIP, "0::/..data\n"); /* a name, not a step up */
    assert_int_equal(quota(), 2);
}

static void a_mount_from_outside_the_namespace_begins_above_us(void **state)
{
    (void)state;
    grow("/sys/fs/cgroup/cpu.max", "300000 100000");
    grow("/sys/fs/cgroup/other/cpu.max", "200000 100000");

    grow(MOUNTS, V2_AT("/../..", "/sys/fs/cgroup"));
    grow(MEMBERSHIP, "0::/job\n"); /* two unknown names in between */
    assert_int_equal(quota(), 3);
    grow(MEMBERSHIP, "0::/../../other\n");
    assert_int_equal(quota(), 2);
    grow(MEMBERSHIP, "0::/../other\n"); /* not below as far as names tell */
    assert_int_equal(quota(), 0);
}

static void names_with_spaces_are_read_right(void **state)
{
    (void)state;
    grow(MEMBERSHIP, "0::/my job: 1 - 2\n");
    grow(MOUNTS, V2_AT("/", "/mnt/control\\040groups\\134x"));
    grow("/mnt/control groups\\x/my job: 1 - 2/cpu.max", "700000 100000");
    assert_int_equal(quota(), 7);
}

static void a_mount_may_have_no_source_and_no_tags(void **state)
{
    (void)state;
    grow(MEMBERSHIP, "0::/\n");
    grow(MOUNTS, "30 23 0:26 / /cg rw - cgroup2  rw\n");
    grow("/cg/cpu.max", "700000 100000");
    assert_int_equal(quota(), 7);
}

static void what_makes_no_sense_is_no_quota(void **state)
{
    static const char *const wrong[] = {
        "",
        "\n",
        "max",
        "max max",
        "100000",
        "100000 ",
        "100000 max",
        "0 0",
        "0 100000",
        "100000 0",
        "1e5 1e5",
        "-1 100000",
        "1 -1",
        "0x10 0x10",
        "100000,100000",
        " 1 1",
        "1  1",
        "18446744073709551616 1",
        "99999999999999 1",
    };
    (void)state;
    grow(MEMBERSHIP, "0::/\n");
    grow(MOUNTS, V2);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        grow("/sys/fs/cgroup/cpu.max", wrong[i]);
        assert_int_equal(quota(), 0);
    }
}

static void malformed_tables_are_survived(void **state)
{
    static const char *const wrong[] = {
        "",    "\n", ":",        "::",     "0:",          "0::",       "0:: /",
        "0:/", "x",  "0::job\n", "9::/\n", ":::::\n\n\n", "0::/\n:::",
    };
    static const char *const mounts[] = {
        "",
        " - ",
        "\n\n - cgroup2\n",
        "1 2 3 - cgroup2 x rw\n",
        " - cgroup2 x rw\n",
        "a b c / \n",
        "1 2 0:3 rel /sys/fs/cgroup rw - cgroup2 x rw\n",
        "1 2 0:3 / sys/fs/cgroup rw - cgroup2 x rw\n",
        "1 2 0:3 / /sys/fs/cgroup rw - cgroup2\n",
        "1 2 0:3 / /sys/fs/cgroup\\04 rw - cgroup2 x rw\n",
    };
    (void)state;
    grow("/sys/fs/cgroup/cpu.max", "100000 100000");
    grow(MOUNTS, V2);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        grow(MEMBERSHIP, wrong[i]);
        assert_int_equal(quota(), strstr(wrong[i], "0::/\n") != NULL);
    }
    grow(MEMBERSHIP, "0::/\n");
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
        grow(MOUNTS, mounts[i]);
        assert_int_equal(quota(), 0);
    }
}

static void above_a_path_that_is_too_long_quotas_count(void **state)
{
    char line[2 * PATH_MAX];

    (void)state;
    memset(line, 'x', sizeof line);
    memcpy(line, "0::/", 4);
    strcpy(line + sizeof line - 2, "\n");
    grow(MOUNTS, V2);
    grow(MEMBERSHIP, line);
    grow("/sys/fs/cgroup/cpu.max", "100000 100000");
    assert_int_equal(quota(), 1);
}

static void this_machine_has_a_cpu(void **state)
{
    unsigned count;

    (void)state;
    errno = 77;
    count = cpu_count();
    assert_true(count >= 1);
    assert_true(count <= cpu_allowed());
    assert_int_equal(errno, 77);
}

static void pin_and_look(void *arg)
{
    bool *ok = arg;
    unsigned allowed = cpu_allowed();
    cpu_set_t before, after;

    CPU_ZERO(&after);
    if (sched_getaffinity(0, sizeof before, &before) < 0) {
        *ok = allowed > 1024; /* a set of the usual size has no room */
        return;
    }
    *ok = cpu_pin(allowed) == -EINVAL && cpu_pin(UINT_MAX) == -EINVAL &&
          cpu_allowed() == allowed && cpu_pin(allowed - 1) == 0 &&
          cpu_allowed() == 1 && cpu_count() == 1 &&
          sched_getaffinity(0, sizeof after, &after) == 0;
    for (int cpu = CPU_SETSIZE - 1; *ok && cpu >= 0; cpu--)
        if (CPU_ISSET(cpu, &before)) {
            *ok = CPU_ISSET(cpu, &after); /* the last one */
            return;
        }
}

static void a_pinned_thread_may_run_on_that_cpu_only(void **state)
{
    unsigned allowed = cpu_allowed();
    struct thread t;
    bool ok = false;

    (void)state;
    assert_int_equal(thread_start(&t, "pinned", 0, pin_and_look, &ok), 0);
    thread_join(&t);
    assert_true(ok);
    assert_int_equal(cpu_allowed(), allowed);
}

#define over_a_tree(test) cmocka_unit_test_setup_teardown(test, plant, uproot)

int main(void)
{
    const struct CMUnitTest tests[] = {
        over_a_tree(without_files_there_is_no_quota),
        over_a_tree(version_2_says_it_in_one_file),
        over_a_tree(version_1_says_it_in_two),
        over_a_tree(a_fraction_is_rounded_up),
        over_a_tree(the_smallest_quota_above_us_counts),
        over_a_tree(version_1_quotas_nest_too),
        over_a_tree(in_a_hybrid_tree_both_versions_count),
        over_a_tree(only_the_cpu_controller_counts),
        over_a_tree(a_container_sees_its_subtree_at_the_mount_point),
        over_a_tree(a_subtree_we_are_not_in_does_not_count),
        over_a_tree(a_namespace_has_a_root_of_its_own),
        over_a_tree(a_mount_from_outside_the_namespace_begins_above_us),
        over_a_tree(names_with_spaces_are_read_right),
        over_a_tree(a_mount_may_have_no_source_and_no_tags),
        over_a_tree(what_makes_no_sense_is_no_quota),
        over_a_tree(malformed_tables_are_survived),
        over_a_tree(above_a_path_that_is_too_long_quotas_count),
        cmocka_unit_test(this_machine_has_a_cpu),
        cmocka_unit_test(a_pinned_thread_may_run_on_that_cpu_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
