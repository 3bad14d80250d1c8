/* loop.run_in_executor(None, read), asyncio.to_thread(read)
 *
 * A call that blocks its thread goes to a thread of its own. There is one worker
 * here. The reader's task has read(2) called in the pool, where it blocks until
 * something is in the pipe. Only the task waits: the worker goes on, with the
 * writer. On the worker that read(2) would wait for ever.
 *
 * Pitfall: nothing can stop a thread that blocks, no timeout either. Offload
 * returns when the call does, and so may use the caller's variables.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <thrum.h>
#include <unistd.h>

#define TEXT "the worker was free"

struct letter {
    int pipe[2];
    char text[sizeof TEXT];
};

/* In the pool. */
static thrum_err *read_blocking(void *arg)
{
    struct letter *letter = arg;
    ssize_t length = read(letter->pipe[0], letter->text, sizeof TEXT);

    return thrum_rc(length < 0 ? -errno : 0);
}

static thrum_err *reader(void *letter)
{
    return thrum_offload(read_blocking, letter);
}

static thrum_err *writer(void *arg)
{
    struct letter *letter = arg;

    return thrum_rc(write(letter->pipe[1], TEXT, sizeof TEXT) < 0 ? -errno : 0);
}

static thrum_err *app(void *letter)
{
    thrum_job jobs[] = {{.fn = reader, .arg = letter},
                        {.fn = writer, .arg = letter}};

    return thrum_gather(jobs, 2, THRUM_ALL);
}

int main(void)
{
    struct letter letter = {.text = ""};
    thrum_opts opts = {.workers = 1};

    if (pipe(letter.pipe) < 0)
        return 1;
    thrum_report(thrum_run(&opts, app, &letter));
    printf("read: %s\n", letter.text);
    return strcmp(letter.text, TEXT) != 0;
}
