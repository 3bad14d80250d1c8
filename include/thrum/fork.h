/* thrum/fork.h - the fast path of fork and join, and typed tasks.
 *
 * Most programs need only thrum/task.h. Hot recursion can use typed tasks: no
 * indirect call, arguments in registers or in the fork's record, results by
 * value. A naive Fibonacci costs about as much as one extra call each:
 *
 *     THRUM_TASK(long, fib, int, n)
 *     {
 *         if (n < 2)
 *             return n;
 *         THRUM_FORK(fib, n - 1);            // may run on another worker
 *         long b = THRUM_CALL(fib, n - 2);   // runs here
 *         return THRUM_JOIN(fib) + b;        // the newest fork not yet joined
 *     }
 *
 * Outside a typed body, `fib(40)` is an ordinary call, made from any task.
 *
 *   THRUM_TASK(type, name, [type, arg]...)   define a task with a result
 *   THRUM_PROC(name, [type, arg]...)         define a task without one
 *   THRUM_DECLARE_TASK, THRUM_DECLARE_PROC   the same, to declare ahead; its body
 *                                            is then that of THRUM_DEFINE(type,
 *                                            name, [type, arg]...)
 *
 *   THRUM_FORK(name, args...)   let name(args) run in parallel
 *   THRUM_CALL(name, args...)   call it, from inside a typed body
 *   THRUM_JOIN(name)            wait for the newest unjoined fork of this body,
 *                               which must be of `name`; its result
 *
 * Call from:  a task (THRUM_FORK, THRUM_CALL and THRUM_JOIN: a typed body).
 * Suspends:   THRUM_JOIN maybe, as thrum_join. The other two never (the callee
 *             may).
 * Ownership:  arguments are copied, at most 32 bytes in all and four of them;
 *             what they point to must live until the join.
 * Order:      the fork sees what came before it; the join sees what it did.
 * Returns:    what the task returns.
 * Cost:       no allocation; no atomic read-modify-write while nobody steals.
 *
 * A body joins all of its forks, newest first, before it returns. A fork left
 * over is found when the enclosing scope closes: one line with its place, then
 * abort. What the body itself begins with thrum_fork is joined before its next
 * THRUM_FORK, THRUM_CALL or THRUM_JOIN, which do not know of it. The body must not
 * be inlined by hand into another function: its hidden first argument is the place
 * of the newest fork.
 *
 * ---------------------------------------------------------------------------
 * What follows the line of public macros is the layout that the inline code
 * shares with the library (src/parts/deque.h tells how it works and has the
 * table of the labels [D1]..). Names that end in _ are not for programs.
 */
#ifndef THRUM_FORK_H
#define THRUM_FORK_H

#include <thrum/base.h>

#include <string.h>

#ifdef __cplusplus
#define THRUM_ATOMIC_(type)        type
#define thrum_load_relaxed_(p)     __atomic_load_n(p, __ATOMIC_RELAXED)
#define thrum_store_relaxed_(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define thrum_store_release_(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define thrum_barrier_light_()     __atomic_signal_fence(__ATOMIC_SEQ_CST)
extern "C" {
#else
#include <stdatomic.h>
#define THRUM_ATOMIC_(type) _Atomic(type)
#ifdef THRUM_MODEL
#include "base/atomic.h"
#define thrum_load_relaxed_(p)     load_relaxed(p)
#define thrum_store_relaxed_(p, v) store_relaxed(p, v)
#define thrum_store_release_(p, v) store_release(p, v)
#define thrum_barrier_light_()     barrier_light()
#else
#define thrum_load_relaxed_(p) atomic_load_explicit(p, memory_order_relaxed)
#define thrum_store_relaxed_(p, v)                                             \
    atomic_store_explicit(p, v, memory_order_relaxed)
#define thrum_store_release_(p, v)                                             \
    atomic_store_explicit(p, v, memory_order_release)
#define thrum_barrier_light_() atomic_signal_fence(memory_order_seq_cst)
#endif
#endif

struct thrum_job_;

/* Where a job was made and how it is run: one static object a place. */
struct thrum_site_ {
    void (*run)(struct thrum_job_ *);
    const char *name, *where;
};

/* What a deque or a queue carries. A fork's job is a slot of its stack's deque;
 * its result replaces its arguments. */
struct thrum_job_ {
    /* The site; for a fork that was taken later the state of its end. */
    THRUM_ATOMIC_(const struct thrum_site_ *) site;
    /* Not NULL: forked and not yet joined. [D1] [D3] */
    THRUM_ATOMIC_(struct thrum_scope *) scope;
    struct thrum_job_ *next;   /* in a queue */
    struct thrum_scope *taken; /* the scope, kept by who took the fork */
    union {
        unsigned char bytes[32];
        uint64_t align;
        struct { /* of thrum_fork; err when it has ended elsewhere */
            struct thrum_err *(*fn)(void *);
            void *arg;
            struct thrum_err *err;
            struct thrum_job_ *prev; /* of no fork: in a queue */
        } call;
    } u;
};

/* One segment of a deque: this head, then slots up to the next 32 KiB border.
 * The first segment of a stack lies directly above the stack; and its first few
 * slots lie below a border, in the head's page: what forks no more at a time touches
 * no other. */
struct thrum_deque_ {
    /* owner only; const but for head, here and scope */
    struct thrum_job_ *head;  /* a hint: typed forks do not keep it */
    struct thrum_here_ *here; /* of the stack's first segment */
    THRUM_ATOMIC_(struct thrum_scope *) scope; /* of the running task */
    THRUM_ATOMIC_(uint32_t) *hungry;           /* [I1] somebody wants work */
    THRUM_ATOMIC_(uint64_t) *real;             /* top, or fenced */
    struct thrum_deque_ *first, *prev;
    THRUM_ATOMIC_(struct thrum_deque_ *) next; /* [D6] */

    /* written by thieves, and by the owner against them: [D3] [D4] */
    THRUM_ATOMIC_(uint64_t) top;
    THRUM_ATOMIC_(uint64_t) fenced; /* top, where there is no membarrier */
    void *taken; /* of a stack: its forks that run elsewhere (task/fork.c) */
    THRUM_ATOMIC_(void *) pending; /* of a stack: task/alarm.c */
    /* of a stack that waits: for what, and since when in a simulation */
    THRUM_ATOMIC_(const struct thrum_awaited_ *) waits_for;
    THRUM_ATOMIC_(const void *) waits_at;
    int64_t since;
    THRUM_ATOMIC_(struct thrum_deque_ *) oldest; /* of a stack: [D8] [D9] */
} __attribute__((__aligned__(64)));

/* A fork that nobody took, called by its join: on that frame. Tells who asks for
 * the task's own scope that there is none yet; the one he makes is closed when
 * the call returns. One word, as it is written for each such call. */
struct thrum_here_ {
    uintptr_t around; /* another such; and THRUM_OWN_, if a scope was made */
};

enum { THRUM_OWN_ = 1 };

enum { THRUM_SEGMENT_ = 1 << 15, THRUM_NEAR_ = 3, THRUM_HEAD_ = 576 };

/* The deque that a slot is in, a sentinel too: that and the first slots lie below
 * the border, so the one below a slot some way after is looked for. */
static inline struct thrum_deque_ *
thrum_deque_of_(const struct thrum_job_ *slot)
{
    uintptr_t after = (uintptr_t)(slot + THRUM_NEAR_ + 1);

    return (struct thrum_deque_ *)((after & ~(uintptr_t)(THRUM_SEGMENT_ - 1)) -
                                   THRUM_HEAD_);
}

/* The last slot of a segment that is forked into: there is one more. */
static inline bool thrum_is_last_(const struct thrum_job_ *slot)
{
    return ((uintptr_t)(slot + THRUM_NEAR_ + 2) & (THRUM_SEGMENT_ - 1)) == 0;
}

/* Out of line, all in the library; cold, so that the compiler keeps what they
 * need out of the way of the rest. */
#define THRUM_COLD_ __attribute__((__cold__))
THRUM_API THRUM_COLD_ struct thrum_deque_ *thrum_hint_slow_(void);
THRUM_API THRUM_COLD_ struct thrum_job_ *
thrum_publish_slow_(struct thrum_job_ *);
THRUM_API THRUM_COLD_ struct thrum_job_ *thrum_join_slow_(struct thrum_job_ *);

/* The deque of the stack that the caller stands on; NULL: it is no task. Read
 * anew each time: the compiler must not keep a thread-local's address where a
 * task may move to another thread. */
extern THRUM_API __thread struct thrum_deque_ *thrum_current_;

static inline struct thrum_deque_ *thrum_self_(void)
{
    struct thrum_deque_ *self;

#if defined(__x86_64__)
    __asm__ volatile("movq thrum_current_@gottpoff(%%rip), %0\n\t"
                     "movq %%fs:(%0), %0"
                     : "=r"(self));
#elif defined(__aarch64__)
    struct thrum_deque_ *offset;

    __asm__ volatile("mrs %0, tpidr_el0\n\t"
                     "adrp %1, :gottprel:thrum_current_\n\t"
                     "ldr %1, [%1, :gottprel_lo12:thrum_current_]\n\t"
                     "ldr %0, [%0, %1]"
                     : "=&r"(self), "=&r"(offset));
#else
    self = NULL; /* the slow paths ask for it */
#endif
    return self;
}

static inline bool thrum_in_use_(struct thrum_job_ *slot)
{
    return thrum_load_relaxed_(&slot->scope) != 0; /* ours alone */
}

/* The same, its hint right: that is the newest fork, or the sentinel it has room
 * after. The slot for the next fork is the one after. */
static inline struct thrum_deque_ *thrum_self_hinted_(void)
{
    struct thrum_deque_ *self = thrum_self_();

    if (__builtin_expect(self == 0 || !thrum_in_use_(self->head) ||
                             thrum_in_use_(self->head + 1),
                         0))
        self = thrum_hint_slow_();
    return self;
}

static inline struct thrum_job_ *thrum_newest_(void)
{
    return thrum_self_hinted_()->head;
}

/* A hot recursive body is bound by stores, most of them of saved registers. So
 * what is cheap to compute again is not kept over a call: the compiler is made
 * to forget where a pointer came from, and that a site's address is constant. */
#define THRUM_FORGET_(pointer) __asm__("" : "+r"(pointer))
#if defined(__x86_64__)
#define THRUM_ADDRESS_(pointer, object)                                        \
    __asm__ volatile("leaq %1, %0" : "=r"(pointer) : "m"(object))
#else
#define THRUM_ADDRESS_(pointer, object) ((pointer) = &(object))
#endif

/* Two words beside each other, the first at a multiple of 16: by one store, where
 * the compiler would not see that for itself. */
static inline void thrum_store_two_(void *at, uintptr_t first, uintptr_t second)
{
#if defined(__x86_64__) && !defined(THRUM_MODEL)
    typedef unsigned long long two
        __attribute__((__vector_size__(16), __may_alias__));
    two both = {first, second};

    *(two *)at = both;
#else
    uintptr_t both[] = {first, second};

    memcpy(at, both, sizeof both);
#endif
}

/* The slot is filled: publish it, then look whether somebody wants work, or the
 * segment is full. The other side looks in the other order, behind a heavy
 * barrier [I2]. `deque`: any segment of it. The newest fork from here on. */
static inline struct thrum_job_ *thrum_publish_(struct thrum_deque_ *deque,
                                                struct thrum_job_ *slot,
                                                const struct thrum_site_ *site)
{
    thrum_store_relaxed_(&slot->site, site); /* travels with [D1] */
    thrum_store_release_(&slot->scope,
                         thrum_load_relaxed_(&deque->scope)); /* [D1] */
    thrum_barrier_light_();
    if (__builtin_expect(thrum_load_relaxed_(deque->hungry) != 0 || /* [I1] */
                             thrum_is_last_(slot),
                         0))
        slot = thrum_publish_slow_(slot);
    return slot;
}

/* Take back the newest fork if no thief has come for it. False: it was taken, one
 * comes, or it lies in an older segment; ask the slow path. */
static inline bool thrum_take_back_(struct thrum_job_ *slot)
{
    uint32_t place = (uint32_t)(uintptr_t)slot;
    struct thrum_deque_ *deque = thrum_deque_of_(slot);

    thrum_store_relaxed_(&slot->scope, (struct thrum_scope *)0); /* [D3] */
    thrum_barrier_light_();
    return __builtin_expect((uint32_t)thrum_load_relaxed_(&deque->top) <= place,
                            1); /* [D3] */
}

/* A scope begins with the number of cancels, in the whole process, up to which
 * it is known not to be canceled [K3]. */
extern THRUM_API THRUM_ATOMIC_(uint64_t) thrum_cancels_; /* [K2] */

/* How many simulations run in this process: what is inline asks it where a task
 * might be interrupted by another. */
extern THRUM_API THRUM_ATOMIC_(uint32_t) thrum_simulations_;

static inline bool thrum_is_simulated_(void)
{
#ifdef THRUM_MODEL
    return 0; /* its explorer interrupts everywhere */
#else
    /* Relaxed: a task of a simulation runs on the thread that counted it. */
    return thrum_load_relaxed_(&thrum_simulations_) != 0;
#endif
}

static inline bool thrum_may_be_canceled_(struct thrum_scope *scope)
{
    THRUM_ATOMIC_(uint64_t) *seen = (THRUM_ATOMIC_(uint64_t) *)(void *)scope;

    return thrum_load_relaxed_(seen) !=
           thrum_load_relaxed_(&thrum_cancels_); /* [K2] a hint */
}

/* ------------------------------------------------------- macro machinery */

/* clang-format off */
#define THRUM_COUNT_(_1, _2, _3, _4, _5, _6, _7, _8, n, ...) n
#define THRUM_PAIRS_(...)                                                      \
    THRUM_COUNT_(__VA_ARGS__, 4, bad, 3, bad, 2, bad, 1, bad, bad)
#define THRUM_PASTE_(a, b)  a##b
#define THRUM_PASTE2_(a, b) THRUM_PASTE_(a, b)
#define THRUM_EACH_(what, ...)                                                 \
    THRUM_PASTE2_(what, THRUM_PAIRS_(__VA_ARGS__))(__VA_ARGS__)

#define THRUM_PARAMS_1(t, a)                   t a
#define THRUM_PARAMS_2(t, a, u, b)             t a, u b
#define THRUM_PARAMS_3(t, a, u, b, v, c)       t a, u b, v c
#define THRUM_PARAMS_4(t, a, u, b, v, c, w, d) t a, u b, v c, w d

#define THRUM_FIELDS_1(t, a)                   t a;
#define THRUM_FIELDS_2(t, a, u, b)             t a; u b;
#define THRUM_FIELDS_3(t, a, u, b, v, c)       t a; u b; v c;
#define THRUM_FIELDS_4(t, a, u, b, v, c, w, d) t a; u b; v c; w d;

#define THRUM_NAMES_1(t, a)                   a
#define THRUM_NAMES_2(t, a, u, b)             a, b
#define THRUM_NAMES_3(t, a, u, b, v, c)       a, b, c
#define THRUM_NAMES_4(t, a, u, b, v, c, w, d) a, b, c, d

#define THRUM_FILL_1(t, a)                   in_->a = a;
#define THRUM_FILL_2(t, a, u, b)             in_->a = a; in_->b = b;
#define THRUM_FILL_3(t, a, u, b, v, c)       in_->a = a; in_->b = b; in_->c = c;
#define THRUM_FILL_4(t, a, u, b, v, c, w, d)                                   \
    in_->a = a; in_->b = b; in_->c = c; in_->d = d;

#define THRUM_GIVE_1(t, a)                   in_->a
#define THRUM_GIVE_2(t, a, u, b)             in_->a, in_->b
#define THRUM_GIVE_3(t, a, u, b, v, c)       in_->a, in_->b, in_->c
#define THRUM_GIVE_4(t, a, u, b, v, c, w, d) in_->a, in_->b, in_->c, in_->d

/* clang-format on */

#ifdef __cplusplus
#define THRUM_STATIC_ASSERT_ static_assert
#else
#define THRUM_STATIC_ASSERT_ _Static_assert
#endif

#define THRUM_IN_(name, slot)                                                  \
    struct name##_args_ *in_ = (struct name##_args_ *)(void *)(slot)->u.bytes

/* The parts that tasks with and without a result share. `newest_` is the newest
 * fork of the stack: a body is told, and tells those it calls. */
#define THRUM_COMMON_(type, name, ...)                                         \
    static type name##_body_(struct thrum_job_ *,                              \
                             THRUM_EACH_(THRUM_PARAMS_, __VA_ARGS__));         \
    struct name##_args_ {                                                      \
        THRUM_EACH_(THRUM_FIELDS_, __VA_ARGS__)                                \
    };                                                                         \
    THRUM_STATIC_ASSERT_(sizeof(struct name##_args_) <= 32,                    \
                         "the arguments of " #name                             \
                         " are over 32 bytes: pass a pointer");                \
    static void name##_run_(struct thrum_job_ *slot_);                         \
    __attribute__((__unused__)) static inline struct thrum_job_ *name##_fork_( \
        struct thrum_job_ *newest_, const struct thrum_site_ *site_,           \
        THRUM_EACH_(THRUM_PARAMS_, __VA_ARGS__))                               \
    {                                                                          \
        struct thrum_job_ *slot_ = newest_ + 1;                                \
        THRUM_IN_(name, slot_);                                                \
        THRUM_EACH_(THRUM_FILL_, __VA_ARGS__)                                  \
        return thrum_publish_(thrum_deque_of_(slot_), slot_, site_);           \
    }

#define THRUM_DECLARE_TASK(type, name, ...)                                    \
    THRUM_COMMON_(type, name, __VA_ARGS__)                                     \
    THRUM_STATIC_ASSERT_(sizeof(type) <= 32,                                   \
                         "the result of " #name " is over 32 bytes");          \
    __attribute__((__unused__)) static inline type name(                       \
        THRUM_EACH_(THRUM_PARAMS_, __VA_ARGS__))                               \
    {                                                                          \
        return name##_body_(thrum_newest_(),                                   \
                            THRUM_EACH_(THRUM_NAMES_, __VA_ARGS__));           \
    }                                                                          \
    __attribute__((__unused__)) static inline type name##_end_(                \
        struct thrum_job_ *slot_, bool mine_)                                  \
    {                                                                          \
        type out_;                                                             \
        if (__builtin_expect(mine_, 1)) {                                      \
            THRUM_IN_(name, slot_);                                            \
            return name##_body_(slot_ - 1,                                     \
                                THRUM_EACH_(THRUM_GIVE_, __VA_ARGS__));        \
        }                                                                      \
        memcpy(&out_, slot_->u.bytes, sizeof out_);                            \
        return out_;                                                           \
    }                                                                          \
    __attribute__((__unused__)) static void name##_run_(                       \
        struct thrum_job_ *slot_)                                              \
    {                                                                          \
        THRUM_IN_(name, slot_);                                                \
        type out_ = name##_body_(thrum_newest_(),                              \
                                 THRUM_EACH_(THRUM_GIVE_, __VA_ARGS__));       \
        memcpy(slot_->u.bytes, &out_, sizeof out_);                            \
    }

#define THRUM_DECLARE_PROC(name, ...)                                          \
    THRUM_COMMON_(void, name, __VA_ARGS__)                                     \
    __attribute__((__unused__)) static inline void name(                       \
        THRUM_EACH_(THRUM_PARAMS_, __VA_ARGS__))                               \
    {                                                                          \
        name##_body_(thrum_newest_(), THRUM_EACH_(THRUM_NAMES_, __VA_ARGS__)); \
    }                                                                          \
    __attribute__((__unused__)) static inline void name##_end_(                \
        struct thrum_job_ *slot_, bool mine_)                                  \
    {                                                                          \
        if (__builtin_expect(mine_, 1)) {                                      \
            THRUM_IN_(name, slot_);                                            \
            name##_body_(slot_ - 1, THRUM_EACH_(THRUM_GIVE_, __VA_ARGS__));    \
        }                                                                      \
    }                                                                          \
    __attribute__((__unused__)) static void name##_run_(                       \
        struct thrum_job_ *slot_)                                              \
    {                                                                          \
        THRUM_IN_(name, slot_);                                                \
        name##_body_(thrum_newest_(), THRUM_EACH_(THRUM_GIVE_, __VA_ARGS__));  \
    }

#define THRUM_BODY_(type, name, ...)                                           \
    static type name##_body_(                                                  \
        __attribute__((__unused__)) struct thrum_job_ *newest_,                \
        THRUM_EACH_(THRUM_PARAMS_, __VA_ARGS__))

#define THRUM_TASK(type, name, ...)                                            \
    THRUM_DECLARE_TASK(type, name, __VA_ARGS__)                                \
    THRUM_BODY_(type, name, __VA_ARGS__)

#define THRUM_PROC(name, ...)                                                  \
    THRUM_DECLARE_PROC(name, __VA_ARGS__)                                      \
    THRUM_BODY_(void, name, __VA_ARGS__)

/* After THRUM_DECLARE_TASK or _PROC: the body. */
#define THRUM_DEFINE(type, name, ...) THRUM_BODY_(type, name, __VA_ARGS__)

#define THRUM_FORK(name, ...)                                                  \
    do {                                                                       \
        static const struct thrum_site_ here_ = {name##_run_, #name,           \
                                                 THRUM_HERE};                  \
        const struct thrum_site_ *site_;                                       \
        THRUM_ADDRESS_(site_, here_);                                          \
        newest_ = name##_fork_(newest_, site_, __VA_ARGS__);                   \
    } while (0)

#define THRUM_CALL(name, ...) name##_body_(newest_, __VA_ARGS__)
/* Nobody takes the address of newest_: gcc then splits the body, and a leaf's
 * test is made where it is called (-fpartial-inlining). */
#define THRUM_JOIN(name)                                                       \
    __extension__({                                                            \
        struct thrum_job_ *slot_ = newest_;                                    \
        bool mine_;                                                            \
        THRUM_FORGET_(slot_);                                                  \
        mine_ = thrum_take_back_(slot_);                                       \
        if (__builtin_expect(!mine_, 0))                                       \
            slot_ = thrum_join_slow_(slot_);                                   \
        newest_ = slot_ - 1;                                                   \
        name##_end_(slot_, mine_);                                             \
    })

#ifdef __cplusplus
}
#endif
#endif
