/* path.c - the path of an entry, written out when it is needed, and opened. */
#include "treesum.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many descriptors path_open gave out. */
static _Atomic(unsigned) open_now;

/* Write the path of dir/name. 0 or -ENOMEM. */
int path_set(struct path *path, const struct dir *dir, const char *name)
{
    size_t length = dir->prefix + strlen(name);

    if (length >= path->capacity) {
        char *bytes = realloc(path->bytes, 2 * length + 1);

        if (!bytes)
            return -ENOMEM;
        path->bytes = bytes;
        path->capacity = 2 * length + 1;
    }
    strcpy(path->bytes + dir->prefix, name);
    for (; dir->parent; dir = dir->parent) {
        size_t at = dir->parent->prefix, n = strlen(dir->name);

        memcpy(path->bytes + at, dir->name, n);
        if (at + n < dir->prefix)
            path->bytes[at + n] = '/';
    }
    return 0;
}

/* The kernel takes no path of PATH_MAX bytes or more: go there in steps. */
static int open_in_steps(char *path, int flags)
{
    int at = AT_FDCWD, fd;

    while (strlen(path) >= PATH_MAX) {
        char *slash = memrchr(path, '/', PATH_MAX - 1);

        if (!slash || slash == path) {
            fd = -ENAMETOOLONG;
            goto out;
        }
        *slash = '\0';
        fd = openat(at, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        fd = fd < 0 ? -errno : fd;
        *slash = '/';
        if (fd < 0)
            goto out;
        if (at != AT_FDCWD)
            close(at);
        at = fd;
        path = slash + strspn(slash, "/");
    }
    fd = openat(at, path, flags);
    fd = fd < 0 ? -errno : fd;
out:
    if (at != AT_FDCWD)
        close(at);
    return fd;
}

/* Open for reading, at any depth. O_NONBLOCK: if a fifo has taken the place of
 * the file, nobody waits for its writer. The descriptor, or -errno. */
int path_open(struct path *path, int flags)
{
    int fd;

    flags |= O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    fd = open(path->bytes, flags);
    fd = fd < 0 ? -errno : fd;
    if (fd == -ENAMETOOLONG)
        fd = open_in_steps(path->bytes, flags);
    if (fd >= 0)
        atomic_fetch_add_explicit(&open_now, 1, memory_order_relaxed);
    return fd;
}

void path_close(int fd)
{
    close(fd);
    atomic_fetch_sub_explicit(&open_now, 1, memory_order_relaxed);
}

/* Did path_open fail for want of a descriptor, and is it worth another try? As
 * long as we have files open one of them will be closed; where all are taken by
 * others, a second's patience must do. Suspends the task for a moment. */
bool path_wait_for_descriptor(int rc, unsigned *tries)
{
    if (rc != -EMFILE && rc != -ENFILE)
        return false;
    if (atomic_load_explicit(&open_now, memory_order_relaxed) == 0 &&
        ++*tries > 1000)
        return false;
    return thrum_sleep(THRUM_MS(1)) == 0;
}
