/* thrum/offload.h - code that blocks its thread, off the workers.
 *
 * A worker that blocks in read(2) on a file or in getaddrinfo(3) runs nothing
 * else. thrum_offload moves such a call to a pool of threads of its own, made
 * as needed and kept warm for some seconds. Where it must be made in place,
 * thrum_block_enter says so, and another worker takes over:
 *
 *     thrum_block_enter();
 *     n = read(fd, buf, sizeof buf);
 *     thrum_block_leave();
 *
 * A worker that blocks and has not said so is found after some 10 to 20 ms;
 * .on_stuck of thrum_opts is told of it.
 */
#ifndef THRUM_OFFLOAD_H
#define THRUM_OFFLOAD_H

#include <thrum/scope.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Call fn(arg) on a thread of the blocking pool and wait for it to the end.
 *
 * Call from:  a task; on another thread fn is simply called.
 * Suspends:   the task always.
 * Ownership:  arg may point to the caller's variables: the call does not return
 *             before fn has.
 * Order:      fn sees what came before; what it did is visible on return.
 * Returns:    what fn returned, even when the task is canceled meanwhile: fn may
 *             ask thrum_canceled() and come back early. THRUM_CANCELED when the
 *             task was canceled before fn was called: it never will be. Of kind
 *             THRUM_OS with EAGAIN, or THRUM_NOMEM, when the pool has no thread
 *             and none can be made: fn was then not called.
 * Cost:       no allocation.
 *
 * fn is no task: of this library it may call what says "anywhere" or "any other
 * thread". It runs in the scope of its caller: thrum_spawn(NULL, ...) in it is
 * the caller's.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *thrum_offload(thrum_fn *fn,
                                                                  void *arg);

/* int thrum_spawn_blocking(thrum_scope *s, thrum_fn *fn, const void *arg,
 *                          size_t copy)
 *
 * Start a child of a scope in the blocking pool: for the scope a child whose body
 * is thrum_offload(fn, arg), but without a task that waits. Until its turn comes
 * it is some 200 bytes, so a hundred thousand calls may be under way.
 *
 * Call from:  as thrum_spawn, and with the same arguments.
 * Suspends:   a task, when s has as many children as its limit says, or now and
 *             then to let others run.
 * Ownership:  as thrum_spawn.
 * Order:      fn sees what came before; the scope's close sees what it did.
 * Returns:    as thrum_spawn. The error of fn is the scope's. When s was canceled
 *             before its turn fn is not called, and the child ends with
 *             THRUM_CANCELED; when the pool has no thread and none can be made,
 *             with THRUM_OS and EAGAIN, or THRUM_NOMEM.
 *
 * fn runs in a scope of its own: what it spawns with thrum_spawn(NULL, ...) ends
 * before it does. It may ask thrum_canceled(), and waits as any other thread does:
 * one that waits for another blocking call keeps its thread, and when all
 * .max_blocking of them do so none of those begins.
 */
#define thrum_spawn_blocking(s, fn, ...)                                       \
    thrum_must_look_(__extension__({                                           \
        static const struct thrum_site_ thrum_site_here_ = {thrum_spawn_run_,  \
                                                            #fn, THRUM_HERE};  \
        thrum_spawn_blocking_((s), &thrum_site_here_, (fn), __VA_ARGS__);      \
    }))

struct thrum_sem;

/* All zero is thrum_offload. */
typedef struct thrum_offload_opts {
    const char *where; /* filled in */
    const char *name;  /* for reports; NULL: the function and the place */
    /* How many bytes arg points to. fn is given a copy of them, and they are
     * copied back when it has returned; so the caller need not wait when it is
     * canceled. 0: fn is given arg itself, and the caller waits. */
    size_t size;
    /* Called with the copy, on any thread, when fn has returned after its caller
     * was canceled: give back what the copy owns. It must not suspend. */
    void (*drop)(void *copy);
    /* A permit of it is acquired before, and released when fn has returned, also
     * if it was abandoned: so that calls of one kind do not take all threads.
     * NULL: none. */
    struct thrum_sem *sem; /* thrum/sync.h */
    int _;
} thrum_offload_opts;

/* thrum_err *thrum_offload_ex(fn, void *arg, .size = ..., .sem = ..., ...)
 *
 * As thrum_offload, but with .size the caller can leave a call that has begun: a
 * deadline holds although fn does not return.
 *
 * Call from:  a task; on another thread fn(arg) is simply called.
 * Suspends:   the task always.
 * Ownership:  with .size fn must know none of the caller's variables but by its
 *             copy. When THRUM_CANCELED is returned and fn had begun, the copy is
 *             fn's until it returns, and then `drop`'s. When it had not, what
 *             arg points to is as before, and `drop` is not called. `sem` and
 *             `name` live until fn has returned, too.
 * Returns:    as thrum_offload; with .size THRUM_CANCELED also while fn goes on:
 *             abandoned. In fn thrum_canceled() is then true; what it returns
 *             goes to on_error if it is an error, and thrum_stop waits for it as
 *             for a task of the background (.grace of thrum_opts).
 * Cost:       one allocation with .size, else none.
 *
 * With .size fn runs in a scope of its own, which has the caller's trace id and
 * none of its bindings (thrum_bind).
 */
#define thrum_offload_ex(...) THRUM_OFFLOAD_I_(__VA_ARGS__, ._ = 0)

THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *
thrum_offload_ex_(thrum_fn *fn, void *arg, const thrum_offload_opts *opts);

THRUM_API THRUM_NODISCARD int
thrum_spawn_blocking_(thrum_scope *s, const struct thrum_site_ *site,
                      thrum_fn *fn, const void *arg, size_t copy);

/* The calling task is about to block its thread, until thrum_block_leave. As many
 * workers run as before: another one is woken, or made, a full one, up to
 * .max_blocking of thrum_opts; what is queued here is handed over, and the task's
 * own forks can be taken.
 *
 * Call from:  a task. On another thread, and in a simulation, it does nothing.
 *             They may be nested. Between them nothing should wait, nor be
 *             joined: where that happens, the worker is as before the call.
 * Suspends:   never; the task stays on its thread, and errno is as before.
 * Cost:       two uncontended locks, if a worker more than needed sleeps since the
 *             last time; else a thread is woken. For calls of some 20 us or more.
 */
THRUM_API void thrum_block_enter(void);
THRUM_API void thrum_block_leave(void);

#ifdef __cplusplus
}
#endif

#define THRUM_OFFLOAD_I_(fn, arg, ...)                                         \
    thrum_offload_ex_((fn), (arg),                                             \
                      THRUM_OFFLOAD_OPTS_(#fn " at " THRUM_HERE, __VA_ARGS__))
#ifndef __cplusplus
#define THRUM_OFFLOAD_OPTS_(at, ...)                                           \
    (&(const thrum_offload_opts){.where = at, __VA_ARGS__})
#else
#pragma GCC system_header /* an option that is left out is no warning */
#define THRUM_OFFLOAD_OPTS_(at, ...)                                           \
    (&static_cast<const thrum_offload_opts &>(                                 \
        __extension__(thrum_offload_opts){.where = at, __VA_ARGS__}))
#endif
#endif
