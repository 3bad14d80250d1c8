/* async with open_db() as old, open_db() as new
 *
 * What was acquired is given back by a deferred function, when the scope closes:
 * on every path, last in first out, after the scope's tasks have ended. It may
 * wait, and is shielded meanwhile: a timeout does not cut it short.
 *
 * Pitfall: it runs after copy_users has returned. So what it is given may not be
 * a variable of copy_users: here all is in the caller's struct.
 */
#include <stdio.h>
#include <thrum.h>

struct db {
    const char *name;
};

struct copy {
    struct db from, to;
    thrum_time takes;
};

static thrum_err *db_open(struct db *db, const char *name) /* __aenter__ */
{
    db->name = name;
    printf("%s: open\n", name);
    return NULL;
}

static thrum_err *db_close(void *arg) /* __aexit__ */
{
    struct db *db = arg;

    THRUM_TRY(thrum_sleep(THRUM_MS(1))); /* in peace, whatever happened */
    printf("%s: closed\n", db->name);
    return NULL;
}

static thrum_err *copy_users(void *arg)
{
    struct copy *copy = arg;

    THRUM_TRY(db_open(&copy->from, "old"));
    thrum_defer(NULL, db_close, &copy->from); /* NULL: the innermost scope */
    THRUM_TRY(db_open(&copy->to, "new"));
    thrum_defer(NULL, db_close, &copy->to);
    THRUM_TRY(thrum_sleep(copy->takes));
    puts("copied");
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct copy quick = {.takes = 0}, endless = {.takes = THRUM_SEC(3600)};

    (void)arg;
    THRUM_TRY(thrum_with(copy_users, &quick));

    thrum_err *e = thrum_with(copy_users, &endless, .timeout = THRUM_MS(5));
    printf("timed out: %d\n", thrum_err_is(e, &THRUM_TIMEOUT));
    thrum_err_drop(e);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
