/* Files: what lies in memory is read at once; else the kernel's ring makes the call,
 * or a thread of the blocking pool. */

#include <thrum/io.h>

#include <errno.h>

#include "io/file.h"

#include "io/call.h"
#include "io/simulate.h"
#include "io/uring.h"
#include "os/transfer.h"

enum { NOT_ASKED = 63 }; /* so many times after it was */

bool file_waits(int n, struct fd *f)
{
    uint8_t left = load_relaxed(&f->kept); /* a hint */

    if (left == 0) {
        if (!file_is_kept(n))
            return file_is_on_disk(n); /* a pipe may be so, too */
        left = NOT_ASKED + 1;
    }
    store_relaxed(&f->kept, (uint8_t)(left - 1)); /* likewise */
    return false;
}

struct elsewhere {
    thrum_fn *fn;
    void *arg;
    int fd;
    uint32_t closes;
    bool closed;
};

/* It may have stood in the queue for long. */
static thrum_err *unless_closed(void *arg)
{
    struct elsewhere *w = arg;

    w->closed = fd_closes(w->fd) != w->closes;
    return w->closed ? NULL : w->fn(w->arg);
}

ssize_t file_elsewhere(int fd, uint32_t closes, thrum_fn *fn, void *arg,
                       const ssize_t *result)
{
    struct elsewhere w = {fn, arg, fd, closes, false};
    thrum_err *e = thrum_offload(unless_closed, &w);
    int rc;

    if (e == NULL)
        return w.closed ? -EBADF : *result;
    rc = -thrum_err_errno(e);
    thrum_err_drop(e);
    return rc;
}

struct work {
    const struct file_call *call;
    ssize_t result;
};

static thrum_err *work_make(void *arg)
{
    struct work *w = arg;

    w->result = file_make(w->call);
    return NULL;
}

static bool is_real_task(void)
{
    return worker_current() != NULL && !simulated();
}

static ssize_t make(const struct file_call *c, enum simulated_call call)
{
    uint32_t closes = fd_closes(c->fd);
    struct work w = {.call = c};
    ssize_t rc = simulated() ? simulate_call(call) : 0;

    if (rc < 0)
        return rc;
    if (is_real_task()) {
        rc = call_canceled() ? -ECANCELED : uring_make(c);
        if (rc != -EAGAIN)
            return rc;
    }
    return file_elsewhere(c->fd, closes, work_make, &w, &w.result);
}

int thrum_open(const char *path, int flags, unsigned mode)
{
    struct file_call c = {.what = FILE_OPEN,
                          .fd = -1,
                          .path = path,
                          .flags = flags,
                          .mode = mode};
    int fd = (int)make(&c, SIMULATE_OPEN);

    if (fd >= 0)
        fd_fresh(fd);
    return fd;
}

/* False: there is more to be read, from where *c then says. */
static bool read_cached(struct file_call *c)
{
    ssize_t rc = 1;
    int no;
    struct fd *f = fd_of(c->fd, &no);

    if (f == NULL || file_waits(c->fd, f))
        return false;
    while (rc > 0 && (rc = file_read_cached(c)) > 0) {
        c->bytes = (char *)c->bytes + rc;
        c->n -= (size_t)rc;
        c->at += rc;
        if (c->n == 0)
            return true;
    }
    return rc == 0; /* the end */
}

ssize_t thrum_pread(int fd, void *bytes, size_t n, off_t at)
{
    struct file_call c = {
        .what = FILE_READ, .fd = fd, .bytes = bytes, .n = n, .at = at};
    bool all = is_real_task() && !call_canceled() && read_cached(&c);
    ssize_t got = (ssize_t)(n - c.n), rc = all ? 0 : make(&c, SIMULATE_FILE);

    return rc < 0 && got > 0 ? got : got + rc;
}

ssize_t thrum_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    struct file_call c = {.what = FILE_WRITE,
                          .fd = fd,
                          .bytes = (void *)(uintptr_t)bytes,
                          .n = n,
                          .at = at};

    return make(&c, SIMULATE_FILE_WRITE);
}

int thrum_fsync(int fd)
{
    struct file_call c = {.what = FILE_SYNC, .fd = fd};

    return (int)make(&c, SIMULATE_FILE_WRITE);
}

int thrum_stat(const char *path, struct stat *out)
{
    struct file_call c = {
        .what = FILE_STAT, .fd = -1, .path = path, .stat = out};

    return (int)make(&c, SIMULATE_FILE);
}

struct sending {
    int to, from;
    off_t *at;
    size_t n;
    bool quiet; /* made in the pool, whose threads have SIGPIPE blocked */
    ssize_t result;
    bool no_room;
};

/* The file is read in the pool, the room is waited for here. */
static thrum_err *work_send(void *arg)
{
    struct sending *w = arg;

    w->result = transfer_sendfile(w->to, w->from, w->at, w->n, w->quiet);
    w->no_room = w->result == -EAGAIN;
    return NULL;
}

ssize_t thrum_sendfile(int to, int from, off_t *at, size_t n)
{
    struct sending w = {
        .to = to, .from = from, .at = at, .n = n, .quiet = is_real_task()};
    struct fd_seen seen;
    struct fd *f;
    ssize_t rc;
    int no;

    if (call_canceled())
        return -ECANCELED;
    f = fd_of(to, &no);
    if (f == NULL)
        return no;
    do {
        seen = fd_see(f);
        rc = simulated() ? simulate_call(SIMULATE_FILE) : 0;
        if (rc == 0)
            rc = file_elsewhere(to, seen.closes, work_send, &w, &w.result);
        if (!w.no_room) /* or there is no thread: -EAGAIN as well */
            return rc;
        w.no_room = false;
        rc = fd_wait(to, f, &seen, POLL_WRITE);
    } while (rc == 0);
    return rc;
}
