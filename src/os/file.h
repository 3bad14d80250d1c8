/* file.h - calls on files, which wait for the disk. 0 or more, or -errno; a signal
 * is no result. */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

enum file_what { FILE_OPEN, FILE_READ, FILE_WRITE, FILE_SYNC, FILE_STAT };

struct file_call {
    enum file_what what;
    int fd;
    const char *path; /* to be opened, close-on-exec; or asked about */
    int flags;
    unsigned mode;
    void *bytes; /* which are read, or written */
    size_t n;
    off_t at;
    struct stat *stat;
};

ssize_t file_make(const struct file_call *c);

/* FILE_READ of what the kernel has in memory, perhaps of less than n bytes. -EAGAIN:
 * it has nothing, or cannot say. What is not kept there is waited for. */
ssize_t file_read_cached(const struct file_call *c);

/* What is read and written is kept in memory: no O_DIRECT. */
bool file_is_kept(int fd);

/* What getdents64(2) says: entries of a directory, each as a struct dirent. */
ssize_t file_list(int fd, void *bytes, size_t n);

/* A regular file, or a disk. */
bool file_is_on_disk(int fd);

#endif
