/* parallel: run a command for each line of the input, several at a time.
 *
 * A pipeline: lines come in, their commands run in parallel, and what those have
 * printed goes out in the order of the lines. A failure with -e, or a signal,
 * cancels it, which ends the processes that run.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thrum.h>
#include <unistd.h>

static const char help[] =
    "Usage: parallel [-j JOBS] [-e] COMMAND [ARGUMENT]... <LINES\n"
    "Run COMMAND for each line: it stands where {} does, or at the end. What "
    "the\n"
    "commands print comes in the order of the lines.\n"
    "\n"
    "  -j JOBS  run at most so many at a time (one a core)\n"
    "  -e       end at the first failure\n"
    "\n"
    "There is no shell in it: sh -c 'COMMAND' sh {} brings one in. The exit "
    "status\n"
    "is how many have failed, at most 101; 255 is a failure of another kind, "
    "or\n"
    "the end by -e.\n";

enum { MOST_TOLD = 101, OTHER_FAILURE = 255, READ = 4096 };

/* Bytes that become more. */
struct text {
    char *bytes;
    size_t from, to, room;
};

/* A line on its way. Reused by later ones; freed at the end. */
struct job {
    struct job *next;
    char *line;
    struct text output;
    bool failed;
};

struct run {
    char **command;
    unsigned jobs;
    bool ends_at_failure;
    struct text input;
    bool input_ended;
    struct job *all;
    int failures;
};

static sigset_t signals;

/* Read what there is, and one byte of room behind it. 0: the end. */
static ssize_t read_more(int fd, struct text *t)
{
    if (t->room - t->to < READ) {
        size_t room = t->room * 2 + 2 * READ;
        char *more = realloc(t->bytes, room);

        if (more == NULL)
            return -ENOMEM;
        t->bytes = more;
        t->room = room;
    }
    ssize_t n = thrum_read(fd, t->bytes + t->to, t->room - t->to - 1);
    t->to += n > 0 ? (size_t)n : 0;
    return n;
}

/* --- lines come in */

/* Where the first line ends that is all there, or NULL. */
static char *end_of_line(struct run *run)
{
    struct text *in = &run->input;
    char *end = in->from == in->to
                    ? NULL
                    : memchr(in->bytes + in->from, '\n', in->to - in->from);

    if (end == NULL && run->input_ended && in->from < in->to)
        end = in->bytes + in->to++;
    return end;
}

static thrum_err *next_line(void *item, void *ctx, bool *at_end)
{
    struct job **job = item;
    struct run *run = ctx;
    struct text *in = &run->input;
    char *end;

    while ((end = end_of_line(run)) == NULL && !run->input_ended) {
        if (in->from > 0)
            memmove(in->bytes, in->bytes + in->from, in->to - in->from);
        in->to -= in->from;
        in->from = 0;
        ssize_t n = read_more(STDIN_FILENO, in);
        THRUM_TRY(n);
        run->input_ended = n == 0;
    }
    *at_end = end == NULL;
    if (end == NULL)
        return NULL;
    if (*job == NULL) {
        *job = calloc(1, sizeof **job);
        if (*job == NULL)
            return thrum_rc(-ENOMEM);
        (*job)->next = run->all;
        run->all = *job;
    }
    *end = '\0';
    free((*job)->line);
    (*job)->line = strdup(in->bytes + in->from);
    in->from = (size_t)(end + 1 - in->bytes);
    return (*job)->line == NULL ? thrum_rc(-ENOMEM) : NULL;
}

/* --- commands run */

/* The word with the line in the place of {}; in memory of its own. */
static char *filled_in(const char *word, const char *line)
{
    const char *hole = strstr(word, "{}");
    char *made;

    if (hole == NULL)
        return strdup(word);
    return asprintf(&made, "%.*s%s%s", (int)(hole - word), word, line,
                    hole + 2) < 0
               ? NULL
               : made;
}

static void free_words(char **words)
{
    for (char **w = words; w != NULL && *w != NULL; w++)
        free(*w);
    free(words);
}

static char **words_of(char **command, const char *line)
{
    size_t n = 0, i;
    bool has_hole = false;
    char **words;

    for (n = 0; command[n] != NULL; n++)
        has_hole = has_hole || strstr(command[n], "{}") != NULL;
    words = calloc(n + 2, sizeof *words);
    for (i = 0; words != NULL && i < n + !has_hole; i++) {
        words[i] = i < n ? filled_in(command[i], line) : strdup(line);
        if (words[i] == NULL)
            return free_words(words), NULL;
    }
    return words;
}

static thrum_err *put(struct job *job)
{
    return thrum_rc(thrum_write_full(STDOUT_FILENO, job->output.bytes,
                                     job->output.to, NULL));
}

static thrum_err *run_words(struct job *job, char **words)
{
    thrum_process p;
    ssize_t n;

    THRUM_TRY(
        thrum_process_start(&p, words, .in = THRUM_NULL, .out = THRUM_PIPE));
    job->output.to = 0;
    while ((n = read_more(p.out, &job->output)) > 0)
        ;
    thrum_close(p.out);
    return thrum_err_add(thrum_process_wait(&p), thrum_rc(n));
}

static thrum_err *run_job(void *item, void *ctx)
{
    struct job *job = *(struct job **)item;
    struct run *run = ctx;
    char **words = words_of(run->command, job->line);
    thrum_err *e;

    if (words == NULL)
        return thrum_rc(-ENOMEM);
    e = run_words(job, words);
    free_words(words);
    job->failed = thrum_err_is(e, &THRUM_EXIT);
    if (!job->failed)
        return e;
    if (run->ends_at_failure) /* its turn to print will not come */
        return thrum_err_add(e, put(job));
    fprintf(stderr, "parallel: %s: %s\n", job->line, thrum_err_msg(e));
    thrum_err_drop(e);
    return NULL;
}

/* --- what they have printed goes out */

static thrum_err *print(void *item, void *ctx)
{
    struct job *job = *(struct job **)item;
    struct run *run = ctx;

    run->failures += job->failed;
    return put(job);
}

static thrum_err *run_all(void *arg)
{
    struct run *run = arg;
    thrum_stage stages[] = {
        {.fn = run_job, .ctx = run, .parallel = run->jobs},
        {.fn = print, .ctx = run, .in_order = true},
    };

    return thrum_pipeline_run(&(thrum_pipeline){.source = next_line,
                                                .ctx = run,
                                                .stages = stages,
                                                .n = 2,
                                                .item = sizeof(struct job *),
                                                .tokens = 4 * run->jobs});
}

static thrum_err *end_by_signal(void *arg)
{
    int signal = thrum_signal_wait(&signals, NULL);

    (void)arg;
    THRUM_TRY(signal);
    return thrum_fail(&THRUM_ERROR, "ended by signal %d", signal);
}

static thrum_err *app(void *run)
{
    thrum_job both[] = {{.fn = run_all, .arg = run}, {.fn = end_by_signal}};

    return thrum_gather(both, 2, THRUM_FIRST);
}

static void free_all(struct run *run)
{
    for (struct job *job = run->all, *next; job != NULL; job = next) {
        next = job->next;
        free(job->line);
        free(job->output.bytes);
        free(job);
    }
    free(run->input.bytes);
}

int main(int argc, char **argv)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct run run = {.jobs = cores > 0 ? (unsigned)cores : 1};
    int option;

    while ((option = getopt(argc, argv, "+j:e")) != -1) {
        run.ends_at_failure |= option == 'e';
        if (option == 'j')
            run.jobs = (unsigned)strtoul(optarg, NULL, 10);
        if (option == '?' || run.jobs < 1 || run.jobs > 10000)
            return fputs(help, stderr), OTHER_FAILURE;
    }
    run.command = argv + optind;
    if (run.command[0] == NULL)
        return fputs(help, stderr), OTHER_FAILURE;
    signals = thrum_signals_block(SIGINT, SIGTERM);
    int rc = thrum_report(thrum_run(NULL, app, &run));
    free_all(&run);
    return rc != 0                    ? OTHER_FAILURE
           : run.failures < MOST_TOLD ? run.failures
                                      : MOST_TOLD;
}
