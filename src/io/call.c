#include "io/call.h"

#include <errno.h>

#include "io/simulate.h"

bool call_canceled(void)
{
    struct scope *scope = scope_current();

    return scope != NULL && scope_canceled(scope);
}

/* No descriptor needs an entry for it, but that of a simulation's. */
ssize_t call_once(struct call *c, attempt *try, unsigned what)
{
    int no = 0;

    if (call_canceled())
        return -ECANCELED;
    if (!simulated())
        return try(c);
    c->f = fd_of(c->fd, &no);
    if (c->f == NULL)
        return no;
    c->seen = fd_see(c->f);
    return simulate_try(c, try, what);
}

ssize_t call_until_done(struct call *c, attempt *try, unsigned what)
{
    ssize_t rc = 0;
    int no = 0;

    if (call_canceled())
        return -ECANCELED;
    c->f = fd_of(c->fd, &no);
    if (unlikely(c->f == NULL))
        return no;
    do {
        c->seen = fd_see(c->f);
        rc = simulated() ? simulate_try(c, try, what) : try(c);
        if (likely(rc != -EAGAIN))
            return rc;
        rc = fd_wait(c->fd, c->f, &c->seen, what);
    } while (rc == 0);
    return rc;
}
