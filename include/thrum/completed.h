/* thrum/completed.h - the results of many jobs, each as soon as it is there.
 *
 *     thrum_completed c;
 *     thrum_job *job;
 *     int rc;
 *
 *     THRUM_TRY(thrum_completed_open(&c, jobs, n, 8));   // at most 8 at once
 *     while ((rc = thrum_completed_next(&c, &job)) > 0)
 *         use(job->arg, job->err);                       // break is fine too
 *     return thrum_err_add(thrum_rc(rc), thrum_completed_close(&c));
 *
 * thrum_gather waits for all; this is for who wants to begin with the first. A job
 * that fails is a result like another one, and stops nobody.
 */
#ifndef THRUM_COMPLETED_H
#define THRUM_COMPLETED_H

#include <thrum/chan.h>
#include <thrum/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's storage. */
typedef struct thrum_completed {
    thrum_scope scope_;
    thrum_chan ended_;
    thrum_job *jobs_;
    size_t count_, started_, taken_;
} thrum_completed;

/* Start the jobs: `limit` of them, and one more for each result that is taken.
 *
 * Call from:  a task.
 * Suspends:   now and then, to let what it started run, as thrum_spawn does.
 * Ownership:  c and jobs live until thrum_completed_close; until then a scope of
 *             its own is the innermost of the task. limit 0: all n at once.
 * Returns:    0
 *             -ENOMEM  nothing was started, nothing is to be closed
 *             -EINVAL  4 Gi jobs or more; likewise
 * Cost:       one allocation of four bytes a job, and what a spawn costs.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_completed_open(thrum_completed *c, thrum_job *jobs, size_t n,
                     size_t limit);

/* Wait for the next one that has ended, in the order in which they do.
 *
 * Call from:  the task that opened it.
 * Suspends:   while none has.
 * Ownership:  (*job)->err is the caller's: what the job returned, with the errors
 *             of what it spawned. Of kind THRUM_NOMEM if it could not be started.
 * Returns:    1           *job has ended
 *             0           all have, and were taken
 *             -ECANCELED  the caller is canceled; nothing was taken
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD int
thrum_completed_next(thrum_completed *c, thrum_job **job);

/* Cancel the jobs that have not ended, and wait for them.
 *
 * Call from:  the task that opened it, once.
 * Suspends:   while jobs are at work.
 * Returns:    NULL, or the errors of the jobs whose results nobody took, in one;
 *             that one was cut short by this call is none. jobs[i].err of those
 *             is NULL.
 */
THRUM_API THRUM_SUSPENDS THRUM_NODISCARD thrum_err *
thrum_completed_close(thrum_completed *c);

#ifdef __cplusplus
}
#endif
#endif
