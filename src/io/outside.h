/* outside.h - the poller of threads that are no workers.
 *
 * Such a thread parks as it does for everything else, so that a cancel finds it;
 * somebody must listen meanwhile, and there may be no runtime. So there is one
 * more poller, and a thread of its own that does nothing else. Both are made when
 * they are first needed, and stay until the process ends.
 */
#ifndef IO_OUTSIDE_H
#define IO_OUTSIDE_H

#include "sched/poller.h"

/* 0, -EAGAIN (no thread to be had), or as poller_open. */
int outside_poller(struct poller **p, const struct poller_hooks *hooks);

#endif
