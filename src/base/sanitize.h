/* sanitize.h - tell the checkers what they cannot see: that a thread changes
 * stacks, who sleeps on a stack, and what foreign atomics order.
 *
 * In a plain build all of it is empty. With ThreadSanitizer, AddressSanitizer
 * (and LeakSanitizer in it) it calls their run time; with <valgrind/valgrind.h>
 * present a stack registers with valgrind, a handful of no-ops outside it.
 *
 * A change of stacks from a to b, and back later:
 *
 *      sanitize_switch_begin(&a, &b, dying);   on a, right before ctx_switch
 *      ctx_switch(&a.ctx, &b.ctx);
 *      sanitize_switch_end(&a, from);          on a again, right after; from is
 *                                              whose stack was left, or NULL
 *
 * A stack that starts calls sanitize_switch_end first thing, too. These are
 * inlined by force: a call frame that begins on one stack and ends on another
 * would ruin ThreadSanitizer's own call stack.
 *
 * ThreadSanitizer, in one of two ways:
 *   default               a change of stacks orders all before it with all
 *                         after: checks the library's own memory orders
 *   -DTHRUM_TSAN_NOSYNC   it orders nothing; only tsan_promise and tsan_rely do:
 *                         checks what the library promises to tasks. The
 *                         library itself must then be compiled without
 *                         -fsanitize=thread (and with -DTHRUM_TSAN_LINKED, so
 *                         that these functions are still there), and all that
 *                         uses it with that: the fast paths of forks and
 *                         mutexes are in there. As accesses from one stack are
 *                         ordered, each job gets another one (sched/worker.c)
 */
#ifndef BASE_SANITIZE_H
#define BASE_SANITIZE_H

#include <stdbool.h>
#include <stddef.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer) ||         \
    defined(THRUM_TSAN_LINKED)
#define SANITIZE_THREAD 1
#include <sanitizer/tsan_interface.h>
#else
#define SANITIZE_THREAD 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define SANITIZE_ADDRESS 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#else
#define SANITIZE_ADDRESS 0
#endif

#if __has_include(<valgrind/valgrind.h>) && !defined(THRUM_NO_VALGRIND)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0u
#define VALGRIND_STACK_DEREGISTER(id)      ((void)(id))
#define RUNNING_ON_VALGRIND                0
#endif

#if SANITIZE_THREAD && defined(THRUM_TSAN_NOSYNC)
#define SANITIZE_NOSYNC 1
#else
#define SANITIZE_NOSYNC 0
#endif

/* Is there something to be said after a change of stacks? */
#define SANITIZE_STACKS (SANITIZE_THREAD || SANITIZE_ADDRESS)

#define SANITIZE_INLINE static inline __attribute__((always_inline, unused))

/* What the checkers keep for one stack. */
struct sanitize_fiber {
#if SANITIZE_THREAD
    void *tsan;
#endif
#if SANITIZE_ADDRESS
    void *fake;      /* where locals live under detect_stack_use_after_return */
    void *fake_root; /* that, while it is a root */
    const void *low;
    size_t bytes;
#endif
#if !SANITIZE_THREAD && !SANITIZE_ADDRESS
    char unused; /* C has no empty struct */
#endif
};

#if SANITIZE_THREAD

/* Exported by both run times, declared by neither. */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
void AnnotateIgnoreSyncBegin(const char *file, int line);
void AnnotateIgnoreSyncEnd(const char *file, int line);
void AnnotateBenignRaceSized(const char *file, int line, const volatile void *p,
                             size_t bytes, const char *why);

#define SANITIZE_TSAN_FLAGS                                                    \
    (SANITIZE_NOSYNC ? __tsan_switch_to_fiber_no_sync : 0)

/* What happened before a release of addr happened before what follows an
 * acquire of it that comes later: the orders of foreign atomics. */
SANITIZE_INLINE void tsan_release(void *addr)
{
    if (!SANITIZE_NOSYNC)
        __tsan_release(addr);
}

SANITIZE_INLINE void tsan_acquire(void *addr)
{
    if (!SANITIZE_NOSYNC)
        __tsan_acquire(addr);
}

/* The same, of what the library promises to tasks: what came before a promise is
 * seen by who relies on it. Not in the default way, where it would hide that the
 * library's own orders are too weak to keep it. */
SANITIZE_INLINE void tsan_promise(void *addr)
{
    if (SANITIZE_NOSYNC)
        __tsan_release(addr);
}

SANITIZE_INLINE void tsan_rely(void *addr)
{
    if (SANITIZE_NOSYNC)
        __tsan_acquire(addr);
}

/* Between the two nothing is looked at: for code whose atomics are inline
 * assembly. tsan_release before and tsan_acquire after say what it orders. */
SANITIZE_INLINE void tsan_ignore_begin(void)
{
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
    AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
}

SANITIZE_INLINE void tsan_ignore_end(void)
{
    AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

SANITIZE_INLINE void sanitize_tsan_create(struct sanitize_fiber *f)
{
    f->tsan = __tsan_create_fiber(0);
}

/* One thread's own, whichever task runs on it: no race. */
SANITIZE_INLINE void sanitize_thread_local(const volatile void *p, size_t bytes)
{
    if (SANITIZE_NOSYNC)
        AnnotateBenignRaceSized(__FILE__, __LINE__, p, bytes, "thread-local");
}

/* A new stack inherits what the one knows that makes it. So that it is none of
 * what a task knows, make it between these two, as another one. */
SANITIZE_INLINE void *sanitize_aside(struct sanitize_fiber *other)
{
    void *self = __tsan_get_current_fiber();

    if (SANITIZE_NOSYNC)
        __tsan_switch_to_fiber(other->tsan, SANITIZE_TSAN_FLAGS);
    return self;
}

SANITIZE_INLINE void sanitize_back(void *self)
{
    if (SANITIZE_NOSYNC)
        __tsan_switch_to_fiber(self, SANITIZE_TSAN_FLAGS);
}

SANITIZE_INLINE void sanitize_tsan_adopt(struct sanitize_fiber *f)
{
    f->tsan = __tsan_get_current_fiber();
}

SANITIZE_INLINE void sanitize_tsan_destroy(struct sanitize_fiber *f)
{
    __tsan_destroy_fiber(f->tsan);
}

SANITIZE_INLINE void sanitize_tsan_switch(struct sanitize_fiber *to)
{
    __tsan_switch_to_fiber(to->tsan, SANITIZE_TSAN_FLAGS);
}

#define sanitize_suits() true

#else

void __tsan_init(void) __attribute__((weak));

/* Is what checks the program told of changes of stacks? ThreadSanitizer's run time
 * cannot do without; AddressSanitizer's can, until somebody throws or jumps. */
SANITIZE_INLINE bool sanitize_suits(void)
{
    return __tsan_init == NULL;
}

#define tsan_release(addr)              ((void)(addr))
#define tsan_acquire(addr)              ((void)(addr))
#define tsan_promise(addr)              ((void)(addr))
#define tsan_rely(addr)                 ((void)(addr))
#define sanitize_aside(other)           ((void)(other), (void *)0)
#define sanitize_back(self)             ((void)(self))
#define sanitize_thread_local(p, bytes) ((void)(bytes))
#define tsan_ignore_begin()             ((void)0)
#define tsan_ignore_end()               ((void)0)
#define sanitize_tsan_create(f)         ((void)(f))
#define sanitize_tsan_adopt(f)          ((void)(f))
#define sanitize_tsan_destroy(f)        ((void)(f))
#define sanitize_tsan_switch(to)        ((void)(to))

#endif

#if SANITIZE_ADDRESS

/* A pooled stack: nobody may touch it. Red zones of frames that never returned
 * are still in it, so it must be unpoisoned before it is used again. */
SANITIZE_INLINE void sanitize_poison(const void *low, size_t bytes)
{
    __asan_poison_memory_region(low, bytes);
}

SANITIZE_INLINE void sanitize_unpoison(const void *low, size_t bytes)
{
    __asan_unpoison_memory_region(low, bytes);
}

/* LeakSanitizer looks for pointers on the stacks threads stand on. What only a
 * parked stack points to would be called leaked. */
SANITIZE_INLINE void sanitize_root(const void *low, size_t bytes)
{
    __lsan_register_root_region(low, bytes);
}

SANITIZE_INLINE void sanitize_unroot(const void *low, size_t bytes)
{
    __lsan_unregister_root_region(low, bytes);
}

/* Locals that live in a fake stack are those of a parked one as well. It has a
 * page, flags, and eleven parts as large as the stack, rounded up, within bounds
 * (asan_fake_stack.h in compiler-rt; so since 2013). */
SANITIZE_INLINE size_t sanitize_fake_bytes(const struct sanitize_fiber *f)
{
    size_t part = 1 << 16;

    while (part < f->bytes && part < 1 << 20)
        part *= 2;
    return 4096 + part / 32 + 11 * part;
}

SANITIZE_INLINE void sanitize_root_fake(struct sanitize_fiber *f)
{
    if (f->fake == NULL || f->fake_root != NULL || f->bytes == 0)
        return;
    f->fake_root = f->fake;
    sanitize_root(f->fake, sanitize_fake_bytes(f));
}

SANITIZE_INLINE void sanitize_unroot_fake(struct sanitize_fiber *f)
{
    if (f->fake_root != NULL)
        sanitize_unroot(f->fake_root, sanitize_fake_bytes(f));
    f->fake_root = NULL;
}

SANITIZE_INLINE void sanitize_asan_bounds(struct sanitize_fiber *f,
                                          const void *low, size_t bytes)
{
    f->fake = NULL;
    f->fake_root = NULL;
    f->low = low;
    f->bytes = bytes;
}

SANITIZE_INLINE void sanitize_asan_leave(struct sanitize_fiber *from,
                                         struct sanitize_fiber *to, bool dying)
{
    __sanitizer_start_switch_fiber(dying ? NULL : &from->fake, to->low,
                                   to->bytes);
    if (!dying && from->low != NULL)
        sanitize_root_fake(from);
}

/* It tells where the stack that was left lies: the only way to learn that of a
 * stack that the kernel or pthread made. */
SANITIZE_INLINE void sanitize_asan_arrive(struct sanitize_fiber *self,
                                          struct sanitize_fiber *from)
{
    const void *low;
    size_t bytes;

    __sanitizer_finish_switch_fiber(self->fake, &low, &bytes);
    self->fake = NULL;
    if (from != NULL && from->bytes == 0) {
        from->low = low;
        from->bytes = bytes;
    }
}

/* Its fake stack is freed where it is left for good: so that is said, though
 * nobody stands on it. */
SANITIZE_INLINE void sanitize_asan_destroy(struct sanitize_fiber *f)
{
    const void *low;
    void *mine;
    size_t bytes;

    if (f->fake == NULL)
        return;
    __sanitizer_start_switch_fiber(&mine, f->low, f->bytes);
    __sanitizer_finish_switch_fiber(f->fake, &low, &bytes);
    __sanitizer_start_switch_fiber(NULL, low, bytes);
    __sanitizer_finish_switch_fiber(mine, NULL, NULL);
    f->fake = NULL;
}

#else

#define sanitize_poison(low, bytes)   ((void)(low), (void)(bytes))
#define sanitize_unpoison(low, bytes) ((void)(low), (void)(bytes))
#define sanitize_root(low, bytes)     ((void)(low), (void)(bytes))
#define sanitize_unroot(low, bytes)   ((void)(low), (void)(bytes))
#define sanitize_unroot_fake(f)       ((void)(f))
#define sanitize_asan_bounds(f, low, bytes)                                    \
    ((void)(f), (void)(low), (void)(bytes))
#define sanitize_asan_leave(from, to, dying)                                   \
    ((void)(from), (void)(to), (void)(dying))
#define sanitize_asan_arrive(self, from) ((void)(self), (void)(from))
#define sanitize_asan_destroy(f)         ((void)(f))

#endif

/* A stack we made: [low, low + bytes), without its guard. */
SANITIZE_INLINE void sanitize_fiber_create(struct sanitize_fiber *f,
                                           const void *low, size_t bytes)
{
    sanitize_tsan_create(f);
    sanitize_asan_bounds(f, low, bytes);
}

/* The stack the calling thread was started on. Not to be destroyed. */
SANITIZE_INLINE void sanitize_fiber_adopt(struct sanitize_fiber *f)
{
    sanitize_tsan_adopt(f);
    sanitize_asan_bounds(f, NULL, 0);
}

/* After the last switch away from it, on another stack. */
SANITIZE_INLINE void sanitize_fiber_destroy(struct sanitize_fiber *f)
{
    sanitize_tsan_destroy(f);
    sanitize_asan_destroy(f);
}

/* dying: nobody will ever come back to from, its fake frames can be freed. To
 * begin anew on such a stack (ctx_make), destroy and create its sanitize_fiber,
 * or the frames that were never left pile up in ThreadSanitizer. */
SANITIZE_INLINE void sanitize_switch_begin(struct sanitize_fiber *from,
                                           struct sanitize_fiber *to,
                                           bool dying)
{
    sanitize_asan_leave(from, to, dying);
    sanitize_tsan_switch(to);
    (void)from;
    (void)dying;
}

SANITIZE_INLINE void sanitize_switch_end(struct sanitize_fiber *self,
                                         struct sanitize_fiber *from)
{
    sanitize_asan_arrive(self, from);
}

/* Right after mapping a stack, and right before unmapping it: without it
 * valgrind takes a switch between neighbours for one huge frame. Keep the
 * number. */
SANITIZE_INLINE unsigned sanitize_stack_register(void *low, void *high)
{
    (void)low;
    (void)high;
    return VALGRIND_STACK_REGISTER(low, high);
}

SANITIZE_INLINE void sanitize_stack_deregister(unsigned id)
{
    (void)id;
    VALGRIND_STACK_DEREGISTER(id);
}

#endif
