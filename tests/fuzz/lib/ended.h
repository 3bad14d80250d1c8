/* ended.h - how something ended, by its error: for oracles that know what may be. */
#ifndef ENDED_H
#define ENDED_H

#include <thrum/err.h>

/* Bits of a set. */
enum { WELL = 1, FAILED = 2, TIMED_OUT = 4, CANCELED = 8 };

/* How many of its errors are no cancellations; the first of them. */
static inline size_t ended_failures(const thrum_err *e, const thrum_err **first)
{
    const thrum_err *leaf;
    size_t n = 0;

    for (size_t i = 0; (leaf = thrum_err_at(e, i)) != NULL; i++)
        if (!thrum_err_is(leaf, &THRUM_CANCELED) && n++ == 0)
            *first = leaf;
    return n;
}

static inline unsigned ended_how(const thrum_err *e)
{
    const thrum_err *first = NULL;

    if (e == NULL)
        return WELL;
    if (ended_failures(e, &first) == 0)
        return CANCELED;
    return thrum_err_is(first, &THRUM_TIMEOUT) ? TIMED_OUT : FAILED;
}

#endif
