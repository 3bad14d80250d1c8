#include "io/uring.h"

#include <errno.h>

#include "base/alloc.h"
#include "io/fd.h"
#include "os/ring.h"

struct uring {
    struct poller_own own;
    struct lock submitting;
    struct spin lock;
    struct ring ring; /* submitting; its ends: lock */
};

/* A call, on the stack of the task that waits for it. */
struct flight {
    struct ring_call call; /* the kernel's, until it has ended */
    struct line line;      /* lock: the task */
    bool ended;            /* lock */
};

/* ------------------------------------------------------------- a worker's */

/* Under the lock: so many calls more are on their way. */
static void count(struct uring *u, unsigned more)
{
    store_relaxed(&u->own.awaited,
                  load_relaxed(&u->own.awaited) + more); /* locked */
}

/* Whether a task was woken. */
static bool reap(struct uring *u)
{
    struct line_place *woken = NULL, *p;
    bool any;
    struct ring_call *c;

    spin_lock(&u->lock);
    while ((c = ring_ended(&u->ring)) != NULL) {
        struct flight *f = container_of(c, struct flight, call);

        count(u, -1U);
        f->ended = true;
        p = line_call(&f->line);
        if (p != NULL) {
            p->next = woken; /* it is out of the line, and stays until let go */
            woken = p;
        }
    }
    spin_unlock(&u->lock);
    any = woken != NULL; /* they may be gone, once let go */
    line_let_go_all(woken);
    return any;
}

static bool on_ready(struct poller_own *own)
{
    return reap(container_of(own, struct uring, own));
}

static void on_close(struct poller_own *own)
{
    struct uring *u = container_of(own, struct uring, own);

    ring_close(&u->ring);
    release(u);
}

static struct uring *make(void)
{
    struct uring *u = alloc(sizeof *u);
    struct poller *p;

    if (u == NULL)
        return NULL;
    *u = (struct uring){.own = {.ready = on_ready, .close = on_close}};
    lock_init(&u->submitting);
    if (ring_open(&u->ring) == 0) {
        if (fd_poller(&p) == 0 && poller_own(p, u->ring.fd, &u->own) == 0)
            return u;
        ring_close(&u->ring);
    }
    release(u);
    return NULL;
}

/* NULL: it has none. */
static struct uring *here(void)
{
    struct worker *w = worker_current()->worker;
    struct poller_own *own;
    struct uring *u;

    if (sched_is_gone(w->sched))
        return NULL;
    if (unlikely(!w->own_tried)) {
        w->own_tried = true;
        u = make();
        tsan_promise(w);
        store_relaxed(&w->own, u == NULL ? NULL : &u->own); /* this thread's */
    }
    tsan_rely(w);
    own = load_relaxed(&w->own); /* likewise */
    return own == NULL ? NULL : container_of(own, struct uring, own);
}

/* ----------------------------------------------------------------- a call */

static bool take_off(struct uring *u, struct flight *f)
{
    bool off;

    spin_lock(&u->lock);
    off = load_relaxed(&u->own.awaited) < RING_MOST; /* locked */
    count(u, off);
    spin_unlock(&u->lock);
    if (!off)
        return false;
    lock_acquire(&u->submitting);
    off = ring_submit(&u->ring, &f->call);
    lock_release(&u->submitting);
    if (off) {
        (void)reap(u);
        return true;
    }
    spin_lock(&u->lock);
    count(u, -1U);
    spin_unlock(&u->lock);
    return false;
}

/* False: it is canceled. hears: of that. */
static bool await_end(struct uring *u, struct flight *f, bool hears)
{
    struct line_place place;
    struct scope_wait w;
    bool ended;

    spin_lock(&u->lock);
    ended = f->ended;
    if (!ended) {
        wait_init(&w.wait);
        wait_tell(&w, AWAITED_OUTSIDE("a file"), NULL);
        line_enter(&f->line, &place, &w.wait);
    }
    spin_unlock(&u->lock);
    if (ended)
        return true;
    if (hears)
        return scope_sleep_in(scope_current(), &w, &f->line, &u->lock, &place);
    scope_sleep_deaf(scope_current(), &w);
    line_settle(&place);
    return true;
}

/* Its own end is taken at once: in the ring there is room for one beside the
 * calls'. */
static void cancel(struct uring *u, struct flight *f)
{
    lock_acquire(&u->submitting);
    ring_cancel(&u->ring, &f->call);
    reap(u);
    lock_release(&u->submitting);
}

/* It was canceled, by us or because a thread of the kernel's had to go; or this
 * kernel cannot do it, or not without waiting. */
static bool was_made(ssize_t result)
{
    return result != -ECANCELED && result != -EINTR && result != -EAGAIN &&
           result != -EINVAL && result != -EOPNOTSUPP;
}

/* The kernel would read from a pipe, where it says of pread that it cannot be. */
static bool suits(const struct file_call *c)
{
    if (c->what != FILE_READ && c->what != FILE_WRITE)
        return true;
    return c->at >= 0 && file_is_on_disk(c->fd);
}

ssize_t uring_make(const struct file_call *c)
{
    struct flight f = {.call = {.call = *c}};
    struct uring *u = here();

    if (u == NULL || !suits(c) || !take_off(u, &f))
        return -EAGAIN;
    if (!await_end(u, &f, true)) {
        cancel(u, &f);
        (void)await_end(u, &f, false);
    }
    return was_made(f.call.result) ? f.call.result : -EAGAIN;
}
