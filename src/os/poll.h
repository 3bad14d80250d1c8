/* poll.h - a set of descriptors, and waiting until the kernel says something of
 * one: epoll(7), each edge once, and an eventfd(2) that ends the wait.
 *
 * Knows nothing of who waits. A simulator replaces this file at link time.
 *
 * What happened before a descriptor was added and is still so is told too. Any
 * number of threads may wait at a time; one of them is told. Neither function
 * changes errno.
 *
 * Ordering
 *   Who is told of a key sees what came before it was added. Else none is promised.
 */
#ifndef OS_POLL_H
#define OS_POLL_H

#include <stdint.h>
#include <sys/epoll.h>

/* What there is to be done with a descriptor, without waiting. POLL_END: an end or
 * an error is, or will be, read, or urgent data: what is not told twice. */
enum { POLL_READ = 1, POLL_WRITE = 2, POLL_END = 4 };

struct poll_set {
    int epoll, wakeup, timer; /* -1: it has none */
};

struct poll_event {
    struct epoll_event of;
};

/* 0, -EMFILE, -ENFILE, -ENOMEM; then nothing is left behind. */
int poll_open(struct poll_set *set);
void poll_close(struct poll_set *set);

/* Tell of fd from now on, and say `key`, which is not NULL. Closing the last
 * descriptor of a file takes it out.
 *
 * Returns 0        also if it was in it
 *         -EPERM   such a file is always ready: a regular one, a folder
 *         -EBADF   it is not open
 *         -ENOSPC, -ENOMEM
 */
int poll_add(struct poll_set *set, int fd, void *key);

/* Is it in it, under this number? -ENOENT, -EBADF: no. What is so now is told
 * anew. */
int poll_check(struct poll_set *set, int fd, void *key);

/* Wait until there is something to tell, or for poll_interrupt, or until the
 * clock of os/clock.h reaches `until` (0: do not wait; CLOCK_NEVER). How much is
 * told; it may be nothing, for no reason. */
int poll_wait(struct poll_set *set, struct poll_event *events, int most,
              int64_t until);

/* End one wait: of who waits, or else the next one's. From any thread. */
void poll_interrupt(struct poll_set *set);

/* A set that is waited for elsewhere, by its descriptor: that is ready to read when
 * there is something to tell, an interrupt too, or at the time that it was told.
 * As poll_open. */
int poll_open_timed(struct poll_set *set);

static inline int poll_fd(const struct poll_set *set)
{
    return set->epoll;
}

/* Be ready at `until`; CLOCK_NEVER. */
void poll_ready_at(struct poll_set *set, int64_t until);

/* Wait until it is ready to read, or the clock reaches `until`. It tells nothing. */
void poll_until_ready(struct poll_set *set, int64_t until);

/* NULL: an interrupt. */
static inline void *poll_key(const struct poll_event *e)
{
    return e->of.data.ptr;
}

/* POLL_READ, .. An end and an error are read, and are written to. */
static inline unsigned poll_what(const struct poll_event *e)
{
    unsigned is = e->of.events, what = 0;

    if (is & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
        what |= POLL_READ;
    if (is & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
        what |= POLL_END;
    if (is & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        what |= POLL_WRITE;
    return what;
}

#endif
