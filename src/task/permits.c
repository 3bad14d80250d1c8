#include "task/permits.h"

#include "base/base.h"
#include "sched/wait.h"

struct permit_wait {
    struct wait wait;
    struct permit_wait *next;
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

void permits_take(struct permits *p)
{
    struct permit_wait w = {.next = NULL};
    bool taken;

    wait_init(&w.wait);
    spin_lock(&p->lock);
    taken = take(p);
    if (!taken) {
        if (p->first == NULL)
            p->first = &w;
        else
            p->last->next = &w;
        p->last = &w;
    }
    spin_unlock(&p->lock);
    if (!taken)
        (void)wait_sleep(&w.wait);
}

void permits_give(struct permits *p)
{
    struct permit_wait *w;

    spin_lock(&p->lock);
    w = p->first;
    if (w == NULL)
        p->left++;
    else
        p->first = w->next;
    spin_unlock(&p->lock);
    if (w != NULL)
        (void)wait_wake(&w->wait, WAKE_EVENT);
}
