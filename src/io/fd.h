/* fd.h - who waits for which descriptor.
 *
 * A table by number, of the process; entries never move and never go away, so
 * the kernel's word for a descriptor (the key) is the address of its entry. A
 * descriptor is added to a poller once, when somebody first waits for it, and
 * stays there until it is closed.
 *
 * A call tries first. If it cannot be done now it waits for an edge:
 *
 *      seen = fd_see(f)
 *      rc = ... the system call, which never blocks ...
 *      if (rc == -EAGAIN)
 *          rc = fd_wait(n, f, &seen, POLL_READ)     0: try again
 *
 * Each thing the poller tells is a tick. A tick between fd_see and fd_wait may be
 * of the very data that the try did not find, so fd_wait then says at once to try
 * again. So nothing is cleared, and an old edge cannot hide a new one.
 *
 * A read from TCP that got less than it asked for has left nothing. The entry
 * remembers the tick of that time (`dry`); as long as it is the last one, the next
 * call need not try, which saves a system call for each message. An end is told
 * only once, perhaps together with the bytes before it: then nothing is dry.
 *
 * Who is woken tries again, and waits again if others were faster: an edge wakes
 * all that wait for it, because it may stand for more than one can take (the
 * connections of a listening socket).
 *
 * Numbers are used again. thrum_close tells those who wait, and forgets that the
 * descriptor is in a poller; so does fd_fresh for a number that the kernel has
 * just given to the library. One that was closed with close(2), and given to
 * another file, is in no poller, though its entry says so. To ask the kernel at
 * each wait would cost a system call. Instead the relief asks now and then, for
 * those that somebody waits for and nothing was told of between two looks: a
 * tenth of a second later at most the wait goes on as it should. Who waits for
 * what another runtime polls asks at once.
 *
 * Ordering
 *   [F1] a tick, a close -> [F2] fd_see   the try comes after it
 *   [F5] a wait: unchecked, [U3] <-> [U4] [F6] the last check   none is left out
 *   [F3] a part of the table is shown -> [F4] who looks there   its entries
 *   All else is under the entry's lock.
 */
#ifndef IO_FD_H
#define IO_FD_H

#include "task/scope.h"

/* By what is waited for, less one: to read, to write, either. */
enum { FD_LINES = 3 };

struct fd {
    struct spin lock;

    /* lock; looked at without it: [F1] [F2] */
    _Atomic uint32_t ticks[2]; /* to read, to write */
    _Atomic uint32_t closes;
    _Atomic uint8_t ended; /* POLL_END was told; shown by its tick */

    /* hints */
    _Atomic uint8_t tcp, no_socket;
    _Atomic uint8_t kept; /* io/file.h: so many calls more it is not asked */
    _Atomic uint32_t dry; /* the tick to read, plus 1; or 0 */

    /* lock */
    uint32_t told;                   /* ticks, at the last look of the check */
    _Atomic uint32_t unchecked;      /* waited for since the check. [F5] [F6] */
    _Atomic(struct poller *) poller; /* it is in this one's set, or NULL */
    struct line lines[FD_LINES];
};

_Static_assert(sizeof(struct fd) == CACHE_LINE, "one line");

/* NULL: it is no descriptor (-EBADF), or no memory (-ENOMEM). */
struct fd *fd_of(int n, int *rc);

/* What had happened to it. */
struct fd_seen {
    uint32_t ticks[2], closes;
};

static inline struct fd_seen fd_see(struct fd *f)
{
    struct fd_seen seen;

    seen.ticks[0] = load_acquire(&f->ticks[0]); /* [F2] */
    seen.ticks[1] = load_acquire(&f->ticks[1]); /* [F2] */
    seen.closes = load_acquire(&f->closes);     /* [F2] */
    return seen;
}

/* How often number n was closed: if that changes between two calls, it may be another
 * file's by now. */
uint32_t fd_closes(int n);

/* After a read that began with `seen` and got less than was asked for. */
static inline void fd_note_dry(struct fd *f, const struct fd_seen *seen)
{
    if (load_relaxed(&f->tcp) != 0)
        store_relaxed(&f->dry, seen->ticks[0] + 1); /* a tick outdates it */
}

/* Is there nothing to read, for certain? */
static inline bool fd_is_dry(struct fd *f, const struct fd_seen *seen)
{
    uint32_t dry = load_relaxed(&f->dry); /* of whatever tick */

    return dry != 0 && dry == seen->ticks[0] + 1 &&
           load_relaxed(&f->ended) == 0; /* by [F2], if before that tick */
}

/* The poller of who calls, opened. 0, or as fd_watch. */
int fd_poller(struct poller **p);

/* Put it into the poller of who calls, if it is in none.
 *
 * Returns 0
 *         -EPERM   such a file is always ready
 *         -EBADF, -EMFILE, -ENFILE, -ENOMEM, -ENOSPC, -EAGAIN */
int fd_watch(int n, struct fd *f);

/* Suspend the task, or block the thread, until what it waits for (POLL_READ,
 * POLL_WRITE or both: either) has happened since fd_see, or might have.
 *
 * Returns 0           try again
 *         -ECANCELED
 *         -EBADF      it was closed since
 *         and as fd_watch */
int fd_wait(int n, struct fd *f, const struct fd_seen *seen, unsigned what);

/* The kernel has just given us this number. */
void fd_fresh(int n);

/* Wake who waits, with -EBADF, and close(2) it. What that returned. */
int fd_close(int n);

#endif
