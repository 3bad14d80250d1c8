/* sweep.h - tell a story once for every fault there is in it.
 *
 * A story uses a runtime, may meet faults, and checks itself: what failed said
 * so, what did not was done. The sweep lets the first fault strike, then the
 * second, until a story meets none; after each the same runtime must tell the
 * story without a fault, and the process must be as it was.
 */
#ifndef SWEEP_H
#define SWEEP_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum.h>

#include "base/sanitize.h"
#include "os/fail.h"

enum { SANITIZED = SANITIZE_THREAD || SANITIZE_ADDRESS };

/* make exports in RUN what runs a program for another CPU. An emulator keeps
 * memory and descriptors as it likes, and knows no limit of address space. */
static inline bool is_emulated(void)
{
    const char *run = getenv("RUN");

    return run != NULL && strstr(run, "qemu") != NULL;
}

/* For code in tasks, where cmocka cannot be told. */
#define CHECK(cond)                                                            \
    ((cond) ? (void)0                                                          \
            : check_failed(__FILE__ ":" THRUM_STR(__LINE__) ": " #cond))

_Noreturn void check_failed(const char *what);

/* Whether a fault may strike in this telling: if not, nothing may fail. */
extern bool faulty;

/* It did not fail, or of a fault, as one of these. */
void expect_only(thrum_err *e, int one, int other);

/* Called on a runtime of `workers`, in a task of it. */
typedef thrum_err *story(void *unused);

/* Every nth allocation, then every nth and all after it. */
void sweep_allocations(story *tell);

/* Every nth mapping, guard or thread. */
void sweep_os(story *tell, enum fail kind);

/* The same for a story that starts its runtimes itself. */
void sweep_all_outside(void (*tell)(void));

extern unsigned workers;

/* Of the runtimes that stories are told on; 0: the default. */
extern unsigned sweep_max_blocking;

/* How many faults have struck so far, in all sweeps. */
extern uint64_t faults_met;

#endif
