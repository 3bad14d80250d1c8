/* asyncio.as_completed(jobs)
 *
 * The pages are asked for all at once, no more than three at a time, and printed
 * as they come: the quick ones first. One that fails is a result like another one.
 * When there are enough the rest is canceled.
 *
 * Pitfall: job->err is yours, success or not. Only the errors of results that
 * nobody took come back from thrum_completed_close.
 */
#include <stdio.h>
#include <thrum.h>

enum { PAGES = 6, AT_ONCE = 3, ENOUGH = 4 };

THRUM_KIND(NotFound, THRUM_ERROR, .code = 404);

struct page {
    const char *name;
    int takes; /* times 20 ms */
    bool missing;
};

static thrum_err *load(void *arg)
{
    const struct page *page = arg;

    THRUM_TRY(thrum_sleep(page->takes * THRUM_MS(20)));
    return page->missing ? thrum_fail(&NotFound, "no %s", page->name) : NULL;
}

static thrum_err *app(void *arg)
{
    struct page pages[PAGES] = {{"slow", 25, false},  {"quick", 1, false},
                                {"lost", 10, true},   {"short", 1, false},
                                {"long", 900, false}, {"late", 900, false}};
    thrum_job jobs[PAGES], *job;
    thrum_completed c;
    int rc = 0, done = 0;

    (void)arg;
    for (int i = 0; i < PAGES; i++)
        jobs[i] = (thrum_job){.fn = load, .arg = &pages[i]};
    THRUM_TRY(thrum_completed_open(&c, jobs, PAGES, AT_ONCE));
    while (done < ENOUGH && (rc = thrum_completed_next(&c, &job)) > 0) {
        const struct page *page = job->arg;

        printf("%s: %s\n", page->name,
               job->err == NULL ? "there" : thrum_err_msg(job->err));
        thrum_err_drop(job->err);
        done++;
    }
    printf("that is enough\n");
    return thrum_err_add(thrum_rc(rc), thrum_completed_close(&c));
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
