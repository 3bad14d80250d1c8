#include "task/line.h"

void line_enter(struct line *l, struct line_place *p, struct wait *wait)
{
    struct line_place *first = l->first;

    p->wait = wait;
    p->in = true;
    store_relaxed(&p->let_go, 0); /* shown by the lock */
    if (first == NULL) {
        l->first = p->next = p->prev = p;
        return;
    }
    p->next = first;
    p->prev = first->prev;
    first->prev->next = p;
    first->prev = p;
}

void line_enter_first(struct line *l, struct line_place *p, struct wait *wait)
{
    line_enter(l, p, wait);
    l->first = p;
}

void line_leave(struct line *l, struct line_place *p)
{
    if (!p->in)
        return;
    p->in = false;
    p->prev->next = p->next;
    p->next->prev = p->prev;
    if (l->first == p)
        l->first = p->next == p ? NULL : p->next;
}

struct line_place *line_call_first(struct line *l)
{
    struct line_place *p = l->first;
    enum claim claim;

    line_leave(l, p);
    claim = wait_claim(p->wait, WAKE_EVENT);
    p->asleep = claim == CLAIM_WAKE;
    return claim == CLAIM_LOST ? NULL : p;
}

struct line_place *line_call(struct line *l)
{
    struct line_place *p = NULL;

    while (p == NULL && l->first != NULL)
        p = line_call_first(l);
    return p;
}

struct line_place *line_call_all(struct line *l)
{
    struct line_place *first = NULL, **end = &first, *p;

    while ((p = line_call(l)) != NULL) {
        *end = p;
        end = &p->next;
    }
    *end = NULL;
    return first;
}

void line_let_go(struct line_place *p)
{
    struct wait *wait = p->asleep ? p->wait : NULL; /* p may be gone soon */

    store_release(&p->let_go, 1); /* [N1] */
    if (wait != NULL)
        wait_deliver(wait);
}

void line_let_go_all(struct line_place *first)
{
    struct line_place *next;

    for (; first != NULL; first = next) {
        next = first->next; /* it is gone once it was let go */
        line_let_go(first);
    }
}

void line_settle(struct line_place *p)
{
    while (unlikely(load_acquire(&p->let_go) == 0)) /* [N2] */
        thread_yield();
}
