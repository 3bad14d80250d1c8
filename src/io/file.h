/* file.h - files that a call waits for though it is told not to. */
#ifndef IO_FILE_H
#define IO_FILE_H

#include "io/fd.h"

/* Is it a file on a disk whose bytes are not kept in memory (O_DIRECT)? The kernel
 * is asked now and then: who has changed it, or closed it with close(2), may have
 * a worker wait for the disk some times more. */
bool file_waits(int n, struct fd *f);

#endif
