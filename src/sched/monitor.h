/* monitor.h - finds workers that make no turn, while somebody is awake.
 *
 * The relief looks every 10 ms (sched/relief.h). A worker that has made no turn
 * since the last look, has used no CPU, and sleeps in the kernel, blocks there
 * unannounced: it is taken for away at once (sched/crew.h), and told of. If all
 * that run have made no turn, and jobs wait, then one of those that compute is
 * taken for away, up to as many as are wanted, and the kernel shares the CPUs.
 *
 * Now and then it counts the CPUs again that the process may use.
 */
#ifndef SCHED_MONITOR_H
#define SCHED_MONITOR_H

#include "base/base.h"

/* See relief.h. */
bool monitor_look(void *sched, bool judge);

#endif
