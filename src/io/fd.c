#include "io/fd.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "io/outside.h"
#include "os/forked.h"
#include "os/transfer.h"

/* FIRST: entries of the first part; each is twice the one before. PARTS: enough for
 * every int. */
#ifdef THRUM_MODEL
enum { FIRST = 1, PARTS = 2 }; /* it walks through all of them */
#else
enum { FIRST = 1024, PARTS = 22 };
#endif

static _Atomic(struct fd *) parts[PARTS]; /* [F3] [F4] */

/* ---------------------------------------------------------------- the table */

static size_t part_size(unsigned part)
{
    return (size_t)FIRST << part;
}

static unsigned part_of(size_t n)
{
    return 63 - (unsigned)__builtin_clzll(n / FIRST + 1);
}

static size_t first_of(unsigned part)
{
    return part_size(part) - FIRST;
}

/* In the child of a fork: nobody waits there, and no set of its knows them. */
static void forget_all(void)
{
    for (unsigned part = 0; part < PARTS; part++)
        store_relaxed(&parts[part], NULL); /* the only thread */
}

FORGET_IN_CHILD(forget_all)

static cold struct fd *make_part(unsigned part)
{
    size_t bytes = part_size(part) * sizeof(struct fd);
    struct fd *made = alloc_aligned(CACHE_LINE, bytes), *there = NULL;

    if (made == NULL)
        return NULL;
    memset((void *)made, 0, bytes);
    if (cas_acq_rel(&parts[part], &there, made)) /* [F3] [F4] */
        return made;
    release(made);
    return there;
}

struct fd *fd_of(int n, int *rc)
{
    unsigned part = n < 0 ? 0 : part_of((size_t)n);
    struct fd *first;

    if (n < 0) {
        *rc = -EBADF;
        return NULL;
    }
    first = load_acquire(&parts[part]); /* [F4] */
    if (unlikely(first == NULL) && !transfer_is_open(n)) {
        *rc = -EBADF; /* before there is memory for any number */
        return NULL;
    }
    if (unlikely(first == NULL) && (first = make_part(part)) == NULL) {
        *rc = -ENOMEM;
        return NULL;
    }
    return &first[(size_t)n - first_of(part)];
}

uint32_t fd_closes(int n)
{
    int no;
    struct fd *f = fd_of(n, &no);

    return f == NULL ? 0 : fd_see(f).closes; /* the call itself says so */
}

/* ------------------------------------------------------------------ waking */

/* Under the lock: call all of a line; those to be let go, before `woken`. */
static struct line_place *call_all(struct line *l, struct line_place *woken)
{
    struct line_place *p;

    while ((p = line_call(l)) != NULL) {
        p->next = woken; /* it is out of the line, and stays until let go */
        woken = p;
    }
    return woken;
}

/* Under the lock: something has happened. Who waited for it, before `woken`. */
static struct line_place *tick(struct fd *f, unsigned what)
{
    struct line_place *woken = NULL;

    if (what & POLL_END)
        store_relaxed(&f->ended, 1); /* locked; before the tick */
    for (unsigned i = 0; i < 2; i++) {
        if ((what & (1u << i)) == 0)
            continue;
        store_release(&f->ticks[i], load_relaxed(&f->ticks[i]) + 1); /* [F1] */
        woken = call_all(&f->lines[i], woken);
    }
    return call_all(&f->lines[FD_LINES - 1], woken);
}

/* The place of who waits to read, with his wait behind it, and his stack's head. */
static void fetch(void *key)
{
    struct fd *f = key;
    const char *place = NULL;

    if (spin_try(&f->lock)) {
        place = (const char *)f->lines[0].first;
        spin_unlock(&f->lock);
    }
    if (place == NULL)
        return;
    __builtin_prefetch(place, 1);
    __builtin_prefetch(place + CACHE_LINE, 1);
    __builtin_prefetch(&stack_around(place)->resume, 1);
}

static void ready(void *key, unsigned what)
{
    struct fd *f = key;
    struct line_place *woken;

    spin_lock(&f->lock);
    woken = tick(f, what);
    spin_unlock(&f->lock);
    line_let_go_all(woken);
}

/* It is in no set any more, or may not be: who waits adds it again. */
static void forget(struct fd *f)
{
    struct line_place *woken;

    spin_lock(&f->lock);
    store_relaxed(&f->poller, NULL); /* locked */
    store_relaxed(&f->ended, 0);     /* locked */
    woken = tick(f, POLL_READ | POLL_WRITE);
    spin_unlock(&f->lock);
    line_let_go_all(woken);
}

static void forget_poller(struct poller *p)
{
    for (unsigned part = 0; part < PARTS; part++) {
        struct fd *f = load_acquire(&parts[part]); /* [F4] */

        for (size_t i = 0; f != NULL && i < part_size(part); i++)
            if (load_relaxed(&f[i].poller) == p) /* none is added any more */
                forget(&f[i]);
    }
}

/* --------------------------------------------------------------- checking */

static uint32_t told(struct fd *f)
{
    return load_relaxed(&f->ticks[0]) + load_relaxed(&f->ticks[1]); /* locked */
}

static bool any_waits(struct fd *f)
{
    return line_any(&f->lines[0]) || line_any(&f->lines[1]) ||
           line_any(&f->lines[2]);
}

/* Under the lock: is it still in p's set? If not, who waits is to add it. */
static struct line_place *check_now(int n, struct fd *f, struct poller *p)
{
    if (poll_check(&p->set, n, f) == 0)
        return NULL;
    store_relaxed(&f->poller, NULL); /* locked */
    return tick(f, POLL_READ | POLL_WRITE);
}

/* True: it is to be looked at again. */
static bool check_one(int n, struct fd *f, struct poller *p)
{
    struct line_place *woken = NULL;
    bool again = false;

    spin_lock(&f->lock);
    if (load_relaxed(&f->poller) == p && any_waits(f)) { /* locked */
        again = f->told != told(f);
        if (!again)
            woken = check_now(n, f, p);
    }
    f->told = told(f);
    if (!again)
        store_relaxed(&f->unchecked, 0); /* locked */
    spin_unlock(&f->lock);
    line_let_go_all(woken);
    return again;
}

static bool check(struct poller *p)
{
    bool again = false;

    for (unsigned part = 0; part < PARTS; part++) {
        struct fd *f = load_acquire(&parts[part]); /* [F4] */

        for (size_t i = 0; f != NULL && i < part_size(part); i++)
            if (load_relaxed(&f[i].poller) == p &&  /* a hint */
                load_seq_cst(&f[i].unchecked) != 0) /* [F6] */
                again |= check_one((int)(first_of(part) + i), &f[i], p);
    }
    return again;
}

static const struct poller_hooks hooks = {fetch, ready, check, forget_poller};

/* ----------------------------------------------------------------- waiting */

int fd_poller(struct poller **p)
{
    struct stack *here = worker_current();
    struct sched *s = here == NULL ? NULL : here->worker->sched;

    if (s == NULL)
        return outside_poller(p, &hooks);
    if (unlikely(sched_is_gone(s))) /* its set is the parent's, too */
        worker_yield(here);         /* and the task ends here */
    *p = &s->poller;
    return sched_open_poller(s, &hooks);
}

/* Under the lock. */
static int watch(int n, struct fd *f, struct poller *p)
{
    int rc;

    if (load_relaxed(&f->poller) != NULL) /* locked */
        return 0;
    rc = poll_add(&p->set, n, f);
    if (rc == 0) {
        store_relaxed(&f->poller, p);               /* locked */
        store_relaxed(&f->tcp, transfer_is_tcp(n)); /* locked */
    }
    return rc;
}

int fd_watch(int n, struct fd *f)
{
    struct poller *p;
    int rc;

    if (load_relaxed(&f->poller) != NULL) /* the lock decides */
        return 0;
    rc = fd_poller(&p);
    if (rc < 0)
        return rc;
    spin_lock(&f->lock);
    rc = watch(n, f, p);
    spin_unlock(&f->lock);
    return rc;
}

/* Under the lock: -EAGAIN if it is to be waited for. `here`: the runtime of who
 * waits. */
static int look(int n, struct fd *f, const struct fd_seen *seen, unsigned what,
                struct sched *here)
{
    struct poller *p = load_relaxed(&f->poller); /* locked */

    if (load_relaxed(&f->closes) != seen->closes) /* locked */
        return -EBADF;
    if ((what & POLL_READ) && load_relaxed(&f->ticks[0]) != seen->ticks[0])
        return 0; /* locked */
    if ((what & POLL_WRITE) && load_relaxed(&f->ticks[1]) != seen->ticks[1])
        return 0; /* locked */
    if (p == NULL)
        return 0;
    if (here != NULL && p == &here->poller) {
        if (load_relaxed(&f->unchecked) == 0) /* locked */
            store_seq_cst(&f->unchecked, 1);  /* [F5] */
    } else if (poll_check(&p->set, n, f) < 0) {
        store_relaxed(&f->poller, NULL); /* locked; all hear from the next */
        return 0;
    }
    return -EAGAIN;
}

static bool was_closed(struct fd *f, const struct fd_seen *seen)
{
    return load_acquire(&f->closes) != seen->closes; /* [F2] */
}

int fd_wait(int n, struct fd *f, const struct fd_seen *seen, unsigned what)
{
    struct line *line = &f->lines[what - 1];
    struct line_place place;
    struct scope_wait w;
    int rc = fd_watch(n, f);

    if (rc < 0) /* of another file, perhaps the poller's own */
        return was_closed(f, seen) ? -EBADF : rc;
    wait_init(&w.wait);
    wait_tell(&w, AWAITED_OUTSIDE("a descriptor"), NULL);
    spin_lock(&f->lock);
    rc = look(n, f, seen, what, w.wait.sched);
    if (rc == -EAGAIN)
        line_enter(line, &place, &w.wait);
    spin_unlock(&f->lock);
    if (rc != -EAGAIN)
        return rc;
    if (w.wait.sched != NULL)
        sched_fd_waits(w.wait.sched);
    if (!scope_sleep_in(scope_current(), &w, line, &f->lock, &place))
        return -ECANCELED;
    return was_closed(f, seen) ? -EBADF : 0;
}

/* ----------------------------------------------------------------- closing */

static void forget_kind(struct fd *f)
{
    store_relaxed(&f->no_socket, 0); /* a hint */
    store_relaxed(&f->kept, 0);      /* likewise */
}

void fd_fresh(int n)
{
    int rc;
    struct fd *f = fd_of(n, &rc);

    if (f == NULL)
        return; /* then nobody has ever waited for it */
    forget_kind(f);
    if (load_relaxed(&f->poller) != NULL) /* no wait of this one has begun */
        forget(f);
}

/* Who comes between the two, and waits for a descriptor that is just being
 * closed, is told to look again: it is closed, or somebody else's. */
int fd_close(int n)
{
    struct line_place *woken;
    int rc;
    struct fd *f = fd_of(n, &rc);

    if (f != NULL) {
        spin_lock(&f->lock);
        store_release(&f->closes, load_relaxed(&f->closes) + 1); /* [F1] */
        woken = tick(f, POLL_READ | POLL_WRITE);
        spin_unlock(&f->lock);
        line_let_go_all(woken);
    }
    rc = transfer_close(n);
    if (f != NULL) {
        forget_kind(f);
        forget(f);
    }
    return rc;
}
