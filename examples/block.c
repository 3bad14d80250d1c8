/* block_in_place: a call that blocks its thread, where it stands.
 *
 * One worker, and a task that waits in a way that no scheduler sees, for what
 * another task is to do. Between thrum_block_enter and thrum_block_leave another
 * worker runs what is ready.
 *
 * Pitfall: without them it works as well, some 20 ms later (`.on_stuck` of
 * thrum_opts is told of it). But such a call cannot be canceled, and many of them
 * at once are better off with thrum_offload, which has a limit.
 */
#include <errno.h>
#include <stdio.h>
#include <thrum.h>
#include <unistd.h>

static int ends[2];

static thrum_err *answer(void *arg)
{
    (void)arg;
    return thrum_rc(write(ends[1], "hello", 5) < 0 ? -errno : 0);
}

static thrum_err *ask(void *arg)
{
    char text[8] = "";
    ssize_t n;

    (void)arg;
    if (pipe(ends) < 0)
        return thrum_rc(-errno);
    THRUM_TRY(thrum_spawn(NULL, answer, NULL, 0));

    thrum_block_enter();
    n = read(ends[0], text, sizeof text - 1); /* not thrum_read */
    thrum_block_leave();
    if (n < 0)
        return thrum_rc(-errno);
    printf("the other says %s\n", text);
    return NULL;
}

int main(void)
{
    thrum_opts opts = {.workers = 1};

    return thrum_report(thrum_run(&opts, ask, NULL));
}
