/* error_sink.h - where the failures of a scope's jobs come together.
 *
 * Many threads add, one folds at the end. Of a million failures the sink keeps
 * those with the lowest job indices, frees the others at once and counts them;
 * so what comes out does not depend on who was scheduled when, and memory is
 * bounded. The first failure to arrive is kept besides: a scope that cancels on
 * failure reports what made it cancel.
 *
 * Failures go before cancellations, whatever their indices: sixteen jobs that
 * stopped because they were told to do not push out the one that failed.
 *
 * Lives in a scope. Zeroed memory is a sink with the default bound. The first
 * failure allocates nothing, the second once.
 *
 * Invariants
 *   I1  `first` is a cancellation only while no failure was added.
 *   I2  `others` are the lowest keys added beside `first`, or there was no
 *       memory for them; once full, the highest of them only falls.
 *   I3  Every failure added is in `first`, in `others` or in `lost`; every
 *       cancellation too, or in `lost_canceled`.
 *
 * Ordering
 *   [ES1] others are there  -> [ES2] look at their bound   the bound itself
 */
#ifndef TASK_ERROR_SINK_H
#define TASK_ERROR_SINK_H

#include "os/spin.h"
#include "task/error.h"

/* One entry: the index in the low bits, whether it is a cancellation on top. */
struct error_entry {
    uint64_t key;
    thrum_err *err; /* owned */
};

struct error_heap;

/* Nothing in it but cancellations. */
bool error_is_canceled(const thrum_err *e);

enum { ERROR_SINK_MAX = 4096 };

struct error_sink {
    uint32_t max; /* const after error_sink_init; 0: ERROR_LEAVES_MAX */

    /* Held for one walk down a heap: never across an allocation or a free. */
    struct spin lock;
    struct error_entry first;            /* lock */
    _Atomic(struct error_heap *) others; /* set once [ES1]; read by all [ES2] */

    /* written by all, read when all are done: relaxed. They stop past 2^30. */
    _Atomic uint32_t lost;
    _Atomic uint32_t lost_canceled;
};

/* Which leaf leads: the first to arrive (the others are then its consequence),
 * or the one with the lowest index. */
enum error_primary { PRIMARY_FIRST, PRIMARY_LOWEST };

/* What becomes of cancellations: they are the scope's own doing, or news. */
enum error_canceled { CANCELED_DROP, CANCELED_KEEP };

/* max is how many leaves the result may have, at most ERROR_SINK_MAX; 0 is the
 * default. */
void error_sink_init(struct error_sink *s, uint32_t max);

/* Take in the failure of job `index`, or of nobody's in particular with
 * ERROR_NO_INDEX: it ranks last, and its leaves keep the indices they have.
 * Consumes e. True if it is the first, or the first that is no cancellation:
 * then the caller may want to cancel the others. Never fails; any thread. */
bool error_sink_add(struct error_sink *s, size_t index, thrum_err *e);

/* Take in a cancellation, where they will be dropped when it is folded: all that
 * counts is that there was one. Consumes e. Never fails; any thread. */
void error_sink_add_dropped(struct error_sink *s, thrum_err *e);

/* Nothing was taken in. As error_sink_fold: when nobody adds any more. */
static inline bool error_sink_is_empty(const struct error_sink *s)
{
    return s->first.err == NULL; /* the first to arrive goes there */
}

/* Everything taken in as one error, owned by the caller; NULL if nothing was,
 * or nothing but cancellations to be dropped. The primary comes first, then
 * the failures ascending by index, then the cancellations likewise. Leaves the
 * sink empty. Nobody adds any more: whatever says so orders it before this. */
thrum_err *error_sink_fold(struct error_sink *s, enum error_primary primary,
                           enum error_canceled canceled);

#endif
