#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define CALL(result, call)                                                     \
    do {                                                                       \
        do                                                                     \
            (result) = (call);                                                 \
        while ((result) < 0 && errno == EINTR);                                \
        if ((result) < 0)                                                      \
            (result) = -errno;                                                 \
    } while (0)

ssize_t file_make(const struct file_call *c)
{
    ssize_t rc = -EINVAL;

    switch (c->what) {
    case FILE_OPEN:
        CALL(rc, open(c->path, c->flags | O_CLOEXEC, c->mode));
        break;
    case FILE_READ:
        CALL(rc, pread(c->fd, c->bytes, c->n, c->at));
        break;
    case FILE_WRITE:
        CALL(rc, pwrite(c->fd, c->bytes, c->n, c->at));
        break;
    case FILE_SYNC:
        CALL(rc, fsync(c->fd));
        break;
    case FILE_STAT:
        CALL(rc, stat(c->path, c->stat));
        break;
    }
    return rc;
}

/* A negative place would be the one where the file is. */
ssize_t file_read_cached(const struct file_call *c)
{
    struct iovec all = {c->bytes, c->n};
    ssize_t rc;

    if (c->at < 0)
        return -EAGAIN;
    rc = syscall(SYS_preadv2, c->fd, &all, 1, c->at, 0, RWF_NOWAIT);
    return rc < 0 ? -EAGAIN : rc;
}

_Static_assert(offsetof(struct dirent, d_name) == 19, "as the kernel has it");

ssize_t file_list(int fd, void *bytes, size_t n)
{
    ssize_t rc;

    CALL(rc, getdents64(fd, bytes, n));
    return rc;
}

bool file_is_kept(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && !(flags & O_DIRECT);
}

bool file_is_on_disk(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}
