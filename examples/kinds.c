/* class NotFound(AppError): status = 404
 *
 * A kind of error is a static object: it has a parent, as a class has a base,
 * and a code that is yours. A kind without one has that of its parent.
 *
 * Pitfall: a kind is its address. Define it in one source file and declare it in
 * the header (extern const thrum_kind NotFound;): two copies are two kinds.
 */
#include <stdio.h>
#include <thrum.h>

THRUM_KIND(App, THRUM_ERROR, .code = 500);
THRUM_KIND(NotFound, App, .code = 404);
THRUM_KIND(Conflict, App, .code = 409);
THRUM_KIND(OutOfPaper, App);

static thrum_err *get_user(int id)
{
    switch (id) {
    case 1:
        return NULL;
    case 2:
        return thrum_fail(&Conflict, "user %d is being renamed", id);
    case 3:
        return thrum_fail(&OutOfPaper, "cannot print user %d", id);
    default:
        return thrum_fail(&NotFound, "there is no user %d", id);
    }
}

static thrum_err *app(void *arg)
{
    (void)arg;
    for (int id = 1; id <= 4; id++) {
        thrum_err *e = get_user(id);

        if (thrum_err_is(e, &NotFound)) /* except NotFound: */
            printf("%d: look elsewhere\n", thrum_err_code(e));
        else if (thrum_err_is(e, &App)) /* except AppError as e: */
            printf("%d: %s\n", thrum_err_code(e), thrum_err_msg(e));
        else if (e) /* any other goes up */
            return e;
        else
            printf("200: user %d\n", id);
        thrum_err_drop(e);
    }
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
