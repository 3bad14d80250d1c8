/* failing.c - preloaded into a program: its nth allocation fails.
 *
 *   FAIL_AT=n        the nth allocation fails, counting from 1; 0: none
 *   FAIL_FROM=n      and all that follow it
 *   FAIL_REPORT=file left there at exit: how many failed, how many blocks are
 *                    still allocated
 *   FAIL_SECONDS=n   a program that takes longer ends of SIGALRM
 *
 *   FAIL_LIBC=1      those that the C library makes may fail, too
 *
 * Counted is what the program itself and the C library ask for. What the dynamic
 * linker keeps for threads, and what other libraries do, is their own affair.
 *
 * Not linked with anything: tests/fault/examples.sh builds it. */
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the C library's own names stand for; dlsym may itself allocate. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *p);

int posix_memalign(void **p, size_t align, size_t bytes);

enum owner { PROGRAM, LIBC, ANOTHER };

static struct range {
    uintptr_t low, high;
} code[ANOTHER];

static enum owner failing; /* this one's allocations, and those before */

static unsigned long fail_at, fail_from;
static _Atomic unsigned long asked, failed;

/* The blocks that were counted, each near the slot that its address says. What
 * finds no slot there is not looked for. */
enum { SLOTS = 1 << 14, NEAR = 64 };

static _Atomic(void *) kept[SLOTS];

static _Atomic(void *) *slot(void *p, unsigned i)
{
    return &kept[(((uintptr_t)p >> 4) * 0x9e3779b1u + i) % SLOTS];
}

static void *keep(void *p)
{
    for (unsigned i = 0; p != NULL && i < NEAR; i++) {
        void *none = NULL;

        if (atomic_compare_exchange_strong(slot(p, i), &none, p))
            break;
    }
    return p;
}

static bool forget(void *p)
{
    for (unsigned i = 0; p != NULL && i < NEAR; i++) {
        void *same = p;

        if (atomic_compare_exchange_strong(slot(p, i), &same, NULL))
            return true;
    }
    return false;
}

static enum owner owner_of(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    enum owner owner = PROGRAM;

    while (owner < ANOTHER && (at < code[owner].low || at >= code[owner].high))
        owner++;
    return owner;
}

static bool is_to_fail(enum owner owner)
{
    unsigned long n;

    if (owner > failing)
        return false;
    n = atomic_fetch_add(&asked, 1) + 1;
    if (n != fail_at && (fail_from == 0 || n < fail_from))
        return false;
    atomic_fetch_add(&failed, 1);
    errno = ENOMEM;
    return true;
}

static void *came(void *p, enum owner owner)
{
    return owner < ANOTHER ? keep(p) : p;
}

#define OWNER owner_of(__builtin_return_address(0))

void *malloc(size_t bytes)
{
    enum owner owner = OWNER;

    return is_to_fail(owner) ? NULL : came(__libc_malloc(bytes), owner);
}

void *calloc(size_t count, size_t bytes)
{
    enum owner owner = OWNER;

    return is_to_fail(owner) ? NULL : came(__libc_calloc(count, bytes), owner);
}

void *realloc(void *p, size_t bytes)
{
    enum owner owner = OWNER;
    bool was_kept;
    void *q;

    if (is_to_fail(owner))
        return NULL;
    if (p == NULL)
        return came(__libc_malloc(bytes), owner);
    was_kept = forget(p);
    q = __libc_realloc(p, bytes);
    if (was_kept)
        keep(q == NULL && bytes > 0 ? p : q);
    return q;
}

void *aligned_alloc(size_t align, size_t bytes)
{
    enum owner owner = OWNER;

    return is_to_fail(owner) ? NULL
                             : came(__libc_memalign(align, bytes), owner);
}

int posix_memalign(void **p, size_t align, size_t bytes)
{
    int before = errno;
    enum owner owner = OWNER;
    void *q = is_to_fail(owner) ? NULL
                                : came(__libc_memalign(align, bytes), owner);

    errno = before;
    if (q == NULL)
        return ENOMEM;
    *p = q;
    return 0;
}

void free(void *p)
{
    forget(p);
    __libc_free(p);
}

static int note_range(struct dl_phdr_info *object, size_t bytes, void *unused)
{
    enum owner owner = *object->dlpi_name == '\0'              ? PROGRAM
                       : strstr(object->dlpi_name, "/libc.so") ? LIBC
                                                               : ANOTHER;

    (void)bytes;
    (void)unused;
    if (owner == ANOTHER)
        return 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];

        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            code[owner].low = object->dlpi_addr + part->p_vaddr;
            code[owner].high = code[owner].low + part->p_memsz;
        }
    }
    return 0;
}

static unsigned long number(const char *name)
{
    const char *text = getenv(name);

    return text == NULL ? 0 : strtoul(text, NULL, 10);
}

__attribute__((constructor)) static void begin(void)
{
    fail_at = number("FAIL_AT");
    fail_from = number("FAIL_FROM");
    failing = number("FAIL_LIBC") ? LIBC : PROGRAM;
    alarm((unsigned)number("FAIL_SECONDS"));
    dl_iterate_phdr(note_range, NULL);
}

__attribute__((destructor)) static void end(void)
{
    unsigned long refused = atomic_load(&failed);
    const char *path = getenv("FAIL_REPORT");
    unsigned live = 0;
    FILE *file;

    for (unsigned i = 0; i < SLOTS; i++)
        live += atomic_load(&kept[i]) != NULL;
    fail_at = fail_from = 0;
    file = path == NULL ? NULL : fopen(path, "we");
    if (file == NULL)
        return;
    fprintf(file, "%lu %u\n", refused, live);
    fclose(file);
}
