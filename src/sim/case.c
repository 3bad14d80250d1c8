/* Test cases: a body with a fixture, simulated or on real threads. */

#include "sim/sim.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"

struct case_run {
    const thrum_test *c;
    thrum_fn *body;
    void *arg;
};

static thrum_err *body(void *arg)
{
    struct case_run *r = arg;
    void *fixture = r->arg;
    thrum_err *err = NULL;

    if (r->c->fixture > 0) {
        fixture = calloc(1, r->c->fixture);
        if (fixture == NULL)
            return thrum_rc(-ENOMEM);
    }
    if (r->c->setup != NULL)
        err = r->c->setup(fixture);
    if (err == NULL) {
        err = thrum_with(r->body, fixture, .name = "test");
        if (r->c->teardown != NULL)
            err = thrum_err_add(err, r->c->teardown(fixture));
    }
    if (r->c->fixture > 0)
        free(fixture);
    return err;
}

static thrum_err *on_threads(struct case_run *r)
{
    thrum_opts opts = r->c->sim.run != NULL ? *r->c->sim.run : (thrum_opts){0};
    char text[768];
    thrum_err *err;
    uint32_t left;
    thrum_rt *rt;
    int rc;

    opts.workers = r->c->workers;
    rc = thrum_start(&rt, &opts);
    if (rc < 0)
        return thrum_rc(rc);
    err = thrum_call(rt, body, r);
    left = scope_live(&rt->root) - 1;
    if (left > 0 && !r->c->sim.background) {
        report_children(&rt->root, text, sizeof text);
        err = thrum_err_add(err,
                            thrum_fail_("thrum_test_run", &THRUM_ERROR,
                                        "%u tasks are left in the background%s",
                                        left, text));
    }
    return thrum_err_add(err, thrum_stop(rt));
}

thrum_err *thrum_test_run(const thrum_test *c, thrum_fn *fn, void *arg)
{
    static const thrum_test plain;
    struct case_run r = {c == NULL ? &plain : c, fn, arg};
    thrum_err *err = NULL;
    unsigned times;

    REQUIRE(fn != NULL, "no function");
    times = r.c->times == 0 ? 1 : r.c->times;
    for (unsigned i = 0; err == NULL && i < times; i++)
        err = r.c->workers == 0 ? thrum_sim(&r.c->sim, body, &r)
                                : on_threads(&r);
    return err;
}
