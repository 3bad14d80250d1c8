/* wait_for(to_thread(read), 5): a deadline around a call that does not return
 *
 * Nobody can stop a thread in the middle of a call. But its caller can go on:
 * thrum_offload_ex with .size gives the call a copy of its arguments, so that the
 * caller's may go away, and .drop cleans the copy up when the call has come back
 * after all. With plain thrum_offload the deadline would be seen as well, but only
 * when the call returns.
 *
 * Pitfall: the copy must know none of the caller's variables. Here it owns one end
 * of a pipe.
 */
#include <errno.h>
#include <stdio.h>
#include <thrum.h>
#include <unistd.h>

struct question {
    int fd; /* where the answer comes from; the copy's own */
    char answer;
};

/* read(2) returns when somebody answers: in its own time. */
static thrum_err *ask(void *arg)
{
    struct question *q = arg;

    return thrum_rc(read(q->fd, &q->answer, 1) < 0 ? -errno : 0);
}

static void hang_up(void *copy)
{
    struct question *q = copy;

    close(q->fd);
}

static thrum_err *ask_in_time(void *arg)
{
    return thrum_offload_ex(ask, arg, .size = sizeof(struct question),
                            .drop = hang_up);
}

static thrum_err *app(void *arg)
{
    struct question q = {.answer = '?'};
    int ends[2];
    thrum_err *e;

    (void)arg;
    if (pipe(ends) < 0)
        return thrum_rc(-errno);
    q.fd = ends[0];
    THRUM_TRY(thrum_rc(write(ends[1], "y", 1) < 0 ? -errno : 0));
    THRUM_TRY(thrum_with(ask_in_time, &q, .timeout = THRUM_SEC(60)));
    printf("the answer was %c\n", q.answer);

    e = thrum_with(ask_in_time, &q, .timeout = THRUM_MS(20));
    if (thrum_err_is(e, &THRUM_TIMEOUT)) {
        printf("no answer in time: going on without\n");
        thrum_err_drop(e);
        e = NULL;
    }
    close(ends[1]); /* the read returns: hang_up closes q.fd */
    return e;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
