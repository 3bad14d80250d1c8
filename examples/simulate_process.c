/* pytest-subprocess: a test that says what the programs it starts would do
 *
 * A build runs a compiler that hangs now and then, and tries again. In a simulation
 * no program is run: a function of the test plays it, as a task that is given the
 * arguments and the streams, and returns the status. So the hang, the timeout and
 * the second try take no time, and happen in as many orders as one likes.
 *
 * Pitfall: a program that is not in the list is not found (-ENOENT), as if it were
 * not installed; it is never run in earnest.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <thrum.h>

/* As a process does: it reads, writes, waits, returns. */
static int compile(thrum_sim_process *p)
{
    int *runs = p->user, rc;

    if (strcmp(p->argv[1], "hard.c") == 0 && ++*runs == 1)
        return thrum_sleep(INT64_MAX); /* until it is told to end */
    rc = thrum_sleep(THRUM_SEC(2));
    if (rc == 0)
        rc = thrum_write_full(p->out, p->argv[1], strlen(p->argv[1]), NULL);
    return rc;
}

static thrum_err *run_compiler(void *source)
{
    char *const argv[] = {"cc", source, NULL};
    thrum_process p;
    char said[16];
    ssize_t n;

    THRUM_TRY(thrum_process_start(&p, argv, .out = THRUM_PIPE));
    while ((n = thrum_read(p.out, said, sizeof said)) > 0)
        ;
    thrum_close(p.out);
    return thrum_err_add(thrum_process_wait(&p), thrum_rc((int)n));
}

static thrum_err *build(void *source)
{
    thrum_time start = thrum_now();
    thrum_err *e;
    int tries = 1;

    while (e = thrum_with(run_compiler, source, .timeout = THRUM_SEC(60)),
           tries < 3 && thrum_err_is(e, &THRUM_TIMEOUT)) {
        thrum_err_drop(e);
        tries++;
    }
    printf("%s: %d tries, %.0f s\n", (char *)source, tries,
           (double)(thrum_now() - start) / 1e9);
    return e;
}

static thrum_err *build_both(void *unused)
{
    (void)unused;
    THRUM_TRY(build("easy.c"));
    return build("hard.c");
}

int main(void)
{
    int runs = 0;
    const thrum_sim_program programs[] = {{"cc", compile, &runs}, {0}};
    thrum_sim_opts opts = {.rounds = 1, .io_delay = -1, .programs = programs};

    return thrum_report(thrum_sim(&opts, build_both, NULL));
}
