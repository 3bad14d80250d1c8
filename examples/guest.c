/* a loop that is not asyncio's: a GUI's, libuv's (qasync, gbulb)
 *
 * The program has its own loop, here one of poll(2) that reads from a pipe, and
 * waits for one descriptor more: when that is ready it lets the tasks run for a
 * while. So they run on the loop's own thread, and may use what belongs to it, with
 * no lock. In libuv it is a uv_poll_t, in GLib g_unix_fd_add.
 *
 * Pitfall: a task that computes for long keeps the loop from its other business:
 * thrum_yield in between, or give it to a runtime with threads by thrum_call.
 */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <thrum.h>

static int widget; /* whatever belongs to the loop's thread */
static bool over;

static thrum_err *animate(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        THRUM_TRY(thrum_sleep(THRUM_MS(1)));
        widget++;
    }
    over = true;
    return NULL;
}

static void on_click(int fd)
{
    char byte;

    if (read(fd, &byte, 1) == 1)
        puts("a click");
}

static void loop(thrum_rt *guest, int clicks)
{
    struct pollfd both[] = {{.fd = clicks, .events = POLLIN},
                            {.fd = thrum_poll_fd(guest), .events = POLLIN}};

    while (!over && poll(both, 2, -1) > 0) {
        if (both[0].revents != 0)
            on_click(clicks);
        if (both[1].revents != 0)
            (void)thrum_poll(guest, THRUM_MS(5));
    }
}

int main(void)
{
    thrum_rt *guest;
    int ends[2];
    int rc = thrum_start(&guest, &(thrum_opts){.guest = true});

    if (rc < 0 || pipe(ends) < 0 || write(ends[1], "x", 1) < 0)
        return thrum_report(thrum_rc(rc < 0 ? rc : -1));
    rc = thrum_post(guest, animate, NULL, 0);
    if (rc == 0)
        loop(guest, ends[0]);
    printf("animated %d times\n", widget);
    return thrum_report(thrum_err_add(thrum_rc(rc), thrum_stop(guest)));
}
