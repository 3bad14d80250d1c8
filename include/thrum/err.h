/* thrum/err.h - errors are values.
 *
 * NULL is success. Anything else says what went wrong: a kind to test, a
 * message to read, the source place, the cause, and the failures that happened
 * beside it. A function that can fail returns a `thrum_err *`; THRUM_TRY hands
 * one up.
 *
 *      THRUM_KIND(NotFound, THRUM_ERROR, .code = 404);
 *
 *      static thrum_err *load(struct user *u)
 *      {
 *          THRUM_TRY(query("select ...", u));
 *          if (!u->id)
 *              return thrum_fail(&NotFound, "no user %s", u->name);
 *          return NULL;
 *      }
 *
 * An error never changes once somebody else can see it, so it may be shared
 * between threads. Whoever is handed one by a function owns one reference and
 * gives it away (by returning it, or to a function that says it consumes) or
 * drops it.
 *
 * Every error is a group of one or more leaves. The first leaf is the primary:
 * msg, kind, cause and the other readers speak of it. What failed beside it
 * follows as further leaves. A failure that stood alone and one of many are
 * handled by the same code.
 *
 * Making an error cannot fail: without memory it becomes a poorer error, never
 * a success.
 */
#ifndef THRUM_ERR_H
#define THRUM_ERR_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_err thrum_err;

/* Which request, across tasks, threads and processes. All zero: none. */
typedef struct thrum_trace_id {
    uint64_t hi, lo;
} thrum_trace_id;

/* The one callable type: a task, a job, the body of a scope, a clean-up. */
typedef thrum_err *thrum_fn(void *arg);

/* --- kinds ---------------------------------------------------------------
 *
 * A kind is the address of a static object. It has one parent; whoever asks
 * for the parent gets the child too. The code is the user's (an HTTP status,
 * an exit status); zero means: as my parent. */
typedef struct thrum_kind {
    const char *name;
    const struct thrum_kind *parent;
#if defined __cplusplus && __cplusplus >= 201402L
    int code = 0; /* so that leaving it out is no warning there either */
#else
    int code;
#endif
} thrum_kind;

/* Define a kind: THRUM_KIND(NotFound, App, .code = 404);
 *
 * Define each kind once, in a source file, and declare it elsewhere with
 * `extern const thrum_kind NotFound;`: two copies would be two kinds. In C++
 * let that declaration come first, else the kind stays private to its file. */
#define THRUM_KIND(...) THRUM_KIND_(__VA_ARGS__, )
#ifdef __cplusplus
#define THRUM_KIND_(id, base, ...)                                             \
    const thrum_kind id = __extension__(thrum_kind)                            \
    {                                                                          \
        .name = #id, .parent = &(base), __VA_ARGS__                            \
    }
#else
#define THRUM_KIND_(id, base, ...)                                             \
    const thrum_kind id = {.name = #id, .parent = &(base), __VA_ARGS__}
#endif

extern THRUM_API const thrum_kind THRUM_ERROR;    /* the root of all */
extern THRUM_API const thrum_kind THRUM_OS;       /* the kernel said no */
extern THRUM_API const thrum_kind THRUM_CANCELED; /* asked to stop, and did */
extern THRUM_API const thrum_kind THRUM_TIMEOUT;  /* a deadline passed */
extern THRUM_API const thrum_kind THRUM_NOMEM;    /* out of memory */
extern THRUM_API const thrum_kind THRUM_DEADLOCK; /* nobody can wake us */
extern THRUM_API const thrum_kind THRUM_SLOW;     /* to on_slow: not done yet */

/* --- making -------------------------------------------------------------- */

/* Make an error: return thrum_fail(&NotFound, "no user %d", id);
 *
 * The place of the call and the name of the running task are kept with it. The
 * message is copied, up to 1023 bytes; a longer one is cut and ends in "...".
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 * Ownership:  the caller owns the result. kind stays the caller's and lives as
 *             long as the program.
 * Returns:    the error, never NULL. Without memory: an error of kind
 *             THRUM_NOMEM, whose report names the kind asked for.
 * Cost:       one allocation.
 */
THRUM_API THRUM_NODISCARD thrum_err *
thrum_fail_(const char *where, const thrum_kind *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#define thrum_fail(...) thrum_fail_(THRUM_HERE, __VA_ARGS__)

/* Make an error that has a cause:
 *      return thrum_wrap(e, &Conflict, "email already exists");
 *
 * The new error answers to its own kind and to those of its cause. A chain
 * keeps 32 links: then each new one takes the place of the one before it, and
 * the first causes stay.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 * Ownership:  consumes cause; else as thrum_fail.
 * Returns:    the error, never NULL. Without memory: cause itself. A NULL cause
 *             gives an error without one: wrapping makes no success of a
 *             failure.
 * Cost:       one allocation.
 */
THRUM_API THRUM_NODISCARD thrum_err *
thrum_wrap_(const char *where, thrum_err *cause, const thrum_kind *kind,
            const char *format, ...) __attribute__((format(printf, 4, 5)));
#define thrum_wrap(...) thrum_wrap_(THRUM_HERE, __VA_ARGS__)

/* Make an error of a result that is a count or a negative errno value:
 *      return thrum_rc(thrum_sleep(THRUM_SEC(1)));
 *
 * -ECANCELED is of kind THRUM_CANCELED, -ETIMEDOUT of THRUM_TIMEOUT, -ENOMEM of
 * THRUM_NOMEM, every other of THRUM_OS.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  the result lives for ever; dropping it is allowed and needless.
 * Returns:    NULL if rc is 0 or more, else the error of that errno value; one
 *             that Linux does not define gives an error without a number.
 * Cost:       no allocation, no atomic operation.
 */
THRUM_API THRUM_NODISCARD thrum_err *thrum_rc(int64_t rc);

/* Put two errors into one group: e = thrum_err_add(e, rollback(tx));
 *
 * The leaves of other come after those of into. Sixteen leaves are kept; the
 * rest are counted, but for cancellations.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 * Ownership:  consumes both; the caller owns the result.
 * Order:      the primary of into stays the primary.
 * Returns:    the group; if one of the two is NULL, the other. Without memory:
 *             into, and other is dropped and counted.
 * Cost:       at most one allocation.
 */
THRUM_API THRUM_NODISCARD thrum_err *thrum_err_add(thrum_err *into,
                                                   thrum_err *other);

/* --- handing on ---------------------------------------------------------- */

#ifdef __cplusplus
}
template <typename rc_type> static inline thrum_err *thrum_try_(rc_type rc)
{
    return thrum_rc(rc);
}
__attribute__((unused)) static inline thrum_err *thrum_try_(thrum_err *e)
{
    return e;
}
extern "C" {
#define THRUM_TRY(x)                                                           \
    do {                                                                       \
        if (thrum_err *thrum_e_ = thrum_try_(x))                               \
            return thrum_e_;                                                   \
    } while (0)
#else
__attribute__((unused)) static inline thrum_err *thrum_pass_(thrum_err *e)
{
    return e;
}

/* Return from the function if x failed: THRUM_TRY(load(u));
 *
 * x is a `thrum_err *` or an integer that is negative on failure. It is
 * evaluated once. The function it stands in returns `thrum_err *`. */
#define THRUM_TRY(x)                                                           \
    do {                                                                       \
        __typeof__(x) thrum_x_ = (x);                                          \
        thrum_err *thrum_e_ = _Generic(thrum_x_, thrum_err *                   \
                                       : thrum_pass_, default                  \
                                       : thrum_rc)(thrum_x_);                  \
        if (thrum_e_)                                                          \
            return thrum_e_;                                                   \
    } while (0)
#endif

/* Take one more reference.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  the caller owns the result besides what it owned before. A leaf
 *             or a cause that was only lent can be kept in this way.
 * Returns:    e; NULL if e is NULL.
 */
THRUM_API thrum_err *thrum_err_ref(const thrum_err *e);

/* Give one reference back; the last one frees the error.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 * Ownership:  consumes e, which may be NULL.
 * Order:      what any owner did with e before its drop happens before e is
 *             freed.
 * Returns:    nothing.
 */
THRUM_API void thrum_err_drop(thrum_err *e);

/* Hand an error that nobody will handle to the runtime's on_error hook, which
 * by default prints the full report on stderr.
 *
 * Report an error or return it, not both, or it is told once at every level.
 * With THRUM_FATAL_UNHANDLED=1 in the environment the program is aborted then,
 * for tests. The last line of a main is
 *
 *      return thrum_report(thrum_run(NULL, app, NULL));
 *
 * Call from:  anywhere but a signal handler. Where no runtime runs any more, as
 *             in that line, the report goes to stderr.
 * Suspends:   never.
 * Ownership:  consumes e, which may be NULL: then nothing happens.
 * Returns:    whether there was an error.
 */
THRUM_API bool thrum_report(thrum_err *e);

/* --- asking -------------------------------------------------------------- */

/* Is this an error of that kind? The primary, or what caused it, is.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  borrows e, which may be NULL.
 * Returns:    true if the kind of the primary, or of a primary down its chain
 *             of causes, is kind or has it for an ancestor. NULL never is.
 */
THRUM_API bool thrum_err_is(const thrum_err *e, const thrum_kind *kind);

/* Is there an error of that kind anywhere in the group?
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  borrows e, which may be NULL.
 * Returns:    true if any leaf, or anything that caused it, is of that kind.
 */
THRUM_API bool thrum_err_has(const thrum_err *e, const thrum_kind *kind);

/* Take the leaves of one kind out of a group:
 *      thrum_err *gone = thrum_err_split(&e, &NotFound);
 *
 * A leaf is taken if thrum_err_is says so of it. Failures that were only
 * counted are of no known kind: they stay in *e, so that *e is NULL only when
 * every failure was taken.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 * Ownership:  consumes *e and puts there what is left, or NULL; the caller owns
 *             both parts.
 * Order:      both parts keep the order they had.
 * Returns:    the leaves taken, NULL if there are none. Without memory: NULL,
 *             and *e is as it was.
 * Cost:       at most two allocations.
 */
THRUM_API THRUM_NODISCARD thrum_err *thrum_err_split(thrum_err **e,
                                                     const thrum_kind *kind);

/* --- reading the primary ------------------------------------------------- */

/* Read the message.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  the string lives as long as e.
 * Returns:    the message; "" for NULL.
 */
THRUM_API const char *thrum_err_msg(const thrum_err *e);

/* Read the kind.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  the kind is its definer's.
 * Returns:    the kind; NULL for NULL.
 */
THRUM_API const thrum_kind *thrum_err_kind(const thrum_err *e);

/* Read the user's code.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  borrows e.
 * Returns:    the nearest code that is not zero, from the kind upwards; 0 if
 *             there is none, and for NULL.
 */
THRUM_API int thrum_err_code(const thrum_err *e);

/* Read the errno value.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  borrows e.
 * Returns:    the nearest errno value down the chain of causes, positive. The
 *             kinds THRUM_CANCELED, THRUM_TIMEOUT, THRUM_NOMEM and
 *             THRUM_DEADLOCK bring their own. 0 if there is none, and for NULL:
 *             0 does not mean success.
 */
THRUM_API int thrum_err_errno(const thrum_err *e);

/* Read the source place where the error was made.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  the string lives as long as e.
 * Returns:    "file.c:12"; NULL if unknown, as for what thrum_rc made.
 */
THRUM_API const char *thrum_err_where(const thrum_err *e);

/* Read the name of the task, or of its named scope, that made the error.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  the string lives as long as e.
 * Returns:    the name: a task is called after its function. Of a long one, some
 *             190 bytes at its end. NULL if it was made in no task.
 */
THRUM_API const char *thrum_err_task(const thrum_err *e);

/* Read where in the tree of tasks the error was made: the names of the tasks and
 * named scopes around it, from outside in, "main > request > fetch".
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  the string lives as long as e.
 * Returns:    the path, cut at its outer end when it is long; NULL if it was
 *             made in no task.
 */
THRUM_API const char *thrum_err_path(const thrum_err *e);

/* Read the trace id that held where the error was made.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Returns:    the id; all zero if there was none.
 */
THRUM_API thrum_trace_id thrum_err_trace(const thrum_err *e);

/* Read the cause.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  lent: it lives as long as e. thrum_err_ref keeps it longer.
 * Returns:    what the primary was wrapped around, itself a group; NULL if
 *             nothing.
 */
THRUM_API const thrum_err *thrum_err_cause(const thrum_err *e);

/* --- reading the group --------------------------------------------------- */

/* Count the leaves, those that were not kept included.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  borrows e.
 * Returns:    1 or more; 0 for NULL.
 */
THRUM_API size_t thrum_err_count(const thrum_err *e);

/* Read one leaf: for (i = 0; (leaf = thrum_err_at(e, i)); i++)
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  lent: it lives as long as e. thrum_err_ref keeps it longer.
 * Order:      the primary is 0. In what a scope, thrum_gather or thrum_each
 *             returned, the others ascend by job index, cancellations after
 *             the failures.
 * Returns:    the leaf, an error of its own; NULL past the last one kept.
 */
THRUM_API const thrum_err *thrum_err_at(const thrum_err *e, size_t i);

/* Read which job failed.
 *
 * Call from:  anywhere.
 * Suspends:   never.
 * Ownership:  borrows e.
 * Returns:    the job's index in thrum_gather or thrum_each, the order of
 *             spawning in a scope; SIZE_MAX if the primary came from no job.
 */
THRUM_API size_t thrum_err_index(const thrum_err *e);

/* Write the full report: primary, causes, the other leaves with theirs.
 *
 *      NotFound: no user 7 [404] at app.c:12, task "main > request"
 *        caused by: THRUM_OS: Connection refused (ECONNREFUSED)
 *      and 4 more:
 *        job 3: THRUM_TIMEOUT: no answer (ETIMEDOUT) at db.c:90
 *        (3 not kept)
 *
 * A newline inside a message continues on a line that starts with "| ". The
 * report is cut after 256 lines.
 *
 * Call from:  anywhere but a signal handler.
 * Suspends:   never.
 * Ownership:  borrows e, which may be NULL: then the report is empty.
 * Returns:    the length of the whole report without its terminator, as
 *             snprintf does. What fits into size bytes is written and
 *             terminated; buf may be NULL if size is 0.
 * Cost:       no allocation.
 */
THRUM_API int thrum_err_format(const thrum_err *e, char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
