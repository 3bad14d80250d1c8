/* asyncio.create_subprocess_exec(..., stdin=PIPE, stdout=PIPE)
 *
 * A program that sorts is started, written to and read from, and waited for. The
 * other one would run for a thousand seconds, and belongs to a task with a
 * deadline: it is told to end with it. The third one fails, which is an error.
 *
 * Pitfall: a process that writes much waits for room in its pipe, so read while
 * you write (two tasks), or let one end before you begin with the other, as here
 * where there is little.
 */
#include <stdio.h>
#include <string.h>
#include <thrum.h>

#define WORDS "pear\napple\nquince\n"

static thrum_err *sort_words(void *arg)
{
    char *const argv[] = {"sort", NULL};
    char sorted[64];
    thrum_process p;
    ssize_t n;

    (void)arg;
    THRUM_TRY(
        thrum_process_start(&p, argv, .in = THRUM_PIPE, .out = THRUM_PIPE));
    n = thrum_write(p.in, WORDS, strlen(WORDS));
    thrum_close(p.in);
    while (n > 0 && (n = thrum_read(p.out, sorted, sizeof sorted)) > 0)
        printf("%.*s", (int)n, sorted);
    thrum_close(p.out);
    return thrum_err_add(thrum_process_wait(&p), thrum_rc(n));
}

static thrum_err *sleep_long(void *arg)
{
    char *const argv[] = {"sleep", "1000", NULL};
    thrum_process p;

    (void)arg;
    THRUM_TRY(thrum_process_start(&p, argv));
    return thrum_process_wait(&p);
}

static thrum_err *fail(void *arg)
{
    char *const argv[] = {"sh", "-c", "exit 3", NULL};
    thrum_process p;

    (void)arg;
    THRUM_TRY(thrum_process_start(&p, argv));
    return thrum_process_wait(&p);
}

static thrum_err *app(void *arg)
{
    thrum_err *e;

    THRUM_TRY(sort_words(arg));
    e = thrum_with(sleep_long, NULL, .timeout = THRUM_MS(20));
    if (!thrum_err_is(e, &THRUM_TIMEOUT))
        return e;
    printf("sleep took too long\n");
    thrum_err_drop(e);
    e = fail(arg);
    if (!thrum_err_is(e, &THRUM_EXIT))
        return e;
    printf("%s\n", thrum_err_msg(e));
    thrum_err_drop(e);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
