#include "sched/poller.h"

void poller_init(struct poller *p)
{
    lock_init(&p->lock);
    p->for_host = false;
    store_relaxed(&p->hooks, NULL); /* no other thread knows it yet */
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

void poller_deliver(struct poller *p, const struct poll_event *events, int n)
{
    const struct poller_hooks *hooks = load_relaxed(
        &p->hooks); /* const: n > 0 */

    for (int i = 0; i < n; i++)
        if (poll_key(&events[i]) != NULL)
            hooks->ready(poll_key(&events[i]), poll_what(&events[i]));
}

bool poller_check(struct poller *p)
{
    return load_relaxed(&p->hooks)->check(p); /* const: it is open */
}

void poller_close(struct poller *p)
{
    const struct poller_hooks *hooks = load_relaxed(&p->hooks); /* alone */

    if (hooks != NULL)
        hooks->closing(p);
    if (hooks != NULL || p->for_host)
        poll_close(&p->set);
}
