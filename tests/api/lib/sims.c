#include "sims.h"

unsigned sim_rounds(unsigned n)
{
    return n / SCALE < 10 ? 10 : n / SCALE;
}

void sim_passes(thrum_fn *fn, void *arg, unsigned n)
{
    thrum_sim_opts o = {.rounds = sim_rounds(n), .twice = true};

    expect_ok(thrum_sim(&o, fn, arg));
}

void sim_fails(thrum_fn *fn, void *arg, const thrum_kind *kind,
               const char *text)
{
    thrum_sim_opts o = {.rounds = 1000, .quiet = true};
    thrum_err *e = thrum_sim(&o, fn, arg);
    char told[4096];

    assert_non_null(e);
    assert_true(thrum_err_is(e, kind));
    (void)thrum_err_format(e, told, sizeof told);
    if (strstr(told, text) == NULL)
        print_error("said: %s\n", told);
    assert_non_null(strstr(told, text));
    thrum_err_drop(e);
}
