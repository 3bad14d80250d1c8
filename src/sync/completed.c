/* Jobs as they end: a scope whose children send their number, when they have
 * ended, into a channel that has room for all of them. */
#include <thrum/completed.h>

#include <errno.h>

#include "base/base.h"
#include "task/scope.h"

struct started {
    thrum_completed *c;
    uint32_t index;
};

static void end(thrum_completed *c, uint32_t index, thrum_err *err)
{
    int rc;

    c->jobs_[index].err = err;
    rc = thrum_chan_try_send(&c->ended_, &index);
    assert_invariant(rc == 0); /* there is room for each, once */
    (void)rc;
}

/* A task of its own, so that its error is whole when it is told. */
static thrum_err *call_job(const thrum_job *job)
{
    static const struct thrum_site_ site = {NULL, "a job",
                                            "thrum_completed_open"};
    struct scope own;

    scope_open_task(&own, scope_current(), worker_current(), &site);
    return scope_close(&own, job->fn(job->arg));
}

static thrum_err *run(void *arg)
{
    struct started *s = arg;

    end(s->c, s->index, call_job(&s->c->jobs_[s->index]));
    return NULL;
}

static void start(thrum_completed *c)
{
    struct started s = {c, (uint32_t)c->started_++};

    if (thrum_spawn(&c->scope_, run, &s, sizeof s) < 0)
        end(c, s.index, thrum_rc(-ENOMEM));
}

int thrum_completed_open(thrum_completed *c, thrum_job *jobs, size_t n,
                         size_t limit)
{
    int rc;

    REQUIRE(c != NULL && (jobs != NULL || n == 0), "no jobs");
    if (n > UINT32_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        REQUIRE(jobs[i].fn != NULL, "a job without a function");
    rc = thrum_chan_init(&c->ended_, sizeof(uint32_t), n > 0 ? n : 1);
    if (rc < 0)
        return rc;
    c->jobs_ = jobs;
    c->count_ = n;
    c->started_ = c->taken_ = 0;
    for (size_t i = 0; i < n; i++)
        jobs[i].err = NULL;
    thrum_scope_open(&c->scope_, .name = "jobs, as they end");
    while (c->started_ < (limit == 0 || limit > n ? n : limit))
        start(c);
    return 0;
}

int thrum_completed_next(thrum_completed *c, thrum_job **job)
{
    uint32_t index;
    int rc;

    REQUIRE(c != NULL && job != NULL, "no jobs, or no place for one");
    if (c->taken_ == c->count_)
        return 0;
    rc = thrum_chan_recv(&c->ended_, &index);
    if (rc < 0)
        return rc;
    c->taken_++;
    if (c->started_ < c->count_)
        start(c);
    *job = &c->jobs_[index];
    return 1;
}

/* Of those that nobody took; that we canceled one is no error. */
static thrum_err *take_rest(thrum_completed *c, bool cut_short)
{
    thrum_err *all = NULL, *err;
    uint32_t index;

    while (thrum_chan_try_recv(&c->ended_, &index) == 0) {
        err = c->jobs_[index].err;
        c->jobs_[index].err = NULL;
        if (cut_short && err != NULL && error_is_canceled(err))
            thrum_err_drop(err);
        else
            all = thrum_err_add(all, err);
    }
    return all;
}

thrum_err *thrum_completed_close(thrum_completed *c)
{
    bool cut_short;
    thrum_err *err;

    REQUIRE(c != NULL, "no jobs");
    cut_short = c->taken_ < c->started_ && !thrum_canceled();
    if (cut_short)
        thrum_scope_cancel(&c->scope_, NULL);
    err = thrum_scope_close(&c->scope_, NULL);
    err = thrum_err_add(err, take_rest(c, cut_short));
    thrum_chan_fini(&c->ended_);
    return err;
}
