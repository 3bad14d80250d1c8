/* base.h - words every file uses: attributes, container_of, four kinds of
 * wrong.
 *
 *   the world said no           a code, returned; nothing here
 *   the caller broke a promise  REQUIRE: always on, one line, abort
 *   the world must not say no   die_refused: one line, abort
 *   we are wrong                assert_invariant: always on where it is cheap;
 *                               assert_debug: only with DEBUG=1
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64

/* For functions that only fetch: a call of one is dropped, as it has no effect. */
#define fetches static inline __attribute__((always_inline))

/* On the hottest ways: what the caller knows is not asked again. */
#define inlined static inline __attribute__((always_inline))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define cold        __attribute__((cold, noinline))

#define container_of(ptr, type, member)                                        \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Neither uses the error values of task/error: they must work when nothing
 * else does. */
#define die(...)                                                               \
    do {                                                                       \
        fprintf(stderr, "thrum: " __VA_ARGS__);                                \
        fputc('\n', stderr);                                                   \
        abort();                                                               \
    } while (0)

/* The name the program knows: what ends in _ is called by a macro. */
static inline int known_length(const char *func)
{
    size_t n = strlen(func);

    return (int)(func[n - 1] == '_' ? n - 1 : n);
}

/* Of what the program called. */
#define REQUIRE_OF(func, cond, what)                                           \
    do {                                                                       \
        if (unlikely(!(cond)))                                                 \
            die("%.*s: %s", known_length(func), func, what);                   \
    } while (0)

#define REQUIRE(cond, what) REQUIRE_OF(__func__, cond, what)

/* Of what there is no doing without, and the kernel, or a container's filter, does
 * not let us, with errno `number`. */
#define die_refused(what, number)                                              \
    die("%s: %s (errno %d): the library cannot do without", what,              \
        strerror(number), number)

#define assert_invariant(cond)                                                 \
    do {                                                                       \
        if (unlikely(!(cond)))                                                 \
            die("%s:%d: invariant broken: %s", __FILE__, __LINE__, #cond);     \
    } while (0)

#ifdef THRUM_DEBUG
#define assert_debug(cond) assert_invariant(cond)
#else
#define assert_debug(cond) ((void)sizeof(!(cond)))
#endif

#endif
