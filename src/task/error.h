/* error.h - what an error value is made of.
 *
 * A leaf is one failure. A group is a header over the leaves it holds, each
 * with a reference of its own; it appears when a second leaf does. Both begin
 * with struct thrum_err, which is all that the world holds a pointer to.
 * Knows nothing of tasks; what collects the failures of a scope is error_sink.
 *
 * Invariants
 *   I1  A group has at least one leaf, and its leaves are never groups.
 *   I2  What a second owner could see is not written any more; whoever writes
 *       has asked error_is_exclusive.
 *   I3  An immortal error is constant: neither counted, written nor freed.
 *   I4  A chain of causes is at most ERROR_CHAIN_MAX leaves long, counting
 *       through groups. It bounds every recursion over an error.
 *
 * Ordering
 *   [E1] drop -> [E1] the last drop       what each owner did with the error
 *   [E1] drop -> [E2] error_is_exclusive  the same, to the one who stays
 */
#ifndef TASK_ERROR_H
#define TASK_ERROR_H

#include "base/atomic.h"
#include "base/base.h"
#include "thrum/err.h"

enum {
    ERROR_LEAVES_MAX = 16, /* kept by thrum_err_add, and by default in a sink */
    ERROR_CHAIN_MAX = 32,
    ERROR_MESSAGE_BYTES = 1024, /* the terminator included */
    ERROR_NOTES = 8,
    ERROR_PATH_BYTES = 192, /* the terminator included */
    ERROR_IMMORTAL = 0,
};

#define ERROR_NO_INDEX SIZE_MAX

struct thrum_err {
    _Atomic uint32_t refs; /* any owner [E1] [E2]; or ERROR_IMMORTAL */
    /* I2 */
    uint32_t leaves; /* 0: this is a leaf */
    size_t lost;     /* failures counted here and not kept */
};

/* const once published; I2 */
struct leaf {
    struct thrum_err head;
    const thrum_kind *kind;
    const char *message; /* behind the leaf, or a literal */
    const char *where;
    const char *path; /* of the task, behind the message, or NULL */
    const char *task; /* the last name in it */
    thrum_trace_id trace;
    thrum_err *cause; /* owned */
    size_t index;
    int number;     /* its own errno value, or 0 */
    uint16_t depth; /* 1 more than its cause's */
    bool cut;       /* I4 left out the link that came before */
};

/* const once published; I2 */
struct group {
    struct thrum_err head;
    uint32_t room;
    struct leaf *leaf[]; /* owned */
};

/* Whether nobody else has a reference, so that e may be written. */
bool error_is_exclusive(const thrum_err *e);

/* The ith leaf of e, which has one. */
struct leaf *error_leaf(const thrum_err *e, size_t i);

static inline size_t error_leaves(const thrum_err *e)
{
    return e->leaves ? e->leaves : 1;
}

bool error_kind_is(const thrum_kind *kind, const thrum_kind *ancestor);

/* A leaf with this text and neither place nor cause; NULL without memory. */
struct leaf *error_leaf_new(const thrum_kind *kind, const char *message);

/* The leaf with this index: itself, or a copy if others may see it. Consumes
 * leaf. Without memory it stays without the index. */
struct leaf *error_leaf_indexed(struct leaf *leaf, size_t index);

/* The immortal error of an errno value, or of one unknown; error_errno.c. */
const struct leaf *error_of_errno(int64_t number);

/* "ECONNREFUSED", or NULL for what Linux does not define. */
const char *error_errno_name(int number);

/* What stands for an error that could not be made. */
extern const struct leaf error_no_memory;

/* The kinds last asked for when there was no memory for them, newest first: the
 * report of error_no_memory tells them. False past the last. */
bool error_note(size_t i, const thrum_kind **kind, const char **where);

/* Leaves on their way into one error. */
struct picked {
    struct group *group; /* NULL: one leaf is all there is room for */
    struct leaf *only;
    size_t count;
    size_t room;
    size_t lost;
};

/* Room for `room` leaves, beside `lost` failures that are only counted. False
 * without memory: then there is room for one. */
bool picked_init(struct picked *p, size_t room, size_t lost);

/* Keep one more leaf, with a reference of its own, or count it. */
void picked_add(struct picked *p, struct leaf *leaf);

/* Give this job index to the leaves kept since there were `from`. Drop what
 * they came from before: a leaf that is ours alone need not be copied. */
void picked_set_index(struct picked *p, size_t from, size_t index);

/* The error they make: never NULL if there was a failure, kept or lost. */
thrum_err *picked_done(struct picked *p);

/* Failures, since the program began, that left no trace in any error, because
 * there was no memory for it. A statistic. */
uint64_t error_untold(void);
void error_add_untold(size_t failures);

/* Where an error is made. All zero: in no task. */
struct error_context {
    char path[ERROR_PATH_BYTES]; /* "main > request > fetch" */
    size_t last;                 /* where its last name begins */
    thrum_trace_id trace;
};

/* Who knows what runs tells it here, once, at start. */
void error_set_context(void (*tell)(struct error_context *context));

/* An error that is not of who makes it, but of that place. NULL: no memory. */
thrum_err *error_of_another(const struct error_context *context,
                            const char *where, const thrum_kind *kind,
                            const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
