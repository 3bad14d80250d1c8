#include "sched/poller.h"

enum { AHEAD = 4 }; /* so many events */

void poller_init(struct poller *p)
{
    lock_init(&p->lock);
    p->for_host = false;
    store_relaxed(&p->hooks, NULL); /* no other thread knows it yet */
    p->owns = NULL;
}

int poller_open_for_host(struct poller *p)
{
    int rc = poll_open_timed(&p->set);

    p->for_host = rc == 0;
    return rc;
}

int poller_open(struct poller *p, const struct poller_hooks *hooks)
{
    int rc = 0;

    lock_acquire(&p->lock);
    if (load_relaxed(&p->hooks) == NULL && /* locked */
        (p->for_host || (rc = poll_open(&p->set)) == 0)) {
        store_seq_cst(&p->hooks, hooks); /* [U1] */
        rc = 1;
    }
    lock_release(&p->lock);
    return rc;
}

/* What it is watched as: no key of the hooks' is odd. */
static void *key_of(struct poller_own *o)
{
    return (char *)o + 1;
}

int poller_own(struct poller *p, int fd, struct poller_own *o)
{
    int rc;

    rc = poll_add(&p->set, fd, key_of(o));
    if (rc < 0)
        return rc;
    lock_acquire(&p->lock);
    o->next = p->owns;
    p->owns = o;
    lock_release(&p->lock);
    return 0;
}

static bool is_own(const struct poll_event *e)
{
    return ((uintptr_t)poll_key(e) & 1) != 0;
}

static void deliver_one(const struct poller_hooks *hooks,
                        const struct poll_event *e)
{
    struct poller_own *o;

    if (poll_key(e) == NULL)
        return;
    if (!is_own(e)) {
        hooks->ready(poll_key(e), poll_what(e));
        return;
    }
    o = (void *)((char *)poll_key(e) - 1);
    (void)o->ready(o);
}

static void fetch_one(const struct poller_hooks *hooks,
                      const struct poll_event *e)
{
    if (poll_key(e) != NULL && !is_own(e))
        hooks->fetch(poll_key(e));
}

void poller_deliver(struct poller *p, const struct poll_event *events, int n)
{
    const struct poller_hooks *hooks = load_relaxed(
        &p->hooks); /* const: n > 0 */

    /* In three steps, one behind the other: each needs what the one before it has
     * fetched. */
    for (int i = 0; i < n + 2 * AHEAD; i++) {
        if (i < n)
            __builtin_prefetch(poll_key(&events[i]), 1);
        if (i >= AHEAD && i < n + AHEAD)
            fetch_one(hooks, &events[i - AHEAD]);
        if (i >= 2 * AHEAD)
            deliver_one(hooks, &events[i - 2 * AHEAD]);
    }
}

bool poller_check(struct poller *p)
{
    return load_relaxed(&p->hooks)->check(p); /* const: it is open */
}

void poller_close(struct poller *p)
{
    const struct poller_hooks *hooks = load_relaxed(&p->hooks); /* alone */
    struct poller_own *o;

    while ((o = p->owns) != NULL) {
        p->owns = o->next;
        o->close(o);
    }
    if (hooks != NULL)
        hooks->closing(p);
    if (hooks != NULL || p->for_host)
        poll_close(&p->set);
}
