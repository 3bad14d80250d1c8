#include "os/fail.h"

#include "base/atomic.h"
#include "base/base.h"

static _Atomic unsigned remaining[FAIL_KINDS];

unsigned fail_after(enum fail kind, unsigned n)
{
    unsigned before = load_relaxed(&remaining[kind]); /* one test at a time */

    store_relaxed(&remaining[kind], n);
    return before;
}

static cold bool strikes(_Atomic unsigned *left)
{
    unsigned seen = load_relaxed(left); /* a count; nothing to carry */

    while (seen != 0)
        if (cas_relaxed(left, &seen, seen - 1))
            return seen == 1;
    return false;
}

bool fail_now(enum fail kind)
{
    /* A hint; strikes counts for certain. */
    return unlikely(load_relaxed(&remaining[kind]) != 0) &&
           strikes(&remaining[kind]);
}
