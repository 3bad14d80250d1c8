#include "sched/guest.h"

#include <errno.h>

#include "os/clock.h"
#include "os/forked.h"

/* Never used across a switch. */
static _Thread_local struct sched *of_host
    __attribute__((tls_model("initial-exec")));

__attribute__((noinline)) struct sched *guest_here(void)
{
    struct sched *s = of_host;

    __asm__ volatile("" : "+r"(s)); /* no two calls are one */
    return s;
}

static __attribute__((noinline)) void set_guest_here(struct sched *s)
{
    of_host = s;
    __asm__ volatile("" ::: "memory");
}

/* In the child of a fork, where nothing of it is. */
static void forget(void)
{
    set_guest_here(NULL);
}

FORGET_IN_CHILD(forget)

int guest_move_in(struct sched *s)
{
    int rc;

    if (guest_here() != NULL)
        return -EBUSY;
    s->host = (struct host){.leave = worker_leave, .timer = CLOCK_NEVER};
    rc = altstack_map(&s->host.altstack);
    if (rc == 0 && (rc = poller_open_for_host(&s->poller)) < 0)
        altstack_unmap(&s->host.altstack);
    if (rc < 0)
        return rc;
    altstack_enter(&s->host.altstack);
    set_guest_here(s);
    s->host.until = CLOCK_NEVER;
    worker_move_in(&s->workers[0]); /* leaves at once, asleep since then */
    return 0;
}

void guest_move_out(struct sched *s)
{
    set_guest_here(NULL);
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
