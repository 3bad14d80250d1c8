#include "sched/guest.h"

#include <errno.h>

#include "os/clock.h"
#include "os/forked.h"

static __thread struct sched *hosted __attribute__((tls_model("initial-exec")));

/* Asked on the host's own stack: no switch is near. */
__attribute__((noinline)) struct sched *guest_here(void)
{
    return hosted;
}

/* In the child of a fork. */
static void forget(void)
{
    hosted = NULL;
}

FORGET_IN_CHILD(forget)

int guest_move_in(struct sched *s)
{
    int rc;

    if (hosted != NULL)
        return -EBUSY;
    s->host = (struct host){.leave = worker_leave, .timer = CLOCK_NEVER};
    rc = altstack_map(&s->host.altstack);
    if (rc == 0 && (rc = poller_open_for_host(&s->poller)) < 0)
        altstack_unmap(&s->host.altstack);
    if (rc < 0)
        return rc;
    altstack_enter(&s->host.altstack);
    hosted = s;
    s->host.until = CLOCK_NEVER;
    worker_move_in(&s->workers[0]); /* leaves at once, asleep since then */
    return 0;
}

void guest_move_out(struct sched *s)
{
    hosted = NULL;
    altstack_leave(&s->host.altstack);
    altstack_unmap(&s->host.altstack);
}

bool guest_run(struct sched *s, int64_t until)
{
    s->host.until = until;
    worker_enter(&s->workers[0]);
    return s->host.more;
}

bool guest_park(struct sched *s, struct parker *p, int64_t until)
{
    bool token;

    do {
        s->host.awaited = p;
        (void)guest_run(s, until);
        s->host.awaited = NULL;
        if (parker_begin_poll(p))
            poll_until_ready(&s->poller.set, until);
        token = parker_end_poll(p);
    } while (!token && clock_now() < until);
    return token;
}
