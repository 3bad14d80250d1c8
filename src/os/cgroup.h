/* cgroup.h - which directories of the control group file systems are ours.
 *
 * /proc/self/cgroup says where our process is in each hierarchy, in paths that
 * begin at the hierarchy's root as our cgroup namespace sees it.
 * /proc/self/mountinfo says which part of a hierarchy is mounted where. Only
 * both together make a path that can be opened; /sys/fs/cgroup is a habit.
 *
 *      mounted subtree   our place    the directory
 *      /                 /a/b         <mount point>/a/b
 *      /a                /a/b         <mount point>/b
 *      /a                /c           not visible
 *      /                 /../c        not visible: outside our namespace
 *      /../..            /c           <mount point>; mounted outside our
 *                                     namespace, the names in between are hidden
 *
 * Knows nothing of what the files in them mean.
 */
#ifndef OS_CGROUP_H
#define OS_CGROUP_H

#include <stdbool.h>

enum cgroup_version { CGROUP_V1_CPU, CGROUP_V2 };

/* dir is that of our group, or of one above it; it ends without a slash. */
typedef void cgroup_visit(const char *dir, enum cgroup_version version,
                          void *arg);

/* Call visit for our group's directory and all above it up to the mount point,
 * in each mounted hierarchy that can limit CPU time (version 2, and the one of
 * version 1 with the cpu controller). root stands before all paths. What
 * there is no memory for is not visited; on the stack it takes little. */
void cgroup_each(const char *root, cgroup_visit *visit, void *arg);

#endif
