/* file.h - what all calls on files need to know, and where they are made. */
#ifndef IO_FILE_H
#define IO_FILE_H

#include <thrum/offload.h>

#include "io/fd.h"

/* Is it a file on a disk whose bytes are not kept in memory (O_DIRECT)? The kernel
 * is asked now and then: who has changed it, or closed it with close(2), may have
 * a worker wait for the disk some times more. */
bool file_waits(int n, struct fd *f);

/* In the blocking pool: what fn left in *result, or why it was not called. -EBADF:
 * its descriptor (-1: none) was closed before its turn; `closes`: as fd_closes had
 * it when the call began. */
ssize_t file_elsewhere(int fd, uint32_t closes, thrum_fn *fn, void *arg,
                       const ssize_t *result);

#endif
