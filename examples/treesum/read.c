/* read.c - the reading of a lane, in the blocking pool. */
#include "lane.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void file_failed(struct lane *lane, thrum_err *e)
{
    lane->work->tree->files[lane->file].err = e;
}

/* Open lane->file, and look at what has been opened: the name may have been
 * given to something else since it was listed. 0 or -errno. */
static int file_open(struct lane *lane)
{
    const struct file *file = &lane->work->tree->files[lane->file];
    int rc = path_set(&lane->path, file->dir, file->name);

    if (rc < 0)
        return rc;
    rc = path_open(&lane->path, file->dir->parent ? O_NOFOLLOW : 0);
    if (rc < 0)
        return rc;
    lane->fd = rc;
    lane->done = 0;
    if (fstat(lane->fd, &lane->status) < 0)
        rc = -errno;
    else if (S_ISDIR(lane->status.st_mode))
        rc = -EISDIR;
    else
        rc = S_ISREG(lane->status.st_mode) ? 0 : -ENXIO;
    if (rc < 0) {
        path_close(lane->fd);
        lane->fd = -1;
    } else if (lane->status.st_size > LOAD_BYTES) {
        posix_fadvise(lane->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    return rc;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* All of the file has been read. A digest of bytes that never were the file's
 * all at the same time is worth nothing: look whether it was written to. The
 * status of what was read at once, and had the size it said, is fresh. */
static thrum_err *file_check(struct lane *lane, bool at_once)
{
    struct stat now;

    if (at_once && lane->done == (uint64_t)lane->status.st_size)
        return NULL;
    if (fstat(lane->fd, &now) < 0)
        return failure_of(lane->path.bytes, -errno);
    if (now.st_size != lane->status.st_size ||
        !same_time(now.st_mtim, lane->status.st_mtim))
        return failure_changed(lane->path.bytes, &lane->status, &now);
    return NULL;
}

/* Read on in lane->file until it ends or the load is full; true if it ended. */
static bool file_read(struct lane *lane, struct load *load)
{
    uint64_t size = (uint64_t)lane->status.st_size;
    struct span *span = &load->spans[load->count];
    size_t room;
    ssize_t got;

    *span = (struct span){
        .file = lane->file, .at = load->length, .first = lane->done == 0};
    do {
        room = LOAD_BYTES - load->length;
        if (room == 0)
            break;
        got = read(lane->fd, load->bytes + load->length, room);
        if (got < 0) {
            file_failed(lane, failure_of(lane->path.bytes, -errno));
            return true;
        }
        load->length += (size_t)got;
        lane->done += (uint64_t)got;
        /* Short, and where it said it would end: so that was the end. */
        span->last = got == 0 || ((size_t)got < room && lane->done == size);
    } while (!span->last);
    span->length = load->length - span->at;
    load->count++;
    if (span->last) {
        thrum_err *e = file_check(lane, span->first);

        file_failed(lane, e);
        load->count -= e != NULL;
    }
    return span->last;
}

/* Is there a file to read from, opened and not yet at its end? If not, the load
 * tells why. */
static bool file_next(struct lane *lane, struct load *load)
{
    struct work *work = lane->work;
    const struct tree *tree = work->tree;

    while (lane->fd < 0) {
        int rc = 0;

        if (lane->file == lane->end) {
            size_t i = atomic_fetch_add_explicit(&work->next, 1,
                                                 memory_order_relaxed);

            load->more = i < tree->parcel_count;
            if (!load->more)
                return false;
            lane->file = tree->parcels[i].first;
            lane->end = lane->file + tree->parcels[i].count;
        }
        if (!tree->files[lane->file].err)
            rc = file_open(lane);
        if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM) {
            load->rc = rc;
            return false;
        }
        if (rc < 0)
            file_failed(lane, failure_of(lane->path.bytes, rc));
        if (lane->fd < 0)
            lane->file++;
    }
    return true;
}

/* A job for the pool: fill a load. */
static thrum_err *load_fill(void *arg)
{
    struct load *load = arg;
    struct lane *lane = load->lane;

    load->count = load->length = 0;
    load->rc = 0;
    load->more = true;
    while (load->length < LOAD_BYTES && load->count < LOAD_SPANS &&
           file_next(lane, load)) {
        if (file_read(lane, load)) {
            path_close(lane->fd);
            lane->fd = -1;
            lane->file++;
        }
    }
    return NULL;
}

thrum_err *load_read(struct load *load)
{
    struct lane *lane = load->lane;
    unsigned tries = 0;

    do {
        THRUM_TRY(thrum_offload(load_fill, load));
        if (load->count || load->rc == 0 ||
            path_wait_for_descriptor(load->rc, &tries))
            continue;
        if (load->rc == -ENOMEM)
            return thrum_rc(load->rc);
        file_failed(lane, failure_of(lane->path.bytes, load->rc));
        lane->file++;
    } while (load->more && !load->count);
    return NULL;
}
