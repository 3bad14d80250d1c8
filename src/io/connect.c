/* Connections: taking them, making them. */

#include <thrum/io.h>

#include <errno.h>
#include <poll.h>

#include "io/call.h"
#include "io/simulate.h"
#include "os/transfer.h"

static ssize_t try_accept(struct call *c)
{
    return transfer_accept(c->fd, c->u.accept.addr, c->u.accept.size);
}

int thrum_accept(int fd, struct sockaddr *addr, socklen_t *size)
{
    struct call c = {.fd = fd, .kind = CALL_ACCEPT, .u.accept = {addr, size}};
    int got = (int)call_until_done(&c, try_accept, POLL_READ);

    if (got >= 0)
        fd_fresh(got);
    return got;
}

/* It says itself that it is connected, or why not. */
static ssize_t try_connected(struct call *c)
{
    int rc = transfer_poll(c->fd, POLLOUT);

    if (rc <= 0)
        return rc < 0 ? rc : -EAGAIN;
    return transfer_connected(c->fd);
}

static int connect_now(int fd, const struct sockaddr *addr, socklen_t size)
{
    return simulated() ? simulate_connect(fd, addr, size)
                       : transfer_connect(fd, addr, size);
}

int thrum_connect(int fd, const struct sockaddr *addr, socklen_t size)
{
    uint32_t closes = fd_closes(fd);
    struct call c = {.fd = fd};
    int rc;

    if (call_canceled())
        return -ECANCELED;
    /* A Unix socket whose listener has no room says so, and then no more. */
    while ((rc = connect_now(fd, addr, size)) == -EAGAIN) {
        rc = call_nap(fd, closes);
        if (rc < 0)
            return rc;
    }
    if (rc != -EINPROGRESS && rc != -EALREADY)
        return rc;
    return (int)call_until_done(&c, try_connected, POLL_WRITE);
}
