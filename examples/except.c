/* try, except, raise
 *
 * An error is a return value. THRUM_TRY hands it up, as an exception would go;
 * who wants to handle it keeps it in a variable and asks for its kind.
 *
 * Pitfall: thrum_report consumes the error, so that to report and return it
 * takes a second reference. Better do one of the two: what every level reports
 * is told once a level.
 */
#include <stdio.h>
#include <string.h>
#include <thrum.h>

THRUM_KIND(SyntaxError, THRUM_ERROR);
THRUM_KIND(ConnectionLost, THRUM_ERROR);

static thrum_err *query(const char *sql)
{
    if (strncmp(sql, "select", 6) != 0)
        return thrum_fail(&SyntaxError, "what is \"%s\"?", sql);
    return thrum_fail(&ConnectionLost, "nobody answers");
}

static thrum_err *fetch(const char *sql)
{
    thrum_err *e = query(sql); /* try: */

    if (thrum_err_is(e, &SyntaxError)) { /* except SyntaxError as e: */
        printf("handled: %s\n", thrum_err_msg(e));
        thrum_err_drop(e);
        return NULL;
    }
    if (e)                              /* except Exception as e: */
        thrum_report(thrum_err_ref(e)); /*     capture_exception(e) */
    return e;                           /*     raise */
}

static thrum_err *app(void *arg)
{
    (void)arg;
    THRUM_TRY(fetch("selekt 1"));
    puts("after the first query");
    THRUM_TRY(fetch("select 1"));
    puts("never seen");
    return NULL;
}

static void on_error(const thrum_err *e, void *user)
{
    (void)user;
    printf("reported: %s\n", thrum_err_msg(e));
}

int main(void)
{
    thrum_opts opts = {.on_error = on_error};
    thrum_err *e = thrum_run(&opts, app, NULL);

    if (!thrum_err_is(e, &ConnectionLost))
        return thrum_report(e);
    puts("it came up to main");
    thrum_err_drop(e);
    return 0;
}
