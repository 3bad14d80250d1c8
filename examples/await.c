/* async def, await, asyncio.sleep, asyncio.run
 *
 * Any C function may wait: nothing marks it, and to await it is to call it. Only
 * the task that waits is suspended; the thread below goes on with other tasks.
 * asyncio.run is thrum_run: it ends when all that was started has ended.
 *
 * Pitfall: sleep(3), or read(2) from a disk, is not such a wait. It stops the
 * thread, and the tasks that would run on it. See offload.c.
 */
#include <stdio.h>
#include <thrum.h>

struct user {
    int id;
    char name[32];
};

/* async def fetch_user(user): */
static thrum_err *fetch_user(struct user *user)
{
    THRUM_TRY(thrum_sleep(THRUM_MS(5))); /* await asyncio.sleep(0.005) */
    snprintf(user->name, sizeof user->name, "John Doe");
    return NULL;
}

static thrum_err *app(void *arg)
{
    struct user user = {.id = 1};

    (void)arg;
    THRUM_TRY(fetch_user(&user)); /* await fetch_user(user) */
    printf("user %d is %s\n", user.id, user.name);
    return NULL;
}

int main(void)
{
    thrum_err *e = thrum_run(NULL, app, NULL); /* asyncio.run(app()) */
    int failed = e != NULL;

    thrum_report(e);
    return failed;
}
