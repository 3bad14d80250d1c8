/* signals.h - signals that are taken rather than handled.
 *
 * All return 0 or more, or -errno. */
#ifndef OS_SIGNALS_H
#define OS_SIGNALS_H

#include <signal.h>

/* From here on they do not reach the calling thread. */
void signals_block(const sigset_t *set);

/* A descriptor that is ready to read when one of them is pending. */
int signals_fd(const sigset_t *set);

/* Take one that is pending, of this process or thread: which. -EAGAIN: none is. */
int signals_take(const sigset_t *set, siginfo_t *info);

#endif
