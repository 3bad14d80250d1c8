/* except NotFound: return None
 *
 * Sometimes "not there" is an answer. A bool says so, the expected kind of error
 * ends here, and the unexpected one is reported.
 *
 * Pitfall: in asyncio a catch-all swallows the cancellation with the rest, and
 * the task goes on. Here it does no harm: a canceled task stays canceled, and its
 * next wait says so again.
 */
#include <stdio.h>
#include <thrum.h>

THRUM_KIND(NotFound, THRUM_ERROR);

static thrum_err *load(int id, const char **title)
{
    if (id == 2)
        return thrum_fail(&NotFound, "no task %d", id);
    if (id == 3)
        return thrum_fail(&THRUM_ERROR, "the disk hums");
    *title = "water the plants";
    return NULL;
}

static bool find(int id, const char **title)
{
    thrum_err *e = load(id, title);

    if (thrum_err_is(e, &NotFound)) /* except NotFound: return None */
        thrum_err_drop(e);
    else if (e) /* except Exception as e: log(e); return None */
        thrum_report(e);
    return !e;
}

static thrum_err *app(void *arg)
{
    const char *title;

    (void)arg;
    for (int id = 1; id <= 3; id++)
        printf("%d: %s\n", id, find(id, &title) ? title : "-");
    return NULL;
}

static void on_error(const thrum_err *e, void *user)
{
    (void)user;
    printf("log: %s\n", thrum_err_msg(e));
}

int main(void)
{
    thrum_opts opts = {.on_error = on_error};

    return thrum_report(thrum_run(&opts, app, NULL));
}
