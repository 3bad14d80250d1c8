/* finally: await asyncio.wait_for(asyncio.shield(say_bye()), 0.005)
 *
 * A clean-up that has to wait itself: it would say goodbye to a peer, though its
 * task is canceled. A scope with `shield` does not hear the cancel from outside;
 * its own timeout still holds, so that a peer who never answers keeps nobody.
 *
 * Pitfall: a shield without a timeout is a program that cannot be stopped.
 */
#include <stdio.h>
#include <thrum.h>

struct peer {
    const char *name;
    thrum_time answers_after;
};

static thrum_err *say_bye(struct peer *peer)
{
    thrum_scope s;

    thrum_scope_open(&s, .shield = true, .timeout = THRUM_MS(5));
    int rc = thrum_sleep(peer->answers_after);
    printf("%s %s\n", peer->name, rc == 0 ? "says bye" : "does not answer");
    return thrum_scope_close(&s, thrum_rc(rc));
}

static thrum_err *talk(void *arg)
{
    thrum_err *e = thrum_rc(thrum_sleep(THRUM_SEC(3600)));

    return thrum_err_add(e, say_bye(arg)); /* we are canceled by now */
}

static thrum_err *app(void *arg)
{
    struct peer peers[] = {{"Ada", 0}, {"the moon", THRUM_SEC(3600)}};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        thrum_err *e = thrum_with(talk, &peers[i], .timeout = THRUM_MS(5));
        printf("%s\n", thrum_err_kind(e)->name);
        thrum_err_drop(e);
    }
    return NULL;
}

int main(void)
{
    return thrum_report(thrum_run(NULL, app, NULL));
}
