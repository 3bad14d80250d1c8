#include "task/scope.h"

#include "base/base.h"

struct permit_wait {
    struct scope_wait wait;
    struct permit_wait *next, *prev; /* lock: the permits' */
    bool queued;                     /* lock */
};

void permits_init(struct permits *p, uint32_t n)
{
    *p = (struct permits){.left = n};
}

/* Under the lock. */
static bool take(struct permits *p)
{
    if (p->left == 0)
        return false;
    p->left--;
    return true;
}

bool permits_try_take(struct permits *p)
{
    bool taken;

    spin_lock(&p->lock);
    taken = take(p);
    spin_unlock(&p->lock);
    return taken;
}

/* Under the lock. */
static void enter_queue(struct permits *p, struct permit_wait *w)
{
    w->queued = true;
    w->prev = p->last;
    if (p->last == NULL)
        p->first = w;
    else
        p->last->next = w;
    p->last = w;
}

/* Under the lock. */
static void leave_queue(struct permits *p, struct permit_wait *w)
{
    *(w->prev == NULL ? &p->first : &w->prev->next) = w->next;
    *(w->next == NULL ? &p->last : &w->next->prev) = w->prev;
    w->queued = false;
}

bool permits_take(struct permits *p, struct scope *scope)
{
    struct permit_wait w = {.queued = false};
    bool taken;

    wait_init(&w.wait.wait);
    spin_lock(&p->lock);
    taken = take(p);
    if (!taken)
        enter_queue(p, &w);
    spin_unlock(&p->lock);
    if (taken || scope_sleep(scope, &w.wait) == WAKE_EVENT)
        return true;
    spin_lock(&p->lock); /* whoever took us out of the queue is done with us */
    if (w.queued)
        leave_queue(p, &w);
    spin_unlock(&p->lock);
    return false;
}

void permits_give(struct permits *p)
{
    enum claim claim = CLAIM_LOST;
    struct permit_wait *w;

    spin_lock(&p->lock);
    while (claim == CLAIM_LOST && (w = p->first) != NULL) {
        leave_queue(p, w);
        claim = wait_claim(&w->wait.wait, WAKE_EVENT); /* lost: a cancel won */
    }
    if (claim == CLAIM_LOST)
        p->left++;
    spin_unlock(&p->lock);
    if (claim == CLAIM_WAKE)
        wait_deliver(&w->wait.wait);
}
