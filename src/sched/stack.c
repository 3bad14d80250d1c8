#include "sched/stack.h"

#include <string.h>

#include "os/memory.h"

enum {
    ARENAS = 1024, /* in a process */
    ARENA_LEAST = 16,
    ARENA_MOST = 8192, /* pieces in a reservation */
    CANARY = 64,
    GUARD_MOST = 1 << 20,
    LINE_MAX_BYTES = 512,
    RED_ZONE = 256, /* below its stack pointer a function may write, by the ABI;
                     * and a call does */
    TRIM = 16,      /* stacks at a time: some tens of microseconds */
};

_Static_assert(sizeof(struct stack) == SEGMENT_HEAD, "its end is the border");

/* A reservation: pieces of equal size that end in 32 KiB of slots. Below the first
 * there is a guard, so that none jumps from there into what is not ours. */
struct arena {
    _Atomic(char *) base; /* NULL: closed; [A1] [A2] */
    struct arena *next;   /* of the pool */
    size_t stride, count, guard_bytes;
    _Atomic size_t used; /* lock: the pool's; the fault handler looks, too */
    bool of_stacks;      /* or of further segments */
    bool guarded;
};

/* Static, because the fault handler goes through them at any moment. */
static struct arena arenas[ARENAS];

/* Taken, not yet open. */
#define OPENING ((char *)1)

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

void stack_pool_init(struct stack_pool *pool, size_t stack_bytes,
                     _Atomic uint32_t *hungry, bool fenced, ctx_entry *entry)
{
    size_t page = memory_page(), bytes = round_up(stack_bytes, page);
    size_t guard = bytes / 8 < GUARD_MOST ? bytes / 8 : GUARD_MOST;

    *pool = (struct stack_pool){
        .stack_bytes = bytes,
        .guard_bytes = guard < page ? page : guard / page * page,
        .fenced = fenced,
        .hungry = hungry,
        .entry = entry,
    };
}

static struct arena *arena_open(const struct stack_pool *pool, size_t stride,
                                size_t count, bool of_stacks)
{
    for (struct arena *a = arenas; a < arenas + ARENAS; a++) {
        char *closed = NULL, *low;

        if (!cas_acquire(&a->base, &closed, OPENING)) /* [A2] now ours */
            continue;
        low = memory_reserve(GUARD_MOST + stride * count, SEGMENT_BYTES);
        a->guarded = low != NULL && memory_guard(low, GUARD_MOST);
        a->stride = stride;
        a->count = count;
        a->guard_bytes = pool->guard_bytes;
        store_relaxed(&a->used, 0); /* travels with [A1] */
        a->of_stacks = of_stacks;
        store_release(&a->base,
                      low == NULL ? NULL : low + GUARD_MOST); /* [A1] */
        return low == NULL ? NULL : a;
    }
    return NULL;
}

/* Under the lock. Reservations double, and halve when one is refused. */
static struct arena *arena_add(struct stack_pool *pool, bool of_stacks)
{
    size_t count = pool->made < ARENA_LEAST  ? ARENA_LEAST
                   : pool->made > ARENA_MOST ? ARENA_MOST
                                             : pool->made;
    size_t stack = round_up(pool->stack_bytes, SEGMENT_BYTES);
    size_t stride = (of_stacks ? stack : SEGMENT_BYTES) + SEGMENT_BYTES;
    struct arena *a;

    for (a = NULL; a == NULL && count > 0; count /= 2)
        a = arena_open(pool, stride, count, of_stacks);
    if (a != NULL) {
        a->next = pool->arenas;
        pool->arenas = a;
    }
    return a;
}

/* Under the lock. A piece whose slots begin at a multiple of 4 GiB is left out:
 * parts/deque.h says why. The border between head and slots, or NULL. */
static char *carve(struct stack_pool *pool, bool of_stacks)
{
    struct arena *a = pool->arenas;
    char *border;

    do {
        while (a != NULL && (a->of_stacks != of_stacks ||
                             load_relaxed(&a->used) == a->count))
            a = a->next;
        if (a == NULL)
            a = arena_add(pool, of_stacks);
        if (a == NULL)
            return NULL;
        border = load_relaxed(&a->base) + /* opened by this pool */
                 a->stride * (add_relaxed(&a->used, 1) + 1) - SEGMENT_BYTES;
    } while ((uint32_t)(uintptr_t)border == 0);
    pool->made++;
    return border;
}

/* To checkers: what a stack in use points to is not leaked, and below the frames
 * of a spare one there is nothing to be read or written. */
static void use_begin(struct stack *s)
{
    sanitize_unpoison(s->low, (size_t)((char *)s - s->low));
    sanitize_root(s->low,
                  (size_t)((char *)s + SEGMENT_HEAD + SEGMENT_BYTES - s->low));
}

static void use_end(struct stack *s)
{
    sanitize_unroot(
        s->low, (size_t)((char *)s + SEGMENT_HEAD + SEGMENT_BYTES - s->low));
    sanitize_unroot_fake(&s->fiber);
    sanitize_poison(s->low, (size_t)((char *)s->ctx.sp - s->low));
}

static struct stack *stack_make(struct stack_pool *pool, char *border)
{
    struct stack *s = (struct stack *)(void *)(border - SEGMENT_HEAD);
    char *guard = border - pool->stack_bytes;

    s->low = guard + pool->guard_bytes;
    s->guarded = memory_guard(guard, pool->guard_bytes);
    if (!s->guarded)
        memset(s->low, 0x5A, CANARY);
    deque_init(&s->deque, &s->deque, pool->hungry, pool->fenced);
    sanitize_fiber_create(&s->fiber, s->low, (size_t)((char *)s - s->low));
    s->valgrind_id = sanitize_stack_register(s->low, s);
    use_begin(s);
    ctx_make(&s->ctx, s->low, s, pool->entry, s);
    return s;
}

/* Under the lock; there is one. */
static struct stack *take_spare(struct stack_pool *pool)
{
    struct stack *s = pool->spare;

    pool->spare = s->next;
    store_relaxed(&pool->spares, load_relaxed(&pool->spares) - 1); /* locked */
    return s;
}

struct stack *stack_get(struct stack_pool *pool)
{
    char *border = NULL;
    struct stack *s;

    spin_lock(&pool->lock);
    s = pool->spare;
    if (s != NULL) {
        take_spare(pool);
    } else if (pool->trimmed != NULL) {
        s = pool->trimmed;
        pool->trimmed = s->next;
    } else {
        border = carve(pool, true);
    }
    store_relaxed(&pool->lacks, s == NULL && border == NULL); /* locked */
    spin_unlock(&pool->lock);

    if (border != NULL)
        s = stack_make(pool, border);
    else if (s != NULL)
        use_begin(s);
    return s;
}

/* snprintf of strings and a size_t only: no locale, no allocation. */
static void describe(const struct stack *s, char *line, size_t n)
{
    const struct thrum_site_ *site = load_relaxed(&s->site); /* own thread's */

    snprintf(line, n,
             "thrum: task %s, started at %s, has overflowed its stack of %zu "
             "bytes: raise thrum_opts.stack_size or THRUM_STACK\n",
             site == NULL ? "?" : site->name, site == NULL ? "?" : site->where,
             (size_t)((const char *)s + SEGMENT_HEAD - s->low));
}

/* Ends the program. */
static cold void die_overflowed(const struct stack *s)
{
    char line[LINE_MAX_BYTES];

    describe(s, line, sizeof line);
    fputs(line, stderr);
    abort();
}

void stack_check(struct stack *s)
{
    for (int i = 0; !s->guarded && i < CANARY; i++)
        if (s->low[i] != 0x5A)
            die_overflowed(s);
}

/* All but the page that the frames of a spare stack are in, and the slots,
 * which then read as zero: not in use. */
static void make_cold(struct stack *s)
{
    uintptr_t page = memory_page();
    char *used = (char *)((uintptr_t)s->ctx.sp & ~(page - 1));
    char *low = s->guarded ? s->low : s->low + page; /* keep the canary */

    if (used > low)
        memory_discard(low, (size_t)(used - low));
    memory_discard((char *)s + SEGMENT_HEAD, SEGMENT_BYTES);
}

/* Under the lock: the segments behind the first. */
static void segments_put(struct stack_pool *pool, struct stack *s)
{
    struct thrum_deque_ *segment = deque_cut(&s->deque), *next;

    for (; segment != NULL; segment = next) {
        next = load_relaxed(&segment->next); /* ours: it was cut off */
        tsan_rely(s);
        tsan_promise(segment);
        segment->prev = pool->segments;
        pool->segments = segment;
    }
}

void stack_shed(struct stack_pool *pool, struct stack *s)
{
    spin_lock(&pool->lock);
    segments_put(pool, s);
    spin_unlock(&pool->lock);
}

void stack_put(struct stack_pool *pool, struct stack *s)
{
    stack_check(s);
    use_end(s);
    spin_lock(&pool->lock);
    segments_put(pool, s);
    s->next = pool->spare;
    pool->spare = s;
    store_relaxed(&pool->spares, load_relaxed(&pool->spares) + 1); /* locked */
    spin_unlock(&pool->lock);
}

static bool trim_one(struct stack_pool *pool)
{
    struct stack *s;

    if (load_relaxed(&pool->spares) <= STACK_POOL_WARM) /* a hint */
        return false;
    spin_lock(&pool->lock);
    s = pool->spare == NULL ? NULL : take_spare(pool);
    spin_unlock(&pool->lock);
    if (s == NULL)
        return false;
    make_cold(s);
    spin_lock(&pool->lock);
    s->next = pool->trimmed;
    pool->trimmed = s;
    spin_unlock(&pool->lock);
    return true;
}

bool stack_pool_trim(struct stack_pool *pool)
{
    bool more = true;

    if (load_relaxed(&pool->spares) <= STACK_POOL_WARM || /* a hint */
        exchange_acquire(&pool->trimming, 1) != 0)        /* [A4] */
        return false;
    for (int i = 0; more && i < TRIM; i++)
        more = trim_one(pool);
    store_release(&pool->trimming, 0); /* [A3] */
    return more;
}

static struct thrum_deque_ *segment_at(char *border)
{
    return (struct thrum_deque_ *)(void *)(border - SEGMENT_HEAD);
}

struct thrum_deque_ *segment_get(struct stack_pool *pool,
                                 struct thrum_deque_ *first)
{
    struct thrum_deque_ *segment;
    char *border = NULL;

    spin_lock(&pool->lock);
    segment = pool->segments;
    if (segment != NULL)
        pool->segments = segment->prev;
    else
        border = carve(pool, false);
    spin_unlock(&pool->lock);

    if (border != NULL) {
        segment = segment_at(border);
        sanitize_root(deque_first_slot(segment), SEGMENT_BYTES);
        memory_populate(segment, SEGMENT_BYTES);
    }
    if (segment != NULL) {
        deque_init(segment, first, pool->hungry, pool->fenced);
        tsan_rely(segment); /* other tasks forked here */
    }
    return segment;
}

/* NULL: it was left out. */
static char *border_at(struct arena *a, size_t i)
{
    char *border = load_relaxed(&a->base) + a->stride * (i + 1) - SEGMENT_BYTES;

    return (uint32_t)(uintptr_t)border == 0 ? NULL : border;
}

static struct stack *stack_at(struct arena *a, size_t i)
{
    char *border = border_at(a, i);

    if (!a->of_stacks || border == NULL)
        return NULL;
    return (struct stack *)(void *)(border - SEGMENT_HEAD);
}

static void stack_close(struct stack *s, size_t guard_bytes)
{
    use_end(s);
    sanitize_unpoison(s->low, (size_t)((char *)s - s->low));
    stack_check(s);
    sanitize_fiber_destroy(&s->fiber);
    sanitize_stack_deregister(s->valgrind_id);
    if (s->guarded)
        memory_unguard(s->low - guard_bytes, guard_bytes);
}

static void arena_close(struct arena *a)
{
    char *low = load_relaxed(&a->base) - GUARD_MOST; /* ours alone */

    for (size_t i = 0; i < load_relaxed(&a->used); i++) {
        if (stack_at(a, i) != NULL)
            stack_close(stack_at(a, i), a->guard_bytes);
        else if (border_at(a, i) != NULL)
            sanitize_unroot(deque_first_slot(segment_at(border_at(a, i))),
                            SEGMENT_BYTES);
    }
    store_relaxed(&a->base,
                  OPENING); /* what is mapped there next is not ours */
    if (a->guarded)
        memory_unguard(low, GUARD_MOST);
    memory_unmap(low, GUARD_MOST + a->stride * a->count);
    store_release(&a->base, NULL); /* [A1] */
}

void stack_pool_deinit(struct stack_pool *pool)
{
    struct arena *a = pool->arenas, *next;

    for (struct stack *s = pool->spare; s != NULL; s = s->next)
        use_begin(s);
    for (struct stack *s = pool->trimmed; s != NULL; s = s->next)
        use_begin(s);
    for (; a != NULL; a = next) {
        next = a->next;
        arena_close(a);
    }
}

void stack_pool_each(struct stack_pool *pool,
                     void (*see)(struct stack *s, void *arg), void *arg)
{
    struct stack *s;

    for (struct arena *a = pool->arenas; a != NULL; a = a->next)
        for (size_t i = 0; i < load_relaxed(&a->used); i++) /* ours alone */
            if ((s = stack_at(a, i)) != NULL)
                see(s, arg);
}

/* The tag is a part of the address, counted in segments. */
static struct stack *in_arena(struct arena *a, uint32_t tag)
{
    char *base = load_relaxed(&a->base); /* under the lock */
    uint32_t from = stack_tag((const struct stack *)(void *)base);
    size_t i = (size_t)((tag - from) >> 4) * SEGMENT_BYTES / a->stride;
    struct stack *s = i < load_relaxed(&a->used) ? stack_at(a, i) : NULL;

    return s != NULL && stack_tag(s) == tag ? s : NULL;
}

struct stack *stack_of_tag(struct stack_pool *pool, uint32_t tag)
{
    struct stack *s = NULL;

    spin_lock(&pool->lock);
    for (struct arena *a = pool->arenas; s == NULL && a != NULL; a = a->next)
        s = in_arena(a, tag);
    spin_unlock(&pool->lock);
    return s;
}

/* That addr lies in; NULL: in none. */
static struct arena *arena_around(const char *addr)
{
    for (struct arena *a = arenas; a < arenas + ARENAS; a++) {
        char *base = load_acquire(&a->base); /* [A2] */

        if (base != NULL && base != OPENING && addr >= base &&
            addr < base + a->stride * a->count)
            return a;
    }
    return NULL;
}

/* The stack in whose guard addr lies; NULL: in none. */
static const struct stack *stack_guarded_at(const char *addr)
{
    struct arena *a = arena_around(addr);
    const struct stack *s;
    size_t i;

    if (a == NULL)
        return NULL;
    i = (size_t)(addr - load_relaxed(&a->base)) / a->stride; /* seen open */
    if (i >= load_relaxed(&a->used))                         /* likewise */
        return NULL;
    s = stack_at(a, i);
    return s != NULL && addr < s->low && addr >= s->low - a->guard_bytes ? s
                                                                         : NULL;
}

/* A frame of it reaches from the stack over the guard: what it holds is below. */
static bool is_below(const struct stack *s, const char *addr, const char *sp)
{
    return s != NULL && sp != NULL && sp < s->low && addr < s->low &&
           addr >= sp - RED_ZONE;
}

bool stack_explain(const struct stack *here, const char *addr, const char *sp,
                   char *line, size_t n)
{
    const struct stack *s = stack_guarded_at(addr);

    if (s == NULL && is_below(here, addr, sp))
        s = here;
    if (s != NULL)
        describe(s, line, n);
    return s != NULL;
}

void stack_check_below(const struct stack *s, const char *sp)
{
    if (arena_around(sp) != NULL)
        die_overflowed(s);
}
