/* async with timer("query"): who takes too long?
 *
 * A scope with `slow` tells on_slow when it takes longer: once while it is still
 * open, so that a hang is seen, too, with an error that names the tasks at work;
 * and once when it has closed.
 *
 * Pitfall: on_slow runs on any thread, at the same time as the scope. What it
 * shares with the program has to be atomic, and it must not wait.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <thrum.h>

static atomic_bool noticed;

/* A query that takes until somebody notices. */
static thrum_err *query(void *arg)
{
    (void)arg;
    while (!noticed)
        THRUM_TRY(thrum_sleep(THRUM_MS(1)));
    return NULL;
}

static void on_slow(const char *name, thrum_time took, const thrum_err *e,
                    void *user)
{
    (void)user;
    if (thrum_err_is(e, &THRUM_SLOW)) {
        printf("%s: still at work\n", name);
        noticed = true;
    } else {
        printf("%s: took more than 5 ms: %d\n", name, took > THRUM_MS(5));
    }
}

static thrum_err *app(void *arg)
{
    (void)arg;
    return thrum_with(query, NULL, .name = "fetch users", .slow = THRUM_MS(5));
}

int main(void)
{
    thrum_opts opts = {.on_slow = on_slow};

    return thrum_report(thrum_run(&opts, app, NULL));
}
