/* main.c - treesum: checksums of all files below some directories. */
#include "treesum.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, MAX_WORKERS = 1024, FILES_PER_CORE = 4 };

static const char help[] =
    "Usage: treesum [OPTION]... DIR...\n"
    "Print the checksums of all regular files below each DIR, or of a file\n"
    "given as DIR, in a form that sha256sum -c, or b2sum -c, can check.\n"
    "\n"
    "  -j, --workers=N    hash on N cores (all that this process may use)\n"
    "      --limit=N      have at most N files open at once (4 a core)\n"
    "      --algo=NAME    sha256 or blake2b (sha256)\n"
    "  -o, --output=FILE  write to FILE, which is replaced when all is done\n"
    "  -v, --verbose      end with a line of totals, as on a terminal\n"
    "  -h, --help         print this\n"
    "  -V, --version      print the version\n"
    "\n"
    "The lines come in the order of the arguments, and for each argument in\n"
    "the order of the bytes of the paths. Symbolic links below a DIR are not\n"
    "followed; they, fifos, sockets and devices are left out, and so is the\n"
    "output itself.\n"
    "\n"
    "What cannot be read is told at the end, and the exit status is 1. It is\n"
    "2 when the command line cannot be understood.\n";

static const char hint[] = "Try 'treesum --help'.\n";

struct options {
    unsigned workers, limit;
    const EVP_MD *algorithm;
    const char *output;
    bool verbose;
    char **arguments;
};

/* What one run works with. */
struct run {
    const struct options *options;
    struct tree tree;
    struct progress progress;
    struct output output;
};

static thrum_err *run_steps(struct run *run)
{
    const struct options *options = run->options;
    struct tree *tree = &run->tree;
    thrum_err *e;

    THRUM_TRY(walk(tree, options->limit, &run->progress));
    THRUM_TRY(tree_lay_out(tree, run->output.digest_size));
    progress_begin(&run->progress, tree);
    THRUM_TRY(hash(tree, options->limit, options->algorithm, &run->progress));
    e = thrum_offload(output_write, &run->output);
    return thrum_err_add(e, failures_gather(tree));
}

/* The program, as a task: the steps one after the other, the bar beside them. */
static thrum_err *run_task(void *arg)
{
    struct run *run = arg;
    thrum_scope scope;
    thrum_err *e = NULL;

    thrum_scope_open(&scope, .name = "treesum", .max_errors = FAILURES_TOLD);
    if (isatty(STDERR_FILENO))
        e = thrum_rc(thrum_spawn(&scope, progress_show, &run->progress, 0));
    if (!e)
        e = run_steps(run);
    progress_end(&run->progress);
    return thrum_scope_close(&scope, e);
}

static int usage(const char *what, const char *which)
{
    fprintf(stderr, "treesum: %s%s\n%s", what, which, hint);
    return EXIT_USAGE;
}

static bool number_read(const char *text, unsigned most, unsigned *number)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < 1 ||
        value > most)
        return false;
    *number = (unsigned)value;
    return true;
}

/* While one file is hashed others are being opened and read; that there are some
 * to spare makes up for those that are slow to come. */
static unsigned default_limit(unsigned workers)
{
    long cores = workers ? (long)workers : sysconf(_SC_NPROCESSORS_ONLN);

    return FILES_PER_CORE * (cores > 0 ? (unsigned)cores : 1);
}

/* -1: go on. Else: the exit status. */
static int options_read(struct options *options, int argc, char **argv)
{
    static const struct option names[] = {
        {"workers", required_argument, NULL, 'j'},
        {"limit", required_argument, NULL, 'l'},
        {"algo", required_argument, NULL, 'a'},
        {"output", required_argument, NULL, 'o'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "j:o:vhV", names, NULL)) != -1) {
        switch (option) {
        case 'j':
            if (!number_read(optarg, MAX_WORKERS, &options->workers))
                return usage("a number of workers is from 1 to 1024, not ",
                             optarg);
            break;
        case 'l':
            if (!number_read(optarg, MAX_LIMIT, &options->limit))
                return usage("a limit is from 1 to 65536, not ", optarg);
            break;
        case 'a':
            if (strcmp(optarg, "sha256") == 0)
                options->algorithm = EVP_sha256();
            else if (strcmp(optarg, "blake2b") == 0)
                options->algorithm = EVP_blake2b512();
            else
                return usage("the algorithm is sha256 or blake2b, not ",
                             optarg);
            break;
        case 'o':
            options->output = optarg;
            break;
        case 'v':
            options->verbose = true;
            break;
        case 'h':
            return fputs(help, stdout) == EOF || fflush(stdout) == EOF;
        case 'V':
            return puts("treesum 0.1.0") == EOF || fflush(stdout) == EOF;
        default:
            fputs(hint, stderr);
            return EXIT_USAGE;
        }
    }
    options->arguments = argv + optind;
    if (!options->limit)
        options->limit = default_limit(options->workers);
    return argv[optind] ? -1 : usage("there is no DIR", "");
}

int main(int argc, char **argv)
{
    struct options options = {
        .algorithm = EVP_sha256(),
        .verbose = isatty(STDERR_FILENO),
    };
    struct run run = {.options = &options};
    thrum_err *e;
    int status;

    signal(SIGPIPE, SIG_IGN); /* a failing write tells as much */
    status = options_read(&options, argc, argv);
    if (status >= 0)
        return status;

    run.tree.arguments = options.arguments;
    run.progress.start = thrum_now();
    run.output.tree = &run.tree;
    run.output.digest_size = (size_t)EVP_MD_size(options.algorithm);
    e = output_open(&run.output, options.output);
    if (!e) {
        /* A thread for each file that is read, and one for the bar. */
        thrum_opts opts = {.workers = options.workers,
                           .max_blocking = options.limit + 1};

        e = thrum_run(&opts, run_task, &run);
    }
    output_close(&run.output);
    status = e != NULL;
    thrum_report(e);
    if (options.verbose)
        progress_summary(&run.progress, &run.tree);
    tree_free(&run.tree);
    return status;
}
