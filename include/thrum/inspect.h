/* thrum/inspect.h - look at a program that runs: who waits, where, for what.
 *
 * For the moment in which it seems to hang: from a watchdog, a debugger
 * (call thrum_dump(0, 2)), an administrator's command.
 */
#ifndef THRUM_INSPECT_H
#define THRUM_INSPECT_H

#include <thrum/run.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Write the tree of scopes in which tasks wait, as text: of each its name and
 * place, how many children live in it, whether it was canceled, and what the
 * tasks wait for that wait in it. Of a mutex, an rwlock that is written, a once
 * and a fork also who has it, or runs it.
 *
 * If some of them wait in a circle it is shown at the end:
 *
 *      deadlock: each of these waits for the next, the last for the first
 *        ab (x.c:8) waits for a mutex at 0x55d0, held by ba (x.c:9)
 *        ba (x.c:9) waits for a mutex at 0x55c0, held by ab (x.c:8)
 *
 * Those will wait until one of them is canceled. Without a circle there may be a
 * deadlock, too: who could send, signal or set is not known. But it is said when
 * all workers sleep, no timer is set, and nobody waits for a descriptor or a
 * blocking call: then it is one, unless another thread or a signal handler does
 * something.
 *
 * Call from:  anywhere but a signal handler; rt is not being stopped.
 * Suspends:   never.
 * Ownership:  rt NULL is the runtime of the caller, or else the default one.
 * Returns:    nothing; what cannot be written is not.
 * Cost:       the scopes are locked one path at a time: those who open and close
 *             them may wait for microseconds. A long tree is cut.
 *
 * Tasks that run, are ready or have not begun are counted among the children
 * only: they may be anywhere by the time one looks.
 */
THRUM_API void thrum_dump(thrum_rt *rt, int fd);

#ifdef __cplusplus
}
#endif
#endif
