/* thrum/gen.h - generators: a task that hands over one item at a time, on demand.
 *
 *     static thrum_err *pages(void *arg)         // the body: an ordinary task
 *     {
 *         for (struct page p = {0}; load(arg, &p);)
 *             THRUM_TRY(thrum_gen_emit(&p));
 *         return NULL;
 *     }
 *
 *     thrum_gen g;
 *     struct page p;
 *     int more;
 *
 *     thrum_gen_open(&g, pages, db, sizeof p);
 *     while ((more = thrum_gen_next(&g, &p)) > 0)
 *         show(&p);                              // break is fine too
 *     return thrum_err_add(thrum_rc(more), thrum_gen_close(&g));
 *
 * The body is a task with a stack and a scope of its own: it may wait, fork, open
 * scopes around an emit, and is a child of the scope in which the generator was
 * opened. It runs only while its consumer waits for an item: the two hand the CPU
 * to each other directly, which costs two changes of stack an item and no queue.
 * What the body opens ends with it: a deadline around an emit is the body's, and
 * never its consumer's. A cancel reaches a body that waits by way of the scope in
 * which the generator was opened: so what is to bound the waits of a generator, a
 * scope with a timeout, is opened before it.
 *
 * A generator is used by one task at a time. Several generators may feed each
 * other: a body may be the consumer of another.
 */
#ifndef THRUM_GEN_H
#define THRUM_GEN_H

#include <thrum/err.h>
#include <thrum/fork.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's storage. */
typedef struct thrum_gen {
    int got_;
    void *opaque_[24];
} thrum_gen;

/* void thrum_gen_open(thrum_gen *g, thrum_fn *fn, void *arg, size_t item)
 *
 * Open a generator whose items are `item` bytes each. fn(arg) is its body; it
 * begins with the first thrum_gen_next.
 *
 * Call from:  a task.
 * Suspends:   never.
 * Ownership:  g and what arg points to live until thrum_gen_close, which is to
 *             come before the scope that is the innermost here is closed. At most
 *             65,535 are open in one scope at a time.
 * Cost:       no allocation.
 */
#define thrum_gen_open(g, fn, arg, item)                                       \
    do {                                                                       \
        static const struct thrum_site_ thrum_site_here_ = {thrum_gen_run_,    \
                                                            #fn, THRUM_HERE};  \
        thrum_gen_open_((g), &thrum_site_here_, (fn), (arg), (item));          \
    } while (0)

/* Let the body run until it has handed over the next item.
 *
 * Call from:  a task of the same runtime, not the body, nor what the body waits
 *             for.
 * Suspends:   while the body runs, and waits.
 * Returns:    1           *item is the next one
 *             0           the body has ended; why, thrum_gen_close says
 *             -ECANCELED  the caller is canceled; nothing was asked for
 *             -ENOMEM     no memory for the body's stack; it has not begun
 */
THRUM_SUSPENDS THRUM_NODISCARD static inline int thrum_gen_next(thrum_gen *g,
                                                                void *item);

/* The next n items at once: the body goes on until so many are there, or it ends.
 *
 * Call from:  as thrum_gen_next.
 * Suspends:   as thrum_gen_next.
 * Returns:    how many items there are: n, or less if the body has ended, 0 if
 *             there are no more; or as thrum_gen_next. At most INT_MAX.
 */
THRUM_SUSPENDS THRUM_NODISCARD static inline int
thrum_gen_next_many(thrum_gen *g, void *items, size_t n);

/* Hand over an item, which is copied, and wait until the next one is asked for.
 *
 * Call from:  the body of a generator, and what it calls; not a fork of it, nor
 *             a child.
 * Suspends:   the task, as a rule.
 * Returns:    0           it was handed over
 *             -ECANCELED  it was not: the body is canceled, or the generator is
 *                         being closed. Give back what you have, and return.
 */
THRUM_SUSPENDS THRUM_NODISCARD static inline int
thrum_gen_emit(const void *item);

/* Close a generator. If its body has not ended, it is canceled, and waited for.
 *
 * Call from:  the task that opened it, once; before it ended, or after.
 * Suspends:   while the body does its clean-up.
 * Returns:    what the body returned, with the errors of what it spawned. That
 *             it was cut short by this call is no error.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *
thrum_gen_close(thrum_gen *g);

/* self: thrum_self_(), which the caller reads so that these need no frame. */
THRUM_API THRUM_NODISCARD int thrum_gen_resume_(thrum_gen *g, void *items,
                                                size_t n,
                                                struct thrum_deque_ *self);
THRUM_API THRUM_NODISCARD int thrum_gen_emit_(const void *item,
                                              struct thrum_deque_ *self);
THRUM_API THRUM_COLD_ THRUM_NODISCARD int thrum_gen_ended_(thrum_gen *g,
                                                           int rc);

/* Inline, because thrum_gen_resume_ ends in a change of stacks: what a return
 * after it costs, src/os/ctx.h says. */
static inline int thrum_gen_next_many(thrum_gen *g, void *items, size_t n)
{
    int rc = thrum_gen_resume_(g, items, n < INT32_MAX ? n : INT32_MAX,
                               thrum_self_());

    if (__builtin_expect(rc == 0 && (size_t)g->got_ == n, 1))
        return g->got_;
    return thrum_gen_ended_(g, rc);
}

static inline int thrum_gen_next(thrum_gen *g, void *item)
{
    return thrum_gen_next_many(g, item, 1);
}

static inline int thrum_gen_emit(const void *item)
{
    return thrum_gen_emit_(item, thrum_self_());
}

THRUM_API void thrum_gen_run_(struct thrum_job_ *job);
THRUM_API void thrum_gen_open_(thrum_gen *g, const struct thrum_site_ *site,
                               thrum_fn *fn, void *arg, size_t item);

#ifdef __cplusplus
}
#endif
#endif
