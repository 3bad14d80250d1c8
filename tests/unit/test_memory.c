/* Is memory zero, aligned, given back; do guards hold, and stop where they must?
 * Each way to guard is tried in a child of its own, since a process asks once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "os/fail.h"
#include "os/memory.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Whether a byte can be read, without dying of it if not. */
static bool readable(const char *addr)
{
    int ends[2];
    bool ok;

    if (pipe(ends) < 0)
        abort();
    ok = write(ends[1], addr, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return ok;
}

static bool is_mapped(char *addr)
{
    unsigned char there;

    return mincore(addr, 1, &there) == 0;
}

static bool is_zero(const char *addr, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (addr[i] != 0)
            return false;
    return true;
}

static void mapped_memory_is_zero_and_writable(void **state)
{
    size_t bytes = 3 * memory_page() - 7; /* a part of a page counts whole */
    char *p = memory_map(bytes);

    (void)state;
    assert_non_null(p);
    assert_true(is_zero(p, 3 * memory_page()));
    memset(p, 1, 3 * memory_page());
    memory_unmap(p, bytes);
    assert_false(is_mapped(p));
    assert_false(is_mapped(p + 2 * memory_page()));
}

static void a_reservation_is_aligned_and_whole(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 64 << 20; align *= 4) {
        size_t bytes = 5 * memory_page();
        char *p = memory_reserve(bytes, align);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % align, 0);
        p[0] = p[bytes - 1] = 1;
        memory_unmap(p, bytes);
        assert_false(is_mapped(p));
    }
}

/* All the process has mapped. */
static size_t mapped_bytes(void)
{
    FILE *statm = fopen("/proc/self/statm", "r");
    size_t pages;

    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%zu", &pages), 1);
    fclose(statm);
    return pages * memory_page();
}

static void alignment_wastes_no_addresses(void **state)
{
    enum { COUNT = 32, ALIGN = 64 << 20 };
    size_t before = mapped_bytes();
    char *p[COUNT];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        p[i] = memory_reserve(1, ALIGN);
        assert_non_null(p[i]);
    }
    assert_true(mapped_bytes() < before + ALIGN);
    for (int i = 0; i < COUNT; i++)
        memory_unmap(p[i], 1);
}

static void more_can_be_reserved_than_there_is(void **state)
{
    const size_t bytes = (size_t)1 << 38;
    const char *run = getenv("RUN");
    char *p;

    (void)state;
    if (run != NULL && strstr(run, "qemu") != NULL) /* notes each page of it */
        skip();
    p = memory_reserve(bytes, 2 << 20);
    if (p == NULL) /* an address space that is limited */
        skip();
    p[0] = p[bytes / 2] = p[bytes - 1] = 1;
    memory_unmap(p, bytes);
}

static void what_does_not_fit_an_address_space_is_refused(void **state)
{
    (void)state;
    errno = 77;
    assert_null(memory_reserve((size_t)1 << 62, 4096));
    assert_null(memory_reserve(SIZE_MAX - 10, 4096));
    assert_null(memory_reserve(SIZE_MAX - 3 * memory_page(), 1 << 20));
    assert_null(memory_reserve((size_t)1 << 62, (size_t)1 << 63));
    assert_null(memory_map((size_t)1 << 62));
    assert_null(memory_map(SIZE_MAX));
    assert_int_equal(errno, 77);
}

/* The flags of the mapping that begins at addr; "" if the kernel tells none. */
static void flags_of(const void *addr, char flags[512])
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool here = false;

    flags[0] = '\0';
    if (smaps == NULL)
        return;
    while (fgets(line, sizeof line, smaps) != NULL) {
        char *end;
        unsigned long start = strtoul(line, &end, 16);

        if (*end == '-')
            here = start == (uintptr_t)addr;
        if (here && strncmp(line, "VmFlags:", 8) == 0)
            memcpy(flags, line, sizeof line);
    }
    fclose(smaps);
}

static void a_reservation_gets_no_huge_pages(void **state)
{
    size_t bytes = 8 << 20;
    char *p = memory_reserve(bytes, 2 << 20);
    char flags[512];
    bool ignored;

    (void)state;
    assert_non_null(p);
    flags_of(p, flags);
    ignored = madvise(p, bytes, 9999) == 0; /* an emulator may do that */
    memory_unmap(p, bytes);
    if (ignored || flags[0] == '\0' ||
        access("/sys/kernel/mm/transparent_hugepage", F_OK) < 0)
        skip();
    assert_non_null(strstr(flags, " nh"));
    assert_non_null(strstr(flags, " nr")); /* no reserve */
}

static void discarded_memory_is_zero_again(void **state)
{
    size_t bytes = 4 * memory_page();
    char *p = memory_map(bytes);

    (void)state;
    memset(p, 1, bytes);
    memory_discard(p + memory_page(), bytes - memory_page());
    assert_true(is_zero(p + memory_page(), bytes - memory_page()));
    assert_int_equal(p[0], 1);
    memory_unmap(p, bytes);
}

static bool is_there(const char *addr)
{
    unsigned char there = 0;

    assert_int_equal(mincore((void *)(uintptr_t)addr, 1, &there), 0);
    return (there & 1) != 0;
}

/* All that the range touches, and no more. */
static void populated_pages_are_there_untouched(void **state)
{
    size_t page = memory_page();
    char *p = memory_map(8 * page);

    (void)state;
    if (madvise(p + 7 * page, page, MADV_POPULATE_WRITE) < 0 ||
        !is_there(p + 7 * page)) { /* an old kernel; an emulator */
        memory_unmap(p, 8 * page);
        skip();
    }
    errno = 77;
    memory_populate(p + 2 * page - 1, page + 2);
    assert_int_equal(errno, 77);
    assert_false(is_there(p));
    assert_true(is_there(p + page) && is_there(p + 2 * page) &&
                is_there(p + 3 * page));
    assert_false(is_there(p + 4 * page));
    assert_true(is_zero(p, 4 * page));
    memory_unmap(p, 8 * page);
}

static void only_the_planned_mapping_fails(void **state)
{
    (void)state;
    fail_after(FAIL_MAP, 2);
    for (int i = 1; i <= 4; i++) {
        char *p = i % 2 ? memory_map(1) : memory_reserve(1, 1 << 20);

        assert_int_equal(p == NULL, i == 2);
        if (p != NULL)
            memory_unmap(p, 1);
    }
    fail_after(FAIL_MAP, 9);
    assert_int_equal(fail_after(FAIL_MAP, 0), 9);
}

/* --- guards: what a child finds, by its exit status ----------------------- */

#define CHECK(cond)                                                            \
    do {                                                                       \
        if (!(cond)) {                                                         \
            fprintf(stderr, "%s:%d: %s\n", __func__, __LINE__, #cond);         \
            _exit(1);                                                          \
        }                                                                      \
    } while (0)

static void in_child(const char *kind, void (*look)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (kind == NULL)
            unsetenv("THRUM_GUARD");
        else
            setenv("THRUM_GUARD", kind, 1);
        errno = 77;
        look();
        CHECK(errno == 77);
        _exit(0);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void look_at_one_guard(void)
{
    size_t page = memory_page();
    char *p = memory_reserve(8 * page, page);

    CHECK(p != NULL && memory_guard_kind() != GUARD_NONE);
    memset(p, 1, 8 * page);
    CHECK(memory_guard(p + 2 * page, 2 * page - 5));
    CHECK(readable(p + 2 * page - 1) && p[2 * page - 1] == 1);
    CHECK(!readable(p + 2 * page) && !readable(p + 4 * page - 1));
    CHECK(readable(p + 4 * page) && p[4 * page] == 1);

    memory_discard(p, 8 * page);
    CHECK(!readable(p + 2 * page) && !readable(p + 4 * page - 1));
    CHECK(is_zero(p + 4 * page, 4 * page));

    memory_unguard(p + 2 * page, 2 * page);
    CHECK(readable(p + 2 * page));
    memset(p, 2, 8 * page);
    CHECK(memory_guard(p, page));
    CHECK(!readable(p));
    memory_unguard(p, page);
    memory_unmap(p, 8 * page);
    errno = 77; /* readable() asks with errors */
}

static void a_guard_cannot_be_touched(void **state)
{
    (void)state;
    in_child(NULL, look_at_one_guard);
    in_child("madvise", look_at_one_guard);
    in_child("mprotect", look_at_one_guard);
}

static void look_at_the_limit(void)
{
    size_t page = memory_page();
    size_t max = memory_guard_max();
    size_t pairs = max + 10;
    char *p = memory_reserve(2 * page * pairs, page);
    size_t made = 0;

    CHECK(memory_guard_kind() == GUARD_MPROTECT && p != NULL);
    CHECK(max > 0 && max < SIZE_MAX);
    while (made < pairs && memory_guard(p + 2 * page * made, page))
        made++;
    CHECK(made == max);
    CHECK(!memory_guard(p + 2 * page * made, page));
    CHECK(readable(p + 2 * page * made));

    memory_unguard(p, page);
    CHECK(memory_guard(p + 2 * page * made, page));
    CHECK(!memory_guard(p, page));
    CHECK(readable(p));
    CHECK(mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
          MAP_FAILED); /* the application still gets mappings */
    errno = 77;
}

static void guards_that_cost_mappings_leave_half_of_them(void **state)
{
    (void)state;
    in_child("mprotect", look_at_the_limit);
}

static void look_at_no_guard(void)
{
    char *p = memory_map(memory_page());

    CHECK(memory_guard_kind() == GUARD_NONE && memory_guard_max() == 0);
    CHECK(!memory_guard(p, memory_page()));
    CHECK(readable(p));
}

static void guards_can_be_switched_off(void **state)
{
    (void)state;
    in_child("none", look_at_no_guard);
}

static void look_at_planned_failure(void)
{
    size_t page = memory_page();
    char *p = memory_map(4 * page);

    fail_after(FAIL_GUARD, 2);
    for (size_t i = 0; i < 4; i++)
        CHECK(memory_guard(p + i * page, page) == (i != 1));
    CHECK(readable(p + page) && !readable(p + 2 * page));
    errno = 77;
}

static void only_the_planned_guard_fails(void **state)
{
    (void)state;
    in_child(NULL, look_at_planned_failure);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapped_memory_is_zero_and_writable),
        cmocka_unit_test(a_reservation_is_aligned_and_whole),
        cmocka_unit_test(alignment_wastes_no_addresses),
        cmocka_unit_test(more_can_be_reserved_than_there_is),
        cmocka_unit_test(what_does_not_fit_an_address_space_is_refused),
        cmocka_unit_test(a_reservation_gets_no_huge_pages),
        cmocka_unit_test(discarded_memory_is_zero_again),
        cmocka_unit_test(populated_pages_are_there_untouched),
        cmocka_unit_test(only_the_planned_mapping_fails),
        cmocka_unit_test(a_guard_cannot_be_touched),
        cmocka_unit_test(guards_that_cost_mappings_leave_half_of_them),
        cmocka_unit_test(guards_can_be_switched_off),
        cmocka_unit_test(only_the_planned_guard_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
