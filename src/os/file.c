#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define CALL(result, call)                                                     \
    do {                                                                       \
        do                                                                     \
            (result) = (call);                                                 \
        while ((result) < 0 && errno == EINTR);                                \
        if ((result) < 0)                                                      \
            (result) = -errno;                                                 \
    } while (0)

int file_open(const char *path, int flags, unsigned mode)
{
    int rc;

    CALL(rc, open(path, flags | O_CLOEXEC, mode));
    return rc;
}

ssize_t file_pread(int fd, void *bytes, size_t n, off_t at)
{
    ssize_t rc;

    CALL(rc, pread(fd, bytes, n, at));
    return rc;
}

ssize_t file_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    ssize_t rc;

    CALL(rc, pwrite(fd, bytes, n, at));
    return rc;
}

int file_sync(int fd)
{
    int rc;

    CALL(rc, fsync(fd));
    return rc;
}

int file_stat(const char *path, struct stat *out)
{
    int rc;

    CALL(rc, stat(path, out));
    return rc;
}

ssize_t file_send(int to, int from, off_t *at, size_t n)
{
    int flags = fcntl(to, F_GETFL);
    ssize_t rc;

    if (flags < 0 ||
        (!(flags & O_NONBLOCK) && fcntl(to, F_SETFL, flags | O_NONBLOCK) < 0))
        return -errno;
    CALL(rc, sendfile(to, from, at, n));
    return rc;
}
