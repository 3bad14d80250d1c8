/* raise Conflict("...") from e, after a rollback that may fail too
 *
 * thrum_wrap gives a failure its meaning and keeps what caused it.
 * thrum_err_add keeps what went wrong beside it: a rollback that fails takes
 * nobody's place.
 *
 * Pitfall: thrum_err_is asks the first failure and its causes, thrum_err_has asks
 * all that happened beside it, too.
 */
#include <stdio.h>
#include <thrum.h>

THRUM_KIND(Driver, THRUM_ERROR);
THRUM_KIND(Integrity, Driver);
THRUM_KIND(Conflict, THRUM_ERROR, .code = 409);

static thrum_err *insert(const char *email)
{
    return thrum_fail(&Integrity, "duplicate key (%s)", email);
}

static thrum_err *rollback(bool works)
{
    return works ? NULL : thrum_fail(&Driver, "the connection is gone");
}

static thrum_err *create_user(const char *email, bool can_roll_back)
{
    thrum_err *e = insert(email);

    if (e)
        e = thrum_err_add(e, rollback(can_roll_back));
    if (thrum_err_is(e, &Integrity))
        e = thrum_wrap(e, &Conflict, "%s is taken", email);
    return e;
}

static void tell(thrum_err *e)
{
    printf("%d: %s\n", thrum_err_code(e), thrum_err_msg(e));
    for (const thrum_err *at = thrum_err_cause(e); at; at = thrum_err_cause(at))
        for (size_t i = 0; thrum_err_at(at, i); i++)
            printf("  %s %s: %s\n", i == 0 ? "because" : "and",
                   thrum_err_kind(thrum_err_at(at, i))->name,
                   thrum_err_msg(thrum_err_at(at, i)));
    thrum_err_drop(e);
}

static thrum_err *app(void *arg)
{
    (void)arg;
    tell(create_user("ada@example.org", true));
    tell(create_user("bob@example.org", false));
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
