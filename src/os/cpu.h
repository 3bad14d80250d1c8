/* cpu.h - how many CPUs we may use, and which.
 *
 * A container that may use two CPUs' worth of time on a machine with 64 gets
 * two workers, not 64 that are throttled together.
 */
#ifndef OS_CPU_H
#define OS_CPU_H

/* The smaller of the number of CPUs the calling thread may run on and of the
 * quota of CPU time of our control group and all those above it (version 1 and
 * 2), a fraction rounded up. At least 1. Reads files: some 100 us. */
unsigned cpu_count(void);

/* Let the calling thread run only on the nth (from 0) of the CPUs it may run on
 * now. 0, or -EINVAL (there are not so many), or what sched_setaffinity says. */
int cpu_pin(unsigned nth);

/* How many CPUs the calling thread may run on. */
unsigned cpu_allowed(void);

/* The quota alone, in whole CPUs; 0: there is none. root stands before all
 * paths: "" but in tests. What cannot be read or understood is no quota. */
unsigned cpu_quota(const char *root);

#endif
