#include "base/alloc.h"

/* All relaxed: a count, it carries nothing. */
_Atomic uint64_t alloc_countdown;
static _Atomic uint64_t failures;
static _Atomic bool keeps_failing;
static _Atomic(bool (*)(void)) chooser;

/* Counts down to 1 and fails there. It stays at 1 if all that follow shall
 * fail too, and goes to 0, which disarms, if not. */
cold bool alloc_is_to_fail(void)
{
    uint64_t left = load_relaxed(&alloc_countdown);
    bool (*choose)(void) = load_relaxed(&chooser);
    uint64_t next;

    if (choose != NULL)
        return choose();
    do {
        if (left == 0)
            return false;
        next = left == 1 && load_relaxed(&keeps_failing) ? 1 : left - 1;
    } while (!cas_relaxed(&alloc_countdown, &left, next));

    if (left > 1)
        return false;
    add_relaxed(&failures, 1);
    return true;
}

static void arm(uint64_t nth, bool keep)
{
    store_relaxed(&failures, 0);
    store_relaxed(&keeps_failing, keep);
    store_relaxed(&alloc_countdown, nth);
}

void alloc_fail_at(uint64_t nth)
{
    arm(nth, false);
}

void alloc_fail_from(uint64_t nth)
{
    arm(nth, true);
}

void alloc_fail_never(void)
{
    store_relaxed(&alloc_countdown, 0);
}

void alloc_fail_if(bool (*choose)(void))
{
    store_relaxed(&chooser, choose);
    store_relaxed(&alloc_countdown, choose != NULL);
}

uint64_t alloc_failures(void)
{
    return load_relaxed(&failures);
}
