/* asyncio.gather(user(), posts(), comments())
 *
 * Different calls at once, each with its place for the result. The first failure
 * cancels the others, and gather returns when all have ended: nothing writes
 * into `page` any more.
 *
 * Pitfall: the jobs run on several cores, so that each must write members of its
 * own. Two that write the same one are a data race.
 */
#include <stdio.h>
#include <thrum.h>

struct page {
    bool broken;
    const char *user;
    int posts, comments;
};

static thrum_err *load_user(void *arg)
{
    struct page *page = arg;

    THRUM_TRY(thrum_sleep(THRUM_MS(2)));
    page->user = "Ada";
    return NULL;
}

static thrum_err *load_posts(void *arg)
{
    struct page *page = arg;

    if (page->broken)
        return thrum_fail(&THRUM_ERROR, "the posts are gone");
    page->posts = 3;
    return NULL;
}

static thrum_err *load_comments(void *arg)
{
    struct page *page = arg;

    /* When the posts fail, nobody waits an hour. */
    THRUM_TRY(thrum_sleep(page->broken ? THRUM_SEC(3600) : THRUM_MS(1)));
    page->comments = 5;
    return NULL;
}

static thrum_err *load(void *arg)
{
    struct page *page = arg;
    thrum_job jobs[] = {{.fn = load_user, .arg = page},
                        {.fn = load_posts, .arg = page},
                        {.fn = load_comments, .arg = page}};

    THRUM_TRY(thrum_gather(jobs, 3, THRUM_ALL));
    printf("%s: %d posts, %d comments\n", page->user, page->posts,
           page->comments);
    return NULL;
}

int main(void)
{
    thrum_report(thrum_run(NULL, load, &(struct page){0}));

    thrum_err *e = thrum_run(NULL, load, &(struct page){.broken = true});
    printf("job %zu failed: %s\n", thrum_err_index(e), thrum_err_msg(e));
    thrum_err_drop(e);
}
