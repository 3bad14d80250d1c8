/* monitor.h - finds workers that make no turn, while somebody is awake.
 *
 * The relief looks every 10 ms (sched/relief.h). A worker that has made no turn
 * since the last look, has used no CPU, and sleeps in the kernel, blocks there
 * unannounced: it is taken for away at once (sched/crew.h), and told of.
 *
 * Where jobs wait, in a worker's queue or for anybody, those that run are asked to
 * make a turn; also whenever the relief itself has made tasks ready. Who forks,
 * joins, spawns and closes, or runs the parts of a loop, sees it at once: at a join,
 * or between two children or parts, he lets others go first (worker_give_way).
 * If at the next look all that run still compute and have made no turn, one is taken
 * for away, up to as many as are wanted, and the kernel shares the CPUs.
 *
 * Now and then it counts the CPUs again that the process may use.
 */
#ifndef SCHED_MONITOR_H
#define SCHED_MONITOR_H

#include "base/base.h"

/* See relief.h. */
bool monitor_look(void *sched, bool judge);

#endif
