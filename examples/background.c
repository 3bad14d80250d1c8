/* asyncio.create_task(send_mail()) and forget about it
 *
 * A task always has an owner. That of a background task is the root scope of the
 * runtime: it outlives whoever spawned it, nothing collects it too early, and its
 * error goes to on_error. The mail is copied into the task, so that its sender
 * may return at once.
 *
 * Pitfall: the copy is as deep as an assignment. What a pointer in it points to
 * is not copied, and must live until the task has ended.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <thrum.h>

struct mail {
    char to[64];
};

static atomic_int sent;

static thrum_err *send_mail(void *arg)
{
    struct mail *mail = arg;

    if (!strchr(mail->to, '@'))
        return thrum_fail(&THRUM_ERROR, "no mail goes to %s", mail->to);
    atomic_fetch_add(&sent, 1);
    return NULL;
}

static thrum_err *create_user(const char *address)
{
    struct mail mail;

    snprintf(mail.to, sizeof mail.to, "%s", address);
    printf("created %s\n", address);
    THRUM_TRY(thrum_spawn(thrum_root(), send_mail, &mail, sizeof mail));
    return NULL;
}

static thrum_err *app(void *arg)
{
    (void)arg;
    THRUM_TRY(create_user("ada@example.org"));
    THRUM_TRY(create_user("nobody"));
    return NULL;
}

static void on_error(const thrum_err *e, void *user)
{
    (void)user;
    printf("in the background: %s\n", thrum_err_msg(e));
}

int main(void)
{
    thrum_opts opts = {.on_error = on_error};

    thrum_report(thrum_run(&opts, app, NULL));
    printf("mails sent: %d\n", sent);
}
