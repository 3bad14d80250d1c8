/* asyncio.wait_for(fetch_user(), 0.005)
 *
 * One call under a deadline. It stays in the same task: when it has succeeded,
 * its result is there, and no timeout can come between the two.
 *
 * Pitfall: what the call has written up to the timeout stays written. Look at a
 * result only after success.
 */
#include <stdio.h>
#include <thrum.h>

struct user {
    thrum_time takes;
    const char *name;
};

static thrum_err *fetch_user(void *arg)
{
    struct user *user = arg;

    user->name = "half of a name";
    THRUM_TRY(thrum_sleep(user->takes));
    user->name = "John Doe";
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct user soon = {.takes = 0}, late = {.takes = THRUM_SEC(3600)};

    (void)arg;
    THRUM_TRY(thrum_with(fetch_user, &soon, .timeout = THRUM_SEC(3600)));
    printf("soon: %s\n", soon.name);

    thrum_err *e = thrum_with(fetch_user, &late, .timeout = THRUM_MS(5));
    printf("late: %s\n", e ? thrum_err_kind(e)->name : late.name);
    thrum_err_drop(e);
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
