/* Files: every call on a thread of the blocking pool. */

#include <thrum/io.h>
#include <thrum/offload.h>

#include <errno.h>

#include "io/call.h"
#include "io/simulate.h"
#include "os/file.h"

struct work {
    int fd, to, flags;
    unsigned mode;
    const char *path;
    const void *from;
    void *bytes;
    size_t n;
    off_t at, *moving;
    struct stat *stat;
    ssize_t result;
    bool no_room;
};

/* What fn left in w->result; or why it was not called. */
static ssize_t offload(thrum_fn *fn, struct work *w, enum simulated_call call)
{
    int rc = simulated() ? simulate_call(call) : 0;
    thrum_err *e;

    if (rc < 0)
        return rc;
    e = thrum_offload(fn, w);
    if (e == NULL)
        return w->result;
    w->result = -thrum_err_errno(e);
    thrum_err_drop(e);
    return w->result;
}

static thrum_err *work_open(void *arg)
{
    struct work *w = arg;

    w->result = file_open(w->path, w->flags, w->mode);
    return NULL;
}

int thrum_open(const char *path, int flags, unsigned mode)
{
    struct work w = {.path = path, .flags = flags, .mode = mode};
    int fd = (int)offload(work_open, &w, SIMULATE_OPEN);

    if (fd >= 0)
        fd_fresh(fd);
    return fd;
}

static thrum_err *work_pread(void *arg)
{
    struct work *w = arg;

    w->result = file_pread(w->fd, w->bytes, w->n, w->at);
    return NULL;
}

ssize_t thrum_pread(int fd, void *bytes, size_t n, off_t at)
{
    return offload(work_pread,
                   &(struct work){.fd = fd, .bytes = bytes, .n = n, .at = at},
                   SIMULATE_FILE);
}

static thrum_err *work_pwrite(void *arg)
{
    struct work *w = arg;

    w->result = file_pwrite(w->fd, w->from, w->n, w->at);
    return NULL;
}

ssize_t thrum_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    return offload(work_pwrite,
                   &(struct work){.fd = fd, .from = bytes, .n = n, .at = at},
                   SIMULATE_FILE_WRITE);
}

static thrum_err *work_sync(void *arg)
{
    struct work *w = arg;

    w->result = file_sync(w->fd);
    return NULL;
}

int thrum_fsync(int fd)
{
    return (int)offload(work_sync, &(struct work){.fd = fd},
                        SIMULATE_FILE_WRITE);
}

static thrum_err *work_stat(void *arg)
{
    struct work *w = arg;

    w->result = file_stat(w->path, w->stat);
    return NULL;
}

int thrum_stat(const char *path, struct stat *out)
{
    return (int)offload(work_stat, &(struct work){.path = path, .stat = out},
                        SIMULATE_FILE);
}

/* The file is read in the pool, the room is waited for here. */
static thrum_err *work_send(void *arg)
{
    struct work *w = arg;

    w->result = file_send(w->to, w->fd, w->moving, w->n);
    w->no_room = w->result == -EAGAIN;
    return NULL;
}

ssize_t thrum_sendfile(int to, int from, off_t *at, size_t n)
{
    struct work w = {.to = to, .fd = from, .moving = at, .n = n};
    struct fd_seen seen;
    ssize_t rc;
    int no;
    struct fd *f = fd_of(to, &no);

    if (f == NULL)
        return no;
    do {
        seen = fd_see(f);
        rc = offload(work_send, &w, SIMULATE_FILE);
        if (!w.no_room) /* or there is no thread: -EAGAIN as well */
            return rc;
        w.no_room = false;
        rc = fd_wait(to, f, &seen, POLL_WRITE);
    } while (rc == 0);
    return rc;
}
