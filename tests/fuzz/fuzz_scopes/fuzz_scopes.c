/* Does a program of tasks end when and how the manual says, whatever the program
 * and the schedule? The bytes are both: eight of a seed, then the program.
 *
 * With libFuzzer (make fuzz) it makes the bytes. Without, the inputs are those in
 * corpus/, and some thousand drawn at random. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum/test.h>

#include "program.h"

const char fuzz_corpus[] = "tests/fuzz/fuzz_scopes/corpus";

/* The number of a drawn input, for messages. */
uint64_t fuzz_input;

struct run {
    struct program program;
    int64_t took;
    enum outcome how;
};

static thrum_err *body(void *arg)
{
    struct run *r = arg;
    thrum_time start = thrum_now();
    thrum_err *err = program_run(&r->program);

    r->took = thrum_now() - start;
    r->how = outcome_of(err);
    thrum_err_drop(err);
    return NULL;
}

static _Noreturn void differ(const struct run *r, struct end expected,
                             thrum_err *err)
{
    fprintf(stderr,
            "fuzz_scopes: input %llu ended after %lld ns as %d, expected %lld, "
            "%d\n",
            (unsigned long long)fuzz_input, (long long)r->took, r->how,
            (long long)expected.at, expected.how);
    program_show(&r->program);
    (void)thrum_report(err);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct run r;
    thrum_sim_opts opts = {.rounds = 2};
    uint64_t seed = 0;
    struct end expected;
    thrum_err *err;

    if (n < sizeof seed)
        return 0;
    memcpy(&seed, bytes, sizeof seed);
    program_read(&r.program, bytes + sizeof seed, n - sizeof seed);
    expected = model_run(&r.program);
    opts.seed = seed;
    opts.quiet = expected.at == NEVER || !r.program.exact;
    err = thrum_sim(&opts, body, &r);
    if (!r.program.exact) {
        if (err != NULL && !thrum_err_is(err, &THRUM_DEADLOCK))
            differ(&r, expected, err);
    } else if (expected.at == NEVER) {
        if (err == NULL || !thrum_err_is(err, &THRUM_DEADLOCK))
            differ(&r, expected, err);
    } else if (err != NULL || r.took != expected.at || r.how != expected.how) {
        differ(&r, expected, err);
    }
    thrum_err_drop(err);
    return 0;
}
