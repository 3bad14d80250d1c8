/* Does a program of tasks that share things do what the manual says, whatever the
 * program and the schedule? The bytes are both: two of a seed, then the program.
 *
 * What holds in every schedule is looked for: each task ends, and a scope as its
 * policy and its children have it; who is told of a cancel was canceled, nothing
 * was done then, and who was canceled is told at once; items come once, in order;
 * locks and permits are held by so many; and when it is said to be a deadlock,
 * each that waits has something to wait for. What the manual says that one task sees
 * of another is told in plain memory, for ThreadSanitizer with TSAN_NOSYNC. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <thrum/test.h>

#include "program.h"

const char fuzz_corpus[] = "tests/fuzz/fuzz_programs/corpus";

/* The number of a drawn input, for messages. */
uint64_t fuzz_input;

void differs(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: input %llu, seed %llu, not so: %s\n", file, line,
            (unsigned long long)fuzz_input,
            (unsigned long long)thrum_sim_seed(), what);
    program_show();
    abort();
}

/* No descriptor is left open: the lowest number that is free is what it was. */
static int lowest_free(void)
{
    int fd = dup(0);

    must(fd >= 0 && close(fd) == 0);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    thrum_sim_opts opts = {.rounds = 1, .quiet = true};
    thrum_err *err;
    int lowest;

    if (n < 2)
        return 0;
    opts.seed = (uint64_t)bytes[0] << 8 | bytes[1];
    program_read(bytes + 2, n - 2);
    opts.io_fault = program.faults ? 0.1 : 0;
    opts.programs = things_programs;
    lowest = lowest_free();
    err = thrum_sim(&opts, program_run, NULL);
    if (err != NULL && (!program_ended || !deadlocked))
        (void)thrum_report(thrum_err_ref(err));
    must(err == NULL ? !deadlocked
                     : deadlocked && thrum_err_is(err, &THRUM_DEADLOCK));
    must(program_ended && lowest_free() == lowest);
    thrum_err_drop(err);
    return 0;
}
