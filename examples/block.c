/* block_in_place: a call that blocks its thread, where it stands.
 *
 * Two tasks on one worker, and each waits for the other in a way that no scheduler
 * sees: the first reads from a pipe that the second writes. Between
 * thrum_block_enter and thrum_block_leave another worker runs what is ready.
 *
 * Pitfall: without them it works as well, some 20 ms later, and a line on stderr
 * says which task it was. Many such calls at once are better off with
 * thrum_offload, which has a limit and can be canceled.
 */
#include <errno.h>
#include <stdio.h>
#include <thrum.h>
#include <unistd.h>

static int ends[2];

static thrum_err *ask(void *arg)
{
    char answer[8] = "";
    ssize_t n;

    (void)arg;
    thrum_block_enter();
    n = read(ends[0], answer, sizeof answer - 1); /* not thrum_read */
    thrum_block_leave();
    if (n < 0)
        return thrum_rc(-errno);
    printf("the other says %s\n", answer);
    return NULL;
}

static thrum_err *answer(void *arg)
{
    (void)arg;
    return thrum_rc(write(ends[1], "hello", 5) < 0 ? -errno : 0);
}

static thrum_err *app(void *arg)
{
    (void)arg;
    if (pipe(ends) < 0)
        return thrum_rc(-errno);
    THRUM_TRY(thrum_spawn(NULL, ask, NULL, 0));
    THRUM_TRY(thrum_spawn(NULL, answer, NULL, 0));
    return NULL;
}

int main(void)
{
    thrum_opts opts = {.workers = 1};

    return thrum_report(thrum_run(&opts, app, NULL));
}
