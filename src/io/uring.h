/* uring.h - calls on files by tasks, through the kernel's ring (os/ring.h).
 *
 * Each worker has a ring of its own, made when its first task wants it. Who waits
 * for the runtime's descriptors hears of a call that has ended, as does whoever
 * submits one, and the worker itself, which looks for a moment before it sleeps as
 * to wake another takes longer: they wake its task. A cancel is told to the kernel,
 * and the call is waited for to its end all the same: the kernel has the bytes until
 * then. If it was made, that is the result.
 *
 * All may be refused, at any time: the ring, an entry, what the entry asks. So
 * whatever was not made here is made in the blocking pool, and that says what
 * there is to say. A ring that could not be made is not tried again.
 *
 * At the runtime's end no task waits, so nothing is on its way. In the child of a
 * fork no task goes on: nobody touches the parent's rings.
 */
#ifndef IO_URING_H
#define IO_URING_H

#include "os/file.h"

/* By a task. -EAGAIN: it was not made. */
ssize_t uring_make(const struct file_call *c);

#endif
