/* asyncio.as_completed(mirrors), break at the first that worked
 *
 * Several mirrors have the same file. THRUM_ANY: the first success wins, and the
 * others are canceled. A mirror that fails has only left the race; when all fail,
 * the error has them all. One that sleeps before it starts is a fallback.
 *
 * Pitfall: two may arrive before the loser hears of it. So each has its own place
 * for the result, and jobs[i].won says whose counts.
 */
#include <stdio.h>
#include <thrum.h>

enum { MIRRORS = 3 };

struct mirror {
    const char *name;
    bool down;
    thrum_time takes;
    const char *file;
};

static thrum_err *fetch(void *arg)
{
    struct mirror *mirror = arg;

    THRUM_TRY(thrum_sleep(mirror->takes));
    if (mirror->down)
        return thrum_fail(&THRUM_ERROR, "%s is down", mirror->name);
    mirror->file = "the file";
    return NULL;
}

static thrum_err *download(struct mirror *mirrors)
{
    thrum_job jobs[MIRRORS];

    for (int i = 0; i < MIRRORS; i++)
        jobs[i] = (thrum_job){.fn = fetch, .arg = &mirrors[i]};
    THRUM_TRY(thrum_gather(jobs, MIRRORS, THRUM_ANY));
    for (int i = 0; i < MIRRORS; i++)
        if (jobs[i].won)
            printf("%s from %s\n", mirrors[i].file, mirrors[i].name);
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct mirror good[] = {{"Bergen", .down = true},
                            {"Oslo", .takes = THRUM_SEC(3600)},
                            {"Tromso", .takes = THRUM_MS(1)}};
    struct mirror bad[] = {{"Bergen", .down = true},
                           {"Oslo", .down = true, .takes = THRUM_MS(1)},
                           {"Tromso", .down = true}};

    (void)arg;
    THRUM_TRY(download(good));
    thrum_err *e = download(bad);
    printf("%zu mirrors failed\n", thrum_err_count(e));
    thrum_err_drop(e);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
