/* thrum/base.h - attributes used by the other headers. */
#ifndef THRUM_BASE_H
#define THRUM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX < UINT64_MAX
#error "thrum is for CPUs of 64 bits"
#endif

/* What the library exports. Everything else in it is hidden. */
#define THRUM_API __attribute__((visibility("default")))

/* The result must be looked at: forgetting to handle an error is a warning. (gcc
 * gives none for a macro of a header in a system directory, as
 * /usr/local/include is one.) */
#define THRUM_NODISCARD __attribute__((warn_unused_result))

/* For the value of a block, where gcc would not warn. */
THRUM_NODISCARD static inline int thrum_must_look_(int rc)
{
    return rc;
}

/* Marks a function that may suspend the calling task (on a thread that is no
 * worker: block it). C has no `await` to colour a call, so the declaration
 * does. */
#define THRUM_SUSPENDS

#define THRUM_STR_(x) #x
#define THRUM_STR(x)  THRUM_STR_(x)

/* The source place, as a string that costs nothing at run time. */
#define THRUM_HERE __FILE__ ":" THRUM_STR(__LINE__)

#endif
