/* Who waits for a descriptor, of which the kernel tells once. */
#include "runtime.h"

#include <errno.h>

#include "io/call.h"
#include "os/poll.h"

enum { FD = 1 };

static ssize_t take_item(struct call *c)
{
    uint32_t items = add_acq_rel(&world.pipe, 0);

    (void)c;
    while (items > 0 && !cas_acq_rel(&world.pipe, &items, items - 1))
        ;
    return items > 0 ? 1 : -EAGAIN;
}

static void write_three(void)
{
    for (int i = 0; i < 3; i++) {
        add_acq_rel(&world.pipe, 1);
        model_edge();
    }
}

static void writer(void)
{
    from_outside(write_three);
}

static thrum_err *read_some(void *arg)
{
    struct call c = {.fd = FD};

    for (int i = 0; i < *(int *)arg; i++)
        MODEL_ASSERT(call_until_done(&c, take_item, POLL_READ) == 1);
    return NULL;
}

static thrum_err *readers(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "readers");
    for (int items = 1; items <= 2; items++)
        SUCCESS(thrum_spawn(&s, read_some, &items, sizeof items));
    NO_ERROR(thrum_scope_close(&s, NULL));
    world.kept = 1; /* the table */
    return NULL;
}

static void readers_main(void)
{
    main_with(2, 1, readers);
}

static thrum_err *close_it(void *arg)
{
    (void)arg;
    SUCCESS(thrum_event_wait(&world.event));
    SUCCESS(fd_close(FD));
    return NULL;
}

/* It says so when it has looked what had happened before. */
static ssize_t nothing_yet(struct call *c)
{
    (void)c;
    thrum_event_set(&world.event);
    return add_acq_rel(&world.closed, 0) != 0 ? -EBADF : -EAGAIN;
}

static thrum_err *wait_for_close(void *arg)
{
    struct call c = {.fd = FD};

    (void)arg;
    MODEL_ASSERT(call_until_done(&c, nothing_yet, POLL_READ) == -EBADF);
    return NULL;
}

static thrum_err *closing(void *arg)
{
    thrum_scope s;

    (void)arg;
    thrum_scope_open(&s, .name = "closed");
    SUCCESS(thrum_spawn(&s, wait_for_close, NULL, 0));
    SUCCESS(thrum_spawn(&s, close_it, NULL, 0));
    NO_ERROR(thrum_scope_close(&s, NULL));
    world.kept = 1;
    return NULL;
}

MAIN(2, closing)

const struct model_scenario descriptors[] = {
    SCENARIO("readers", {"main", readers_main}, {"kernel", writer}),
    TASK(closing),
    {0},
};
