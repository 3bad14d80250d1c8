/* Races on plain data, by the clocks of views.
 *
 * A model program is compiled with -fsanitize=thread but linked without: the
 * compiler then calls the functions below at every plain access, and those to
 * memory that the scenario watches are looked at. */
#include "model_heap.h"
#include "model_memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    PLAIN = 8192, /* addresses in one execution */
    WATCHED = 16, /* pieces of memory */
    FOREIGN = 64  /* addresses that foreign atomics order */
};

/* The accesses to one address that others may race with. */
struct plain {
    const void *address;
    int writer;                            /* or NONE */
    uint32_t written, read[MODEL_THREADS]; /* the clocks of those threads */
};

static struct plain plains[PLAIN];
static struct bucket buckets[BUCKETS];
static int plain_count;

static struct {
    uintptr_t from, to;
} watched[WATCHED];
static int watched_count;

/* What base/sanitize.h says of atomics that the checker does not see. */
static struct {
    const void *address;
    struct view view;
} foreign[FOREIGN];
static int foreign_count;

void plain_reset(void)
{
    plain_count = watched_count = foreign_count = 0;
}

void model_watch(const void *p, size_t bytes)
{
    if (watched_count == WATCHED)
        abort();
    watched[watched_count].from = (uintptr_t)p;
    watched[watched_count++].to = (uintptr_t)p + bytes;
}

static struct plain *plain_at(const void *p)
{
    int *number = bucket_find(buckets, p);

    if (*number == NONE) {
        if (plain_count == PLAIN)
            abort();
        *number = plain_count++;
        plains[*number] = (struct plain){.address = p, .writer = NONE};
    }
    return &plains[*number];
}

void model_plain(const void *p, bool writes, const char *where)
{
    if (!model_now.running)
        return;

    struct plain *plain = plain_at(p);
    const uint32_t *clock = self()->view.clock;
    int me = model_now.current;

    if (model_now.tracing)
        trace(writes ? "plain write" : "plain read", p, 0, NULL, where);
    if (plain->writer != NONE && plain->written > clock[plain->writer])
        model_fail(writes ? "data race: two writes"
                          : "data race: a read after a write",
                   where);
    for (int i = 0; writes && i < model_now.thread_count; i++)
        if (plain->read[i] > clock[i])
            model_fail("data race: a write after a read", where);
    if (writes) {
        plain->writer = me;
        plain->written = clock[me];
    } else {
        plain->read[me] = clock[me];
    }
}

void model_plain_free(const void *p, size_t bytes)
{
    if (!model_now.running)
        return;
    for (int i = 0; i < plain_count; i++)
        if ((uintptr_t)plains[i].address - (uintptr_t)p < bytes)
            model_plain(plains[i].address, true, "freed");
}

static void plain_seen(const void *p, bool writes)
{
    uintptr_t address = (uintptr_t)p;

    if (!model_now.running || self()->ignores > 0)
        return;
    model_heap_check(p, NULL);
    for (int i = 0; i < watched_count; i++)
        if (address >= watched[i].from && address < watched[i].to) {
            model_plain(p, writes, NULL);
            return;
        }
}

/* ------------------------------------------- what the compiler's calls are */

#define SEEN(name, writes)                                                     \
    void name(const void *p);                                                  \
    void name(const void *p)                                                   \
    {                                                                          \
        plain_seen(p, writes);                                                 \
    }

SEEN(__tsan_read1, false)
SEEN(__tsan_read2, false)
SEEN(__tsan_read4, false)
SEEN(__tsan_read8, false)
SEEN(__tsan_read16, false)
SEEN(__tsan_unaligned_read2, false)
SEEN(__tsan_unaligned_read4, false)
SEEN(__tsan_unaligned_read8, false)
SEEN(__tsan_unaligned_read16, false)
SEEN(__tsan_write1, true)
SEEN(__tsan_write2, true)
SEEN(__tsan_write4, true)
SEEN(__tsan_write8, true)
SEEN(__tsan_write16, true)
SEEN(__tsan_unaligned_write2, true)
SEEN(__tsan_unaligned_write4, true)
SEEN(__tsan_unaligned_write8, true)
SEEN(__tsan_unaligned_write16, true)

/* One address stands for all: nobody copies half a struct. */
void __tsan_read_range(const void *p, size_t bytes);
void __tsan_read_range(const void *p, size_t bytes)
{
    if (bytes > 0)
        plain_seen(p, false);
}

void __tsan_write_range(const void *p, size_t bytes);
void __tsan_write_range(const void *p, size_t bytes)
{
    if (bytes > 0)
        plain_seen(p, true);
}

/* What is written out, by these names (see the Makefile), and what newer compilers
 * make of structs that are copied or zeroed. */
void *__tsan_memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *__tsan_memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    __tsan_read_range(from, bytes);
    __tsan_write_range(to, bytes);
    return memcpy(to, from, bytes);
}

void *__tsan_memset(void *p, int byte, size_t bytes);
void *__tsan_memset(void *p, int byte, size_t bytes)
{
    __tsan_write_range(p, bytes);
    return memset(p, byte, bytes);
}

static struct view *foreign_at(const void *p)
{
    for (int i = 0; i < foreign_count; i++)
        if (foreign[i].address == p)
            return &foreign[i].view;
    if (foreign_count == FOREIGN)
        abort();
    foreign[foreign_count].address = p;
    view_clear(&foreign[foreign_count].view);
    return &foreign[foreign_count++].view;
}

void __tsan_release(const void *p);
void __tsan_release(const void *p)
{
    if (!model_now.running)
        return;
    view_join(foreign_at(p), &self()->view);
    self()->view.clock[model_now.current]++;
}

void __tsan_acquire(const void *p);
void __tsan_acquire(const void *p)
{
    if (model_now.running)
        view_join(&self()->view, foreign_at(p));
}

static void ignore(int more)
{
    if (model_now.running)
        self()->ignores += more;
}

#define IGNORE(name, more)                                                     \
    void name(const char *file, int line);                                     \
    void name(const char *file, int line)                                      \
    {                                                                          \
        (void)file;                                                            \
        (void)line;                                                            \
        ignore(more);                                                          \
    }

IGNORE(AnnotateIgnoreReadsBegin, 1)
IGNORE(AnnotateIgnoreReadsEnd, -1)
IGNORE(AnnotateIgnoreWritesBegin, 1)
IGNORE(AnnotateIgnoreWritesEnd, -1)
IGNORE(AnnotateIgnoreSyncEnd, 0)

/* Here the foreign atomics begin, and so another thread may run. */
void AnnotateIgnoreSyncBegin(const char *file, int line);
void AnnotateIgnoreSyncBegin(const char *file, int line)
{
    (void)file;
    (void)line;
    if (!model_now.running)
        return;
    model_step();
    trace("foreign access", NULL, 0, NULL, NULL);
}

/* A change of stacks orders nothing that its thread does not. */
void *__tsan_get_current_fiber(void);
void *__tsan_get_current_fiber(void)
{
    return NULL;
}

void *__tsan_create_fiber(unsigned flags);
void *__tsan_create_fiber(unsigned flags)
{
    (void)flags;
    return NULL;
}

void __tsan_destroy_fiber(void *fiber);
void __tsan_destroy_fiber(void *fiber)
{
    (void)fiber;
}

void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_switch_to_fiber(void *fiber, unsigned flags)
{
    (void)fiber;
    (void)flags;
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(const void *caller);
void __tsan_func_entry(const void *caller)
{
    (void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}
