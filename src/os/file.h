/* file.h - calls on files, which wait for the disk. 0 or more, or -errno; a signal
 * is no result. */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <sys/stat.h>
#include <sys/types.h>

int file_open(const char *path, int flags, unsigned mode); /* close-on-exec */
ssize_t file_pread(int fd, void *bytes, size_t n, off_t at);
ssize_t file_pwrite(int fd, const void *bytes, size_t n, off_t at);
int file_sync(int fd);
int file_stat(const char *path, struct stat *out);

/* -EAGAIN: no room in `to`, which is made non-blocking. */
ssize_t file_send(int to, int from, off_t *at, size_t n);

#endif
