/* things.h - a kind of things that tasks share, and what is known of them. */
#ifndef FUZZ_PROGRAMS_THINGS_H
#define FUZZ_PROGRAMS_THINGS_H

#include "program.h"

/* What one task tells another in plain memory is `told` in each: only what the
 * manual promises orders that. All else is NOTED. */
struct things {
    void (*make)(void);
    void (*end)(void); /* and look whether all is balanced */
    thrum_err *(*step)(struct task *t, struct step *s);
    bool (*blocks)(const struct step *s); /* it is right that it waits */
};

extern const struct things channels, broadcasts, locks, meetings, streams,
    connections, services, generators, listings, ranges, signals, calls;

/* The number of a step in the program. */
static inline unsigned number_of(const struct step *s)
{
    return (unsigned)(s - program.steps);
}

#endif
