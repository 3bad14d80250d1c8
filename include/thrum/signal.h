/* thrum/signal.h - wait for a signal: to stop a server, to have it read its
 * configuration anew.
 *
 *     static sigset_t signals;
 *
 *     int main(void)
 *     {
 *         signals = thrum_signals_block(SIGINT, SIGTERM, SIGHUP);
 *         return thrum_report(thrum_run(NULL, app, NULL));
 *     }
 *
 *     ... in a task:
 *     while ((rc = thrum_signal_wait(&signals, NULL)) == SIGHUP)
 *         reload();
 *
 * No handler is involved, so there is nothing that one may not do. What is needed
 * is that every thread has the signals blocked: else the kernel gives them to one
 * that has not, and does there what it does by default. The library's threads
 * block them anyway, and a thread inherits what its maker blocks. So block them in
 * main, before there is another thread. A signal that comes while nobody waits is
 * kept, once, as for sigwait(3).
 *
 * Signals are meant that are sent to the process, by kill(2), a terminal, a timer.
 * One sent to a single thread (raise(3), pthread_kill(3)) is seen by that only.
 */
#ifndef THRUM_SIGNAL_H
#define THRUM_SIGNAL_H

#include <sys/select.h> /* sigset_t; for the signals include <signal.h> */

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* sigset_t thrum_signals_block(int signal, ...)
 *
 * Block signals in the calling thread, as pthread_sigmask(3) does.
 *
 * Call from:  main, before it starts threads.
 * Suspends:   never.
 * Returns:    their set, for thrum_signal_wait.
 */
#define thrum_signals_block(...) thrum_signals_block_(__VA_ARGS__, 0)

/* Wait until one of these signals comes, and take it.
 *
 * Call from:  a task; any other thread, which blocks.
 * Suspends:   until then; not if one is pending.
 * Ownership:  *info, a siginfo_t, is filled in, unless info is NULL.
 * Returns:    the signal. If several wait for it, one of them gets it.
 *             -ECANCELED  none was taken
 *             -EMFILE, -ENFILE, -ENOMEM, or as thrum_wait_fd
 *
 * All tasks of a runtime that wait for the same set share a descriptor. In a set
 * that has others than those that were blocked, those are not seen.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_signal_wait(const sigset_t *set, void *info);

THRUM_API THRUM_NODISCARD sigset_t thrum_signals_block_(int first, ...);

#ifdef __cplusplus
}
#endif
#endif
