#include "task/scope.h"

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

bool permits_take(struct permits *p, struct scope *scope,
                  const struct thrum_awaited_ *kind)
{
    struct line_place place;
    struct scope_wait w;
    bool taken;

    spin_lock(&p->lock);
    taken = take(p);
    if (!taken) {
        wait_init(&w.wait);
        wait_tell(&w, kind, p);
        line_enter(&p->line, &place, &w.wait);
    }
    spin_unlock(&p->lock);
    return taken || scope_sleep_in(scope, &w, &p->line, &p->lock, &place);
}

void permits_give(struct permits *p)
{
    struct line_place *next;

    spin_lock(&p->lock);
    next = line_call(&p->line);
    if (next == NULL && unlikely(++p->left == 0))
        die("thrum_sem_release: more permits than can be counted");
    spin_unlock(&p->lock);
    if (next != NULL)
        line_let_go(next);
}
