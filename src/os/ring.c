#include "os/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/sanitize.h"
#include "os/fail.h"

/* Most bytes of one read or write. */
enum { AT_ONCE = 0x7ffff000 };

/* ----------------------------------------------------------------- opening */

static bool wanted(void)
{
    const char *wish = getenv("THRUM_IO");

    /* valgrind does not see what the kernel writes */
    return (wish == NULL || strcmp(wish, "epoll") != 0) && !RUNNING_ON_VALGRIND;
}

static _Atomic uint32_t *word(const struct ring *r, uint32_t at)
{
    return (_Atomic uint32_t *)(void *)((char *)r->shared + at);
}

static void find_parts(struct ring *r, const struct io_uring_params *p)
{
    uint32_t *order = (uint32_t *)(void *)word(r, p->sq_off.array);

    r->head = word(r, p->sq_off.head);
    r->tail = word(r, p->sq_off.tail);
    r->end_head = word(r, p->cq_off.head);
    r->end_tail = word(r, p->cq_off.tail);
    r->ends = (void *)word(r, p->cq_off.cqes);
    r->mask = p->sq_entries - 1;
    r->end_mask = p->cq_entries - 1;
    for (uint32_t i = 0; i < p->sq_entries; i++)
        order[i] = i;
}

static size_t entries_bytes(const struct ring *r)
{
    return (r->mask + 1) * sizeof *r->entries;
}

static void *map(const struct ring *r, size_t bytes, int64_t what)
{
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                r->fd, what);
}

static bool map_parts(struct ring *r, const struct io_uring_params *p)
{
    size_t entries = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
    size_t ends = p->cq_off.cqes + p->cq_entries * sizeof *r->ends;

    r->bytes = entries > ends ? entries : ends;
    r->shared = map(r, r->bytes, IORING_OFF_SQ_RING);
    if (r->shared == MAP_FAILED)
        return false;
    find_parts(r, p);
    r->entries = map(r, entries_bytes(r), IORING_OFF_SQES);
    if (r->entries != MAP_FAILED)
        return true;
    munmap(r->shared, r->bytes);
    return false;
}

/* As many threads as calls. A kernel that knows of this (5.15) has all the rest. */
static bool set_threads(const struct ring *r)
{
    uint32_t most[2] = {RING_MOST, 0};

    return syscall(SYS_io_uring_register, r->fd,
                   IORING_REGISTER_IOWQ_MAX_WORKERS, most, 2) >= 0;
}

static int open_it(struct ring *r)
{
    struct io_uring_params p = {0}; /* room for twice as many ends */

    if (!wanted() || fail_now(FAIL_RING))
        return -ENOSYS;
    r->fd = (int)syscall(SYS_io_uring_setup, RING_MOST, &p);
    if (r->fd < 0)
        return -errno;
    if (set_threads(r) && (p.features & IORING_FEAT_SINGLE_MMAP) &&
        map_parts(r, &p))
        return 0;
    close(r->fd);
    return -ENOSYS;
}

int ring_open(struct ring *r)
{
    int saved = errno;
    int rc = open_it(r);

    errno = saved;
    return rc;
}

void ring_close(struct ring *r)
{
    munmap(r->entries, entries_bytes(r));
    munmap(r->shared, r->bytes);
    close(r->fd);
}

/* -------------------------------------------------------------- submitting */

/* The kernel takes an entry while it is told of it, or never: then it is taken
 * back. So there is always room. */
static bool submit(struct ring *r, const struct io_uring_sqe *entry)
{
    uint32_t tail = load_relaxed(r->tail); /* written here only */
    int saved = errno;
    bool taken;

    if (fail_now(FAIL_RING))
        return false;
    r->entries[tail & r->mask] = *entry;
    store_release(r->tail, tail + 1); /* [UR1] */
    (void)syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0);
    taken = load_acquire(r->head) == tail + 1; /* [UR2] */
    if (!taken)
        store_relaxed(r->tail, tail); /* nobody looks there meanwhile */
    errno = saved;
    return taken;
}

static uint64_t address(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

static struct io_uring_sqe transfer(const struct file_call *c, uint8_t opcode)
{
    return (struct io_uring_sqe){.opcode = opcode,
                                 .fd = c->fd,
                                 .addr = address(c->bytes),
                                 .len = c->n < AT_ONCE ? (uint32_t)c->n
                                                       : AT_ONCE,
                                 .off = (uint64_t)c->at};
}

/* An open is not to be tried first, by O_NONBLOCK: of a pipe that says something
 * else. */
static struct io_uring_sqe entry_of(struct ring_call *c)
{
    const struct file_call *call = &c->call;

    switch (call->what) {
    case FILE_OPEN:
        return (struct io_uring_sqe){.opcode = IORING_OP_OPENAT,
                                     .flags = IOSQE_ASYNC,
                                     .fd = AT_FDCWD,
                                     .addr = address(call->path),
                                     .len = call->mode,
                                     .open_flags = (uint32_t)call->flags |
                                                   O_CLOEXEC};
    case FILE_READ:
        return transfer(call, IORING_OP_READ);
    case FILE_WRITE:
        return transfer(call, IORING_OP_WRITE);
    case FILE_STAT:
        return (struct io_uring_sqe){.opcode = IORING_OP_STATX,
                                     .fd = AT_FDCWD,
                                     .addr = address(call->path),
                                     .len = STATX_BASIC_STATS,
                                     .off = address(&c->stat),
                                     .statx_flags = AT_NO_AUTOMOUNT};
    case FILE_SYNC:
        break;
    }
    return (struct io_uring_sqe){.opcode = IORING_OP_FSYNC, .fd = call->fd};
}

bool ring_submit(struct ring *r, struct ring_call *c)
{
    struct io_uring_sqe entry = entry_of(c);

    entry.user_data = address(c);
    return submit(r, &entry);
}

void ring_cancel(struct ring *r, struct ring_call *c)
{
    struct io_uring_sqe entry = {
        .opcode = IORING_OP_ASYNC_CANCEL, .fd = -1, .addr = address(c)};

    (void)submit(r, &entry);
}

/* ------------------------------------------------------------------- ends */

static void fill_in(struct stat *out, const struct statx *from)
{
    *out = (struct stat){
        .st_dev = makedev(from->stx_dev_major, from->stx_dev_minor),
        .st_ino = from->stx_ino,
        .st_mode = from->stx_mode,
        .st_nlink = from->stx_nlink,
        .st_uid = from->stx_uid,
        .st_gid = from->stx_gid,
        .st_rdev = makedev(from->stx_rdev_major, from->stx_rdev_minor),
        .st_size = (off_t)from->stx_size,
        .st_blksize = (blksize_t)from->stx_blksize,
        .st_blocks = (blkcnt_t)from->stx_blocks,
        .st_atim = {from->stx_atime.tv_sec, from->stx_atime.tv_nsec},
        .st_mtim = {from->stx_mtime.tv_sec, from->stx_mtime.tv_nsec},
        .st_ctim = {from->stx_ctime.tv_sec, from->stx_ctime.tv_nsec}};
}

/* An open that was interrupted says so in the kernel's own numbers: ERESTARTSYS,
 * and those beside it. */
static ssize_t result_of(const struct io_uring_cqe *end)
{
    return end->res <= -512 && end->res > -520 ? -EINTR : end->res;
}

struct ring_call *ring_ended(struct ring *r)
{
    uint32_t head = load_relaxed(r->end_head); /* written here only */
    struct ring_call *c = NULL;

    while (c == NULL && load_acquire(r->end_tail) != head) { /* [UR3] */
        const struct io_uring_cqe *end = &r->ends[head & r->end_mask];

        c = (struct ring_call *)(uintptr_t)end->user_data; /* none: a cancel */
        if (c != NULL)
            c->result = result_of(end);
        store_release(r->end_head, ++head); /* [UR4] */
    }
    if (c != NULL && c->call.what == FILE_STAT && c->result == 0)
        fill_in(c->call.stat, &c->stat);
    return c;
}
