/* ring.h - calls on files that the kernel makes in its own time: io_uring(7).
 *
 * Two sides, each guarded by its user: submitting and canceling; and hearing of
 * calls that have ended. All by system calls of our own, nothing needs liburing.
 * Its descriptor tells (os/poll.h) when a call has ended.
 *
 * Ordering
 *   [UR1] an entry is shown -> the kernel   what is to be done
 *   the kernel -> [UR2] it was taken        its place is free
 *   the kernel -> [UR3] an end is shown     the result, and the bytes
 *   [UR4] an end was read -> the kernel     its place is free
 */
#ifndef OS_RING_H
#define OS_RING_H

#include <stdint.h>
#include <sys/stat.h>
#ifndef STATX_BASIC_STATS /* an older musl */
#include <linux/stat.h>
#endif

#include "base/atomic.h"
#include "os/file.h"

/* As many calls may be on their way at a time: what ends finds its place, and no
 * open of a pipe without a partner keeps others waiting for a thread of the
 * kernel's. */
enum { RING_MOST = 64 };

struct io_uring_sqe;
struct io_uring_cqe;

struct ring {
    int fd;
    void *shared;
    size_t bytes;
    struct io_uring_sqe *entries;
    struct io_uring_cqe *ends;
    _Atomic uint32_t *head, *tail;         /* of the entries: [UR1] [UR2] */
    _Atomic uint32_t *end_head, *end_tail; /* [UR3] [UR4] */
    uint32_t mask, end_mask;
};

struct ring_call {
    struct file_call call;
    ssize_t result;
    struct statx stat;
};

/* 0, or -errno where the kernel, a filter or THRUM_IO=epoll does not want it. */
int ring_open(struct ring *r);
void ring_close(struct ring *r);

/* False: it is not made. */
bool ring_submit(struct ring *r, struct ring_call *c);

/* It is to end soon; in any case it ends. */
void ring_cancel(struct ring *r, struct ring_call *c);

/* One that has ended: the kernel is done with it, `result` says how. NULL: none. */
struct ring_call *ring_ended(struct ring *r);

#endif
